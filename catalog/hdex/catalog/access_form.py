"""What an applicant says when data that a person must release is asked for: the form of an access request. Pure.

Texts are text: markup and formulas stay as they are and are made harmless where they are shown or exported.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hdex.catalog.errors import AccessFormInvalid
from hdex.catalog.organisation import COUNTRY, is_lei, is_plain, is_uscc
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.terms import AccessRequest

REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}", re.ASCII)
DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
PURPOSE = re.compile(r"[A-Z]{2,10}:[A-Za-z0-9-]{1,60}", re.ASCII)
LONGEST_NAME, LONGEST_TITLE, LONGEST_TEXT = 200, 300, 8000
MOST, MOST_COLUMNS = 100, 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class EthicsPaper:
    """The approval of an ethics committee; the paper itself travels beside the form and is named by its digest."""

    number: str
    expires: str  # last day
    document_digest: str  # SHA-256, lower-case hex
    document_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A named person of the team; trained: the day of the last training in data protection."""

    name: str
    role: str
    trained: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contractor:
    """Another organisation that will see the data."""

    name: str
    code: str
    country: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessForm:
    """One request, in one revision. `columns` empty means all; `access` is what the terms are asked."""

    id: str
    revision: int  # from 1; a returned request comes back with the next one
    applicant: str
    provider: str
    product: str
    version: str
    manifest_digest: str
    access: AccessRequest
    title: str
    summary: str
    ethics: EthicsPaper
    team: tuple[Member, ...]
    contractors: tuple[Contractor, ...] = ()
    columns: tuple[str, ...] = ()
    delivery_mode: DeliveryMode
    starts: str  # first day of use
    ends: str  # last day of use
    publication_plan: str
    protection: str  # measures of data protection at the applicant's

    def __post_init__(self) -> None:
        _require(REQUEST_ID.fullmatch(self.id), "id", "letters, digits, '.', '_', ':' and '-', 100 at most")
        _require(self.revision >= 1, "revision", "a number from 1")
        _require(DIGEST.fullmatch(self.manifest_digest), "manifest_digest", "SHA-256 in hex")
        _require(self.access.recipient == self.applicant, "access.recipient", "the applicant itself")
        self._check_purposes()
        self._check_texts()
        self._check_people()
        _require(len(self.columns) <= MOST_COLUMNS, "columns", f"{MOST_COLUMNS} at most")
        _require(len(set(self.columns)) == len(self.columns), "columns", "each column once")
        _require(_day("starts", self.starts) <= _day("ends", self.ends), "ends", "a day not before the first")

    def ends_at(self) -> date:
        """Return the last day of use."""
        return _day("ends", self.ends)

    def ethics_ends(self) -> date:
        """Return the last day of the ethics approval."""
        return _day("ethics.expires", self.ethics.expires)

    def _check_purposes(self) -> None:
        asked = self.access.purposes()
        _require(len(asked) <= MOST and all(PURPOSE.fullmatch(one) for one in asked), "access", "purposes as DUO codes")
        _require(len(set(asked)) == len(asked), "access.uses", "each purpose once")
        said = self.access
        named = (said.disease, said.country, said.ethics_approval, said.project, said.user, *(said.diseases or ()))
        related = [one for name, above in (said.ancestors or {}).items() for one in (name, *above)]
        texts = [one for one in (*named, *related) if one is not None]
        _require(len(texts) <= MOST, "access", f"{MOST} diseases and what they stand under at most")
        _require(all(is_plain(one) and len(one) <= LONGEST_NAME for one in texts), "access", "short plain texts")
        _require(len(self.access.accepts) <= MOST, "access.accepts", f"{MOST} modifiers at most")

    def _check_texts(self) -> None:
        for field, longest in _TEXTS.items():
            _words(field, getattr(self, field), longest)
        _words("ethics.number", self.ethics.number, LONGEST_NAME)
        _require(DIGEST.fullmatch(self.ethics.document_digest), "ethics.document_digest", "SHA-256 in hex")
        _require(self.ethics.document_bytes > 0, "ethics.document_bytes", "a document that is not empty")
        self.ethics_ends()
        for name in self.columns:
            _words("columns", name, LONGEST_NAME)

    def _check_people(self) -> None:
        _require(0 < len(self.team) <= MOST, "team", f"1 to {MOST} named persons")
        for member in self.team:
            _words("team.name", member.name, LONGEST_NAME)
            _words("team.role", member.role, LONGEST_NAME)
            _day("team.trained", member.trained)
        _require(len(self.contractors) <= MOST, "contractors", f"{MOST} at most")
        for other in self.contractors:
            _words("contractors.name", other.name, LONGEST_NAME)
            _require(is_uscc(other.code) or is_lei(other.code), "contractors.code", "a code whose check digits hold")
            _require(COUNTRY.fullmatch(other.country), "contractors.country", "two capital letters, as in CN")


_TEXTS = {
    "applicant": LONGEST_NAME,
    "provider": LONGEST_NAME,
    "product": LONGEST_NAME,
    "version": LONGEST_NAME,
    "title": LONGEST_TITLE,
    "summary": LONGEST_TEXT,
    "publication_plan": LONGEST_TEXT,
    "protection": LONGEST_TEXT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormLimits:
    """What a hospital asks of every form; see data/access_review.toml."""

    document_bytes: int
    messages: int
    open_requests: int  # of one applicant, waiting at once
    revisions: int
    period_days: int
    training_years: int


def require_acceptable(form: AccessForm, product: DataProduct, limits: FormLimits, at: datetime) -> None:
    """Raise AccessFormInvalid where a form cannot be reviewed: another product, expired papers, stale training."""
    today = at.date()
    _require((form.product, form.version) == (product.id, product.version), "product", "the product and version listed")
    _require(form.manifest_digest == product.digest(), "manifest_digest", "the digest of the manifest listed")
    known = {column.name for column in product.columns}
    _require(set(form.columns) <= known, "columns", "columns of the product")
    _require(product.allows(form.delivery_mode.value), "delivery_mode", f"one of {', '.join(product.delivery_modes)}")
    whole = not form.columns or set(form.columns) == known
    _require(whole or form.delivery_mode != DeliveryMode.SEALED_FILE, "columns", "all: a sealed file holds each")
    _require(form.revision <= limits.revisions, "revision", f"{limits.revisions} at most: begin a new request")
    bound = limits.document_bytes
    _require(form.ethics.document_bytes <= bound, "ethics.document_bytes", f"a document of {bound} bytes at most")
    _require(form.ethics_ends() >= today, "ethics.expires", "an ethics approval that has not expired")
    _require((form.ends_at() - today).days <= limits.period_days, "ends", f"{limits.period_days} days ahead at most")
    _require(form.ends_at() >= today, "ends", "a period that is not over")
    _require(form.ends_at() <= form.ethics_ends(), "ends", "a day not after that of the ethics approval")
    for member in form.team:
        trained, years = _day("team.trained", member.trained), limits.training_years
        _require(trained <= today + timedelta(days=1), "team.trained", "a day that has been")  # east of us it is later
        _require((today - trained).days <= years * 366, "team.trained", f"a training of the last {years} years")


def columns_agreed(form: AccessForm, product: DataProduct) -> tuple[str, ...]:
    """Return the columns that a contract under this request names; empty means all."""
    return () if set(form.columns) == {column.name for column in product.columns} else form.columns


def _require(holds: object, field: str, asked: str) -> None:
    """Raise AccessFormInvalid, naming the field and what is asked of it, never what stands there."""
    if not holds:
        mend = f"mend {field} of the form, then sign it again"
        raise AccessFormInvalid(f"{field}: {asked} is asked", rule=f"form.{field}", next_step=mend)


def _words(field: str, words: str, longest: int) -> None:
    _require(words.strip(), field, "a text that is not empty")
    _require(len(words) <= longest, field, f"{longest} characters at most (found {len(words)})")
    _require(is_plain(words), field, "plain text without control characters")


def _day(field: str, text: str) -> date:
    _require(len(text) == 10 and text.isascii(), field, "a day as in 2026-11-22")
    try:
        return date.fromisoformat(text)
    except ValueError:
        _require(False, field, "a day as in 2026-11-22")
        raise
