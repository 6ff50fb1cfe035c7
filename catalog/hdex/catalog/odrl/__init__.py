"""ODRL 2.2 in a closed profile: policies read from JSON-LD or Turtle, and one answer to one question about them.

`evaluate(read_policies(read_graph(policy)), read_request(request), read_world(world))` returns the answer; `to_json`
and `to_turtle` say it. Unknown words make it undecided, never permitted.
"""

from hdex.catalog.odrl.asking import read_request, read_world
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
    "evaluate",
    "read_graph",
    "read_policies",
    "read_request",
    "read_world",
    "to_json",
    "to_turtle",
]
