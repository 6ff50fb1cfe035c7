"""A study over tables of one process: the same apps, sums and key holder, without anyone else's permission."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hdex.federated.apps.site import SiteSession
from hdex.federated.dealing import shared
from hdex.federated.disclosure import Breach, Limits, site_breaches
from hdex.federated.disclosure_regimes import strictest
from hdex.federated.draft import Member, Question, draft_study
from hdex.federated.errors import StudyInvalid
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.keyholder import KeyHolder
from hdex.federated.kinds.training import Trained
from hdex.federated.paillier import shared_secret
from hdex.federated.plain import PlainAdder
from hdex.federated.ports import Release, RoundRequest
from hdex.federated.regional import NO_REGIONS
from hdex.federated.release import cell_breaches
from hdex.federated.result import StudyResult
from hdex.federated.run import run_study
from hdex.federated.shapley import Scores, shapley
from hdex.federated.simulate_regions import Regions
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import SUMS, Party, RosterEntry, Study, Threshold, unsigned_envelope
from hdex.federated.valuation import KeepingAdder, coalition_scores, require_valued

_NO_FLOOR = Limits(min_sites=1, min_rows=1, max_parameter_share=1.0, min_events_per_parameter=0.0)

_MAX_ROUNDS, THRESHOLD = 25, "threshold"


class FrameSite:
    """SiteHooks over a table in memory, with keys of its own; admits everything and counts what it computes."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame
        self._sign = Ed25519PrivateKey.generate()
        self._mask = X25519PrivateKey.generate()
        self._secrets: dict[bytes, bytes] = {}
        self.computations = 0

    def entry(self, site: str) -> RosterEntry:
        """Return the site's line of the roster."""
        sign, mask = self._sign.public_key().public_bytes_raw(), self._mask.public_key().public_bytes_raw()
        return RosterEntry(site, f"organisation of {site}", sign.hex(), mask.hex())

    def standing(self, study: Study, envelope: bytes) -> str:
        """Approve."""
        return ""

    def admit(self, request: RoundRequest) -> None:
        """Admit."""

    def frame(self, study: Study) -> pl.DataFrame:
        """Return the table."""
        self.computations += 1
        return self._frame

    def shared_secret(self, peer_mask_key: bytes) -> bytes:
        """Return the X25519 secret with a peer."""
        if peer_mask_key not in self._secrets:
            self._secrets[peer_mask_key] = shared_secret(self._mask.private_bytes_raw(), peer_mask_key)
        return self._secrets[peer_mask_key]

    def sign(self, message: bytes) -> bytes:
        """Return the signature."""
        return self._sign.sign(message)

    def release(self, request: RoundRequest, release: Release) -> None:
        """Let it go."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """A result with what `run` would have refused."""

    result: StudyResult
    seconds: float
    warnings: tuple[str, ...]
    scores: Scores | None = None  # of all coalitions, where contributions were asked

    def document(self) -> dict[str, Any]:
        """Return the JSON document of `hdex federated simulate --json`."""
        document = self.result.document()
        warnings = [*document.get("warnings", []), *self.warnings]
        valued = {} if self.scores is None else valued_document(self.scores)
        return {**document, **valued, "seconds": self.seconds, "warnings": warnings}


def valued_document(scores: Scores) -> dict[str, Any]:
    """Return the scores that a split rests on, and each site's exact Shapley value."""
    return {"coalition_scores": scores.document(), "contribution": shapley(scores)}


def simulate(
    frames: Mapping[str, pl.DataFrame],
    *,
    target: str,
    features: Sequence[str],
    kind: str = "logistic",
    options: Mapping[str, Any] | None = None,
    levels: Mapping[str, Sequence[str]] | None = None,
    standardize: str = "none",
    l2: float = 0.0,
    secure: str = "paillier",
    bits: int = 3072,
    regions: int = 0,
    contribution: bool = False,
) -> Simulation:
    """Return the study over `frames` (site -> table); disclosure limits become warnings.

    secure: "paillier" (a key holder opens the sums), "threshold" (more than half of the sites do) or "plain".
    regions: regional aggregators between the coordinator and the sites; the result is the same to the last bit.
    contribution: value each site by its updates; for `valuation.AVERAGED` over plain sums.
    """
    if contribution:
        require_valued(kind, secure)
    if secure not in (*SUMS, THRESHOLD):
        raise StudyInvalid(f"secure {secure!r}; known are {', '.join((*SUMS, THRESHOLD))}")
    if regions and secure == THRESHOLD:  # said before a key is dealt, which takes long
        raise StudyInvalid(NO_REGIONS)
    started = time.monotonic()
    sites = {name: FrameSite(frame) for name, frame in sorted(frames.items())}
    study_id = f"simulation-{secrets.token_hex(4)}"
    middle = Regions(list(sites), regions)
    keyholder = KeyHolder(MemoryStore(), admit=_admit_any, limits=_NO_FLOOR, bits=bits, regions=middle.public_keys())
    question = Question(
        target, tuple(features), "simulation", standardize, l2, kind=kind, options=options or {}, levels=levels or {}
    )
    study = draft_study(
        study_id,
        question,
        [Member(site.entry(name), "simulation", ("simulation", "1", "")) for name, site in sites.items()],
        coordinator=Party("coordinator", "this process as coordinator"),
        keyholder=Party("keyholder", "this process as key holder"),
        public_key=keyholder.create_key(study_id) if secure == "paillier" else "",
        deadline=(datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        nonce=secrets.token_hex(16),
        max_rounds=_MAX_ROUNDS,
        min_sites=1,
        min_rows=1,
    )
    if secure == THRESHOLD:
        study = _shared(study, keyholder)
    warnings = [_warning("the study", breach) for breach in site_breaches(len(sites), Limits())]
    adder = KeepingAdder() if contribution else PlainAdder()
    result = _run(study, sites, middle, keyholder if study.secure == "paillier" else adder, warnings)
    warnings += [_warning("the answer", breach) for breach in cell_breaches(result.answer.cells(), strictest())]
    scores = None
    if isinstance(adder, KeepingAdder) and isinstance(result.answer, Trained):
        scores = coalition_scores(study, result.answer, adder, frames)
    return Simulation(result, round(time.monotonic() - started, 3), tuple(dict.fromkeys(warnings)), scores)


def _shared(study: Study, keyholder: KeyHolder) -> Study:
    """Return the study with a key of which every site holds a share, and more than half open together."""
    threshold = Threshold(study.sites, max(2, len(study.sites) // 2 + 1))
    parties = {one.site: bytes.fromhex(one.mask_key) for one in study.roster}
    return shared(study, threshold, keyholder.deal_key(study.id, parties, threshold.needed))


def _run(
    study: Study,
    sites: Mapping[str, FrameSite],
    middle: Regions,
    decryptor: KeyHolder | PlainAdder,
    warnings: list[str],
) -> StudyResult:
    def warn(site: str, breach: Breach) -> None:
        if breach.rule != "min_sites":  # said once for the study
            warnings.append(_warning(site, breach))

    handlers = {name: SiteSession(name, site, sums_allowed=SUMS, on_breach=warn).handle for name, site in sites.items()}
    envelope = unsigned_envelope(study)
    if isinstance(decryptor, KeyHolder) and study.threshold is None:
        decryptor.register(envelope)
    journal = MemoryJournal()
    grid = InprocGrid(middle.over(handlers))
    return run_study(envelope, grid=grid, decryptor=decryptor, journal=journal, limits=_NO_FLOOR, regions=middle.sites)


def _warning(who: str, breach: Breach) -> str:
    return f"{who}: {breach.rule}: {breach.detail}"


def _admit_any(study: Study, envelope: bytes) -> None:
    """Admit: every party is this process."""
