"""The region's verb: one sum of what its hospitals send, remembered before it leaves. It holds no key of any study."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, cast

from hdex.federated.errors import AdmissionRefused, FederatedError
from hdex.federated.ports import Store
from hdex.federated.study import Study, parse_envelope
from hdex.ledger.document import load
from hdex.node.directory import Directory
from hdex.node.errors import NodeError, SignatureInvalid
from hdex.node.exchange.ports import SiteChannels
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder
from hdex.node.signed import Envelope, verify

if TYPE_CHECKING:
    from hdex.federated.apps.region import RegionSession

MOST_STUDIES = 64  # remembered at once; one that was forgotten begins anew, which changes nothing
Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Region:
    """Who a region is, and whose sums it adds."""

    id: str
    sites: tuple[str, ...]
    sign: Sign = field(repr=False)


@dataclass(slots=True)
class Line:
    """One study: its session over the channels of the region's hospitals, and the lock that one question holds."""

    session: "RegionSession"
    busy: threading.Lock = field(default_factory=threading.Lock)


class RegionDesk:
    """Answers the exchange for the hospitals of one region. Several studies side by side, one question of each."""

    def __init__(
        self, me: Region, channels: SiteChannels, *,
        directory: Directory, coordinator: Identity, recorder: Recorder, kept: Store, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._me = me
        self._channels = channels
        self._directory = directory
        self._coordinator = coordinator
        self._recorder = recorder
        self._kept = kept
        self._clock = clock
        self._lock = threading.Lock()  # guards the map
        self._lines: OrderedDict[str, Line] = OrderedDict()  # digest of a study -> its line, the oldest first

    def handle(self, study_id: str, frame: bytes) -> bytes:
        """Return the reply to one frame; nothing while the study's last question is still being answered.

        Raises FrameInvalid when the bytes are not a whole frame: whoever meant something sends it again.
        """
        from hdex.federated.apps.flower import from_frame, to_frame
        from hdex.federated.apps.records import error_reply, study_envelope

        message = from_frame(frame)
        try:
            envelope = study_envelope(message.content)
            study = self._require(envelope, study_id)
            line = self._line(study)
        except (FederatedError, NodeError) as error:
            refusal = error if isinstance(error, FederatedError) else AdmissionRefused("region", str(error))
            rule = refusal.rule if isinstance(refusal, AdmissionRefused) else type(refusal).__name__
            self._recorder.deny("round.submit", self._coordinator, rule, request_digest=sha256(frame).hexdigest())
            return to_frame(error_reply(refusal, message))
        if not line.busy.acquire(blocking=False):
            return b""
        try:
            return self._told(study, line.session.handle(frame))
        finally:
            line.busy.release()

    def _told(self, study: Study, reply: bytes) -> bytes:
        """Remember what leaves, before it does."""
        digest = sha256(reply).hexdigest()
        with self._recorder.release(
            "round.submit", self._coordinator, policy_digest=study.digest(), result_digest=digest
        ):
            return reply

    def _require(self, envelope: bytes, study_id: str) -> Study:
        """Return the study that the exchange has signed, and that meets this region's hospitals."""
        study, exchange = parse_envelope(envelope), self._coordinator.participant
        try:
            signed = verify("study", cast("Envelope", load(envelope)), self._directory.sign_keys(exchange))
        except ValueError as error:
            raise SignatureInvalid("the study's envelope is not JSON") from error
        if study.coordinator.id != exchange or signed != study.document():
            raise AdmissionRefused("study_coordinator", "the study is not of the exchange that asks")
        if study.id != study_id or not set(self._me.sites) & set(study.sites):
            raise AdmissionRefused("study.roster", f"no hospital of {self._me.id} is in the study's roster")
        return study

    def _line(self, study: Study) -> Line:
        from hdex.federated.apps.region import RegionSession
        from hdex.federated.grid_stream import StreamGrid

        with self._lock:
            line = self._lines.get(study.digest())
            if line is None:
                members = {site: (site,) for site in self._me.sites if site in study.sites}
                grid = StreamGrid(self._channels.open(study.id))
                line = Line(
                    RegionSession(self._me.id, members, grid, sign=self._me.sign, kept=self._kept, clock=self._clock)
                )
                self._lines[study.digest()] = line
            self._lines.move_to_end(study.digest())
            while len(self._lines) > MOST_STUDIES:
                self._lines.popitem(last=False)
            return line
