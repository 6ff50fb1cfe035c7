"""What a monitor remembers from one pass to the next, so that a restart does not begin anew. Pure, no I/O.

Per log a few hundred bytes: its size, the right edge of its tree, the last checkpoint, roots of recent checkpoints.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, cast

from hdex.ledger.document import load
from hdex.ledger.errors import StoreCorrupt
from hdex.ledger.event import format_time, parse_time
from hdex.ledger.frontier import Frontier

FORMAT = "hdex-monitor/2"
ROOTS_KEPT = 512
MARKS_KEPT = 128
Times = tuple[datetime | None, datetime | None]


@dataclass(slots=True)
class LogState:
    """One log as it was verified last."""

    node: str
    since: datetime  # when a witnessed checkpoint last moved it on, or when it was first asked for
    frontier: Frontier = field(default_factory=Frontier)
    note: str = ""
    roots: dict[int, bytes] = field(default_factory=dict)  # size -> root, of the newest checkpoints compared
    anchored: int = 0
    marks: list[tuple[int, datetime]] = field(default_factory=list)  # an entry's index + 1 and its time, not anchored
    anchored_as: str = ""  # the name under which the chain holds it; empty: not known yet

    def remember(self, roots: dict[int, bytes]) -> None:
        """Keep the newest roots."""
        merged = sorted({**self.roots, **roots}.items())
        self.roots = dict(merged[-ROOTS_KEPT:])

    def mark(self, size: int, time: datetime) -> None:
        """Remember when the log stood at a size; what lies between the first and the last may be forgotten."""
        if not self.marks or size > self.marks[-1][0]:
            self.marks.append((size, time))
        if len(self.marks) > MARKS_KEPT:
            del self.marks[1::2]

    def anchor(self, size: int) -> None:
        """Forget the marks that the chain covers."""
        self.anchored = size
        self.marks = [mark for mark in self.marks if mark[0] > size]


@dataclass(frozen=True, slots=True)
class Access:
    """An allowed access that names a grant: where it stands and when it was."""

    node: str
    index: int
    grant: str
    time: datetime


@dataclass(slots=True)
class MonitorState:
    """Everything a monitor remembers. Owner: the monitor's one thread."""

    logs: dict[str, LogState] = field(default_factory=dict)  # by origin
    grants: dict[str, Times] = field(default_factory=dict)  # issued, revoked
    open_accesses: list[Access] = field(default_factory=list)  # judged once every log has been read
    raised: list[str] = field(default_factory=list)  # keys of alarms told already and still on

    def log(self, origin: str, node: str, now: datetime) -> LogState:
        """Return the state of a log, a new one at the first sight."""
        return self.logs.setdefault(origin, LogState(node, now))

    def dumps(self) -> str:
        """Return the state as JSON."""
        logs = {origin: _log_document(log) for origin, log in self.logs.items()}
        grants = {grant: [_stamp(time) for time in times] for grant, times in self.grants.items()}
        accesses = [[one.node, one.index, one.grant, _stamp(one.time)] for one in self.open_accesses]
        found = {"format": FORMAT, "logs": logs, "grants": grants, "accesses": accesses, "raised": self.raised}
        return json.dumps({**found, "sha256": digest_of(found)}, indent=1, ensure_ascii=False) + "\n"


def digest_of(found: Mapping[str, object]) -> str:
    """Return what tells a damaged state from the one that was written."""
    return sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def loads(raw: bytes) -> MonitorState:
    """Return the state of a file. Raises StoreCorrupt: a state that cannot be read is never taken for an empty one."""
    try:
        found = cast("dict[str, Any]", load(raw))
        told = found.pop("sha256")
        if found["format"] != FORMAT or told != digest_of(found):
            raise ValueError("another format, or another content than was written")
        return MonitorState(
            {str(origin): _log(log) for origin, log in found["logs"].items()},
            {str(grant): (_time(issued), _time(revoked)) for grant, (issued, revoked) in found["grants"].items()},
            [Access(str(node), int(i), str(grant), parse_time(time)) for node, i, grant, time in found["accesses"]],
            [str(key) for key in found["raised"]],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreCorrupt(f"the monitor's state is not of the format {FORMAT}: restore it, or begin anew") from error


def _log_document(log: LogState) -> dict[str, object]:
    return {
        "node": log.node,
        "since": _stamp(log.since),
        "size": log.frontier.size,
        "peaks": [peak.hex() for peak in log.frontier.peaks],
        "note": log.note,
        "roots": {str(size): root.hex() for size, root in log.roots.items()},
        "anchored": log.anchored,
        "marks": [[size, _stamp(time)] for size, time in log.marks],
        "anchored_as": log.anchored_as,
    }


def _log(found: dict[str, Any]) -> LogState:
    return LogState(
        str(found["node"]),
        parse_time(found["since"]),
        Frontier(int(found["size"]), [bytes.fromhex(peak) for peak in found["peaks"]]),
        str(found["note"]),
        {int(size): bytes.fromhex(root) for size, root in found["roots"].items()},
        int(found["anchored"]),
        [(int(size), parse_time(time)) for size, time in found["marks"]],
        str(found.get("anchored_as", "")),
    )


def _stamp(time: datetime | None) -> str | None:
    return None if time is None else format_time(time)


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)
