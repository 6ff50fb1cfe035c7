"""Everybody's log as an auditor reads it: one year at a time, entries as they stream by."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from hdex.ledger.bundle import origin_in
from hdex.ledger.errors import NoteInvalid
from hdex.ledger.shard import linked_head, parse_origin
from hdex.node.errors import PeerUnavailable


@dataclass(frozen=True, slots=True)
class ShownLog:
    """One year of a log as its keeper shows it. The entries are read once, before anything else is asked of the node.

    checkpoints: cosigned, oldest first; the last is over all entries. years: of every shard that there is, ascending.
    entries: from the index on that was asked; reading them raises NodeError when the node goes away.
    """

    checkpoints: tuple[str, ...]
    years: tuple[int, ...]
    entries: Iterator[bytes]


class Logs(Protocol):
    """Every participant's log and mirrors. Raises NodeError."""

    def read(self, node: str, *, year: int = 0, start: int = 0, end: int = 0) -> ShownLog:
        """Return a log of one year (0: the one that is written now), its entries with start <= index < end (0: all)."""
        ...

    def mirror(self, witness: str, origin: str, *, head_only: bool = False) -> tuple[str, list[bytes]]:
        """Return (what a witness last cosigned of a log, the leaf hashes it kept, unless only the head is asked)."""
        ...


@dataclass(frozen=True, slots=True)
class YearLog:
    """One year of a participant's log, its own word for which one it is."""

    node: str
    origin: str
    checkpoints: tuple[str, ...]
    entries: Iterator[bytes]


def years_of(logs: Logs, node: str) -> Iterator[YearLog]:
    """Yield a participant's log, the newest year first; read the entries of one before asking for the next.

    Raises PeerUnavailable when it shows none, or that of somebody else.
    """
    shown = logs.read(node)
    newest = opened(node, shown)
    yield newest
    _, year = parse_origin(newest.origin)
    for earlier in sorted((one for one in shown.years if one < year), reverse=True):
        found = opened(node, logs.read(node, year=earlier))
        if parse_origin(found.origin)[1] != earlier:
            raise PeerUnavailable(f"{node} gave its log of another year than {earlier}")
        yield found


def opened(node: str, shown: ShownLog) -> YearLog:
    """Return a log under the origin that its newest checkpoint names. Raises PeerUnavailable."""
    try:
        origin = origin_in(shown.checkpoints[-1])
        keeper, _ = parse_origin(origin)
    except (IndexError, NoteInvalid) as error:
        raise PeerUnavailable(f"{node} gave no checkpoint of its log") from error
    if keeper != node:
        raise PeerUnavailable(f"{node} gave the checkpoint of another log")
    own = tuple(note for note in shown.checkpoints if origin_in(note) == origin)
    return YearLog(node, origin, own, shown.entries)


def anchored_as(node: str, origin: str, first: bytes) -> str:
    """Return the name under which a year's log is anchored: its keeper, or `<keeper>/<year>` when it continues one.

    first: its entry 0, empty where it has none.
    """
    return f"{node}/{parse_origin(origin)[1]}" if first and linked_head(first) is not None else node
