"""Keeps a participant's log provable: when the head has moved, witnesses cosign it and the chain anchors it."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from hdex.ledger.errors import AnchorAlarm, ChainUnavailable, ChainWrong, LedgerError, MirrorInvalid, NoteInvalid
from hdex.ledger.log import Log
from hdex.ledger.note import SignatureType, Verifier, add_signatures, parse_checkpoint, parse_note, verify_note
from hdex.node.errors import NodeError, RemoteRefused, describe
from hdex.node.meter import Meter

logger = logging.getLogger(__name__)


class WitnessPeer(Protocol):
    """Another participant that cosigns our checkpoints."""

    name: str

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], checkpoint: str, leaf_hashes: Sequence[bytes]
    ) -> tuple[str, int]:
        """Return (cosignature, size); the cosignature is empty when the witness stands at `size`, not at old_size."""
        ...


class Anchoring(Protocol):
    """The outbox to the chain. A chain that is down keeps the newest head waiting and is no error."""

    def note(self, checkpoint: str) -> None: ...
    def run_once(self) -> object: ...


class Keeper:
    """One per log. `keep` may be called at any time from any thread; `run` calls it until told to stop."""

    def __init__(
        self, log: Log, witnesses: Sequence[WitnessPeer], *,
        anchoring: Callable[[], Anchoring], flush: Callable[[], object], meter: Meter, period_s: float,
        keys: Mapping[str, bytes] | None = None,
    ) -> None:  # fmt: skip
        """keys: the witnesses' public keys by name. A line under a known key that does not verify is not kept."""
        self._log = log
        self._keys = dict(keys or {})
        self._witnesses = witnesses
        self._anchoring = anchoring
        self._flush = flush
        self._meter = meter
        self._period_s = period_s
        self._lock = threading.Lock()  # guards what follows: one pass at a time
        self._sizes = {witness.name: 0 for witness in witnesses}
        self._cosigned: dict[str, int] = {}
        self._origin = log.origin
        self._published = ""

    def keep(self) -> str:
        """Have the newest checkpoint cosigned by every witness that answers, anchor it, and return it with them."""
        with self._lock:
            checkpoint = self._log.checkpoint()
            size = parse_checkpoint(checkpoint).size
            self._begin(parse_checkpoint(checkpoint).origin)
            behind = [witness for witness in self._witnesses if self._cosigned.get(witness.name, -1) < size]
            lines = [line for witness in behind if (line := self._ask(witness, checkpoint, size))]
            note = self._log.add_cosignatures(self._with_earlier(checkpoint), lines) if lines else checkpoint
            if lines:
                self._published = note
            self._anchor(note)
            return note

    def _begin(self, origin: str) -> None:
        """Forget where the witnesses stood in an earlier shard: in a new one they have seen nothing."""
        if origin != self._origin:
            self._origin, self._cosigned, self._published = origin, {}, ""
            self._sizes = dict.fromkeys(self._sizes, 0)

    def published(self) -> str:
        """Return the newest checkpoint that a witness cosigned, or the log's own head before the first."""
        if not self._published:
            self._published = next(reversed(self._log.cosigned()), "")
        return self._published or self._log.checkpoint()

    def _with_earlier(self, checkpoint: str) -> str:
        """Return the checkpoint with the cosignatures that an earlier pass got for it."""
        known, fresh = self._published, parse_note(checkpoint)
        if not known or parse_note(known).text != fresh.text:
            return checkpoint
        is_same_key = fresh.signatures[0] in parse_note(known).signatures
        return known if is_same_key else checkpoint

    def run(self, stop: threading.Event) -> None:
        """Keep the log until `stop`; a failed pass is logged and tried again, whatever failed: nobody else keeps it."""
        while not stop.wait(self._period_s):
            for step in (self.keep, self._flush):
                try:
                    step()
                except Exception as error:  # a loop that ends in silence would leave the log unwitnessed
                    logger.warning("keeping the log failed", extra={"reason": type(error).__name__})

    def _ask(self, witness: WitnessPeer, checkpoint: str, size: int) -> str:
        """Return the witness's cosignature, or "" when it does not answer: it is asked again at the next pass."""
        try:
            old = min(self._sizes[witness.name], size)
            line, stands = self._offer(witness, old, checkpoint, size)
            if not line and 0 <= stands <= size:  # it stands elsewhere than we thought: once more from there
                line, stands = self._offer(witness, stands, checkpoint, size)
            require_own_line(witness.name, checkpoint, line, self._keys.get(witness.name))
        except (NodeError, LedgerError) as error:
            logger.warning("a witness did not cosign", extra={"witness": witness.name, "reason": type(error).__name__})
            return ""
        self._sizes[witness.name] = max(0, stands)
        if line:
            self._cosigned[witness.name] = size
        return line

    def _offer(self, witness: WitnessPeer, old: int, checkpoint: str, size: int) -> tuple[str, int]:
        """Offer the checkpoint with the leaf hashes from `old` on, and with all when the witness's mirror lacks some.

        Anyone may show a witness our public checkpoint over HTTP, without leaf hashes: it must not stop us.
        """
        proof = self._log.consistency(old, size) if old else []
        try:
            return self._send(witness, old, proof, checkpoint, self._log.leaf_hashes(old, size))
        except (MirrorInvalid, RemoteRefused) as error:
            if describe(error).rule != "mirror-invalid" or old == 0:
                raise
        return self._send(witness, old, proof, checkpoint, self._log.leaf_hashes(0, size))

    def _send(
        self, witness: WitnessPeer, old: int, proof: Sequence[bytes], checkpoint: str, hashes: Sequence[bytes]
    ) -> tuple[str, int]:
        self._meter.add("checkpoints", len(checkpoint.encode()) + sum(map(len, (*proof, *hashes))))
        return witness.add_checkpoint(old, proof, checkpoint, hashes)

    def _anchor(self, checkpoint: str) -> None:
        try:
            anchoring = self._anchoring()
            anchoring.note(checkpoint)
            anchoring.run_once()
        except (ChainUnavailable, ChainWrong) as error:  # the head waits, the log goes on
            logger.warning("the chain is not there to anchor", extra={"reason": type(error).__name__})
        except AnchorAlarm:
            logger.critical("the chain holds another root for this size", extra={"origin": self._log.origin})
            raise


def require_own_line(name: str, checkpoint: str, line: str, key: bytes | None = None) -> None:
    """Raise NoteInvalid unless a witness's answer is empty or one signature line under its own name, and key if known.

    One witness must not spoil the others' lines: a note on which a known key's signature does not hold is no note.
    """
    if not line:
        return
    signed = add_signatures(checkpoint, [line])
    if [found.name for found in parse_note(signed).signatures][1:] != [name]:
        raise NoteInvalid("a witness answered with something else than its own cosignature")
    if key is not None:
        verify_note(signed, [Verifier(name, key, SignatureType.COSIGNATURE_V1)])
