"""A participant's log as others meet it: witnesses at the door, auditors at the desk."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Protocol

from hdex.ledger.errors import LedgerError
from hdex.ledger.log import Log
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.shard import parse_origin
from hdex.node.auditor_logs import ShownLog
from hdex.node.errors import AccessDenied, NotFound, OutOfTree
from hdex.node.identity import Identity
from hdex.node.keeper import Keeper
from hdex.node.meter import Meter
from hdex.node.recorder import Recorder

logger = logging.getLogger(__name__)
AT_ONCE = 500  # entries in memory while somebody reads


class Years(Protocol):
    """The shards of this participant's log."""

    def files(self) -> Mapping[int, object]: ...
    def read(self, year: int) -> Log: ...


class Logbook:
    """One participant's log with its keeper."""

    def __init__(
        self, log: Log, keeper: Keeper, recorder: Recorder, meter: Meter, *, shards: Years | None = None
    ) -> None:
        """shards: where the logs of earlier years are; without them there is only this one."""
        self._log = log
        self._keeper = keeper
        self._recorder = recorder
        self._meter = meter
        self._shards = shards

    def require_own_origin(self, checkpoint: str, actor: Identity) -> None:
        """Raise AccessDenied unless the checkpoint is of the caller's own log: nobody speaks for another."""
        if parse_checkpoint(checkpoint).origin.split("/")[1:2] != [actor.participant]:
            raise AccessDenied("witness.foreign", "", "a participant submits checkpoints of its own log only")

    def remember_audit(self, actor: Identity) -> None:
        """Log that an auditor read."""
        self._recorder.allow("audit.read", actor)

    def read_for_audit(self, actor: Identity, *, year: int = 0, start: int = 0, end: int = 0) -> ShownLog:
        """Log the read, have the head cosigned and anchored; return the log of a year, its entries as they are read.

        Only checkpoints over more than `start` entries are shown, and the last. Raises NotFound for a year without log.
        """
        self.remember_audit(actor)
        newest = self._newest()
        present = parse_origin(parse_checkpoint(newest).origin)[1]
        years = tuple(sorted({present, *(self._shards.files() if self._shards else ())}))
        if year not in (0, *years):
            raise NotFound(f"there is no log of {year}; there are those of {', '.join(map(str, years))}")
        if self._shards is None or year in (0, present):
            return self._shown(self._log, newest, years, start=start, end=end)
        return self._past(self._shards, year, years, start=start, end=end)

    def published(self) -> str:
        """Return the newest checkpoint that is shown to everybody, with the cosignatures it has."""
        return self._keeper.published()

    def inclusion(self, index: int, tree_size: int = 0) -> tuple[int, bytes, list[bytes]]:
        """Return (tree size, leaf hash, proof) of an entry; size 0: of the published checkpoint. Raises OutOfTree."""
        size = self._size(tree_size)
        if index >= size:
            raise OutOfTree(f"entry {index} is asked of a tree of {size}")
        (leaf,) = self._log.leaf_hashes(index, index + 1)
        return size, leaf, self._log.inclusion(index, size)

    def consistency(self, old_size: int, tree_size: int = 0) -> tuple[int, list[bytes]]:
        """Return (tree size, proof) that a tree contains an older one. Raises OutOfTree."""
        size = self._size(tree_size)
        if not 1 <= old_size <= size:
            raise OutOfTree(f"an older tree of {old_size} is asked of one of {size}; it has 1 to {size} entries")
        return size, self._log.consistency(old_size, size)

    def _size(self, asked: int) -> int:
        if asked > self._log.size:
            raise OutOfTree(f"a tree of {asked} is asked, the log has {self._log.size} entries")
        return asked or parse_checkpoint(self.published()).size

    def _past(self, shards: Years, year: int, years: tuple[int, ...], *, start: int, end: int) -> ShownLog:
        """Return the log of an ended year: its file is open while its entries are read."""
        with closing(shards.read(year)) as log:
            shown = self._shown(log, log.checkpoint(), years, start=start, end=end)

        def entries() -> Iterator[bytes]:
            with closing(shards.read(year)) as opened:
                yield from self._metered(opened, start, stop_of(shown.checkpoints, end))

        return ShownLog(shown.checkpoints, years, entries())

    def _shown(self, log: Log, newest: str, years: tuple[int, ...], *, start: int, end: int) -> ShownLog:
        size = parse_checkpoint(newest).size
        notes = [note for note in log.cosigned() if parse_checkpoint(note).size > start]
        if not notes or parse_checkpoint(notes[-1]).size != size:
            notes.append(newest)
        return ShownLog(tuple(notes), years, self._metered(log, start, stop_of(notes, end)))

    def _metered(self, log: Log, start: int, stop: int) -> Iterator[bytes]:
        """Yield entries, a few in memory at a time, and count what was given when the reader is done or gone."""
        count = size = 0
        try:
            for first in range(start, stop, AT_ONCE):
                for entry in log.entries(first, min(first + AT_ONCE, stop)):
                    count, size = count + 1, size + len(entry)
                    yield entry
        finally:
            self._meter.add("log entries", size, count=count)

    def _newest(self) -> str:
        """Return the head, cosigned and anchored where that goes: an alarm is when an auditor must be able to read."""
        try:
            return self._keeper.keep()
        except LedgerError as error:
            logger.warning("an audit reads a head that is not kept", extra={"reason": type(error).__name__})
            return self._log.checkpoint()


def stop_of(notes: Sequence[str], end: int) -> int:
    """Return where the entries end: what the newest checkpoint covers, or what is asked of it."""
    size = parse_checkpoint(notes[-1]).size
    return min(end, size) if end else size
