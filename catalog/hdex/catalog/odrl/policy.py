"""Policies as values: rules with what must hold for each, and what may go unfulfilled.

Source: ODRL Information Model 2.2 (W3C Recommendation, 15 February 2018); section numbers in comments are its.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from hdex.catalog.odrl.graph import Graph, Term


class RuleKind(StrEnum):
    """What a rule says of its action (2.6)."""

    PERMISSION = "Permission"
    PROHIBITION = "Prohibition"
    DUTY = "Duty"


class Conflict(StrEnum):
    """What holds where a permission and a prohibition meet (2.10)."""

    PERMISSION = "perm"
    PROHIBITION = "prohibit"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Constraint:
    """One comparison (2.5.1). `problem` says why it can never be decided: a word that the profile does not know."""

    id: str
    left: str
    operator: str
    right: tuple[Term, ...]
    references: tuple[str, ...] = ()
    unit: str = ""
    datatype: str = ""
    status: tuple[Term, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LogicalConstraint:
    """Several comparisons under and, or, xone or andSequence (2.5.2)."""

    id: str
    operand: str
    operands: tuple["Condition", ...]


Condition = Constraint | LogicalConstraint


@dataclass(frozen=True, slots=True)
class Scope:
    """An action, asset or party with what narrows it (2.2, 2.3, 2.4.3): `names` are all that it goes by."""

    id: str
    names: frozenset[str]
    collection: bool = False
    refinements: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Duty:
    """What must be done (2.6.3 to 2.6.7). Empty parties and assets mean any."""

    id: str
    actions: tuple[Scope, ...]
    parties: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    constraints: tuple[Condition, ...] = ()
    consequences: tuple["Duty", ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A permission or prohibition. An empty dimension puts no condition: a rule without target holds for any."""

    id: str
    kind: RuleKind
    actions: tuple[Scope, ...] = ()
    targets: tuple[Scope, ...] = ()
    assignees: tuple[Scope, ...] = ()
    assigners: tuple[Scope, ...] = ()
    constraints: tuple[Condition, ...] = ()
    duties: tuple[Duty, ...] = ()  # of a permission: conditions; of a prohibition: remedies
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with the rules it has of itself and by inheritance."""

    id: str
    kind: str
    rules: tuple[Rule, ...]
    obligations: tuple[Duty, ...] = ()
    conflict: Conflict | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()
    facts: Graph = field(default_factory=Graph, compare=False, repr=False)  # collections and classes it declares
