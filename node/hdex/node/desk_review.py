"""A classification under review: what was proposed, what a person changed and why, and what is signed in the end.

Pure. A change is written into the evidence of its column with its reason, so who signs second reads it.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from hdex.deid.classification import from_document
from hdex.deid.columns import Role
from hdex.node.documents import Document
from hdex.node.errors import NotFound, RequestInvalid
from hdex.node.signed import digest

UNSURE = 0.75  # from here on the machine's word stands unless a person finds better
HIGHEST = 5
LONGEST_REASON = 400
BY_HAND = "by hand: "
ROLES = tuple(role.value for role in Role)


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """One column as a reviewer reads it."""

    name: str
    role: str
    category: str
    level: int
    evidence: tuple[str, ...]
    confidence: float
    element: str
    is_contested: bool  # lowered, or by another role, than was proposed
    is_unsure: bool
    found: str = ""  # what the node found against it
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """The document as it stands now beside the one that was proposed."""

    proposed: Document
    document: Document

    @classmethod
    def of(cls, proposed: Document) -> "Draft":
        """Return a draft in which nothing is changed yet."""
        return cls(proposed, deepcopy(proposed))

    @property
    def digest(self) -> str:
        """What is signed, by its digest: a form that shows another one is refused."""
        return digest(self.document)

    def changed(self, column: str, *, level: int, role: str, reason: str) -> "Draft":
        """Return the draft with another level and role of a column. Raises NotFound, RequestInvalid."""
        if not 1 <= level <= HIGHEST or role not in ROLES:
            raise RequestInvalid(f"a level is 1 to {HIGHEST}, a role one of {', '.join(ROLES)}")
        said = required(reason)
        made = deepcopy(self.document)
        found = column_of(made, column)
        found["evidence"] = [*found["evidence"], f"{BY_HAND}{found['role']} {found['level']} -> {role} {level}: {said}"]
        found["level"], found["role"] = level, role
        made["level"] = max(made["level"], level)
        return Draft(self.proposed, made)

    def flagged(
        self, *, level: int, minor_under_14: bool, national_grade: str, assessment: str, reason: str
    ) -> "Draft":
        """Return the draft with another level of the data set or other flags. Raises InputInvalid, RequestInvalid."""
        said = required(reason)
        made = deepcopy(self.document) | {
            "level": level,
            "may_lower_to": min(int(self.document["may_lower_to"]), level),
            "flags": {"minor_under_14": minor_under_14},
            "national_grade": national_grade,
            "assessment": assessment.strip()[:LONGEST_REASON],
        }
        made["reasons"] = [*made["reasons"], f"{BY_HAND}level {level}: {said}"]
        from_document(made)
        return Draft(self.proposed, made)

    def lines(self) -> list[ColumnLine]:
        """Return the columns, those in question first."""
        was = {one["name"]: one for one in columns_of(self.proposed)}
        found = [line_of(one, was.get(one["name"], one)) for one in columns_of(self.document)]
        return in_question_first(found)


def lines_of(document: Mapping[str, Any], contested: list[Document]) -> list[ColumnLine]:
    """Return the columns of a signed classification with what the node found against some of them."""
    clashes = {one["column"]: one for one in contested}
    return in_question_first([line_of(one, one, clashes.get(one["name"])) for one in columns_of(document)])


def line_of(column: Mapping[str, Any], was: Mapping[str, Any], clash: Document | None = None) -> ColumnLine:
    """Return one line. was: the column as proposed; clash: what the node found against it."""
    is_changed = column["role"] != was["role"] or column["level"] < was["level"]
    return ColumnLine(
        name=str(column["name"]),
        role=str(column["role"]),
        category=str(column["category"]),
        level=int(column["level"]),
        evidence=tuple(column["evidence"]),
        confidence=float(column["confidence"]),
        element=str(column["element"]),
        is_contested=is_changed or clash is not None,
        is_unsure=column["confidence"] < UNSURE,
        found=str(clash["found"]) if clash else "",
        why=tuple(clash["why"]) if clash else (),
    )


def in_question_first(lines: list[ColumnLine]) -> list[ColumnLine]:
    """Return the lines: contested, then unsure, then by falling level; else in their own order."""
    return sorted(lines, key=lambda one: (not one.is_contested, not one.is_unsure, -one.level))


def columns_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the columns of every table of a classification."""
    return [column for table in document["tables"] for column in table["columns"]]


def column_of(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one column. Raises NotFound."""
    for column in columns_of(document):
        if column["name"] == name:
            return column
    raise NotFound("the classification has no column of this name")


def required(reason: str) -> str:
    """Return a reason as it is kept. Raises RequestInvalid for none, or one too long."""
    said = " ".join(reason.split())
    if not said or len(said) > LONGEST_REASON:
        raise RequestInvalid(f"say why, in {LONGEST_REASON} characters at most: who signs second reads it")
    return said
