"""A site's part in a study: check, ask the node, sum, protect, sign, keep, release."""

import hashlib
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import polars as pl

from hdex.federated.broadcast import Broadcast
from hdex.federated.contribution import Contribution, Header, plain_payload
from hdex.federated.disclosure import Breach, Limits, local_breaches, site_breaches
from hdex.federated.disclosure_regimes import strictest
from hdex.federated.disclosure_rules import column_breaches
from hdex.federated.errors import (
    AdmissionRefused,
    DisclosureRefused,
    FederatedError,
    NotConverged,
    Refusal,
    StudyInvalid,
)
from hdex.federated.kinds.kind import Guarded, Stakes
from hdex.federated.kinds.table import kind_of
from hdex.federated.paillier import (
    CipherVector,
    PackSpec,
    encrypt,
    mask_integers,
    obfuscator_for,
    public_key_from_hex,
    window_for,
)
from hdex.federated.ports import Release, RoundRequest, SiteHooks, Store
from hdex.federated.privacy import Privacy
from hdex.federated.standing import APPROVED, DENIED, WAITING, Standing
from hdex.federated.statistics import Floats, installed_algorithms
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import Study, parse_envelope

Clock = Callable[[], datetime]
OnBreach = Callable[[str, Breach], None]
OnRefusal = Callable[[bytes, FederatedError], None]  # (question, why): the node remembers what it did not decide itself


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def refuse_breach(site: str, breach: Breach) -> None:
    """Raise DisclosureRefused: what a real site does."""
    raise DisclosureRefused(breach.rule, breach.detail)


def forget_refusal(question: bytes, error: FederatedError) -> None:
    """Do nothing: for simulations, whose refusals nobody audits."""


def pack_spec(study: Study, step: str) -> PackSpec:
    """Return the encoding the study pins for `step`; weights add to one per site."""
    encoding = study.encoding(step)
    return PackSpec(encoding.value_bits, encoding.fraction_bits, len(study.sites), study.modulus_bits)


def population_of(study: Study, broadcast: Broadcast) -> tuple[str, ...]:
    """Return the sites that a question asks, whose masks cancel."""
    return broadcast.population or study.sites


@contextmanager
def remembered(on_refusal: OnRefusal, question: bytes) -> Iterator[None]:
    """Tell the node of a refusal that is not its own: the hooks remember theirs."""
    try:
        yield
    except FederatedError as error:
        on_refusal(question, error)
        raise


def _follows(study: Study, last: tuple[int, int], broadcast: Broadcast) -> bool:
    """Return whether a question may come after the last (round, attempt) answered; a late one of old never may."""
    if study.quorum or (study.dropout_allowed and broadcast.round == 1):
        return (broadcast.round, broadcast.attempt) > last
    return broadcast.round == last[0] + 1


class Contributor:
    """Answers rounds for one site. One round at a time; the last reply per study is kept until superseded."""

    def __init__(
        self,
        site: str,
        hooks: SiteHooks,
        *,
        replies: Store | None = None,
        limits: Limits | None = None,
        clock: Clock = utc_now,
        sums_allowed: Sequence[str] = ("paillier",),
        on_breach: OnBreach = refuse_breach,
        on_refusal: OnRefusal = forget_refusal,
    ) -> None:
        self.site = site
        self._hooks = hooks
        self._replies = MemoryStore() if replies is None else replies
        self._limits = Limits() if limits is None else limits
        self._clock = clock
        self._sums_allowed = tuple(sums_allowed)
        self._on_breach = on_breach
        self._on_refusal = on_refusal
        self._lock = threading.Lock()  # two frames of one study must not both compute
        self._read: tuple[weakref.ref[pl.DataFrame], str, Stakes] | None = None  # frame, study, what the kind reads

    def standing(self, envelope: bytes) -> Standing:
        """Return how this site stands towards a study: nothing is computed, spent or sent."""
        try:
            with remembered(self._on_refusal, envelope):
                study = parse_envelope(envelope)
                self._check_terms(study)
            awaited = self._hooks.standing(study, envelope)
        except Refusal as refusal:
            return Standing.of(self.site, DENIED, refusal.rule, refusal.detail)
        return Standing.of(self.site, WAITING if awaited else APPROVED, awaited)

    def answer(self, envelope: bytes, question: bytes) -> Contribution:
        """Return this site's contribution to one round, or raise and release nothing."""
        with self._lock:
            with remembered(self._on_refusal, question):
                study = parse_envelope(envelope)  # 1 the study is well formed
                broadcast = Broadcast.from_bytes(question)
                self._check_study(study, broadcast)  # 2 it is this site's study, installed code, in time
                kept = self._kept(study)
                self._check_order(study, kept, broadcast)  # 3 rounds come one by one, each asked once
            request = _request(study, envelope, broadcast)
            self._hooks.admit(request)  # 4 the node's own rules, every round
            if kept is not None and kept.header.broadcast == broadcast.digest():
                return self._release(request, kept, rows=-1)  # 5 asked again: the same bytes, nothing recomputed
            frame = self._hooks.frame(study)
            with remembered(self._on_refusal, question):
                rows = self._rows_of(study, frame)
                self._check_rows(study, rows)  # 6 enough rows and events behind the sums
                self._check_step(study, rows, broadcast)
                sums = site_sums(study, frame, rows, broadcast)  # 7 what the kind asks for, noise where it is promised
            contribution = self._protect(study, broadcast, sums)
            self._replies.put(f"reply/{study.id}", contribution.to_bytes())  # 8 kept before it leaves
            return self._release(request, contribution, rows=rows.n)  # 9 remembered before it leaves

    def _check_study(self, study: Study, broadcast: Broadcast) -> None:
        self._check_terms(study)
        if (broadcast.study_id, broadcast.study_digest) != (study.id, study.digest()):
            raise AdmissionRefused("study_digest", "the round's question names another study")
        if broadcast.round > study.max_rounds:
            raise AdmissionRefused("max_rounds", f"round {broadcast.round} of at most {study.max_rounds}")
        self._check_population(study, broadcast)

    def _check_terms(self, study: Study) -> None:
        if study.entry(self.site) is None:
            raise AdmissionRefused("not_on_roster", f"{self.site} is not a site of this study")
        if self._clock() >= study.expires():
            raise AdmissionRefused("deadline", "the study's deadline has passed")
        if installed_algorithms().get(study.algorithm.id) != study.algorithm.code_digest:
            raise AdmissionRefused("algorithm", "the study's code digest is not the installed algorithm's")
        if study.secure not in self._sums_allowed:
            raise AdmissionRefused("sums_kind", f"{study.secure} sums are not sent by this site")

    def _check_population(self, study: Study, broadcast: Broadcast) -> None:
        asked = population_of(study, broadcast)
        if broadcast.population and not (study.quorum or study.dropout_allowed):
            raise AdmissionRefused("population", "an exact study asks its whole roster")
        if list(asked) != sorted(set(asked) & set(study.sites)) or self.site not in asked:
            raise AdmissionRefused("population", "an attempt asks sites of the roster, sorted, and this one among them")
        if len(asked) < study.fewest:
            raise AdmissionRefused("population", f"{len(asked)} sites are asked, {study.fewest} are needed")
        for breach in site_breaches(len(asked), self._limits_of(study)):
            self._on_breach(self.site, breach)

    def _limits_of(self, study: Study) -> Limits:
        return self._limits.stricter(Limits(study.min_sites, study.min_rows, 1.0, 0.0))

    def _kept(self, study: Study) -> Contribution | None:
        data = self._replies.get(f"reply/{study.id}")
        return None if data is None else Contribution.from_bytes(data)

    def _check_order(self, study: Study, kept: Contribution | None, broadcast: Broadcast) -> None:
        steps = kind_of(study).steps
        if broadcast.step not in steps:
            raise StudyInvalid(f"kind {study.kind} has no step of the name that is asked")
        kind_of(study).check_point(study, broadcast.step, broadcast.point)
        if (broadcast.round == 1) != (broadcast.step == next(iter(steps))):
            raise AdmissionRefused("step_order", f"step {broadcast.step} cannot be round {broadcast.round}")
        last = (0, 0) if kept is None else (kept.header.round, kept.header.attempt)
        if kept is not None and kept.header.study_digest != broadcast.study_digest:
            raise AdmissionRefused("study_changed", "another study ran under this id")
        again = kept is not None and kept.header.broadcast == broadcast.digest()
        if not again and not _follows(study, last, broadcast):
            raise AdmissionRefused(
                "round_order", f"round {broadcast.round} after round {last[0]}, or asked differently"
            )

    def _rows_of(self, study: Study, frame: pl.DataFrame) -> Stakes:
        """Return the kind's rows of a frame, read once while the node gives the same frame and keeps it."""
        if self._read is not None and self._read[0]() is frame and self._read[1] == study.digest():
            return self._read[2]
        rows: Stakes = kind_of(study).rows(frame, study)
        self._read = (weakref.ref(frame, self._unread), study.digest(), rows)
        return rows

    def _unread(self, gone: "weakref.ref[pl.DataFrame]") -> None:
        if self._read is not None and self._read[0] is gone:
            self._read = None

    def _check_rows(self, study: Study, rows: Stakes) -> None:
        for breach in column_breaches(rows.summed, strictest()):
            self._on_breach(self.site, breach)
        for breach in local_breaches(rows.n, rows.events, rows.parameters, self._limits_of(study)):
            self._on_breach(self.site, breach)

    def _check_step(self, study: Study, rows: Stakes, broadcast: Broadcast) -> None:
        kind = kind_of(study)
        if isinstance(kind, Guarded):
            for breach in kind.breaches(rows, study, broadcast.step, broadcast.point, strictest()):
                self._on_breach(self.site, breach)

    def _protect(self, study: Study, broadcast: Broadcast, values: Floats) -> Contribution:
        if study.secure == "plain":
            return self._sign(broadcast, plain_payload(values))
        return self._sign(broadcast, self._encrypt(study, broadcast, values).to_bytes())

    def _encrypt(self, study: Study, broadcast: Broadcast, values: Floats) -> CipherVector:
        public_key, spec = public_key_from_hex(study.public_key), pack_spec(study, broadcast.step)
        powers = spec.plaintexts(len(values)) * study.max_rounds
        obfuscator = obfuscator_for(public_key, window=window_for(public_key, powers))
        if study.threshold is not None:  # no single party opens: a mask would only tie the sum to the whole roster
            return encrypt(public_key, values, spec, obfuscator=obfuscator)
        asked = population_of(study, broadcast)
        roster = {entry.site: bytes.fromhex(entry.mask_key) for entry in study.roster if entry.site in asked}
        masks = mask_integers(
            self.site,
            roster,
            self._hooks.shared_secret,
            context=broadcast.mask_context(),
            n=int(public_key.n),
            count=spec.plaintexts(len(values)),
        )
        return encrypt(public_key, values, spec, obfuscator=obfuscator, masks=masks)

    def _sign(self, broadcast: Broadcast, payload: bytes) -> Contribution:
        header = Header(
            study=broadcast.study_id,
            study_digest=broadcast.study_digest,
            round=broadcast.round,
            attempt=broadcast.attempt,
            step=broadcast.step,
            site=self.site,
            broadcast=broadcast.digest(),
            payload=hashlib.sha256(payload).hexdigest(),
        )
        return Contribution(header, self._hooks.sign(header.signed_bytes()), payload)

    def _release(self, request: RoundRequest, contribution: Contribution, *, rows: int) -> Contribution:
        size = len(contribution.to_bytes())
        release = Release(rows, contribution.digest(), count_ciphertexts(request.study, contribution), size)
        self._hooks.release(request, release)
        return contribution


def site_sums(study: Study, frame: pl.DataFrame, rows: Stakes, broadcast: Broadcast) -> Floats:
    """Return the site's vector; of a private study of clipped rows, with its share of the noise."""
    privacy, kind = Privacy.of(study.privacy), kind_of(study)
    if privacy is None:
        return _finite_sums(study, rows, broadcast)
    if "train" in kind.steps:  # an update is no sum over rows: clipping rows one by one would promise nothing
        raise AdmissionRefused("privacy.kind", f"kind {study.kind} has no private form")

    def row(index: int) -> Floats:
        return _finite_sums(study, kind.rows(frame[index : index + 1], study), broadcast)

    length = kind.length(study, broadcast.step)
    size = {"length": length, "sites": len(study.sites), "rounds": study.max_rounds}
    return privacy.noised(row, frame.height, randbelow=secrets.randbelow, **size)


def _finite_sums(study: Study, rows: Stakes, broadcast: Broadcast) -> Floats:
    """Return the site's vector; raise NotConverged where an exponential has overflown."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        sums: Floats = kind_of(study).sums(rows, study, broadcast.step, broadcast.point)
    if not np.isfinite(sums).all():
        raise NotConverged(
            "the fit diverges: a column separates the outcome classes or predicts every event; "
            "leave it out or set l2 above 0"
        )
    return sums


def _request(study: Study, envelope: bytes, broadcast: Broadcast) -> RoundRequest:
    return RoundRequest(study, envelope, broadcast.round, broadcast.attempt, broadcast.step, broadcast.digest())


def count_ciphertexts(study: Study, contribution: Contribution) -> int:
    """Return the ciphertexts in a contribution; 0 in a plain study."""
    return ciphertexts_in(study, len(contribution.payload))


def ciphertexts_in(study: Study, payload_bytes: int) -> int:
    """Return the ciphertexts in a payload of so many bytes; 0 in a plain study."""
    return 0 if study.secure == "plain" else payload_bytes * 8 // (2 * study.modulus_bits)
