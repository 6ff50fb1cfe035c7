"""The monitor's rounds: ask every witness, read every log and the chain, judge, keep and tell what was found."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from hdex.ledger.alarm import Alarm, Severity
from hdex.ledger.document import load
from hdex.ledger.errors import ChainUnavailable, ChainWrong, LedgerError
from hdex.ledger.merkle import leaf_hash
from hdex.ledger.monitor import KEY_RECORDS, Monitor, Round
from hdex.ledger.monitor_log import Seen
from hdex.ledger.monitor_state import MonitorState, loads
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.ports import Anchor, Chain, ChainRecord
from hdex.ledger.trust import Trust, TrustedLog
from hdex.node.docket import Docket
from hdex.node.durable import write_atomic
from hdex.node.errors import NodeError

logger = logging.getLogger(__name__)
LATER_SHARD = "shard.open"  # the action of the first entry of a log that continues that of an earlier year


class Logs(Protocol):
    """Every participant's log and mirrors."""

    def read(self, node: str) -> tuple[list[str], list[bytes]]:
        """Return (cosigned checkpoints oldest first, entries below the newest)."""
        ...

    def mirror(self, witness: str, origin: str) -> tuple[str, list[bytes]]:
        """Return (what a witness last cosigned of a log, the leaf hashes it kept)."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """One round: everything that is wrong now, and the part of it that was not told before."""

    alarms: Sequence[Alarm]
    new: Sequence[Alarm]
    sizes: dict[str, int]  # entries verified, by node
    proofs: Sequence[Path]  # fraud proofs written in this round

    @property
    def alarmed(self) -> bool:
        """Whether anything is more than a warning."""
        return any(alarm.severity is Severity.ALARM for alarm in self.alarms)

    def document(self) -> dict[str, object]:
        """Return the JSON form."""
        fresh = {alarm.key for alarm in self.new}
        alarms = [alarm.document() | {"new": alarm.key in fresh} for alarm in self.alarms]
        return {"alarms": alarms, "sizes": self.sizes, "proofs": [str(path) for path in self.proofs]}


class Watch:
    """One monitor over the logs of a trust file; its memory is the file `state`."""

    def __init__(
        self, trust: Trust, logs: Logs, *, monitor: Monitor, chain: Callable[[], Chain], docket: Docket,
        state: Path, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._trust, self._logs, self._monitor, self._chain = trust, logs, monitor, chain
        self._docket, self._state_file, self._clock = docket, state, clock
        self._state = loads(state.read_bytes()) if state.exists() else MonitorState()
        self._chain_silent = ""

    def round(self) -> Report:
        """Look once at everything and return what was found; what was found is on disk then."""
        self._chain_silent = ""
        nodes = {log.node for log in self._trust.logs}
        silent: dict[str, str] = {}
        seen = [one for node in sorted(nodes) for one in self._seen(node, silent)]
        alarms = self._monitor.observe(self._state, Round(seen, silent, self._key_records()), self._clock())
        if self._chain_silent:
            why = f"the chain could not be read: {self._chain_silent}"
            alarms.append(Alarm("chain.silent", Severity.WARN, "chain", why))
        return self._report(alarms)

    def _report(self, alarms: list[Alarm]) -> Report:
        proofs = [path for alarm in alarms if alarm.fraud and (path := self._docket.accuse(alarm.fraud))]
        fresh = [alarm for alarm in alarms if alarm.key not in self._state.raised]
        self._state.raised = sorted({alarm.key for alarm in alarms})
        write_atomic(self._state_file, self._state.dumps().encode())
        sizes: dict[str, int] = {}
        for log in self._state.logs.values():
            sizes[log.node] = max(log.frontier.size, sizes.get(log.node, 0))
        return Report(alarms, fresh, sizes, proofs)

    def _seen(self, node: str, silent: dict[str, str]) -> Iterator[Seen]:
        """Yield a node's log as everybody shows it. Witnesses are asked first: then no honest log is shorter."""
        try:
            mirrors = {log.origin: self._mirrors(log) for log in self._trust.logs if log.node == node}
            notes, entries = self._logs.read(node)
            origin = parse_checkpoint(notes[-1]).origin if notes else ""
        except (NodeError, LedgerError) as error:
            silent[node] = type(error).__name__
            return
        log = self._trust.log(origin)
        if log is None or log.node != node:
            silent[node] = "it shows a log that the trust file does not name"
            return
        known = self._state.logs.get(origin)
        start = known.frontier.size if known else 0
        hashes = partial(leaf_hashes, entries)
        anchors = self._anchors(anchored_as(log, entries))
        yield Seen(log, tuple(notes), start, entries[start:], hashes, mirrors[origin], anchors)

    def _mirrors(self, log: TrustedLog) -> dict[str, str]:
        """Return what each witness that answers last cosigned."""
        found = {}
        for witness in self._trust.witnesses_of(log):
            try:
                note, _ = self._logs.mirror(witness.name, log.origin)
            except NodeError as error:
                logger.warning(
                    "a witness was not asked", extra={"witness": witness.name, "reason": type(error).__name__}
                )
                continue
            if note:
                found[witness.name] = note
        return found

    def _anchors(self, name: str) -> tuple[Anchor, ...] | None:
        try:
            return tuple(self._chain().anchors(name))
        except (ChainUnavailable, ChainWrong) as error:
            self._chain_silent = type(error).__name__
            return None

    def _key_records(self) -> list[ChainRecord]:
        try:
            return [record for kind in KEY_RECORDS for record in self._chain().records(kind)]
        except (ChainUnavailable, ChainWrong) as error:
            self._chain_silent = type(error).__name__
            return []


def anchored_as(log: TrustedLog, entries: Sequence[bytes]) -> str:
    """Return the name a log is anchored under: its keeper, or `<keeper>/<year>` when it continues an earlier year."""
    try:
        first = load(entries[0], max_depth=1) if entries else None
    except ValueError:
        first = None  # the monitor tells of an entry that is none
    continues = isinstance(first, dict) and first.get("action") == LATER_SHARD
    return f"{log.node}/{log.origin.rpartition('/')[2]}" if continues else log.node


def leaf_hashes(entries: Sequence[bytes]) -> list[bytes]:
    """Return the leaf hash of every entry."""
    return [leaf_hash(entry) for entry in entries]
