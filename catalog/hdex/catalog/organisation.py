"""Who an organisation is: a registered code that anybody can check, and what it declares about itself. Pure.

Codes: the unified social credit code of GB 32100-2015 for organisations of mainland China, the legal entity identifier
of ISO 17442-1 for all others. A check says that a code is well formed, not that the register holds it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from hdex.catalog.errors import OrganisationInvalid
from hdex.catalog.terms import Text

HOME_OF_USCC = "CN"
USCC = re.compile(r"[1-9ANY][0-9A-Y][0-9]{6}[0-9A-Z]{8}[0-9X][0-9A-Y]", re.ASCII)
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # without I, O, S, V, Z: GB 32100-2015, table 2
USCC_MODULUS, USCC_BASE = 31, 3  # weight of position i is 3^(i-1) mod 31
BODY_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)  # GB 11714-1997: the organisation code inside, positions 9 to 17
BODY_CHECKS = "0123456789X"
LEI = re.compile(r"[0-9A-Z]{18}[0-9]{2}", re.ASCII)
COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
PARTICIPANT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
LONGEST_NAME, LONGEST_WORDS = 200, 4000
MOST = 50  # affiliates, persons, breaches, countries
HIGHEST_GRADE = 5  # GB/T 22240: grades 1 to 5 of multi-level protection; 0: none


def is_uscc(code: str) -> bool:
    """Return whether both check characters of a unified social credit code hold (GB 32100-2015, GB 11714-1997)."""
    if not USCC.fullmatch(code) or any(mark not in USCC_ALPHABET for mark in code):
        return False
    total = sum(USCC_ALPHABET.index(mark) * pow(USCC_BASE, place, USCC_MODULUS) for place, mark in enumerate(code[:17]))
    return USCC_ALPHABET[-total % USCC_MODULUS] == code[17] and _is_body(code[8:17])


def _is_body(body: str) -> bool:
    total = sum(int(mark, 36) * weight for mark, weight in zip(body, BODY_WEIGHTS, strict=False))
    return BODY_CHECKS[-total % 11] == body[8]


def is_lei(code: str) -> bool:
    """Return whether the check digits of a legal entity identifier hold (ISO 17442-1, ISO/IEC 7064 MOD 97-10)."""
    return bool(LEI.fullmatch(code)) and int("".join(str(int(mark, 36)) for mark in code)) % 97 == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Affiliate:
    """A parent, subsidiary or sister: its record counts too."""

    code: str
    name: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who answers for data there."""

    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A past breach of data or of a licence, in the organisation's own words."""

    date: str  # RFC 3339 full-date
    what: str
    notified: bool  # whether the authority was told in time


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """What an organisation declares when it asks to be vetted; its own signature makes it answer for it.

    foreign_share_percent: of the capital or the votes, 0 to 100. security_grade: of multi-level protection, 0: none.
    licence_expires, security_expires: last day of the paper; None: without end, and for grade 0 no paper.
    """

    participant: str
    code: str
    name: Text
    country: str  # of registration, ISO 3166-1 alpha-2
    foreign_control: bool
    foreign_share_percent: float
    storage_countries: tuple[str, ...]
    security_grade: int
    security_certificate: str = ""
    security_expires: str | None = None
    licence_expires: str | None = None
    affiliates: tuple[Affiliate, ...] = ()
    persons: tuple[Person, ...]
    breaches: tuple[Breach, ...] = ()
    statement: str = ""

    def __post_init__(self) -> None:
        require(PARTICIPANT.fullmatch(self.participant), "participant", "the id of the directory")
        check_code(self.code, self.country)
        check_words("name.en", self.name.en, LONGEST_NAME)
        check_words("name.zh", self.name.zh, LONGEST_NAME, empty=True)
        self._check_control()
        self._check_storage()
        self._check_lists()
        check_words("statement", self.statement, LONGEST_WORDS, empty=True)
        for paper in (self.security_expires, self.licence_expires):
            _ = paper is None or day("an expiry", paper)

    def papers_until(self) -> date | None:
        """Return the last day on which every paper named is good; None where none ends."""
        ends = [day("an expiry", paper) for paper in (self.security_expires, self.licence_expires) if paper]
        return min(ends, default=None)

    def codes(self) -> frozenset[str]:
        """Return the codes under which the organisation and its affiliates are known."""
        return frozenset({self.code, *(one.code for one in self.affiliates)})

    def _check_control(self) -> None:
        share = self.foreign_share_percent
        require(0 <= share <= 100, "foreign_share_percent", "a number from 0 to 100")
        require(
            self.foreign_control or share <= 50,
            "foreign_control",
            "true where the foreign share is above half, or the share that is right",
        )

    def _check_storage(self) -> None:
        places = self.storage_countries
        require(0 < len(places) <= MOST, "storage_countries", f"1 to {MOST} countries")
        require(all(map(COUNTRY.fullmatch, places)), "storage_countries", "two capital letters each, as in CN")
        grade = self.security_grade
        require(0 <= grade <= HIGHEST_GRADE, "security_grade", f"0 (none) to {HIGHEST_GRADE}")
        check_words("security_certificate", self.security_certificate, LONGEST_NAME, empty=grade == 0)

    def _check_lists(self) -> None:
        require(0 < len(self.persons) <= MOST, "persons", f"1 to {MOST} persons who answer for data")
        for person in self.persons:
            check_words("persons.name", person.name, LONGEST_NAME)
            check_words("persons.role", person.role, LONGEST_NAME)
        require(max(len(self.affiliates), len(self.breaches)) <= MOST, "affiliates and breaches", f"{MOST} at most")
        for affiliate in self.affiliates:
            require(
                is_uscc(affiliate.code) or is_lei(affiliate.code), "affiliates.code", "a code whose check digits hold"
            )
            check_words("affiliates.name.en", affiliate.name.en, LONGEST_NAME)
            check_words("affiliates.name.zh", affiliate.name.zh, LONGEST_NAME, empty=True)
        require(len(self.codes()) == 1 + len(self.affiliates), "affiliates.code", "each code once, and not one's own")
        for breach in self.breaches:
            day("breaches.date", breach.date)
            check_words("breaches.what", breach.what, LONGEST_WORDS)


def check_code(code: str, country: str) -> None:
    """Raise OrganisationInvalid unless the code is the one asked of this country and its check characters hold."""
    require(COUNTRY.fullmatch(country), "country", "two capital letters, as in CN")
    name, holds = _CHECKS[country == HOME_OF_USCC]
    if not holds(code):
        raise OrganisationInvalid(
            f"code: {name} is asked of an organisation in {country}, and the check characters of what was found "
            "do not hold",
            rule="organisation.code",
            next_step="copy the code from the business licence or from the register, letter by letter",
        )


_CHECKS: dict[bool, tuple[str, Callable[[str], bool]]] = {
    True: ("a unified social credit code (GB 32100-2015, 18 characters)", is_uscc),
    False: ("a legal entity identifier (ISO 17442, 20 characters)", is_lei),
}


def require(holds: object, field: str, asked: str) -> None:
    """Raise OrganisationInvalid, naming the field and what is asked of it, never what stands there."""
    if not holds:
        mend = f"mend the field {field}, then sign again"
        raise OrganisationInvalid(f"{field}: {asked} is asked", rule="organisation.field", next_step=mend)


def check_words(field: str, words: str, longest: int, *, empty: bool = False) -> None:
    """Raise OrganisationInvalid unless these are words: bounded, no control characters. Markup is text here."""
    require(words.strip() or empty, field, "a text that is not empty")
    require(len(words) <= longest, field, f"{longest} characters at most (found {len(words)})")
    require(is_plain(words), field, "plain text without control characters")


def is_plain(words: str) -> bool:
    """Return whether a text has no control character but line ends and tabs, no direction override, no half sign."""
    return not _HIDDEN.search(words)


# control characters, half signs, and marks that turn the direction: they would show another text than is there
_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def day(field: str, text: str) -> date:
    """Return an RFC 3339 full-date. Raises OrganisationInvalid."""
    try:
        require(len(text) == 10, field, "a day as in 2026-11-22")
        return date.fromisoformat(text)
    except ValueError as error:
        raise OrganisationInvalid(
            f"{field}: a day as in 2026-11-22 is asked", rule="organisation.field", next_step=f"mend the field {field}"
        ) from error
