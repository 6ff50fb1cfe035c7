"""Whether a constraint holds in a situation: yes, no, or unknown where a word, a value or a fact is missing.

Source: ODRL Information Model 2.2, section 2.5; operators: ODRL Vocabulary 2.2, section 3.15.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from hdex.catalog.disease import disease_code, is_within
from hdex.catalog.odrl.graph import Literal, Term
from hdex.catalog.odrl.names import DCT, HDEX_OPERAND, ODRL, RDF_TYPE, RDFS, SKOS, XSD, words
from hdex.catalog.odrl.policy import Condition, Constraint, LogicalConstraint
from hdex.catalog.odrl.situation import Situation
from hdex.catalog.odrl.values import Verdict, order, same, verdict
from hdex.catalog.purposes import purpose_name, wider_purposes

PURPOSE, EVENT, COUNT = ODRL + "purpose", ODRL + "event", ODRL + "count"
POLICY_USAGE = ODRL + "policyUsage"
UNIT = "#unit"  # beside a left operand in values: the unit of its value
_KIND_OF = (RDF_TYPE, RDFS + "subClassOf", SKOS + "broader", SKOS + "broaderTransitive", SKOS + "exactMatch")
_PART_OF = (ODRL + "partOf", DCT + "isPartOf", *_KIND_OF)
_ORDERS: Mapping[str, frozenset[int]] = {
    "lt": frozenset({-1}),
    "lteq": frozenset({-1, 0}),
    "gt": frozenset({1}),
    "gteq": frozenset({0, 1}),
}


@dataclass(frozen=True, slots=True)
class ConditionReport:
    """One condition, what was found for it, and its verdict."""

    condition: Condition
    verdict: Verdict
    found: tuple[Term, ...] = ()
    why: str = ""
    parts: tuple["ConditionReport", ...] = ()


def check(condition: Condition, situation: Situation) -> ConditionReport:
    """Return whether a condition holds and why."""
    if isinstance(condition, LogicalConstraint):
        parts = _parts(condition, situation)
        return ConditionReport(condition, verdict(_join(condition.operand, parts)), parts=parts)
    if condition.problem:
        return ConditionReport(condition, Verdict.UNKNOWN, why=condition.problem)
    found = situation.values_of(condition.left)
    if condition.left == EVENT:
        return _checked(condition, found or (), verdict(_event(condition, situation)), "the event is not known")
    if found is None and condition.status:
        found = _status(condition)
    if not _is_known(condition.left, situation, found):
        return ConditionReport(condition, Verdict.UNKNOWN, why="unknown left operand")
    if found is None:
        return ConditionReport(condition, Verdict.UNKNOWN, why="nobody says")
    if _other_unit(condition, situation):
        return ConditionReport(condition, Verdict.UNKNOWN, found, "the value has another unit, or none")
    right = _right(condition, situation)
    if right is None:
        return ConditionReport(condition, Verdict.UNKNOWN, found, "the reference is not at hand")
    held = _compare(condition, found, right, situation)
    return _checked(condition, found, verdict(held), "the values cannot be compared")


def every(answers: Iterable[bool | None]) -> bool | None:
    """Return yes where all are, no where one is not, else None."""
    unknown = False
    for one in answers:
        if one is False:
            return False
        unknown = unknown or one is None
    return None if unknown else True


def some(answers: Iterable[bool | None]) -> bool | None:
    """Return yes where one is, no where none is, else None."""
    unknown = False
    for one in answers:
        if one is True:
            return True
        unknown = unknown or one is None
    return None if unknown else False


def _checked(condition: Constraint, found: tuple[Term, ...], held: Verdict, why: str) -> ConditionReport:
    return ConditionReport(condition, held, found, why if held is Verdict.UNKNOWN else "")


def _parts(condition: LogicalConstraint, situation: Situation) -> tuple[ConditionReport, ...]:
    found: list[ConditionReport] = []
    for one in condition.operands:
        found.append(check(one, situation))
        if condition.operand == "andSequence" and found[-1].verdict is not Verdict.SATISFIED:
            break  # what follows in the sequence is not reached
    return tuple(found)


def _join(operand: str, parts: tuple[ConditionReport, ...]) -> bool | None:
    held = [_ANSWER[part.verdict] for part in parts]
    if operand == "or":
        return some(held)
    if operand == "xone":
        if held.count(True) > 1:
            return False
        return None if None in held else held.count(True) == 1
    return every(held)


_ANSWER = {Verdict.SATISFIED: True, Verdict.UNSATISFIED: False, Verdict.UNKNOWN: None}


def _is_known(left: str, situation: Situation, found: tuple[Term, ...] | None) -> bool:
    if left in words().left_operands or left.startswith(HDEX_OPERAND):
        return True
    return bool(situation.subject and found)  # a refinement may be about any property that is stated of its subject


def _status(condition: Constraint) -> tuple[Term, ...]:
    """Return what the policy itself says was reached (2.5.1); of a count, with this exercise."""
    if condition.left != COUNT:
        return condition.status
    return tuple(Literal(str(int(v.text) + 1), XSD + "integer") for v in condition.status if v.text.isdecimal())


def _other_unit(condition: Constraint, situation: Situation) -> bool:
    stated = {value.text for value in situation.values_of(condition.left + UNIT) or ()}
    if not condition.unit:
        return False
    return stated != {condition.unit} and condition.left != COUNT


def _right(condition: Constraint, situation: Situation) -> tuple[Term, ...] | None:
    if condition.references:
        found = [situation.world.values.get(name) for name in condition.references]
        if any(one is None for one in found):
            return None
        return (*condition.right, *(value for one in found for value in one or ()))
    if not condition.datatype:
        return condition.right
    return tuple(
        Literal(v.text, condition.datatype) if isinstance(v, Literal) and v.datatype == XSD + "string" else v
        for v in condition.right
    )


def _compare(
    condition: Constraint, found: tuple[Term, ...], right: tuple[Term, ...], situation: Situation
) -> bool | None:
    match = _matcher(condition, situation)
    if condition.operator == "isAllOf":
        return every(some(match(left, one) for left in found) for one in right)
    if condition.operator == "hasPart":
        return every(some(_is_part(one, left, situation) for left in found) for one in right)
    if condition.operator == "eq" and len(right) > 1:
        return every((every(some(match(left, one) for left in found) for one in right), _each(found, right, match)))
    test = _TESTS.get(condition.operator)
    if test is None:
        wanted = _ORDERS[condition.operator]
        answers = [some(_ordered(left, one, wanted) for one in right) for left in found]
    else:
        answers = [test(left, right, match) for left in found]
    return every(answers) if situation.every else some(answers)


Match = Callable[[Term, Term], bool | None]


def _any_of(left: Term, right: tuple[Term, ...], match: Match) -> bool | None:
    return some(match(left, one) for one in right)


def _none_of(left: Term, right: tuple[Term, ...], match: Match) -> bool | None:
    held = some(match(left, one) for one in right)
    return None if held is None else not held


_TESTS: Mapping[str, Callable[[Term, tuple[Term, ...], Match], bool | None]] = {
    "eq": _any_of, "isA": _any_of, "isPartOf": _any_of, "isAnyOf": _any_of, "neq": _none_of, "isNoneOf": _none_of,
}  # fmt: skip


def _each(found: tuple[Term, ...], right: tuple[Term, ...], match: Match) -> bool | None:
    return every(_any_of(left, right, match) for left in found)


def _ordered(left: Term, right: Term, wanted: frozenset[int]) -> bool | None:
    found = order(left, right)
    return None if found is None else found in wanted


def _matcher(condition: Constraint, situation: Situation) -> Match:
    if condition.left == HDEX_OPERAND + "disease":
        return lambda left, right: _is_disease(left, right, situation)
    if condition.left == PURPOSE:
        placed: dict[str, tuple[frozenset[str], bool]] = {}
        return lambda left, right: _is_purpose(left, right, situation, placed)
    if condition.operator == "isA":
        return lambda left, right: _is_kind(left, right, situation)
    if condition.operator == "isPartOf":
        return lambda left, right: _is_part(left, right, situation)
    return same


def _is_purpose(
    left: Term, right: Term, situation: Situation, placed: dict[str, tuple[frozenset[str], bool]]
) -> bool | None:
    """Return whether a purpose is the other or narrower; None for one that neither vocabulary nor facts place."""
    if left.text not in placed:
        placed[left.text] = _place(purpose_name(left.text), situation)
    wider, known = placed[left.text]
    if purpose_name(right.text) in wider:
        return True
    return False if known else None


def _place(asked: str, situation: Situation) -> tuple[frozenset[str], bool]:
    """Return a purpose with all that cover it, and whether anybody places it at all."""
    if wider_purposes(asked) is None:
        reached = situation.classes(asked, *_KIND_OF)  # an applicant says what its own purpose is
    else:
        reached = situation.reach(asked, *_KIND_OF)  # and nothing of the vocabulary's
    wider = frozenset(name for one in reached for name in wider_purposes(one) or {one})
    known = any(wider_purposes(one) is not None for one in reached) or situation.says(asked, *_KIND_OF)
    return wider, known


def _is_disease(left: Term, right: Term, situation: Situation) -> bool:
    asked = disease_code(left.text)
    above = frozenset(situation.classes(asked, SKOS + "broader"))
    return is_within(asked, disease_code(right.text), {asked: above})


def _is_kind(left: Term, right: Term, situation: Situation) -> bool | None:
    if same(left, right) or right.text in situation.reach(left.text, *_KIND_OF):
        return True
    if isinstance(left, Literal) and right.text == left.datatype:
        return True
    return False if situation.says(left.text, *_KIND_OF) else None


def _is_part(left: Term, right: Term, situation: Situation) -> bool | None:
    if same(left, right) or right.text in situation.reach(left.text, *_PART_OF):
        return True
    return False if situation.says(left.text, *_PART_OF) else None


def _event(condition: Constraint, situation: Situation) -> bool | None:
    """Return whether now is before, at or after the event; one that is known and to come is after any now."""
    now, world = situation.now, situation.world
    answers: list[bool | None] = []
    for one in condition.right:
        if one.text == POLICY_USAGE:
            happened: datetime | None = world.time or situation.request.time
        elif one.text in world.events:
            happened = world.events[one.text]
            if happened is None:
                answers.append(condition.operator in ("lt", "lteq", "neq"))
                continue
        else:
            answers.append(None)
            continue
        answers.append(_before_or_after(condition.operator, now, happened))
    return some(answers)


def _before_or_after(operator: str, now: datetime | None, happened: datetime | None) -> bool | None:
    if now is None or happened is None:
        return None
    place = (now > happened) - (now < happened)
    if operator in ("eq", "neq"):
        return (place == 0) == (operator == "eq")
    return place in _ORDERS[operator] if operator in _ORDERS else None
