"""A participant's log as others meet it: witnesses at the door, auditors at the desk."""

import logging

from hdex.ledger.errors import LedgerError
from hdex.ledger.log import Log
from hdex.ledger.note import parse_checkpoint
from hdex.node.errors import AccessDenied
from hdex.node.identity import Identity
from hdex.node.keeper import Keeper
from hdex.node.meter import Meter
from hdex.node.recorder import Recorder

logger = logging.getLogger(__name__)


class Logbook:
    """One participant's log with its keeper."""

    def __init__(self, log: Log, keeper: Keeper, recorder: Recorder, meter: Meter) -> None:
        self._log = log
        self._keeper = keeper
        self._recorder = recorder
        self._meter = meter

    def require_own_origin(self, checkpoint: str, actor: Identity) -> None:
        """Raise AccessDenied unless the checkpoint is of the caller's own log: nobody speaks for another."""
        if parse_checkpoint(checkpoint).origin.split("/")[1:2] != [actor.participant]:
            raise AccessDenied("witness.foreign", "", "a participant submits checkpoints of its own log only")

    def remember_audit(self, actor: Identity) -> None:
        """Log that an auditor read."""
        self._recorder.allow("audit.read", actor)

    def read_for_audit(self, actor: Identity) -> tuple[list[str], list[bytes]]:
        """Log the read, have the head cosigned and anchored; return (cosigned checkpoints, entries below the last)."""
        self.remember_audit(actor)
        newest = self._newest()
        size = parse_checkpoint(newest).size
        checkpoints = self._log.cosigned()
        if not checkpoints or parse_checkpoint(checkpoints[-1]).size != size:
            checkpoints.append(newest)
        entries = self._log.entries(0, size)
        self._meter.add("log entries", sum(map(len, entries)), count=len(entries))
        return checkpoints, entries

    def _newest(self) -> str:
        """Return the head, cosigned and anchored where that goes: an alarm is when an auditor must be able to read."""
        try:
            return self._keeper.keep()
        except LedgerError as error:
            logger.warning("an audit reads a head that is not kept", extra={"reason": type(error).__name__})
            return self._log.checkpoint()
