"""Three hospitals with tables, keys and a study, in memory."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from hdex.federated.apps.site import SiteSession
from hdex.federated.dealing import deal_key, shared
from hdex.federated.disclosure import Limits
from hdex.federated.draft import Member, Question, draft_study
from hdex.federated.errors import AdmissionRefused
from hdex.federated.keyholder import KeyHolder
from hdex.federated.paillier import generate_keypair, private_key_to_bytes, public_key_hex
from hdex.federated.paillier.keys import RandBits
from hdex.federated.plain import PlainAdder
from hdex.federated.ports import Decryptor, Release, RoundRequest, Store
from hdex.federated.simulate import FrameSite
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import SUMS, Party, Study, Threshold, unsigned_envelope

FEATURES = ("age", "bmi", "male", "pressure")
TARGET = "event"
SITES = ("hospital-a", "hospital-b", "hospital-c")
NOW = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
DEADLINE = "2026-11-22T22:00:00.000Z"


@cache
def keypair() -> tuple[Any, Any]:
    """Return one 2048-bit key pair for all tests of a process."""
    return generate_keypair(2048)


def now() -> datetime:
    """Return the tests' time."""
    return NOW


def table(rows: int, seed: int) -> pl.DataFrame:
    """Return patients whose outcome depends on the covariates."""
    random = np.random.default_rng(seed)
    x = np.column_stack(
        [
            random.normal(66 + seed, 9, rows).round(1),
            random.normal(26, 4, rows).round(1),
            random.integers(0, 2, rows),
            random.normal(135, 16, rows).round(),
        ]
    )
    eta = -9.0 + 0.06 * x[:, 0] + 0.05 * x[:, 1] + 0.4 * x[:, 2] + 0.02 * x[:, 3]
    y = (random.random(rows) < 1 / (1 + np.exp(-eta))).astype(float)
    return pl.DataFrame(x, schema=list(FEATURES)).with_columns(pl.Series(TARGET, y))


@cache
def tables() -> dict[str, pl.DataFrame]:
    """Return the three hospitals' tables."""
    return {site: table(220 + 60 * i, seed=i) for i, site in enumerate(SITES)}


class RecordingSite(FrameSite):
    """A site that remembers what it was asked and what it released; `refuse` maps a round to a rule."""

    def __init__(self, frame: pl.DataFrame) -> None:
        super().__init__(frame)
        self.refuse: dict[int, str] = {}
        self.refuse_release: str | None = None
        self.asked: list[RoundRequest] = []
        self.released: list[Release] = []

    def admit(self, request: RoundRequest) -> None:
        self.asked.append(request)
        if request.round in self.refuse:
            raise AdmissionRefused(self.refuse[request.round], "scripted")

    def release(self, request: RoundRequest, release: Release) -> None:
        if self.refuse_release is not None:
            raise AdmissionRefused(self.refuse_release, "scripted")
        self.released.append(release)


@dataclass
class Consortium:
    """A study's participants."""

    study: Study
    sites: dict[str, RecordingSite]
    keyholder: KeyHolder
    replies: dict[str, Store] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    @property
    def envelope(self) -> bytes:
        return unsigned_envelope(self.study)

    @property
    def decryptor(self) -> Decryptor:
        return self.keyholder if self.study.secure == "paillier" else PlainAdder()

    def session(self, name: str) -> SiteSession:
        """Return a site's session as after a restart of the site: only its reply store is kept."""
        replies = self.replies.setdefault(name, MemoryStore())
        site = self.sites[name]
        return SiteSession(name, site, replies=replies, limits=self.limits, clock=now, sums_allowed=SUMS)

    def handlers(self) -> dict[str, Any]:
        return {name: self.session(name).handle for name in self.sites}

    def computations(self) -> dict[str, int]:
        return {name: site.computations for name, site in self.sites.items()}


def consortium(
    frames: Mapping[str, pl.DataFrame] | None = None,
    *,
    secure: str = "paillier",
    question: Question | None = None,
    max_rounds: int = 12,
    limits: Limits | None = None,
) -> Consortium:
    """Return three (or `frames`) sites with a registered study and a key holder that has its key."""
    frames = tables() if frames is None else frames
    limits = Limits() if limits is None else limits
    sites = {name: RecordingSite(frame) for name, frame in frames.items()}
    public, private = keypair()
    study = draft_study(
        "study-1",
        question or Question(TARGET, FEATURES, "DUO:0000006"),
        [Member(site.entry(name), f"agreement-{name}", ("stents", "1", "00" * 32)) for name, site in sites.items()],
        coordinator=Party("exchange", "exchange"),
        keyholder=Party("keyholder", "notary"),
        public_key=public_key_hex(public) if secure == "paillier" else "",
        deadline=DEADLINE,
        nonce="00" * 16,
        max_rounds=max_rounds,
        min_sites=min(3, limits.min_sites),
    )
    store = MemoryStore()
    store.put("key/study-1", private_key_to_bytes(private))
    keyholder = KeyHolder(store, admit=lambda study, envelope: None, limits=limits, bits=2048, clock=now)
    result = Consortium(study, sites, keyholder, limits=limits)
    if secure == "paillier":
        keyholder.register(result.envelope)
    return result


def safe_primes() -> RandBits:
    """Return randomness whose first two numbers of 1024 bits are published safe primes: dealing costs nothing then."""
    found = json.loads((Path(__file__).parents[1] / "vectors" / "safe_primes.json").read_text(encoding="utf-8"))
    primes = [int(found["q"], 16), int(found["p"], 16)]
    return lambda bits: primes.pop() if bits == 1024 and primes else secrets.randbits(bits)


def with_shared_key(party: Consortium, needed: int = 2, *, parties: tuple[str, ...] = ()) -> Consortium:
    """Return the consortium with a study whose sums `needed` of its sites open together."""
    threshold = Threshold(parties or party.study.sites, needed)
    keys = {one.site: bytes.fromhex(one.mask_key) for one in party.study.roster if one.site in threshold.parties}
    key = deal_key(keys, needed, bits=2048, randbits=safe_primes())
    return replace(party, study=shared(party.study, threshold, key))


def with_privacy(party: Consortium, privacy: dict[str, float], *, max_rounds: int) -> Consortium:
    """Return the consortium with a study that promises privacy to every row."""
    private = replace(party.study, privacy=privacy, max_rounds=max_rounds)
    store = MemoryStore()
    store.put("key/study-1", private_key_to_bytes(keypair()[1]))
    keyholder = KeyHolder(store, admit=lambda study, envelope: None, bits=2048, clock=now)
    keyholder.register(unsigned_envelope(private))
    return replace(party, study=private, keyholder=keyholder)
