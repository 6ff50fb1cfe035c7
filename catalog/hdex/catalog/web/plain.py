"""Terms in plain words, and the instant answer to a purpose."""

from collections.abc import Mapping
from dataclasses import dataclass

from hdex.catalog.terms import (
    DISEASE_SPECIFIC,
    EVERY_PURPOSE,
    AccessRequest,
    Terms,
    TermsDecision,
    decide,
    modifiers,
    purposes,
)
from hdex.catalog.terms_record import PROJECT, RESEARCH_TYPE, TIME_LIMIT, USERS
from hdex.catalog.web.formats import day
from hdex.catalog.web.labels import speaker, word


@dataclass(frozen=True, slots=True)
class PlainTerms:
    """What may be done, what may not, and under which conditions; each a sentence."""

    permitted: tuple[str, ...]
    prohibited: tuple[str, ...]
    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """What a visitor asked and the answer."""

    purpose: str
    disease: str
    commercial: bool
    decision: TermsDecision | None


def plain_terms(terms: Terms, lang: str) -> PlainTerms:
    """Return the terms as sentences in `lang`."""
    permitted = tuple(_permission(code, terms, lang) for code in terms.permitted)
    prohibited = tuple(purposes()[code].label.say(lang) for code in terms.prohibited)
    return PlainTerms(permitted, prohibited, tuple(_conditions(terms, lang)))


def check_purpose(terms: Terms, asked: Mapping[str, str], *, at: str) -> Check:
    """Return the answer to the form's question; no decision where nothing was asked.

    The visitor is nobody yet: ethics approval and duties are taken as met where a form cannot show them, the
    recipient as one the terms name.
    """
    purpose, disease = asked.get("purpose", "")[:60], asked.get("disease", "").strip()[:20]
    commercial = asked.get("commercial", "") == "yes" or not purpose
    if not purpose:
        return Check(purpose, disease, commercial, None)
    request = AccessRequest(
        purpose=purpose,
        recipient=terms.recipients[0] if terms.recipients else "visitor",
        at=at,
        disease=disease or None,
        commercial=commercial,
        for_profit=commercial,
        country=terms.countries[0] if terms.countries else None,
        accepts=terms.modifiers,
    )
    return Check(purpose, disease, commercial, decide(terms, request))


def _permission(code: str, terms: Terms, lang: str) -> str:
    label = purposes()[code].label.say(lang)
    if code != DISEASE_SPECIFIC or not terms.diseases:
        return label
    say = speaker(lang)
    if lang == "zh":
        return f"{label}，{say('policy.for_diseases')}{'、'.join(terms.diseases)}"
    return f"{label}, {say('policy.for_diseases')} {', '.join(terms.diseases)}"


def _conditions(terms: Terms, lang: str) -> list[str]:
    say, gap = speaker(lang), "" if lang == "zh" else " "
    found = [_limit(code, terms, lang) for code in terms.modifiers]
    if EVERY_PURPOSE in terms.needs_approval:
        found.append(say("policy.person_all"))
    elif terms.needs_approval:
        found.append(
            _listed("policy.person", [purposes()[code].label.say(lang) for code in terms.needs_approval], lang)
        )
    if terms.recipients:
        found.append(_listed("policy.recipients", list(terms.recipients), lang))
    else:
        found.append(say("policy.any_recipient"))
    if terms.countries:
        found.append(_listed("policy.countries", list(terms.countries), lang))
    found.extend(word("duty", duty, lang) for duty in terms.duties)
    if terms.expires:
        found.append(f"{say('policy.expires')}{gap}{day(terms.expires, lang)}{'。' if lang == 'zh' else '.'}")
    return found


def _limit(code: str, terms: Terms, lang: str) -> str:
    """Return a modifier as a sentence, with what terms name for it."""
    named = {
        TIME_LIMIT: (str(terms.months),) if terms.months is not None else (),
        PROJECT: terms.projects or (),
        USERS: terms.users or (),
        RESEARCH_TYPE: tuple(purposes()[one].label.say(lang) for one in terms.research_types or ()),
    }.get(code, ())
    label = modifiers()[code].label.say(lang)
    if lang == "zh":
        return f"{label}：{'、'.join(named)}。" if named else f"{label}。"
    return f"{label}: {', '.join(named)}." if named else f"{label}."


def _listed(key: str, names: list[str], lang: str) -> str:
    if lang == "zh":
        return f"{speaker(lang)(key)}{'、'.join(names)}。"
    return f"{speaker(lang)(key)} {', '.join(names)}."
