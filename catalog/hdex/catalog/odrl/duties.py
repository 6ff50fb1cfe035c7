"""Which duties are fulfilled, open or violated: by what the world reports of them, and by what was done.

Source: ODRL Information Model 2.2, sections 2.6.3 to 2.6.7.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from hdex.catalog.odrl.compare import ConditionReport, check
from hdex.catalog.odrl.graph import Graph
from hdex.catalog.odrl.names import ODRL, wider_actions
from hdex.catalog.odrl.policy import Condition, Constraint, Duty, LogicalConstraint
from hdex.catalog.odrl.situation import Performance, Request, Situation, World
from hdex.catalog.odrl.values import Verdict

_BEFORE = ("lt", "lteq")


class DutyState(StrEnum):
    """Where a duty stands. NOT_SET: the world says that it is not in force, so nothing is owed."""

    FULFILLED = "fulfilled"
    OPEN = "open"
    VIOLATED = "violated"
    NOT_SET = "not_set"


STATES = {"fulfilled": DutyState.FULFILLED, "violated": DutyState.VIOLATED, "nonset": DutyState.NOT_SET,
          "not_set": DutyState.NOT_SET, "open": DutyState.OPEN, "active": DutyState.OPEN}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DutyReport:
    """A duty of a rule (or of the policy, where `of` is its id), and where it stands."""

    duty: Duty
    of: str
    state: DutyState
    performed: bool | None  # None: nobody says
    parts: tuple[ConditionReport, ...] = ()
    consequences: tuple["DutyReport", ...] = ()


def judge(duty: Duty, of: str, request: Request, world: World, policy: Graph) -> DutyReport:
    """Return where a duty stands. A duty in words that the profile does not know stays open."""
    consequences = tuple(judge(one, duty.id, request, world, policy) for one in duty.consequences)
    said = STATES.get(world.duties.get(duty.id, "").lower())
    if said is not None:
        performed = {DutyState.FULFILLED: True, DutyState.VIOLATED: False}.get(said)
        return DutyReport(duty, of, _after(said, consequences, performed=performed), performed, (), consequences)
    done = [one for one in world.performed if _is_performance(duty, one, request, world, policy)]
    judged = [_conditions(duty, one, request, world, policy) for one in done]
    met = next((parts for parts in judged if _all_met(parts)), None)
    if met is not None and not duty.problem:
        return DutyReport(duty, of, DutyState.FULFILLED, True, met, consequences)
    late = bool(done) or _is_past(duty.constraints, request, world, policy)
    state = DutyState.VIOLATED if late and not duty.problem else DutyState.OPEN
    performed = True if done else None
    parts = judged[0] if judged else ()
    return DutyReport(duty, of, _after(state, consequences, performed=performed), performed, parts, consequences)


def _after(state: DutyState, consequences: tuple[DutyReport, ...], *, performed: bool | None) -> DutyState:
    """Return the state with its consequences (2.6.3): done late, and every consequence fulfilled, is fulfilled."""
    if state is not DutyState.VIOLATED or not consequences or not performed:
        return state
    return DutyState.FULFILLED if all(one.state is DutyState.FULFILLED for one in consequences) else state


def _is_performance(duty: Duty, done: Performance, request: Request, world: World, policy: Graph) -> bool:
    owed_by = duty.parties or ({request.assignee} if request.assignee else set())  # 2.6.5: as in the permission
    if done.party and owed_by and done.party not in owed_by:
        return False
    if duty.targets and done.target and done.target not in duty.targets:
        return False
    situation = _situation(duty, done, request, world, policy)
    wider = wider_actions(done.action) or {done.action}
    return any(
        not wider.isdisjoint(action.names) and _all_met([check(one, situation) for one in action.refinements])
        for action in duty.actions
    )


def _conditions(
    duty: Duty, done: Performance, request: Request, world: World, policy: Graph
) -> tuple[ConditionReport, ...]:
    situation = _situation(duty, done, request, world, policy)
    return tuple(check(one, situation) for one in duty.constraints)


def _situation(duty: Duty, done: Performance, request: Request, world: World, policy: Graph) -> Situation:
    return Situation(request, world, policy, rule=duty.id, own=done.values, at=done.at)


def _all_met(parts: tuple[ConditionReport, ...] | list[ConditionReport]) -> bool:
    return all(part.verdict is Verdict.SATISFIED for part in parts)


def _is_past(conditions: tuple[Condition, ...], request: Request, world: World, policy: Graph) -> bool:
    """Return whether a deadline among the constraints has gone by without the duty done."""
    situation = Situation(request, world, policy)
    return any(check(one, situation).verdict is Verdict.UNSATISFIED for one in _deadlines(conditions))


def _deadlines(conditions: tuple[Condition, ...]) -> Iterator[Constraint]:
    for one in conditions:
        if isinstance(one, LogicalConstraint):
            if one.operand in ("and", "andSequence"):
                yield from _deadlines(one.operands)
        elif one.left == ODRL + "dateTime" and one.operator in _BEFORE:
            yield one
