"""One question, one answer: permitted, prohibited or undecided, which rule decided, and why each rule applies or not.

A rule is active when everything it names holds. Whatever is unknown (a word, a value, a fact) makes the answer
undecided where it could change it, and never permitted. Pure: no clock, no network.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from hdex.catalog.odrl.compare import ConditionReport, check, every, some
from hdex.catalog.odrl.duties import DutyReport, DutyState, judge
from hdex.catalog.odrl.names import ODRL, RDFS, SKOS, wider_actions
from hdex.catalog.odrl.policy import Conflict, Policy, Rule, RuleKind, Scope
from hdex.catalog.odrl.situation import Request, Situation, World
from hdex.catalog.odrl.values import Verdict, verdict

_INCLUDED = (ODRL + "includedIn", ODRL + "implies", RDFS + "subClassOf", SKOS + "exactMatch")
_ANSWER = {Verdict.SATISFIED: True, Verdict.UNSATISFIED: False, Verdict.UNKNOWN: None}


class Outcome(StrEnum):
    """The three answers."""

    PERMITTED = "permitted"
    PROHIBITED = "prohibited"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Premise:
    """One thing that a rule names, and whether it holds. `kind`: Target, Party, Action, Constraint, Rule."""

    kind: str
    verdict: Verdict
    condition: ConditionReport | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class RuleReport:
    """One rule, its premises, and whether it is active: unknown where a premise is."""

    rule: Rule
    premises: tuple[Premise, ...]
    active: Verdict
    duties: tuple[DutyReport, ...] = ()
    infringed: bool = False  # a prohibition whose action was exercised, its remedies not fulfilled (2.6.2)

    @property
    def owes(self) -> tuple[DutyReport, ...]:
        """Return the duties that are still open."""
        return tuple(one for one in self.duties if one.state is DutyState.OPEN)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question; `rule` is empty where no rule decided."""

    outcome: Outcome
    rule: str
    reason: str
    request: Request
    world: World
    policies: tuple[Policy, ...]
    rules: tuple[RuleReport, ...]
    obligations: tuple[DutyReport, ...] = ()


def evaluate(policies: Policy | Sequence[Policy], request: Request, world: World | None = None) -> Answer:
    """Return the answer of one policy, or of several taken together, to one request in one state of the world."""
    held = (policies,) if isinstance(policies, Policy) else tuple(policies)
    world = replace(world or World(), reached={})  # what is reached holds for these policies only
    rules = tuple(_report(policy, rule, request, world) for policy in held for rule in policy.rules)
    owed = tuple(judge(one, policy.id, request, world, policy.facts) for policy in held for one in policy.obligations)
    outcome, rule, reason = _decide(held, rules)
    return Answer(outcome, rule, reason, request, world, held, rules, owed)


def _report(policy: Policy, rule: Rule, request: Request, world: World) -> RuleReport:
    permits = rule.kind is RuleKind.PERMISSION
    situation = Situation(request, world, policy.facts, rule=rule.id, every=permits)
    premises = tuple(_premises(rule, situation))
    if problem := rule.problem or policy.problem:
        premises = (*premises, Premise("Rule", Verdict.UNKNOWN, why=problem))
    duties = tuple(judge(one, rule.id, request, world, policy.facts) for one in rule.duties)
    held = every(_ANSWER[premise.verdict] for premise in premises)
    if permits and held is not False and any(one.state is DutyState.VIOLATED for one in duties):
        held = False  # 2.6.3: a permission holds if all of its duties are fulfilled
    return RuleReport(rule, premises, verdict(held), duties, not permits and _is_infringed(rule, duties, situation))


def _is_infringed(rule: Rule, remedies: tuple[DutyReport, ...], situation: Situation) -> bool:
    """Return whether what was done is what the rule prohibits, and is not made good."""
    if remedies and all(one.state is DutyState.FULFILLED for one in remedies):
        return False
    for done in situation.world.performed:
        asked = Request(action=done.action, assignee=done.party, target=done.target, values=done.values)
        then = replace(situation, request=asked, own=done.values, at=done.at)
        if all(premise.verdict is Verdict.SATISFIED for premise in _premises(rule, then)):
            return True
    return False


def _premises(rule: Rule, situation: Situation) -> list[Premise]:
    request, found = situation.request, []
    if rule.targets:
        found.append(
            _named("Target", [_member(one, request.target, situation) for one in rule.targets], request.target)
        )
    if rule.assignees:
        answers = [_member(one, request.assignee, situation) for one in rule.assignees]
        found.append(_named("Party", answers, request.assignee))
    if rule.actions:
        found.append(_named("Action", [_action(one, situation) for one in rule.actions], request.action))
    for condition in rule.constraints:
        report = check(condition, situation)
        found.append(Premise("Constraint", report.verdict, report, report.why))
    return found


def _named(kind: str, answers: list[bool | None], asked: str) -> Premise:
    held = verdict(some(answers))
    why = "" if held is not Verdict.UNKNOWN else "the word is not known" if asked else "the request does not say"
    return Premise(kind, held, why=why)


def _member(scope: Scope, asked: str, situation: Situation) -> bool | None:
    """Return whether who or what is asked is the one named, or stands in the collection named."""
    if not asked:
        return None
    if asked not in scope.names and scope.names.isdisjoint(situation.reach(asked, ODRL + "partOf")):
        return False
    inside = replace(situation, subject=asked)
    return every(_ANSWER[check(one, inside).verdict] for one in scope.refinements)


def _action(scope: Scope, situation: Situation) -> bool | None:
    asked = situation.request.action
    if not asked:
        return None
    reached = situation.reach(asked, *_INCLUDED)
    wider = {name for one in reached for name in wider_actions(one) or {one}}
    if scope.names.isdisjoint(wider):
        placed = any(wider_actions(one) is not None for one in reached) or situation.says(asked, *_INCLUDED)
        return False if placed else None
    return every(_ANSWER[check(one, situation).verdict] for one in scope.refinements)


def _decide(policies: tuple[Policy, ...], rules: tuple[RuleReport, ...]) -> tuple[Outcome, str, str]:
    permits = [one for one in rules if one.rule.kind is RuleKind.PERMISSION]
    forbids = [one for one in rules if one.rule.kind is RuleKind.PROHIBITION]
    granted = sorted((one for one in permits if one.active is Verdict.SATISFIED), key=lambda one: len(one.owes))
    forbidden = [one for one in forbids if one.active is Verdict.SATISFIED]
    strategy = _strategy(policies)
    if forbidden and not (granted and strategy is Conflict.PERMISSION):
        rule = forbidden[0].rule.id
        if granted and strategy is Conflict.INVALID:
            return Outcome.UNDECIDED, rule, "a permission and a prohibition conflict and the policy is void"
        if strategy is Conflict.PERMISSION and (maybe := _maybe(permits)):
            return Outcome.UNDECIDED, maybe.rule.id, _unknown(maybe)
        return Outcome.PROHIBITED, rule, "a prohibition applies"
    if granted:
        maybe = None if strategy is Conflict.PERMISSION else _maybe(forbids)
        if maybe:
            return Outcome.UNDECIDED, maybe.rule.id, _unknown(maybe)
        return _granted(granted[0])
    if maybe := _maybe(permits) or _maybe(forbids):
        return Outcome.UNDECIDED, maybe.rule.id, _unknown(maybe)
    failed = any(one.state is DutyState.VIOLATED for report in permits for one in report.duties)
    return Outcome.UNDECIDED, "", "no rule applies" + ("; a duty of a permission is violated" if failed else "")


def _granted(report: RuleReport) -> tuple[Outcome, str, str]:
    if report.owes:
        return Outcome.UNDECIDED, report.rule.id, f"{len(report.owes)} duty(ies) of the permission are open"
    return Outcome.PERMITTED, report.rule.id, "a permission applies and its duties are fulfilled"


def _maybe(reports: list[RuleReport]) -> RuleReport | None:
    return next((one for one in reports if one.active is Verdict.UNKNOWN), None)


def _unknown(report: RuleReport) -> str:
    """Return what is unknown about a rule that may apply."""
    for premise in report.premises:
        if premise.verdict is Verdict.UNKNOWN:
            return f"{premise.kind} of {report.rule.kind.value} cannot be decided: {premise.why or 'a part is unknown'}"
    return f"{report.rule.kind.value} cannot be decided"


def _strategy(policies: tuple[Policy, ...]) -> Conflict:
    """Return the conflict strategy (2.10): void unless all that name one name the same."""
    said = {one.conflict for one in policies if one.conflict is not None}
    return said.pop() if len(said) == 1 else Conflict.INVALID
