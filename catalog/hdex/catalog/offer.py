"""Terms -> one ODRL policy: the published offer, the answer before a contract and the check at each access.

Each rule carries the name by which an applicant is told of it. A prohibition states what terms exclude, in the order
in which they are told; the permission's duties are what a person or the applicant must settle first.
"""

from collections.abc import Iterator
from functools import lru_cache

from hdex.catalog.documents import Json
from hdex.catalog.odrl.graph import Iri, Literal, Term
from hdex.catalog.odrl.names import HDEX_OPERAND, ODRL, PROFILE, XSD, short
from hdex.catalog.odrl.policy import (
    Condition,
    Conflict,
    Constraint,
    Duty,
    LogicalConstraint,
    Policy,
    Rule,
    RuleKind,
    Scope,
)
from hdex.catalog.odrl.situation import GENETIC_STUDY, PURPOSE_KNOWN
from hdex.catalog.purposes import purpose_iri, purposes
from hdex.catalog.terms_record import (
    ANCESTRY,
    BIOMEDICAL,
    CLINICAL,
    DISEASE_SPECIFIC,
    ETHICS,
    GENETIC_ONLY,
    INSTITUTION,
    METHODS,
    NO_ANCESTRY,
    NO_METHODS,
    NON_COMMERCIAL,
    NOT_FOR_PROFIT,
    NOT_FOR_PROFIT_NON_COMMERCIAL,
    PROJECT,
    RE_IDENTIFICATION,
    RESEARCH_TYPE,
    TIME_LIMIT,
    TO_ACCEPT,
    USERS,
    Terms,
)

RULE, DUTY = "urn:hdex:rule:", "urn:hdex:duty:"
PERMITTED = RULE + "purpose.permitted"
USE = ODRL + "use"
KNOWN, COMMERCIAL, FOR_PROFIT = PURPOSE_KNOWN, HDEX_OPERAND + "commercial", HDEX_OPERAND + "forProfit"
DISEASE, OF_TYPE = HDEX_OPERAND + "disease", HDEX_OPERAND + "ofResearchType"
PROJECT_NAME, USER_NAME, MONTHS = (HDEX_OPERAND + name for name in ("project", "user", "months"))
ETHICS_DUTY, ACCEPT_DUTY = DUTY + "approval.ethics", DUTY + "duty.not_accepted"
SENSITIVE_DUTY, LIMIT_DUTY, PERSON_DUTY = (DUTY + f"approval.{name}" for name in ("sensitive", "limit", "person"))
YES, NO = Literal("true", XSD + "boolean"), Literal("false", XSD + "boolean")


@lru_cache(maxsize=1024)
def compile_terms(terms: Terms, policy_id: str = "urn:hdex:terms") -> Policy:
    """Return terms as a policy. The same terms give the same policy."""
    use = (Scope(USE, frozenset({USE})),)
    forbidden = tuple(
        Rule(RULE + name, RuleKind.PROHIBITION, actions=use, constraints=conditions)
        for name, conditions in _prohibitions(terms)
    )
    permission = Rule(
        PERMITTED,
        RuleKind.PERMISSION,
        actions=use,
        constraints=(_constraint("purpose", "isAnyOf", *_purposes(widened(terms))),),
        duties=tuple(_duty(name, action) for name, action in _duties(terms)),
    )
    return Policy(policy_id, "Offer", (*forbidden, permission), conflict=Conflict.PROHIBITION)


def permitted_codes(terms: Terms) -> tuple[str, ...]:
    """Return the purposes that terms permit, with clinical care where a modifier adds it."""
    added = (CLINICAL,) if CLINICAL in terms.modifiers and CLINICAL not in terms.permitted else ()
    return (*terms.permitted, *added)


def widened(terms: Terms) -> tuple[str, ...]:
    """Return what covers a purpose; bound to a disease, all within biomedicine is disease-specific research."""
    permitted = permitted_codes(terms)
    if DISEASE_SPECIFIC not in permitted:
        return permitted
    narrower = (code for code, one in purposes().items() if BIOMEDICAL in one.within)
    return tuple(dict.fromkeys((*permitted, *narrower)))


def _prohibitions(terms: Terms) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    yield from _of_time_and_purpose(terms)
    yield from _of_use(terms)
    yield from _of_approved(terms)
    if terms.recipients:
        yield "recipient.not_named", (_constraint("recipient", "isNoneOf", *_texts(terms.recipients)),)
    if terms.countries:
        yield "recipient.country", (_constraint("spatial", "isNoneOf", *_texts(terms.countries)),)


def _of_time_and_purpose(terms: Terms) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    if terms.expires is not None:
        yield "terms.expired", (_constraint("dateTime", "gteq", Literal(terms.expires, XSD + "dateTime")),)
    yield "purpose.unknown", (_constraint(KNOWN, "eq", NO),)
    forbidden = dict.fromkeys((RE_IDENTIFICATION, *terms.prohibited))  # nobody may permit re-identification
    yield "purpose.prohibited", (_constraint("purpose", "isAnyOf", *_purposes(tuple(forbidden))),)
    yield "purpose.not_permitted", (_constraint("purpose", "isNoneOf", *_purposes(widened(terms))),)
    permitted = permitted_codes(terms)
    if DISEASE_SPECIFIC in permitted:
        elsewhere = _constraint(DISEASE, "isNoneOf", *_texts(terms.diseases or ("",)))
        others = tuple(code for code in permitted if code != DISEASE_SPECIFIC)
        only_by_disease = (_constraint("purpose", "isNoneOf", *_purposes(others)),) if others else ()
        yield "purpose.disease", (*only_by_disease, elsewhere)


def _of_use(terms: Terms) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    said = set(terms.modifiers)
    if said & {NON_COMMERCIAL, NOT_FOR_PROFIT_NON_COMMERCIAL}:
        yield "use.commercial", (_constraint(COMMERCIAL, "eq", YES),)
    if said & {NOT_FOR_PROFIT, NOT_FOR_PROFIT_NON_COMMERCIAL}:
        yield "recipient.for_profit", (_constraint(FOR_PROFIT, "eq", YES),)
    if NO_METHODS in said:
        yield "use.methods", (_constraint("purpose", "isAnyOf", *_purposes((METHODS,))),)
    if NO_ANCESTRY in said:
        yield "use.ancestry", (_constraint("purpose", "isAnyOf", *_purposes((ANCESTRY,))),)
    if GENETIC_ONLY in said:
        yield "use.genetic_only", (_constraint(GENETIC_STUDY, "eq", NO),)


def _of_approved(terms: Terms) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    """Yield what limits use to approved types, projects, users and a time, where terms name them."""
    said = set(terms.modifiers)
    if RESEARCH_TYPE in said and terms.research_types:
        yield "use.research_type", (_constraint(OF_TYPE, "eq", NO),)
    if PROJECT in said and terms.projects:
        yield "use.project", (_constraint(PROJECT_NAME, "isNoneOf", *_texts(terms.projects)),)
    if USERS in said and terms.users:
        yield "use.user", (_constraint(USER_NAME, "isNoneOf", *_texts(terms.users)),)
    if TIME_LIMIT in said and terms.months is not None:
        yield "use.duration", (_constraint(MONTHS, "gt", Literal(str(terms.months), XSD + "integer")),)


def _duties(terms: Terms) -> Iterator[tuple[str, str]]:
    said = set(terms.modifiers)
    if ETHICS in said:
        yield ETHICS_DUTY, "obtainConsent"
    if said & set(TO_ACCEPT):
        yield ACCEPT_DUTY, "reviewPolicy"
    yield SENSITIVE_DUTY, "obtainConsent"
    if unnamed_limits(terms):
        yield LIMIT_DUTY, "obtainConsent"
    if terms.needs_approval:
        yield PERSON_DUTY, "obtainConsent"


def unnamed_limits(terms: Terms) -> tuple[str, ...]:
    """Return the modifiers that limit use to something approved which terms do not name: a committee must settle it."""
    named = {
        RESEARCH_TYPE: terms.research_types,
        PROJECT: terms.projects,
        USERS: terms.users,
        TIME_LIMIT: terms.months,
        INSTITUTION: terms.recipients,
    }
    return tuple(code for code, held in named.items() if code in terms.modifiers and not held)


def _duty(name: str, action: str) -> Duty:
    return Duty(name, (Scope(ODRL + action, frozenset({ODRL + action})),))


def _constraint(left: str, operator: str, *right: Term) -> Constraint:
    iri = left if ":" in left else ODRL + left
    return Constraint(f"urn:hdex:constraint:{short(iri).rpartition(':')[2]}:{operator}", iri, operator, right)


def _purposes(codes: tuple[str, ...]) -> tuple[Term, ...]:
    return tuple(Iri(purpose_iri(code)) for code in codes)


def _texts(values: tuple[str, ...]) -> tuple[Term, ...]:
    return tuple(Literal(value) for value in values)


def policy_rules(policy: Policy) -> Json:
    """Return the rules of a compiled policy as compact JSON under the ODRL context: what is published."""
    kinds = {RuleKind.PERMISSION: "permission", RuleKind.PROHIBITION: "prohibition"}
    found: dict[str, list[Json]] = {"permission": [], "prohibition": []}
    for rule in policy.rules:
        found[kinds[rule.kind]].append(_rule_json(rule))
    return {"profile": PROFILE, "conflict": str(policy.conflict or Conflict.INVALID), **found}


def _rule_json(rule: Rule) -> Json:
    said: Json = {"@id": rule.id, "action": "use", "constraint": [_condition_json(one) for one in rule.constraints]}
    if rule.duties:
        said["duty"] = [{"@id": one.id, "action": short(one.actions[0].id)} for one in rule.duties]
    return said


def _condition_json(condition: Condition) -> Json:
    if isinstance(condition, LogicalConstraint):
        return {condition.operand: [_condition_json(one) for one in condition.operands]}
    return {
        "leftOperand": short(condition.left),
        "operator": condition.operator,
        "rightOperand": [_value_json(value) for value in condition.right],
    }


def _value_json(value: Term) -> object:
    if isinstance(value, Iri):
        return {"@id": value.value}
    if value.datatype == XSD + "string":
        return value.text
    return {"@value": value.text, "@type": value.datatype}
