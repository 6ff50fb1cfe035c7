"""Each access under an agreement: the terms' policy and the agreement's own limits, evaluated together.

What was used so far is a fact that the provider brings, from what its log says; limits are constraints on what will
have been used with this access. A person who agreed has settled what the rules left to a person, and nothing else.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from hdex.catalog.contract import Agreement
from hdex.catalog.documents import Scalar
from hdex.catalog.odrl.evaluate import Outcome, evaluate
from hdex.catalog.odrl.graph import Iri, Literal, Term
from hdex.catalog.odrl.names import HDEX_OPERAND, ODRL, XSD
from hdex.catalog.odrl.policy import Conflict, Constraint, Policy, Rule, RuleKind, Scope
from hdex.catalog.offer import RULE, USE, compile_terms
from hdex.catalog.purposes import purpose_iri
from hdex.catalog.terms import AccessRequest, Settled, Terms, TermsDecision, decide, decision, question, standing

COUNTED = ("queries", "rows", "bytes")  # clauses `max_queries`, `max_rows`, `max_bytes` of an agreement limit them
CLAUSES = {"questions": "queries", "enclave_runs": "enclave_runs"}  # limit -> clause; a question asked again is one
EPSILON = "epsilon"  # limit and clause
Count = int | float
MODE, AGREED_PURPOSE = HDEX_OPERAND + "deliveryMode", HDEX_OPERAND + "agreedPurpose"


@dataclass(frozen=True, slots=True)
class Access:
    """One access: by which delivery mode, how much it takes and how much was used before, by name of the limit.

    events: what has happened, and when; an event that is known to be to come is None.
    """

    mode: str
    takes: Mapping[str, Count] = field(default_factory=dict)
    used: Mapping[str, Count] = field(default_factory=dict)
    events: Mapping[str, datetime | None] = field(default_factory=dict)

    def spent(self, name: str) -> Decimal | None:
        """Return what will have been used with this access; None where a clause limits what nobody counted."""
        if name in (*COUNTED, *CLAUSES, EPSILON) and name not in self.used:
            return None
        return exact(self.used.get(name, 0)) + exact(self.takes.get(name, 0))


def limits_of(agreement: Agreement) -> dict[str, Decimal]:
    """Return what an agreement limits, by name. A limit of 0 excludes; one that is no number from 0 is 0."""
    clauses = {name: agreement.clauses.get(f"max_{name}") for name in COUNTED}
    clauses |= {name: agreement.clauses.get(clause) for name, clause in (*CLAUSES.items(), (EPSILON, EPSILON))}
    counted = {name: bound(most) for name, most in clauses.items() if most is not None}
    return {"rounds": Decimal(agreement.max_rounds), "deliveries": Decimal(agreement.max_deliveries), **counted}


def bound(most: Scalar) -> Decimal:
    """Return how much a clause allows."""
    if isinstance(most, bool) or not isinstance(most, int | float) or not math.isfinite(most):
        return Decimal(0)
    return max(Decimal(0), exact(most))


def exact(count: Count) -> Decimal:
    """Return a count as it is written: ten times 0.1 is 1."""
    return Decimal(repr(count))


def compile_agreement(agreement: Agreement) -> Policy:
    """Return an agreement's own limits as a policy; the terms it was made under are another."""
    conditions = {
        "agreement.expired": _constraint(ODRL + "dateTime", "gteq", Literal(agreement.expires, XSD + "dateTime")),
        "agreement.mode": _constraint(MODE, "isNoneOf", *(Literal(mode.value) for mode in agreement.delivery_modes)),
        "agreement.purpose": _constraint(AGREED_PURPOSE, "neq", Iri(purpose_iri(agreement.purpose))),
    }
    if (begins := agreement.clauses.get("not_before")) is not None:
        conditions["agreement.begins"] = _constraint(ODRL + "dateTime", "lt", Literal(str(begins), XSD + "dateTime"))
    if (event := agreement.clauses.get("after_event")) is not None:
        conditions["agreement.event"] = _constraint(ODRL + "event", "lt", Iri(str(event)))
    for name, most in limits_of(agreement).items():
        conditions[f"agreement.{name}"] = _constraint(HDEX_OPERAND + name, "gt", decimal(most))
    use = (Scope(USE, frozenset({USE})),)
    rules = tuple(
        Rule(RULE + name, RuleKind.PROHIBITION, actions=use, constraints=(condition,))
        for name, condition in conditions.items()
    )
    return Policy(f"urn:hdex:agreement:{agreement.id}", "Agreement", rules, conflict=Conflict.PROHIBITION)


def decide_access(terms: Terms, agreement: Agreement, request: AccessRequest, access: Access) -> TermsDecision:
    """Return whether one access is permitted now: `request` is what was agreed to, with `at` the present."""
    settled = left_to_people(terms, request)
    asked = question(terms, request, settled)
    spent: dict[str, tuple[Term, ...]] = {
        HDEX_OPERAND + name: (decimal(count),)
        for name in limits_of(agreement)
        if (count := access.spent(name)) is not None
    }
    agreed: dict[str, tuple[Term, ...]] = {
        AGREED_PURPOSE: (Iri(purpose_iri(request.purpose)),),
        MODE: (Literal(access.mode),),
    }
    asked = replace(asked, values={**asked.values, **spent, **agreed})
    policies = (compile_agreement(agreement), compile_terms(terms))
    world = replace(standing(terms, request, settled), events=access.events)
    return decision(evaluate(policies, asked, world))


def left_to_people(terms: Terms, request: AccessRequest) -> Settled:
    """Return every rule that leaves a request to a person or the applicant: what an agreement settles."""
    settled = Settled()
    while (found := decide(terms, request, settled)).outcome is Outcome.UNDECIDED:
        if found.rule in settled.rules:
            break  # settled and still undecided: not a person's to give
        settled = Settled(settled.rules | {found.rule})
    return settled


def decimal(count: Decimal) -> Literal:
    """Return a count as a literal: whole ones as integers."""
    if count == count.to_integral_value():
        return Literal(str(int(count)), XSD + "integer")
    return Literal(f"{count:f}", XSD + "decimal")


def _constraint(left: str, operator: str, *right: Term) -> Constraint:
    return Constraint(f"urn:hdex:constraint:{left.rpartition(':')[2]}:{operator}", left, operator, right)
