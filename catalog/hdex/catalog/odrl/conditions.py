"""Statements -> constraints, alone and joined. Nesting is bounded, a circle is an error.

Source: ODRL Information Model 2.2, section 2.5.
"""

from collections.abc import Collection

from hdex.catalog.errors import PolicyInvalid
from hdex.catalog.odrl.graph import Graph, Iri, Term
from hdex.catalog.odrl.names import DESCRIPTIVE, ODRL, RDF, RDF_TYPE, short, words
from hdex.catalog.odrl.policy import Condition, Constraint, LogicalConstraint

OPERANDS = tuple(ODRL + name for name in ("and", "or", "xone", "andSequence"))
MAX_DEPTH = 16
MAX_VALUES = 10_000
MAX_CONDITIONS = 50_000  # with those that several rules or joins share counted each time
_KNOWN = frozenset(
    ODRL + name
    for name in (
        "uid",
        "leftOperand",
        "operator",
        "rightOperand",
        "rightOperandReference",
        "unit",
        "dataType",
        "status",
    )
)


class Conditions:
    """Reads the constraints of one graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._count = 0

    def of(self, owner: str, predicate: str) -> tuple[Condition, ...]:
        """Return the constraints or refinements of a rule, action, asset, party or duty. Raises PolicyInvalid."""
        return self._read(owner, predicate, ())

    def _read(self, owner: str, predicate: str, above: tuple[str, ...]) -> tuple[Condition, ...]:
        return tuple(self._one(node, above) for node in self._nodes(owner, predicate))

    def _nodes(self, owner: str, predicate: str) -> list[str]:
        nodes = []
        for value in self._flat(self._graph.objects(owner, predicate)):
            if not isinstance(value, Iri):
                raise PolicyInvalid(f"{short(predicate)} of {owner[:80]} is an object, found a value")
            nodes.append(value.value)
        return nodes

    def _one(self, node: str, above: tuple[str, ...]) -> Condition:
        self._count += 1
        if self._count > MAX_CONDITIONS:  # parts that are shared multiply: a small file may say a great many
            raise PolicyInvalid(f"more than {MAX_CONDITIONS} constraints in all")
        if node in above:
            raise PolicyInvalid(f"constraint {node[:80]} holds itself")
        if len(above) >= MAX_DEPTH:
            raise PolicyInvalid(f"constraints are nested deeper than {MAX_DEPTH}")
        used = [operand for operand in OPERANDS if self._graph.objects(node, operand)]
        if not used:
            return self._constraint(node)
        if len(used) > 1 or self._graph.objects(node, ODRL + "leftOperand"):
            raise PolicyInvalid(f"constraint {node[:80]} joins in more than one way; nest them instead")
        if problem := self._unknown(node, {*OPERANDS, ODRL + "uid"}):
            return Constraint(id=node, left="", operator=short(used[0]), right=(), problem=problem)
        return LogicalConstraint(node, short(used[0]), self._read(node, used[0], (*above, node)))

    def _constraint(self, node: str) -> Constraint:
        graph = self._graph
        left, operator = self._word(node, "leftOperand"), self._word(node, "operator")
        right = tuple(self._flat(graph.objects(node, ODRL + "rightOperand")))
        references = tuple(graph.texts(node, ODRL + "rightOperandReference"))
        if bool(right) == bool(references):
            found = "both rightOperand and rightOperandReference" if right else "no rightOperand"
            raise PolicyInvalid(f"constraint {node[:80]} has {found}; one of the two is asked")
        return Constraint(
            id=node,
            left=left,
            operator=short(operator),
            right=right,
            references=references,
            unit=next(iter(graph.texts(node, ODRL + "unit")), ""),
            datatype=next(iter(graph.names(node, ODRL + "dataType")), ""),
            status=tuple(graph.objects(node, ODRL + "status")),
            problem=self._problem(node, operator),
        )

    def _word(self, node: str, name: str) -> str:
        found = self._graph.texts(node, ODRL + name)
        if len(found) != 1:
            raise PolicyInvalid(f"constraint {node[:80]} has {len(found)} values of {name}; one is asked")
        return found[0] if ":" in found[0] else ODRL + found[0]

    def _problem(self, node: str, operator: str) -> str:
        if operator not in words().operators:
            return f"unknown operator {short(operator)[:80]}"
        return self._unknown(node, _KNOWN)

    def _unknown(self, node: str, known: Collection[str]) -> str:
        for predicate in self._graph.predicates(node):
            if predicate not in known and predicate != RDF_TYPE and not predicate.startswith(DESCRIPTIVE):
                return f"unknown property {short(predicate)[:80]}"
        return ""

    def _flat(self, values: list[Term]) -> list[Term]:
        """Return values with RDF lists opened."""
        found: list[Term] = []
        for value in values:
            found.extend(self._list(value) if isinstance(value, Iri) else [value])
            if len(found) > MAX_VALUES:
                raise PolicyInvalid(f"more than {MAX_VALUES} values in one place")
        return found

    def _list(self, value: Iri) -> list[Term]:
        found: list[Term] = []
        node, seen = value.value, set[str]()
        if node != RDF + "nil" and not self._graph.objects(node, RDF + "first"):
            return [value]
        while node != RDF + "nil":
            if node in seen or len(found) > MAX_VALUES:
                raise PolicyInvalid("a list has no end")
            seen.add(node)
            found.extend(self._graph.objects(node, RDF + "first"))
            node = next(iter(self._graph.names(node, RDF + "rest")), RDF + "nil")
        return found
