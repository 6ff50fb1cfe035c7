"""An answer as a document: our three answers, and beside them the words of the compliance report model.

Source of the words: https://w3id.org/force/compliance-report (Slabbinck et al., 2025). What that model cannot say
(unknown) is said `Unsatisfied` there and `unknown` in `verdict`.
"""

import uuid
from collections.abc import Iterator

from hdex.catalog.documents import Json
from hdex.catalog.odrl.compare import ConditionReport
from hdex.catalog.odrl.duties import DutyReport, DutyState
from hdex.catalog.odrl.evaluate import Answer, Premise, RuleReport
from hdex.catalog.odrl.graph import Iri, Term
from hdex.catalog.odrl.names import DCT, ODRL, REPORT, XSD, short
from hdex.catalog.odrl.policy import Constraint, RuleKind
from hdex.catalog.odrl.values import Verdict, instant

_NAMESPACE = uuid.UUID("6f6b6a52-9d0c-5a43-8f0e-3d3f5b1b7a11")
_DEONTIC = {DutyState.FULFILLED: "Fulfilled", DutyState.VIOLATED: "Violated"}
_PERFORMED = {True: "Performed", False: "Unperformed", None: "Unknown"}


def to_json(answer: Answer) -> Json:
    """Return an answer as JSON values."""
    duties = [duty for report in answer.rules for duty in report.duties] + list(answer.obligations)
    return {
        "outcome": answer.outcome.value,
        "rule": answer.rule or None,
        "reason": answer.reason,
        "policies": [policy.id for policy in answer.policies],
        "request": answer.request.id or None,
        "rules": [_rule(report) for report in answer.rules],
        "duties": [_duty(one) for one in duties],
        "notes": [note for policy in answer.policies for note in policy.notes],
    }


def _rule(report: RuleReport) -> Json:
    said: Json = {
        "rule": report.rule.id,
        "type": report.rule.kind.value,
        "attemptState": "Attempted",
        "activationState": _activation(report),
        "verdict": report.active.value,
        "premises": [_premise(premise) for premise in report.premises],
    }
    if report.rule.kind is RuleKind.PROHIBITION:
        said["infringed"] = report.infringed
    if report.duties:
        word = "duties" if report.rule.kind is RuleKind.PERMISSION else "remedies"
        said[word] = [_duty(one) for one in report.duties]
    return said


def _premise(premise: Premise) -> Json:
    said: Json = {
        "type": f"{premise.kind}Report",
        "satisfactionState": _satisfaction(premise.verdict),
        "verdict": premise.verdict.value,
    }
    if premise.condition is not None:
        said |= _condition(premise.condition)
    elif premise.why:
        said["why"] = premise.why
    return said


def _condition(report: ConditionReport) -> Json:
    said: Json = {
        "type": "ConstraintReport",
        "constraint": report.condition.id,
        "satisfactionState": _satisfaction(report.verdict),
        "verdict": report.verdict.value,
    }
    if isinstance(report.condition, Constraint):
        said |= {
            "leftOperand": short(report.condition.left),
            "operator": report.condition.operator,
            "rightOperand": [short(value.text) for value in report.condition.right],
            "found": [short(value.text) for value in report.found],
        }
    else:
        said |= {"operand": report.condition.operand, "premises": [_condition(part) for part in report.parts]}
    return said | ({"why": report.why} if report.why else {})


def _duty(report: DutyReport) -> Json:
    said: Json = {
        "duty": report.duty.id,
        "of": report.of,
        "action": [short(name) for action in report.duty.actions for name in sorted(action.names)],
        "state": report.state.value,
        "performanceState": _PERFORMED[report.performed],
        "deonticState": _DEONTIC.get(report.state, "NonSet"),
    }
    if report.consequences:
        said["consequences"] = [_duty(one) for one in report.consequences]
    return said


def _activation(report: RuleReport) -> str:
    return "Active" if report.active is Verdict.SATISFIED else "Inactive"


def _satisfaction(held: Verdict) -> str:
    return "Satisfied" if held is Verdict.SATISFIED else "Unsatisfied"


def to_turtle(answer: Answer) -> str:
    """Return an answer as a compliance report in Turtle: one PolicyReport per policy. Names are made from what they
    report, so the same answer gives the same text."""
    lines = [f"@prefix {prefix}: <{iri}> ." for prefix, iri in _PREFIXES.items()]
    for policy in answer.policies:
        node = _node(answer, policy.id)
        held = {report.rule.id for report in answer.rules} & {rule.id for rule in policy.rules}
        reports = [report for report in answer.rules if report.rule.id in held]
        statements = [("a", "report:PolicyReport"), ("report:policy", _ref(policy.id))]
        if (now := answer.world.time or answer.request.time) is not None:
            statements.append(("dct:created", _term(instant(now))))
        if answer.request.id:
            statements.append(("report:policyRequest", _ref(answer.request.id)))
        statements += [("report:ruleReport", _node(answer, policy.id, report.rule.id)) for report in reports]
        lines.append(_block(node, statements))
        for report in reports:
            lines.extend(_rule_blocks(answer, policy.id, report))
    return "\n".join(lines) + "\n"


def _rule_blocks(answer: Answer, policy: str, report: RuleReport) -> Iterator[str]:
    place = (policy, report.rule.id)
    premises = [premise for premise in report.premises if premise.kind != "Rule"]
    nodes = [_node(answer, *place, premise.kind, str(n)) for n, premise in enumerate(premises)]
    statements = [("a", f"report:{report.rule.kind.value}Report"), ("report:attemptState", "report:Attempted")]
    statements.append(("report:rule", _ref(report.rule.id)))
    if answer.request.rule:
        statements.append(("report:ruleRequest", _ref(answer.request.rule)))
    statements += [("report:premiseReport", node) for node in nodes]
    statements += [("report:conditionReport", _node(answer, *place, duty.duty.id)) for duty in report.duties]
    statements.append(("report:activationState", f"report:{_activation(report)}"))
    yield _block(_node(answer, *place), statements)
    for node, premise in zip(nodes, premises, strict=True):
        if premise.condition is not None:
            yield from _condition_blocks(answer, node, premise.condition)
            continue
        state = ("report:satisfactionState", f"report:{_satisfaction(premise.verdict)}")
        yield _block(node, [("a", f"report:{premise.kind}Report"), state])
    for duty in report.duties:
        yield _duty_block(_node(answer, *place, duty.duty.id), duty)


def _condition_blocks(answer: Answer, node: str, report: ConditionReport) -> Iterator[str]:
    statements = [("a", "report:ConstraintReport"), ("report:constraint", _ref(report.condition.id))]
    statements.append(("report:satisfactionState", f"report:{_satisfaction(report.verdict)}"))
    parts = [_node(answer, node, str(n)) for n in range(len(report.parts))]
    if isinstance(report.condition, Constraint):
        statements += [("report:constraintLeftOperand", _term(value)) for value in report.found]
        statements.append(("report:constraintOperator", f"odrl:{report.condition.operator}"))
        statements += [("report:constraintRightOperand", _term(value)) for value in report.condition.right]
    else:
        statements.append(("report:constraintLogicalOperand", f"odrl:{report.condition.operand}"))
        statements += [("report:premiseReport", part) for part in parts]
    yield _block(node, statements)
    for part, inner in zip(parts, report.parts, strict=True):
        yield from _condition_blocks(answer, part, inner)


def _duty_block(node: str, report: DutyReport) -> str:
    return _block(
        node,
        [
            ("a", "report:DutyReport"),
            ("report:attemptState", "report:Attempted"),
            ("report:rule", _ref(report.duty.id)),
            ("report:performanceState", f"report:{_PERFORMED[report.performed]}"),
            ("report:deonticState", f"report:{_DEONTIC.get(report.state, 'NonSet')}"),
        ],
    )


_PREFIXES = {"odrl": ODRL, "report": REPORT, "dct": DCT, "xsd": XSD}


def _block(node: str, statements: list[tuple[str, str]]) -> str:
    return f"{node} " + " ;\n    ".join(f"{predicate} {value}" for predicate, value in statements) + " ."


def _node(answer: Answer, *parts: str) -> str:
    return f"<urn:uuid:{uuid.uuid5(_NAMESPACE, chr(10).join((answer.request.id, *parts)))}>"


def _ref(name: str) -> str:
    """Return a name as Turtle; one that is no IRI becomes a relative one with what is not allowed escaped."""
    if name.startswith("_:"):
        return f"<urn:hdex:blank:{name[2:]}>"
    return "<" + "".join(f"%{ord(c):02X}" if c in '<>"{}|^`\\' or c <= " " else c for c in name) + ">"


def _term(value: Term) -> str:
    if isinstance(value, Iri):
        return _ref(value.value)
    text = value.text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{text}"^^{_ref(value.datatype)}'
