"""One decision for one request under terms. `decide` is the only place that answers: pages, contracts and each access
ask it, so that the same question gets the same answer everywhere.

Terms are compiled to one ODRL policy (offer.py) and the evaluator answers (odrl/); what the words of a rule are is data
(data/purposes.toml).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hdex.catalog.disease import disease_ancestors, disease_code
from hdex.catalog.odrl.evaluate import Answer, Outcome, evaluate
from hdex.catalog.odrl.graph import Graph, Iri, Literal, Term
from hdex.catalog.odrl.names import ODRL, SKOS, XSD
from hdex.catalog.odrl.situation import GENETIC_STUDY, Request, World
from hdex.catalog.offer import (
    ACCEPT_DUTY,
    COMMERCIAL,
    DISEASE,
    ETHICS_DUTY,
    FOR_PROFIT,
    KNOWN,
    LIMIT_DUTY,
    MONTHS,
    OF_TYPE,
    PERMITTED,
    PERSON_DUTY,
    PROJECT_NAME,
    RULE,
    SENSITIVE_DUTY,
    USE,
    USER_NAME,
    compile_terms,
)
from hdex.catalog.purposes import Purpose, Text, covers, modifiers, purpose_iri, purposes, rule_words
from hdex.catalog.terms_record import (
    ANCESTRY,
    BIOMEDICAL,
    DISEASE_SPECIFIC,
    EVERY_PURPOSE,
    GENETIC,
    RE_IDENTIFICATION,
    TO_ACCEPT,
    AccessRequest,
    Terms,
    check_terms,
    instant,
)

Values = dict[str, tuple[Term, ...]]


@dataclass(frozen=True, slots=True)
class TermsDecision:
    """An answer, the rule that gave it, and what the applicant can do next."""

    outcome: Outcome
    rule: str
    why: Text
    next: Text

    @property
    def next_step(self) -> str:
        """Return the next step in English."""
        return self.next.en


@dataclass(frozen=True, slots=True)
class Settled:
    """What people have settled since the request was made: the rules that asked for them, by name."""

    rules: frozenset[str] = field(default_factory=frozenset)


NOTHING_SETTLED = Settled()


def decide(terms: Terms, request: AccessRequest, settled: Settled = NOTHING_SETTLED) -> TermsDecision:
    """Return the answer to one request: first what forbids, then what a person must settle, else permitted."""
    answer = evaluate(compile_terms(terms), question(terms, request, settled), standing(terms, request, settled))
    return decision(answer)


def decision(answer: Answer) -> TermsDecision:
    """Return the answer of a compiled policy in its own words."""
    rule = answer.rule
    if answer.outcome is Outcome.UNDECIDED:
        owed = [duty for report in answer.rules if report.rule.id == PERMITTED for duty in report.owes]
        rule = owed[0].duty.id if owed and rule == PERMITTED else rule
    name = rule.removeprefix(RULE).removeprefix("urn:hdex:duty:") or "purpose.unknown"
    return TermsDecision(answer.outcome, name, *rule_words(name))


def question(terms: Terms, request: AccessRequest, settled: Settled = NOTHING_SETTLED) -> Request:
    """Return a request in the words of the compiled policy. What it left unsaid and people settled counts as within."""
    asked = request.purposes()
    types = terms.research_types or ()
    values: Values = {
        ODRL + "purpose": tuple(Iri(purpose_iri(code) if code in purposes() else code) for code in asked),
        ODRL + "recipient": (Literal(request.recipient),),
        ODRL + "spatial": (Literal(request.country or ""),),
        KNOWN: (_truth(all(code in purposes() for code in asked)),),
        GENETIC_STUDY: (_truth(any(covers(GENETIC, code) for code in asked)),),
        OF_TYPE: (_truth(any(covers(kind, code) for kind in types for code in asked)),),
        DISEASE: tuple(map(Literal, map(disease_code, request.all_diseases()))) or (Literal(""),),
    }
    values |= dict(_unless_unsaid(terms, request, settled))
    return Request(action=USE, assignee=request.recipient, values=values, facts=_claims(request))


def _unless_unsaid(terms: Terms, request: AccessRequest, settled: Settled) -> Iterator[tuple[str, tuple[Term, ...]]]:
    """Yield what an applicant may leave unsaid, where it was said or people settled it."""
    said: tuple[tuple[str, str, Term | None, Term], ...] = (
        (COMMERCIAL, "use.commercial", _said(request.commercial), _truth(False)),
        (FOR_PROFIT, "recipient.for_profit", _said(request.for_profit), _truth(False)),
        (PROJECT_NAME, "use.project", _named(request.project), Literal((terms.projects or ("",))[0])),
        (USER_NAME, "use.user", _named(request.user), Literal((terms.users or ("",))[0])),
        (MONTHS, "use.duration", _counted(request.months), Literal(str(terms.months or 0), XSD + "integer")),
    )
    for left, rule, value, within in said:
        if value is not None:
            yield left, (value,)
        elif rule in settled.rules:
            yield left, (within,)


def standing(terms: Terms, request: AccessRequest, settled: Settled = NOTHING_SETTLED) -> World:
    """Return the state of the world that a request meets: the time, and which duties it leaves open."""
    owed = {
        ETHICS_DUTY: not request.ethics_approval,
        ACCEPT_DUTY: any(code in TO_ACCEPT and code not in request.accepts for code in terms.modifiers),
        SENSITIVE_DUTY: any(purposes()[code].ask for code in request.purposes() if code in purposes()),
        LIMIT_DUTY: True,
        PERSON_DUTY: may_need_person(terms, request),
    }
    done = {name for name in owed if name.removeprefix("urn:hdex:duty:") in settled.rules}
    states = {name: "open" if still and name not in done else "fulfilled" for name, still in owed.items()}
    return World(time=instant(request.at), duties=states)


def may_need_person(terms: Terms, request: AccessRequest) -> bool:
    """Return whether the terms owe a person's approval for these purposes: where not, no answer of `decide` asks it."""
    named = terms.needs_approval
    return EVERY_PURPOSE in named or any(covers(code, asked) for code in named for asked in request.purposes())


def _claims(request: AccessRequest) -> Graph:
    """Return what an applicant says its diseases stand under."""
    graph = Graph()
    for code, above in disease_ancestors(request.ancestors).items():
        for name in sorted(above):
            graph.add(code, SKOS + "broader", Iri(name))
    return graph


def _truth(held: bool) -> Literal:  # turns a truth value into a term
    return Literal(str(held).lower(), XSD + "boolean")


def _said(held: bool | None) -> Literal | None:
    return None if held is None else _truth(held)


def _named(name: str | None) -> Literal | None:
    return Literal(name) if name else None


def _counted(months: int | None) -> Literal | None:
    return None if months is None else Literal(str(months), XSD + "integer")


__all__ = [
    "ANCESTRY",
    "BIOMEDICAL",
    "DISEASE_SPECIFIC",
    "EVERY_PURPOSE",
    "RE_IDENTIFICATION",
    "AccessRequest",
    "Outcome",
    "Purpose",
    "Settled",
    "Terms",
    "TermsDecision",
    "Text",
    "check_terms",
    "covers",
    "decide",
    "decision",
    "may_need_person",
    "modifiers",
    "purposes",
    "question",
    "standing",
]
