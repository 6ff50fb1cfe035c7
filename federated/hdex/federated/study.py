"""A study: the question, who is asked, under which agreements, with which key and algorithm, until when.

The document is what the coordinator signs and every site, the key holder and the ledger pin by its digest.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any

import rfc8785
from pydantic_core import from_json

from hdex.federated.errors import StudyInvalid
from hdex.federated.kinds.kind import Encoding
from hdex.federated.kinds.table import kind_named
from hdex.federated.kinds.training import STRATEGIES
from hdex.federated.privacy import Privacy

SCALES = ("global", "none")
SUMS = ("paillier", "plain")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """One site of the study. Keys are raw Ed25519 and X25519 public keys as hex."""

    site: str
    organisation: str
    sign_key: str
    mask_key: str


@dataclass(frozen=True, slots=True)
class Party:
    """A participant that contributes no rows."""

    id: str
    organisation: str


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What runs at the sites: an installed algorithm and the digest of its source."""

    id: str
    code_digest: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """Who opens the sums, where no single key holder does. Raises StudyInvalid."""

    parties: tuple[str, ...]  # sites that hold a share, sorted
    needed: int  # so many open together

    def __post_init__(self) -> None:
        if list(self.parties) != sorted(set(self.parties)):
            raise StudyInvalid("the parties of a shared key must be sorted, each named once")
        if type(self.needed) is not int or not 2 <= self.needed <= len(self.parties) < 2 * self.needed:
            raise StudyInvalid(
                f"{self.needed} of {len(self.parties)} parties open; at least two and more than half are needed"
            )


@dataclass(frozen=True, slots=True)
class Dealt:
    """A shared key as its dealer signed it; numbers as hex, in order of the parties."""

    base: str
    checks: tuple[str, ...]
    shares: tuple[str, ...]  # sealed
    signature: str = ""  # the dealer's, Ed25519

    def __post_init__(self) -> None:
        try:
            for number in (self.base, *self.checks):
                int(number, 16)
            for data in (*self.shares, self.signature):
                bytes.fromhex(data)
        except (ValueError, TypeError) as error:
            raise StudyInvalid("the dealt key is not hexadecimal") from error


@dataclass(frozen=True)  # no slots: digest and entries are computed once, and a roster of 1,000 asks for them often
class Study:
    """One signed question to a fixed roster. Checked at construction; raises StudyInvalid."""

    id: str
    kind: str  # one of kinds.table.KINDS
    target: str  # outcome column; empty where the kind has none
    features: tuple[str, ...]  # columns, in order of the coefficients
    purpose: str  # DUO code the sites' agreements must permit
    contracts: Mapping[str, str]  # site -> agreement id
    products: Mapping[str, tuple[str, str, str]]  # site -> (product id, version, manifest digest)
    roster: tuple[RosterEntry, ...]  # sorted by site
    coordinator: Party
    keyholder: Party
    algorithm: Algorithm
    deadline: str  # RFC 3339 UTC: no site answers after it
    nonce: str
    standardize: str = "global"  # scale of coefficients and penalty: pooled mean and population SD, or raw
    l2: float = 0.0  # penalty l2/2 |beta|^2 without the intercept
    secure: str = "paillier"
    public_key: str = ""  # modulus n as hex
    key_id: str = ""  # SHA-256 of n
    pack: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # step -> value_bits, fraction_bits
    options: Mapping[str, Any] = field(default_factory=dict)  # what only this kind asks
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # categorical column -> levels, reference first
    max_rounds: int = 12
    min_sites: int = 3
    min_rows: int = 10
    privacy: Mapping[str, float] = field(default_factory=dict)  # epsilon, delta, clip; empty: sums without noise
    quorum: int = 0  # 0: every site answers every round (exact); else a round goes on with so many (best effort)
    threshold: Threshold | None = None  # whose shares open the sums; None: the key holder does
    dealt: Dealt | None = None  # the key they share

    def __post_init__(self) -> None:
        _check_question(self)
        _check_roster(self)
        _check_terms(self)

    @property
    def sites(self) -> tuple[str, ...]:
        """Site ids in roster order (sorted)."""
        return tuple(entry.site for entry in self.roster)

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read at a site: features, target, and what options name."""
        return kind_named(self.kind).columns(self)

    def encoding(self, step: str) -> Encoding:
        """Return the fixed point that the study pins for `step`."""
        return Encoding(**self.pack[step])

    @property
    def modulus_bits(self) -> int:
        """Bits of n; 0 for a plain study."""
        return int(self.public_key, 16).bit_length() if self.public_key else 0

    @property
    def fewest(self) -> int:
        """Sites that a sum needs: the roster, the quorum of a best-effort study, or what a shared key can bear."""
        return self.quorum or (self.min_sites if self.dropout_allowed else len(self.roster))

    @property
    def dropout_allowed(self) -> bool:
        """Whether those who answer round 1 may be the population of all rounds: no masks, no noise to be missed."""
        return self.threshold is not None and not self.privacy

    def entry(self, site: str) -> RosterEntry | None:
        """Return the roster entry of `site`, or None."""
        return self._entries.get(site)

    @cached_property
    def _entries(self) -> dict[str, RosterEntry]:
        return {entry.site: entry for entry in self.roster}

    def expires(self) -> datetime:
        """Return the deadline."""
        return parse_time(self.deadline)

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        document: dict[str, Any] = asdict(self)
        document["features"] = list(self.features)
        document["levels"] = {name: list(levels) for name, levels in self.levels.items()}
        document["products"] = {site: list(product) for site, product in self.products.items()}
        document["roster"] = [asdict(entry) for entry in self.roster]
        for name in ("threshold", "dealt"):  # only where a key is shared
            if document[name] is None:
                del document[name]
            else:
                document[name] = {key: list(one) if isinstance(one, tuple) else one
                                  for key, one in document[name].items()}  # fmt: skip
        return document

    def digest(self) -> str:
        """Return SHA-256 of the canonical document as hex."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(rfc8785.dumps(self.document())).hexdigest()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Study":
        """Return the study; unknown or missing keys raise StudyInvalid."""
        known = {entry.name for entry in fields(cls)}
        if not isinstance(document, Mapping) or (unknown := set(document) - known):
            raise StudyInvalid(f"unknown keys: {', '.join(sorted(unknown))}" if document else "no document")
        try:
            values = dict(document)
            values["features"] = tuple(values["features"])
            values["levels"] = {name: tuple(levels) for name, levels in values.get("levels", {}).items()}
            values["products"] = {site: _product(product) for site, product in values["products"].items()}
            values["roster"] = tuple(RosterEntry(**entry) for entry in values["roster"])
            values["coordinator"] = Party(**values["coordinator"])
            values["keyholder"] = Party(**values["keyholder"])
            values["algorithm"] = Algorithm(**values["algorithm"])
            values |= _shared(values)
            return cls(**values)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise StudyInvalid(f"the document misses a field or has one of another shape ({error})") from error


def parse_envelope(envelope: bytes) -> Study:
    """Return the study inside a signed envelope. Does not verify signatures: `node.signed` does.

    The same bytes give the same object: a study comes with every round, and nobody writes to it.
    """
    return _parsed(bytes(envelope))


@lru_cache(maxsize=4)
def _parsed(envelope: bytes) -> Study:
    try:
        document = from_json(envelope)["document"]
    except (ValueError, KeyError, TypeError) as error:
        raise StudyInvalid("the envelope is not JSON with a document") from error
    return Study.from_document(document)


def unsigned_envelope(study: Study) -> bytes:
    """Return an envelope without signatures: for simulation, where every party is this process."""
    return rfc8785.dumps({"document": study.document(), "signatures": []})


def parse_time(text: str) -> datetime:
    """Return the aware time of RFC 3339 text."""
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise StudyInvalid("a time is not RFC 3339") from error
    if moment.tzinfo is None:
        raise StudyInvalid("a time has no zone")
    return moment.astimezone(UTC)


def _product(value: Any) -> tuple[str, str, str]:
    identifier, version, digest = value
    return str(identifier), str(version), str(digest)


def _shared(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a document says that the key is shared; nothing where it does not."""
    found: dict[str, Any] = {}
    if values.get("threshold") is not None:
        found["threshold"] = Threshold(tuple(values["threshold"]["parties"]), values["threshold"]["needed"])
    if values.get("dealt") is not None:
        dealt = dict(values["dealt"])
        found["dealt"] = Dealt(**dealt | {name: tuple(dealt[name]) for name in ("checks", "shares")})
    return found


def _check_question(study: Study) -> None:
    if not isinstance(study.id, str) or not _NAME.fullmatch(study.id):
        raise StudyInvalid("the study's id is not a plain name")
    kind_named(study.kind).check(study)
    if not study.columns or len(set(study.columns)) != len(study.columns):
        raise StudyInvalid("the columns must be at least one, without repetition: no feature twice or as the target")
    _check_levels(study)
    if study.standardize not in SCALES:
        raise StudyInvalid(f"standardize {study.standardize!r}; known are {', '.join(SCALES)}")
    if not math.isfinite(study.l2) or study.l2 < 0:
        raise StudyInvalid("l2 must be finite and not negative")


def _check_levels(study: Study) -> None:
    if strangers := sorted(set(study.levels) - set(study.columns)):
        raise StudyInvalid(f"levels are declared of {', '.join(strangers)}, which the study does not read")
    for name, levels in study.levels.items():
        if not all(isinstance(level, str) and level.strip() == level != "" for level in levels):
            raise StudyInvalid(f"the levels of column {name} must be text without surrounding spaces")
        if not levels or len(set(levels)) != len(levels):
            raise StudyInvalid(f"the levels of column {name} must be at least one, without repetition")


def _check_roster(study: Study) -> None:
    if not study.sites or list(study.sites) != sorted(set(study.sites)):
        raise StudyInvalid("the roster must be sorted by site and name each site once")
    if set(study.contracts) != set(study.sites) or set(study.products) != set(study.sites):
        raise StudyInvalid("contracts and products must name exactly the roster's sites")
    organisations = [entry.organisation for entry in study.roster]
    organisations += [study.coordinator.organisation, study.keyholder.organisation]
    if len(set(organisations)) != len(organisations):
        raise StudyInvalid("sites, coordinator and key holder must be different organisations")
    keys = [entry.mask_key for entry in study.roster]
    if len(set(keys)) != len(keys) or any(_raw_key(key) is None for key in keys):
        raise StudyInvalid("mask keys must be 32 bytes of hex, one per site")
    if any(_raw_key(entry.sign_key) is None for entry in study.roster):
        raise StudyInvalid("sign keys must be 32 bytes of hex")


def _raw_key(text: str) -> bytes | None:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return None
    return raw if len(raw) == 32 else None


def _check_terms(study: Study) -> None:
    parse_time(study.deadline)
    Privacy.of(study.privacy)
    if not 1 <= study.max_rounds <= 100:
        raise StudyInvalid(f"max_rounds {study.max_rounds}; 1 to 100 are allowed")
    if study.min_sites < 1 or study.min_rows < 1:
        raise StudyInvalid("min_sites and min_rows must be at least 1")
    _check_quorum(study)
    if study.secure not in SUMS:
        raise StudyInvalid(f"secure {study.secure!r}; known are {', '.join(SUMS)}")
    _check_shared(study)
    if study.secure == "plain":
        return
    if dict(study.pack) != {step: encoding.document() for step, encoding in kind_named(study.kind).steps.items()}:
        raise StudyInvalid(f"pack must hold the encodings of kind {study.kind}, step by step")
    try:
        n = int(study.public_key, 16)
    except ValueError as error:
        raise StudyInvalid("the public key is not hexadecimal") from error
    digest = hashlib.sha256(n.to_bytes((n.bit_length() + 7) // 8, "big")).hexdigest()
    if digest != study.key_id:
        raise StudyInvalid("key_id is not the digest of public_key")


def _check_quorum(study: Study) -> None:
    if type(study.quorum) is not int or study.quorum < 0:
        raise StudyInvalid("quorum must be a whole number from 0")
    if not study.quorum:
        return
    if study.kind not in STRATEGIES:
        raise StudyInvalid(f"kind {study.kind} needs every site in every round: leave quorum out")
    if study.privacy:
        raise StudyInvalid("a promise of privacy needs every site's share of the noise: leave quorum or privacy out")
    if not max(2, study.min_sites) <= study.quorum <= len(study.roster):
        raise StudyInvalid(f"quorum {study.quorum}; {max(2, study.min_sites)} to {len(study.roster)} are possible")


def _check_shared(study: Study) -> None:
    threshold, dealt = study.threshold, study.dealt
    if (threshold is None) != (dealt is None):
        raise StudyInvalid("a shared key and who shares it are named together, or neither is")
    if threshold is None or dealt is None:
        return
    if study.quorum:
        raise StudyInvalid("a shared key opens one population through all rounds: leave quorum or threshold out")
    if study.secure != "paillier":
        raise StudyInvalid("a key is shared for paillier sums only")
    if strangers := sorted(set(threshold.parties) - set(study.sites)):
        raise StudyInvalid(f"the key is shared with {', '.join(strangers)}, who are not on the roster")
    if not len(dealt.checks) == len(dealt.shares) == len(threshold.parties):
        raise StudyInvalid("the dealt key needs one check and one share for each party")
