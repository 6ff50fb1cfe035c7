"""What is asked (Request) and what is so (World): read from plain JSON, JSON-LD or Turtle.

Claims of the applicant and facts of the evaluator are kept apart: who belongs to which collection and what time it is
comes from the world and the policy; a request says only what it asks and what its own purpose is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hdex.catalog.errors import PolicyInvalid
from hdex.catalog.odrl.graph import Graph, Iri, Literal, Term
from hdex.catalog.odrl.names import HDEX_OPERAND, ODRL, XSD
from hdex.catalog.odrl.values import instant
from hdex.catalog.purposes import purpose_iri, purpose_name, wider_purposes

# Operands of our own offers that follow from the purposes asked, where the request does not state them.
PURPOSE_KNOWN, GENETIC_STUDY = HDEX_OPERAND + "purposeKnown", HDEX_OPERAND + "geneticStudy"
Values = Mapping[str, tuple[Term, ...]]


@dataclass(frozen=True, slots=True)
class Request:
    """One question: may this party do this with that? Empty text means that the request does not say."""

    id: str = ""
    action: str = ""
    assignee: str = ""
    target: str = ""
    values: Values = field(default_factory=dict)  # by left operand
    time: datetime | None = None
    facts: Graph = field(default_factory=Graph, compare=False, repr=False)
    rule: str = ""  # the permission of an odrl:Request that asks


@dataclass(frozen=True, slots=True)
class Performance:
    """One thing that was done: for duties."""

    action: str
    party: str = ""
    target: str = ""
    at: datetime | None = None
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class World:
    """The state of the world. `counts`: exercises so far, by rule or action; an event that is None is still to come."""

    time: datetime | None = None
    values: Values = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, datetime | None] = field(default_factory=dict)
    duties: Mapping[str, str] = field(default_factory=dict)  # duty -> Fulfilled, Violated, NonSet, Open
    performed: tuple[Performance, ...] = ()
    facts: Graph = field(default_factory=Graph, compare=False, repr=False)
    reached: dict[tuple[object, ...], set[str]] = field(default_factory=dict, compare=False, repr=False)  # asked before


@dataclass(frozen=True, slots=True)
class Situation:
    """A request in a world, seen by one rule. `every`: a permission needs all values of a left operand to fit."""

    request: Request
    world: World
    policy: Graph
    rule: str = ""
    every: bool = True
    subject: str = ""  # whose properties a refinement is about
    own: Values | None = None  # the values of a performance, where that is judged instead of the request
    at: datetime | None = None  # when it was performed

    @property
    def now(self) -> datetime | None:
        """Return the moment that counts: the performance's, the world's, or else the request's own."""
        return self.at or self.world.time or self.request.time

    def trusted(self) -> tuple[Graph, Graph]:
        """Return the graphs that may say who belongs to what."""
        return self.world.facts, self.policy

    def reach(self, start: str, *predicates: str) -> set[str]:
        """Return the name and whatever trusted statements lead to from it."""
        key = (id(self.policy), start, predicates)
        if key not in self.world.reached:
            self.world.reached[key] = _reach(self.trusted(), start, predicates)
        return self.world.reached[key]

    def classes(self, start: str, *predicates: str) -> set[str]:
        """Return the same with what the request says of its own values."""
        return _reach((*self.trusted(), self.request.facts), start, predicates)

    def says(self, start: str, *predicates: str) -> bool:
        """Return whether one who may say so says one of the predicates of a name."""
        return any(graph.objects(start, *predicates) for graph in self.trusted())

    def values_of(self, left: str) -> tuple[Term, ...] | None:
        """Return what the left operand stands for; None where nobody says."""
        if self.subject:
            found = tuple(v for graph in self.trusted() for v in graph.objects(self.subject, left))
            if found:
                return found
        if self.own is not None:
            return self.own.get(left) or self._moment(left)
        return self.request.values.get(left) or self.world.values.get(left) or self._implied(left)

    def _implied(self, left: str) -> tuple[Term, ...] | None:
        if left == ODRL + "recipient" and self.request.assignee:
            return (Iri(self.request.assignee),)
        if left == ODRL + "count":
            used = next(
                (self.world.counts[key] for key in (self.rule, self.request.action) if key in self.world.counts), None
            )
            return None if used is None else (Literal(str(used + 1), _INTEGER),)  # this exercise counts
        purposes = self.request.values.get(ODRL + "purpose", ())
        if left == PURPOSE_KNOWN and purposes:
            return (_truth(all(wider_purposes(purpose_name(one.text)) is not None for one in purposes)),)
        if left == GENETIC_STUDY and purposes:
            return (_truth(any(_GENETIC in (wider_purposes(purpose_name(one.text)) or ()) for one in purposes)),)
        return self._moment(left)

    def _moment(self, left: str) -> tuple[Term, ...] | None:
        if left != ODRL + "dateTime" or self.now is None:
            return None
        return (instant(self.now),)


_INTEGER = XSD + "integer"
_GENETIC = purpose_iri("DUO:0000038")


def _truth(held: bool) -> Literal:
    return Literal(str(held).lower(), XSD + "boolean")


def moment(text: str, where: str) -> datetime:
    """Return an RFC 3339 time; without a zone it is UTC. Raise PolicyInvalid naming the place."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise PolicyInvalid(f"{where}: a time in RFC 3339 is asked") from error
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _reach(graphs: tuple[Graph, ...], start: str, predicates: tuple[str, ...]) -> set[str]:
    found, edge = {start}, [start]
    while edge:
        here = edge.pop()
        for graph in graphs:
            for name in graph.texts(here, *predicates):
                if name not in found:
                    found.add(name)
                    edge.append(name)
    return found
