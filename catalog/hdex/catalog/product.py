"""A data product: what a hospital offers, at which level, by which delivery modes, under which terms.

The document is what the provider signs; its digest is what contracts and the chain name. A product that is only a
way to ask (federated) has no `release`.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import cast

from hdex.catalog.cohort import Cohort, check_cohort
from hdex.catalog.documents import Json, Scalar, digest, from_document, to_document
from hdex.catalog.errors import ProductInvalid
from hdex.catalog.limits import Limits, check_limits
from hdex.catalog.metadata import (
    Agent,
    Ethics,
    Health,
    Notice,
    Provenance,
    PublisherFacts,
    Review,
    check_ethics,
    check_metadata,
)
from hdex.catalog.price import Price, check_price
from hdex.catalog.quality import QualityReport, check_quality
from hdex.catalog.quota import Quota, check_quota
from hdex.catalog.revenue import Revenue, check_revenue
from hdex.catalog.terms import Terms, Text, check_terms


class DeliveryMode(StrEnum):
    """How a buyer may use a product."""

    DOWNLOAD = "download"
    SEALED_FILE = "sealed_file"
    ENCLAVE = "enclave"
    QUERY = "query"
    FEDERATED = "federated"


class Role(StrEnum):
    """What a column is for an attacker."""

    DIRECT = "direct"
    QUASI = "quasi"
    SENSITIVE = "sensitive"
    FREE_TEXT = "free_text"
    OTHER = "other"


class PreviewKind(StrEnum):
    """Where a preview comes from: never from a row."""

    SYNTHETIC = "synthetic"
    AGGREGATE = "aggregate"


@dataclass(frozen=True, slots=True)
class Provider:
    """Who offers the product."""

    id: str
    name: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the schema. `method`: how it was de-identified; `unit` in UCUM; `concept` an IRI or code.

    null_rate: share of empty cells, two decimals; decimals: as published; fingerprint_step: by how much a cell of a
    fingerprinted copy may differ, absent where none may.
    """

    name: str
    title: Text
    datatype: str
    level: int
    role: Role
    method: str
    unit: str | None = None
    concept: str | None = None
    null_rate: float | None = None
    decimals: int | None = None
    fingerprint_step: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What was measured on the released file. Risks, attacks and `suppressed` are shares from 0 to 1."""

    preset: str
    k: int | None = None
    max_risk: float | None = None
    average_risk: float | None = None
    unique_rows: int | None = None
    suppressed: float | None = None
    attack_targets: int | None = None
    attack_before: float | None = None
    attack_after: float | None = None
    attack_by_chance: float | None = None
    classification_digest: str | None = None
    release_digest: str | None = None
    recipe_digest: str | None = None
    l_diversity: int | None = None
    t_closeness: float | None = None
    ethics: Ethics | None = None
    consent_basis: str | None = None


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a histogram."""

    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """How one column is distributed; every bin holds at least the floor of its preview."""

    column: str
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What may be seen before a contract. Each synthetic row carries `"synthetic": true`."""

    kind: PreviewKind
    rows: tuple[Mapping[str, Scalar], ...] = ()
    histograms: tuple[Histogram, ...] = ()
    generator: str | None = None
    epsilon: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFile:
    """The file that a sealed delivery brings."""

    bytes: int
    sha256: str
    chunks: int


@dataclass(frozen=True, slots=True)
class Temporal:
    """The period that the records cover, as dates or months."""

    start: str
    end: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataProduct:
    """One version of one data product."""

    id: str
    version: str
    title: Text
    description: Text
    provider: Provider
    level: int
    delivery_modes: tuple[DeliveryMode, ...]
    columns: tuple[Column, ...]
    records: int
    individuals_band: str
    terms: Terms
    price: Price
    privacy: Privacy
    preview: Preview
    issued: str
    keywords: tuple[str, ...] = ()
    inclusion: tuple[str, ...] = ()
    temporal: Temporal | None = None
    quality: Mapping[str, Scalar] = field(default_factory=dict)
    release: ReleaseFile | None = None
    publisher: PublisherFacts | None = None
    access_body: Agent | None = None
    health: Health | None = None
    notice: Notice | None = None
    plans: tuple[Price, ...] | None = None
    max_deliveries: int | None = None  # complete sealed deliveries of one contract
    max_licences: int | None = None  # contracts that may stand at once, over all versions
    quota: Quota | None = None  # of one contract
    limits: Limits | None = None  # of one contract: clauses of its agreement
    revenue: Revenue | None = None
    quality_report: QualityReport | None = None
    provenance: Provenance | None = None
    reviews: tuple[Review, ...] | None = None
    cohort: Cohort | None = None  # counts that are told before any contract

    def document(self) -> Json:
        """Return the JSON document that the provider signs."""
        return cast(Json, to_document(self))

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> "DataProduct":
        """Return a checked product. Raise DocumentInvalid, ProductInvalid or TermsInvalid."""
        product = from_document(cls, document)
        check(product)
        return product

    def digest(self) -> str:
        """Return the SHA-256 of the canonical document, lower-case hex."""
        return digest(self.document())

    def draft_digest(self) -> str:
        """Return the digest of the record without its reviews: what the reviewers have read."""
        return replace(self, reviews=None).digest()

    def allows(self, mode: str) -> bool:
        """Return whether the product may be delivered by `mode`."""
        return mode in self.delivery_modes

    def version_key(self) -> tuple[int, int, int]:
        """Return the version as three numbers, for comparing."""
        major, minor, patch = self.version.split(".")
        return int(major), int(minor), int(patch)


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the scheme (data/levels.toml)."""

    number: int
    name: Text
    meaning: Text
    modes: tuple[str, ...]
    modes_with_named_recipients: tuple[str, ...]
    k: int | None


@cache
def levels() -> dict[int, Level]:
    """Return the scheme's levels by number."""
    held = tomllib.loads(files("hdex.catalog").joinpath("data/levels.toml").read_text(encoding="utf-8"))
    return {int(number): _level(int(number), words) for number, words in held.items()}


def modes_of(level: int, *, recipients: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the delivery modes that a level permits to recipients the terms name (or to any, where none is named)."""
    scheme = levels()[level]
    return scheme.modes + (scheme.modes_with_named_recipients if recipients else ())


def check(product: DataProduct) -> None:
    """Raise ProductInvalid or TermsInvalid where a product breaks a rule that the catalogue enforces."""
    _check_identity(product)
    _check_level(product)
    _check_columns(product)
    _check_privacy(product)
    for price in (product.price, *(product.plans or ())):
        check_price(price, product.publisher, tuple(column.name for column in product.columns))
    _check_preview(product.preview)
    _check_record(product)
    check_terms(product.terms)


_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_VERSION = re.compile(r"(0|[1-9]\d{0,5})(\.(0|[1-9]\d{0,5})){2}")
_BAND = re.compile(r"(<\d+|\d+-\d+|>\d+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")  # and bidirectional overrides
LONGEST = {"title": 200, "description": 8000, "name": 200}


def _level(number: int, words: Mapping[str, object]) -> Level:
    name, meaning = (Text(**cast(dict[str, str], words[key])) for key in ("name", "meaning"))
    modes, named = (tuple(cast(list[str], words.get(key, []))) for key in ("modes", "modes_with_named_recipients"))
    return Level(number, name, meaning, modes, named, cast(int | None, words.get("k")))


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ProductInvalid(problem)


def _check_identity(product: DataProduct) -> None:
    _require(bool(_ID.fullmatch(product.id)), "id: lower-case letters, digits, '.', '_', '-' are asked, 80 at most")
    _require(bool(_VERSION.fullmatch(product.version)), "version: MAJOR.MINOR.PATCH is asked")
    _require(bool(_ID.fullmatch(product.provider.id)), "provider.id is not a participant's id")
    for name, text in (("title", product.title), ("description", product.description), ("name", product.provider.name)):
        for words in (text.en, text.zh):
            _require(bool(words.strip()), f"{name}: words in English and Chinese are asked")
            _require(len(words) <= LONGEST[name], f"{name}: {len(words)} characters, {LONGEST[name]} at most")
            _require(not _CONTROL.search(words), f"{name}: holds control characters")
    _require(product.records >= 0, "records is below 0")
    _require(bool(_BAND.fullmatch(product.individuals_band)), "individuals_band: a band such as 800-900 is asked")
    try:
        datetime.fromisoformat(product.issued)
    except ValueError as error:
        raise ProductInvalid("issued is not an RFC 3339 time") from error


def _check_level(product: DataProduct) -> None:
    _require(product.level in levels(), f"level {product.level} is not in the scheme")
    allowed = modes_of(product.level, recipients=product.terms.recipients)
    refused = [mode.value for mode in product.delivery_modes if mode not in allowed]
    _require(not refused, f"level {product.level} does not permit {', '.join(refused)}")
    _require(bool(product.delivery_modes), f"level {product.level} without a delivery mode cannot be a product")


def _check_columns(product: DataProduct) -> None:
    names = [column.name for column in product.columns]
    _require(len(names) == len(set(names)), "columns: a name stands twice")
    _require(bool(names), "columns: none")
    for column in product.columns:
        where = f"column {column.name[:60]!r}"
        _require(column.level in levels(), f"{where}: level {column.level} is not in the scheme")
        _require(column.level != 4, f"{where}: level 4 is never part of a product")
        _require(column.null_rate is None or 0 <= column.null_rate <= 1, f"{where}: null_rate is no share")
        _require(column.level <= product.level, f"{where}: level {column.level} in a product of level {product.level}")
        _require(column.role != Role.DIRECT, f"{where}: a direct identifier is never part of a product")


def _check_privacy(product: DataProduct) -> None:
    privacy, floor = product.privacy, levels()[product.level].k
    if privacy.k is not None and floor is not None:
        _require(privacy.k >= floor, f"privacy.k is {privacy.k}, level {product.level} asks {floor}")
    shares = ("max_risk", "average_risk", "suppressed", "attack_before", "attack_after", "attack_by_chance")
    for name in shares:
        value = getattr(privacy, name)
        _require(value is None or 0 <= value <= 1, f"privacy.{name} is not a share from 0 to 1")
    for digest_hex in (privacy.classification_digest, privacy.release_digest):
        _require(digest_hex is None or bool(_SHA256.fullmatch(digest_hex)), "privacy: a digest is not SHA-256 hex")
    if product.release is not None:
        _require(bool(_SHA256.fullmatch(product.release.sha256)), "release.sha256 is not SHA-256 hex")
        _require(product.release.bytes > 0 and product.release.chunks > 0, "release is empty")


def _check_record(product: DataProduct) -> None:
    check_metadata(
        publisher=product.publisher, access_body=product.access_body, health=product.health, notice=product.notice
    )
    for name, most in (("max_deliveries", product.max_deliveries), ("max_licences", product.max_licences)):
        _require(most is None or most > 0, f"{name} is below 1")
    if product.quota is not None:
        check_quota(product.quota)
    if product.limits is not None:
        check_limits(product.limits)
    if product.cohort is not None:
        check_cohort(product.cohort, {column.name: column.level for column in product.columns}, product.records)
    if product.revenue is not None:
        check_revenue(product.revenue)
    if product.privacy.ethics is not None:
        check_ethics(product.privacy.ethics)
    if product.quality_report is not None:
        check_quality(product.quality_report)
        reviewed = product.quality_report.figures()
        _require(dict(product.quality) == dict(reviewed), "quality: not the figures of quality_report")
    digests = [review.assessment_digest for review in product.reviews or ()]
    if product.provenance is not None:
        trail = product.provenance
        digests += [trail.snapshot_digest, trail.recipe_digest, trail.output_digest]
    _require(all(_SHA256.fullmatch(one) for one in digests), "provenance, reviews: a digest is not SHA-256 hex")


def _check_preview(preview: Preview) -> None:
    if preview.kind == PreviewKind.AGGREGATE:
        _require(not preview.rows, "preview: an aggregate preview has no rows")
        return
    _require(preview.epsilon is not None and preview.epsilon > 0, "preview.epsilon is not declared")
    marked = all(row.get("synthetic") is True for row in preview.rows)
    _require(marked, "preview: a row does not say that it is synthetic")
