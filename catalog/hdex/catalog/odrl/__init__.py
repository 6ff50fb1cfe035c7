"""ODRL 2.2 in a closed profile: policies read from JSON-LD or Turtle, and one answer to one question about them.

`ask(policy, request, world)` answers documents in one call. `evaluate(read_policies(read_graph(policy)),
read_request(request), read_world(world))` returns the answer as a value; `to_json` and `to_turtle` say it. Unknown
words make it undecided, never permitted.
"""

from hdex.catalog.documents import Json
from hdex.catalog.odrl.asking import Source, read_request, read_world
from hdex.catalog.odrl.evaluate import Answer, Outcome, evaluate
from hdex.catalog.odrl.graph import Graph, Iri, Literal
from hdex.catalog.odrl.policy import Conflict, Policy, Rule, RuleKind
from hdex.catalog.odrl.reader import read_graph, read_policies
from hdex.catalog.odrl.report import to_json, to_turtle
from hdex.catalog.odrl.situation import Performance, Request, World
from hdex.catalog.odrl.values import Verdict

__all__ = [
    "Answer",
    "Conflict",
    "Graph",
    "Iri",
    "Literal",
    "Outcome",
    "Performance",
    "Policy",
    "Request",
    "Rule",
    "RuleKind",
    "Verdict",
    "World",
    "ask",
    "evaluate",
    "read_graph",
    "read_policies",
    "read_request",
    "read_world",
    "to_json",
    "to_turtle",
]


def ask(policy: Source, request: Source, world: Source | None = None) -> Json:
    """Return the answer to a request under a policy in a state of the world, as JSON values. Raises PolicyInvalid.

    Each is Turtle as text, or what its JSON was parsed to. What the keys mean stands in docs/policy.md.
    """
    return to_json(evaluate(read_policies(read_graph(policy)), read_request(request), read_world(world)))
