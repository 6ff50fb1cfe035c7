"""Statements about things: the one form that policies, requests and states of the world are read into, from any syntax.

Nothing here fetches: an IRI is a name.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hdex.catalog.errors import PolicyInvalid
from hdex.catalog.odrl.names import RDF_TYPE, XSD

MAX_STATEMENTS = 200_000


@dataclass(frozen=True, slots=True)
class Iri:
    """A name; `_:` begins the name of a thing that has none."""

    value: str

    @property
    def text(self) -> str:
        """Return the name."""
        return self.value


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as it was written, with its datatype (an IRI)."""

    text: str
    datatype: str = XSD + "string"


Term = Iri | Literal


@dataclass(slots=True)
class Graph:
    """Statements by subject and predicate, in the order they were made."""

    held: dict[str, dict[str, list[Term]]] = field(default_factory=dict)
    count: int = 0

    def add(self, subject: str, predicate: str, value: Term) -> None:
        """Keep one statement, once. Raises PolicyInvalid beyond MAX_STATEMENTS."""
        values = self.held.setdefault(subject, {}).setdefault(predicate, [])
        if value in values[-64:]:  # a repetition further back costs space, not truth
            return
        self.count += 1
        if self.count > MAX_STATEMENTS:
            raise PolicyInvalid(f"more than {MAX_STATEMENTS} statements; split the file")
        values.append(value)

    def objects(self, subject: str, *predicates: str) -> list[Term]:
        """Return every value that one of the predicates gives the subject."""
        held = self.held.get(subject, {})
        return [value for predicate in predicates for value in held.get(predicate, ())]

    def names(self, subject: str, *predicates: str) -> list[str]:
        """Return the values that are names."""
        return [value.value for value in self.objects(subject, *predicates) if isinstance(value, Iri)]

    def texts(self, subject: str, *predicates: str) -> list[str]:
        """Return the values as text, names and literals alike."""
        return [value.text for value in self.objects(subject, *predicates)]

    def types(self, subject: str) -> set[str]:
        """Return the classes a subject is said to be of."""
        return set(self.names(subject, RDF_TYPE))

    def predicates(self, subject: str) -> Iterable[str]:
        """Return what is said of a subject."""
        return self.held.get(subject, {}).keys()

    def of_type(self, *kinds: str) -> Iterator[str]:
        """Yield the subjects of one of these classes."""
        for subject in self.held:
            if not self.types(subject).isdisjoint(kinds):
                yield subject

    def reach(self, start: str, *predicates: str) -> set[str]:
        """Return the subject and whatever the predicates lead to from it, however far."""
        found, edge = {start}, [start]
        while edge:
            for name in self.names(edge.pop(), *predicates):
                if name not in found:
                    found.add(name)
                    edge.append(name)
        return found

    def merge(self, other: "Graph") -> "Graph":
        """Return a graph of the statements of both; nameless things must differ by name already."""
        joined = Graph()
        for graph in (self, other):
            for subject, held in graph.held.items():
                for predicate, values in held.items():
                    for value in values:
                        joined.add(subject, predicate, value)
        return joined
