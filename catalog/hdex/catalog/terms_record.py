"""What a provider permits and what an applicant asks, as values, with the checks that terms must pass.

Fields that came after the first signed documents are None where unset, so that older documents keep their digests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from hdex.catalog.errors import TermsInvalid
from hdex.catalog.purposes import modifiers, purposes

NO_RESTRICTION = "DUO:0000004"
GENERAL = "DUO:0000042"
BIOMEDICAL = "DUO:0000006"
DISEASE_SPECIFIC = "DUO:0000007"
ANCESTRY = "DUO:0000011"
METHODS = "DUO:0000031"
GENETIC = "DUO:0000038"
CLINICAL = "DUO:0000043"
RE_IDENTIFICATION = "HDEX:re-identification"

RESEARCH_TYPE = "DUO:0000012"
GENETIC_ONLY = "DUO:0000016"
NO_METHODS = "DUO:0000015"
NO_ANCESTRY = "DUO:0000044"
NOT_FOR_PROFIT_NON_COMMERCIAL = "DUO:0000018"
NOT_FOR_PROFIT = "DUO:0000045"
NON_COMMERCIAL = "DUO:0000046"
ETHICS = "DUO:0000021"
REGION = "DUO:0000022"
TIME_LIMIT = "DUO:0000025"
USERS = "DUO:0000026"
PROJECT = "DUO:0000027"
INSTITUTION = "DUO:0000028"
TO_ACCEPT = ("DUO:0000019", "DUO:0000020", "DUO:0000024", "DUO:0000029")  # publish, collaborate, wait, return

EVERY_PURPOSE = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the provider permits. Empty `recipients` means any vetted organisation.

    diseases: ICD-10 prefixes, or MONDO and DOID ids.
    """

    permitted: tuple[str, ...]
    prohibited: tuple[str, ...] = ()
    needs_approval: tuple[str, ...] = ()  # purpose codes, or "*"
    modifiers: tuple[str, ...] = ()  # DUO modifiers
    diseases: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()  # ISO 3166-1 alpha-2
    duties: tuple[str, ...] = ()  # attribute, delete, report, no_redistribution
    expires: str | None = None  # RFC 3339 UTC
    months: int | None = None  # with DUO:0000025: how long use may last
    projects: tuple[str, ...] | None = None  # with DUO:0000027
    users: tuple[str, ...] | None = None  # with DUO:0000026
    research_types: tuple[str, ...] | None = None  # with DUO:0000012: purpose codes


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """What an applicant asks. `uses` are further purposes of the same project; `accepts` are modifiers it agrees to.

    commercial, for_profit: None where a document says null; one that is silent counts as commercial and for profit.
    ancestors: what the applicant claims its MONDO or DOID diseases stand under; ICD-10 codes are placed by their prefix
    and nothing else.
    """

    purpose: str
    recipient: str
    at: str  # RFC 3339 UTC
    disease: str | None = None  # ICD-10, MONDO or DOID
    commercial: bool | None = True
    for_profit: bool | None = True
    country: str | None = None
    uses: tuple[str, ...] = ()
    ethics_approval: str | None = None
    accepts: tuple[str, ...] = ()
    diseases: tuple[str, ...] | None = None  # further ones; every one must be permitted
    ancestors: Mapping[str, tuple[str, ...]] | None = None
    project: str | None = None
    user: str | None = None
    months: int | None = None

    def purposes(self) -> tuple[str, ...]:
        """Return every purpose asked, the main one first."""
        return (self.purpose, *self.uses)

    def all_diseases(self) -> tuple[str, ...]:
        """Return every disease asked about."""
        return (*((self.disease,) if self.disease else ()), *(self.diseases or ()))


def check_terms(terms: Terms) -> None:
    """Raise TermsInvalid where terms name an unknown code or contradict themselves."""
    asked = (*terms.permitted, *terms.prohibited, *(p for p in terms.needs_approval if p != EVERY_PURPOSE))
    if not terms.permitted:
        raise TermsInvalid("terms.permitted is empty; name at least one purpose")
    if unknown := [code for code in (*asked, *(terms.research_types or ())) if code not in purposes()]:
        raise TermsInvalid(f"terms name {len(unknown)} purpose(s) that the vocabulary does not have")
    if any(code not in modifiers() for code in terms.modifiers):
        raise TermsInvalid("terms.modifiers names a code that the vocabulary does not have")
    if set(terms.permitted) & set(terms.prohibited):
        raise TermsInvalid("a purpose is both permitted and prohibited")
    if DISEASE_SPECIFIC in terms.permitted and not terms.diseases:
        raise TermsInvalid("disease-specific use is permitted but terms.diseases is empty")
    if REGION in terms.modifiers and not terms.countries:
        raise TermsInvalid("use is limited to regions but terms.countries is empty")
    if terms.months is not None and terms.months < 1:
        raise TermsInvalid(f"terms.months is {terms.months}; at least 1 is asked")
    if terms.expires is not None:
        instant(terms.expires)


def instant(text: str) -> datetime:
    """Return an RFC 3339 time that names its zone. Raises TermsInvalid."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise TermsInvalid("a time is not RFC 3339") from error
    if moment.tzinfo is None:
        raise TermsInvalid("a time has no zone; RFC 3339 UTC is asked")
    return moment
