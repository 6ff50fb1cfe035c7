"""Under which terms a product may be used: purposes in DUO words, and one decision for one request.

The vocabulary is data (data/purposes.toml). `decide` is the only place that answers; pages, contracts and each
access ask it, so that the same question gets the same answer everywhere.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib.resources import files

from hdex.catalog.errors import TermsInvalid

NO_RESTRICTION = "DUO:0000004"
BIOMEDICAL = "DUO:0000006"
DISEASE_SPECIFIC = "DUO:0000007"
ANCESTRY = "DUO:0000011"
METHODS = "DUO:0000031"
GENETIC = "DUO:0000038"
RE_IDENTIFICATION = "HDEX:re-identification"

GENETIC_ONLY = "DUO:0000016"
NO_METHODS = "DUO:0000015"
NO_ANCESTRY = "DUO:0000044"
NOT_FOR_PROFIT_NON_COMMERCIAL = "DUO:0000018"
NOT_FOR_PROFIT = "DUO:0000045"
NON_COMMERCIAL = "DUO:0000046"
ETHICS = "DUO:0000021"
REGION = "DUO:0000022"
TO_ACCEPT = ("DUO:0000019", "DUO:0000020", "DUO:0000024", "DUO:0000029")  # publish, collaborate, wait, return

EVERY_PURPOSE = "*"


@dataclass(frozen=True, slots=True)
class Text:
    """The same words in English and Chinese."""

    en: str
    zh: str

    def say(self, lang: str) -> str:
        """Return the words in `lang`; English where it is neither."""
        return self.zh if lang == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Purpose:
    """One permitted use, or one modifier, of the vocabulary."""

    code: str
    short: str
    label: Text
    within: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the provider permits. Empty `recipients` means any vetted organisation; `diseases` are ICD-10 prefixes."""

    permitted: tuple[str, ...]
    prohibited: tuple[str, ...] = ()
    needs_approval: tuple[str, ...] = ()  # purpose codes, or "*"
    modifiers: tuple[str, ...] = ()  # DUO modifiers
    diseases: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()  # ISO 3166-1 alpha-2
    duties: tuple[str, ...] = ()  # attribute, delete, report, no_redistribution
    expires: str | None = None  # RFC 3339 UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """What an applicant asks. `uses` are further purposes of the same project; `accepts` are modifiers it agrees to."""

    purpose: str
    recipient: str
    at: str  # RFC 3339 UTC
    disease: str | None = None  # ICD-10
    commercial: bool = True
    for_profit: bool = True
    country: str | None = None
    uses: tuple[str, ...] = ()
    ethics_approval: str | None = None
    accepts: tuple[str, ...] = ()

    def purposes(self) -> tuple[str, ...]:
        """Return every purpose asked, the main one first."""
        return (self.purpose, *self.uses)


class Outcome(StrEnum):
    """The three answers."""

    PERMITTED = "permitted"
    PROHIBITED = "prohibited"
    UNDECIDED = "undecided"


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


def purposes() -> dict[str, Purpose]:
    """Return every purpose by its code, in the order of the vocabulary."""
    return _vocabulary("purpose")


def modifiers() -> dict[str, Purpose]:
    """Return every modifier by its code."""
    return _vocabulary("modifier")


def covers(permitted: str, purpose: str) -> bool:
    """Return whether permission for `permitted` is permission for `purpose`."""
    if permitted == purpose:
        return True
    known = purposes().get(purpose)
    return known is not None and any(covers(permitted, wider) for wider in known.within)


def check_terms(terms: Terms) -> None:
    """Raise TermsInvalid where terms name an unknown code or contradict themselves."""
    asked = (*terms.permitted, *terms.prohibited, *(p for p in terms.needs_approval if p != EVERY_PURPOSE))
    if not terms.permitted:
        raise TermsInvalid("terms.permitted is empty; name at least one purpose")
    if unknown := [code for code in asked if code not in purposes()]:
        raise TermsInvalid(f"terms name {len(unknown)} purpose(s) that the vocabulary does not have")
    if any(code not in modifiers() for code in terms.modifiers):
        raise TermsInvalid("terms.modifiers names a code that the vocabulary does not have")
    if set(terms.permitted) & set(terms.prohibited):
        raise TermsInvalid("a purpose is both permitted and prohibited")
    if DISEASE_SPECIFIC in terms.permitted and not terms.diseases:
        raise TermsInvalid("disease-specific use is permitted but terms.diseases is empty")
    if REGION in terms.modifiers and not terms.countries:
        raise TermsInvalid("use is limited to regions but terms.countries is empty")
    if terms.expires is not None:
        _instant(terms.expires)


def decide(terms: Terms, request: AccessRequest) -> TermsDecision:
    """Return the answer to one request: first what forbids, then what a person must settle, else permitted."""
    for rule, applies in _PROHIBIT:
        if applies(terms, request):
            return _decision(Outcome.PROHIBITED, rule)
    for rule, applies in _SETTLE:
        if applies(terms, request):
            return _decision(Outcome.UNDECIDED, rule)
    return _decision(Outcome.PERMITTED, "purpose.permitted")


def _decision(outcome: Outcome, rule: str) -> TermsDecision:
    words = _file()["rule"][rule]
    return TermsDecision(outcome, rule, Text(**words["why"]), Text(**words["next"]))


def _is_expired(terms: Terms, request: AccessRequest) -> bool:
    return terms.expires is not None and _instant(request.at) >= _instant(terms.expires)


def _is_unknown(terms: Terms, request: AccessRequest) -> bool:
    return any(code not in purposes() for code in request.purposes())


def _is_prohibited(terms: Terms, request: AccessRequest) -> bool:
    forbidden = {RE_IDENTIFICATION, *terms.prohibited}  # nobody may permit re-identification
    return any(covers(code, asked) for code in forbidden for asked in request.purposes())


def _is_not_permitted(terms: Terms, request: AccessRequest) -> bool:
    return not all(_is_covered(terms, asked) for asked in request.purposes())


def _is_covered(terms: Terms, purpose: str) -> bool:
    if any(covers(code, purpose) for code in terms.permitted):
        return True
    # a project inside biomedicine, bound to a disease, is disease-specific research: the next rule checks the disease
    return DISEASE_SPECIFIC in terms.permitted and purpose != BIOMEDICAL and covers(BIOMEDICAL, purpose)


def _is_other_disease(terms: Terms, request: AccessRequest) -> bool:
    """A purpose covered only as disease-specific needs a disease within the permitted ones."""
    wider = [code for code in terms.permitted if code != DISEASE_SPECIFIC]
    if all(any(covers(code, asked) for code in wider) for asked in request.purposes()):
        return False
    asked = _icd(request.disease or "")
    return not asked or not any(asked.startswith(_icd(code)) for code in terms.diseases)


def _is_commercial(terms: Terms, request: AccessRequest) -> bool:
    return request.commercial and bool({NON_COMMERCIAL, NOT_FOR_PROFIT_NON_COMMERCIAL} & set(terms.modifiers))


def _is_for_profit(terms: Terms, request: AccessRequest) -> bool:
    return request.for_profit and bool({NOT_FOR_PROFIT, NOT_FOR_PROFIT_NON_COMMERCIAL} & set(terms.modifiers))


def _is_methods(terms: Terms, request: AccessRequest) -> bool:
    return NO_METHODS in terms.modifiers and METHODS in request.purposes()


def _is_ancestry(terms: Terms, request: AccessRequest) -> bool:
    return NO_ANCESTRY in terms.modifiers and ANCESTRY in request.purposes()


def _is_not_genetic(terms: Terms, request: AccessRequest) -> bool:
    return GENETIC_ONLY in terms.modifiers and GENETIC not in request.purposes()


def _is_unnamed(terms: Terms, request: AccessRequest) -> bool:
    return bool(terms.recipients) and request.recipient not in terms.recipients


def _is_abroad(terms: Terms, request: AccessRequest) -> bool:
    return bool(terms.countries) and request.country not in terms.countries


def _lacks_ethics(terms: Terms, request: AccessRequest) -> bool:
    return ETHICS in terms.modifiers and not request.ethics_approval


def _lacks_duty(terms: Terms, request: AccessRequest) -> bool:
    return any(code in TO_ACCEPT and code not in request.accepts for code in terms.modifiers)


def _needs_person(terms: Terms, request: AccessRequest) -> bool:
    named = terms.needs_approval
    return EVERY_PURPOSE in named or any(covers(code, asked) for code in named for asked in request.purposes())


Rule = tuple[str, Callable[[Terms, AccessRequest], bool]]
_PROHIBIT: tuple[Rule, ...] = (
    ("terms.expired", _is_expired),
    ("purpose.unknown", _is_unknown),
    ("purpose.prohibited", _is_prohibited),
    ("purpose.not_permitted", _is_not_permitted),
    ("purpose.disease", _is_other_disease),
    ("use.commercial", _is_commercial),
    ("recipient.for_profit", _is_for_profit),
    ("use.methods", _is_methods),
    ("use.ancestry", _is_ancestry),
    ("use.genetic_only", _is_not_genetic),
    ("recipient.not_named", _is_unnamed),
    ("recipient.country", _is_abroad),
)
_SETTLE: tuple[Rule, ...] = (
    ("approval.ethics", _lacks_ethics),
    ("duty.not_accepted", _lacks_duty),
    ("approval.person", _needs_person),
)


def _icd(code: str) -> str:
    return code.upper().replace(".", "").strip()


def _instant(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise TermsInvalid("a time is not RFC 3339") from error
    if moment.tzinfo is None:
        raise TermsInvalid("a time has no zone; RFC 3339 UTC is asked")
    return moment


@cache
def _file() -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    return tomllib.loads(files("hdex.catalog").joinpath("data/purposes.toml").read_text(encoding="utf-8"))


@cache
def _vocabulary(kind: str) -> dict[str, Purpose]:
    held = _file()[kind].items()
    return {c: Purpose(c, str(v["short"]), Text(**v["label"]), tuple(v.get("within", ()))) for c, v in held}
