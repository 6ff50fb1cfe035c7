"""One aggregate question in a closed grammar: what is counted, by which columns, over which rows. Pure.

Buyer and hospital read it alike; its digest is what makes "the same question" the same. What the grammar does not know
is refused: there is no expression, no function, no text that is run.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hdex.node.errors import ConfigInvalid, RequestInvalid
from hdex.node.signed import digest

KINDS = ("count", "crosstab", "mean", "sum", "quantile", "histogram")
MEASURING = ("mean", "sum", "quantile", "histogram")  # these name a column of numbers
OPERATORS = ("=", "!=", "in", "<", "<=", ">", ">=", "between")
ORDERING = ("<", "<=", ">", ">=", "between")
MOST_BY, MOST_CONDITIONS, MOST_VALUES, MOST_EDGES, MOST_PROBABILITIES = 3, 6, 50, 50, 9
LONGEST = 120
LEAST_EPSILON = 1e-3  # below, noise outgrows the numbers it is drawn as, and what outgrew both sides takes itself off
FIELDS = {"kind", "column", "by", "where", "probabilities", "edges", "epsilon"}
LARGEST = 1e300
Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on the rows; several must all hold. values: one, two of `between`, some of `in`."""

    column: str
    op: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise RequestInvalid(f"the operator {self.op[:20]!r} is unknown; there are {', '.join(OPERATORS)}")
        count = {"between": 2}.get(self.op, 1)
        if len(self.values) != count if self.op != "in" else not 1 <= len(self.values) <= MOST_VALUES:
            raise RequestInvalid(f"{self.op} takes {'1 to 50 values' if self.op == 'in' else f'{count} value(s)'}")
        if self.op in ORDERING and any(isinstance(one, str | bool) for one in self.values):
            raise RequestInvalid(f"{self.op} compares numbers")
        _require_values(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked. epsilon: what it may cost, where the contract promises privacy by noise; 0 elsewhere."""

    kind: str
    column: str = ""
    by: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    probabilities: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise RequestInvalid(f"kind {self.kind[:20]!r} is unknown; there are {', '.join(KINDS)}")
        if (self.kind in MEASURING) != bool(self.column):
            raise RequestInvalid(f"{', '.join(MEASURING)} name a column, the others none")
        if len(self.by) > MOST_BY or len(set(self.by)) != len(self.by) or len(self.where) > MOST_CONDITIONS:
            raise RequestInvalid(f"at most {MOST_BY} different columns to group by, and {MOST_CONDITIONS} conditions")
        if (self.kind == "crosstab") > (len(self.by) >= 2) or (self.kind == "histogram" and self.by):
            raise RequestInvalid("a crosstab groups by two or three columns, a histogram by none")
        self._require_numbers()

    def _require_numbers(self) -> None:
        if (self.kind == "quantile") != bool(self.probabilities) or (self.kind == "histogram") != bool(self.edges):
            raise RequestInvalid("a quantile names probabilities, a histogram edges, the others neither")
        if len(self.probabilities) > MOST_PROBABILITIES or not all(0 < one < 1 for one in self.probabilities):
            raise RequestInvalid(f"at most {MOST_PROBABILITIES} probabilities, each between 0 and 1")
        ascending = all(one < other for one, other in zip(self.edges, self.edges[1:], strict=False))
        if self.edges and not (2 <= len(self.edges) <= MOST_EDGES and ascending):
            raise RequestInvalid(f"2 to {MOST_EDGES} edges, each above the one before")
        if self.epsilon and not (math.isfinite(self.epsilon) and self.epsilon >= LEAST_EPSILON):
            raise RequestInvalid(f"epsilon is 0, or a number from {LEAST_EPSILON}")
        _require_values(self.probabilities + self.edges)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column it touches."""
        named = (self.column, *self.by, *(condition.column for condition in self.where))
        return tuple(dict.fromkeys(name for name in named if name))

    def document(self) -> dict[str, Any]:
        """Return it as JSON values, in one form: the order of conditions is none."""
        told = asdict(self)
        told["where"] = sorted((asdict(one) for one in self.where), key=repr)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()} | {
            "where": [{**one, "values": list(one["values"])} for one in told["where"]]
        }

    def digest(self) -> str:
        """Return SHA-256 of the one form: the same question."""
        return digest(self.document())


def question_of(document: Mapping[str, Any]) -> Question:
    """Return the question of a JSON or TOML document. Raises RequestInvalid on anything it does not know."""
    if unknown := sorted(set(document) - FIELDS):
        raise RequestInvalid(f"unknown in a question: {', '.join(name[:40] for name in unknown)}")
    where = document.get("where", [])
    if not isinstance(where, list) or not all(isinstance(one, Mapping) for one in where):
        raise RequestInvalid("where is a list of tables with column, op and values")
    return Question(
        kind=_text(document.get("kind", ""), "kind"),
        column=_text(document.get("column", ""), "column"),
        by=tuple(_text(one, "by") for one in _list(document.get("by", []), "by")),
        where=tuple(_condition(one) for one in where[: MOST_CONDITIONS + 1]),
        probabilities=tuple(_number(one) for one in _list(document.get("probabilities", []), "probabilities")),
        edges=tuple(_number(one) for one in _list(document.get("edges", []), "edges")),
        epsilon=_number(document.get("epsilon", 0.0)),
    )


def read_question(path: Path) -> Question:
    """Return the question in a TOML file. Raises ConfigInvalid, RequestInvalid."""
    try:
        return question_of(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path} cannot be read as a question in TOML") from error


def _condition(document: Mapping[str, Any]) -> Condition:
    if set(document) not in ({"column", "op", "value"}, {"column", "op", "values"}):
        raise RequestInvalid("a condition has column, op and value, or values")
    values = [document["value"]] if "value" in document else _list(document["values"], "values")
    if isinstance(values[0] if len(values) == 1 else None, list):
        values = values[0]
    return Condition(_text(document["column"], "column"), _text(document["op"], "op"), tuple(values))


def _require_values(values: tuple[Value, ...]) -> None:
    for one in values:
        if type(one) not in (str, int, float, bool) or (isinstance(one, float) and not math.isfinite(one)):
            raise RequestInvalid("a value is a text, a finite number, true or false")
        if (isinstance(one, str) and len(one) > LONGEST) or (isinstance(one, int) and abs(one) > 2**53):
            raise RequestInvalid(f"a text has {LONGEST} characters at most, a number 2^53")


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list | tuple) or len(value) > MOST_VALUES + 1:
        raise RequestInvalid(f"{name} is a list of at most {MOST_VALUES}")
    return list(value)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise RequestInvalid(f"{name} is a text of at most {LONGEST} characters")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestInvalid("a number is asked")
    if abs(value) > LARGEST:  # a whole number may be too long for a float
        raise RequestInvalid(f"a number is at most {LARGEST:g}")
    return float(value)
