"""How this exchange stands, gathered for its public page from what it knows already: no question leaves the process."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Protocol

from hdex.catalog.errors import CatalogError
from hdex.catalog.index import Catalogue
from hdex.catalog.ports import Query
from hdex.catalog.web.status import AnchorShown, Cosigned, ExchangeStatus, LogShown, MembersShown, Trouble
from hdex.ledger.anchor import AnchorStatus
from hdex.ledger.errors import LedgerError, NoteInvalid
from hdex.ledger.note import SignatureType, Verifier, parse_checkpoint, verify_note
from hdex.node.directory import Directory

FRESH_S = 2.0  # a status is gathered at most so often: anybody may ask
LATE = timedelta(minutes=10)  # an anchor, or a cosignature of a log that grows
OWN_LINES = {"hospital"}  # roles that hold a line to the exchange while they run


class SeenLog(Protocol):
    """The log as far as its state goes."""

    @property
    def origin(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def failed(self) -> bool: ...


class SeenAnchoring(Protocol):
    """The outbox to the chain."""

    def status(self) -> AnchorStatus: ...
    def age(self) -> timedelta: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the parts come from. anchoring raises ChainUnavailable where no chain can be asked."""

    log: SeenLog
    published: Callable[[], str]
    anchoring: Callable[[], SeenAnchoring]
    lines: Callable[[], Iterable[str]]  # ids of the participants that are connected now
    directory: Directory
    catalogue: Catalogue
    witnesses: frozenset[str]  # ids of those that are asked to cosign
    needed: int  # cosignatures that a checkpoint needs before it counts


class PublicStatus:
    """Gathers once for everybody who asks within FRESH_S."""

    def __init__(self, sources: Sources, *, clock: Callable[[], datetime]) -> None:
        self._sources = sources
        self._clock = clock
        self._since = clock()
        self._lock = threading.Lock()  # owns _newest
        self._newest: ExchangeStatus | None = None

    def __call__(self) -> ExchangeStatus:
        """Return how the exchange stands."""
        with self._lock:
            now = self._clock()
            if self._newest is None or not timedelta() <= now - self._newest.at < timedelta(seconds=FRESH_S):
                self._newest = self._gathered(now)
            return self._newest

    def _gathered(self, now: datetime) -> ExchangeStatus:
        sources = self._sources
        log, anchor = self._log(), self._anchor()
        listed, newest = self._index()
        members = list(members_of(sources.directory, set(sources.lines())))
        found = {
            Trouble.LOG_FAILED: sources.log.failed,
            Trouble.UNWITNESSED: self._is_unwitnessed(log, now),
            Trouble.CHAIN_AWAY: anchor is None,
            Trouble.ANCHOR_LATE: anchor is not None and anchor.waited > LATE,
            Trouble.HOSPITALS_AWAY: any(one.online is not None and one.online < one.listed for one in members),
            Trouble.INDEX_AWAY: listed is None,
        }
        return ExchangeStatus(
            version=version("hdex"),
            at=now,
            since=self._since,
            log=log,
            anchor=anchor,
            members=tuple(members),
            listed=listed,
            newest=newest,
            troubles=tuple(trouble for trouble, is_so in found.items() if is_so),
        )

    def _log(self) -> LogShown:
        sources = self._sources
        note = sources.published()
        head = parse_checkpoint(note)
        lines = cosigned(note, sources.directory)
        return LogShown(
            origin=sources.log.origin,
            size=sources.log.size,
            cosigned_size=head.size if lines else 0,
            root=head.root.hex(),
            checkpoint=note,
            cosigned=tuple(sorted(lines, key=lambda line: line.witness)),
            asked=len(sources.witnesses),
        )

    def _is_unwitnessed(self, log: LogShown, now: datetime) -> bool:
        """Return whether too few vouch, or those that do have not seen the log grow for long."""
        if len(log.cosigned) < self._sources.needed:
            return True
        return bool(log.cosigned) and log.size > log.cosigned_size and now - max(c.at for c in log.cosigned) > LATE

    def _anchor(self) -> AnchorShown | None:
        try:
            anchoring = self._sources.anchoring()
            status = anchoring.status()
        except LedgerError:  # none is named, or none answers: told as a trouble
            return None
        block = status.tx.block if status.tx is not None else None
        return AnchorShown(size=status.anchored_size, block=block, waited=anchoring.age())

    def _index(self) -> tuple[int | None, str | None]:
        try:
            page = self._sources.catalogue.find(Query(limit=1))
        except CatalogError:
            return None, None
        return page.total, page.hits[0].product.issued if page.hits else None


def cosigned(note: str, directory: Directory) -> list[Cosigned]:
    """Return who of the directory cosigned a checkpoint, and when; a line that does not verify vouches for nothing."""
    members = [one for one in directory.members if one.witness_key]
    known = [Verifier(one.id, one.witness_key, SignatureType.COSIGNATURE_V1) for one in members]
    try:
        held = verify_note(note, known)
    except NoteInvalid:  # nobody known signed it, or a line under a known key is false
        return []
    return [Cosigned(one.verifier.name, one.time) for one in held if one.time is not None]


def members_of(directory: Directory, lines: set[str]) -> Iterable[MembersShown]:
    """Yield each role with how many are listed, and how many hold a line now where that role does."""
    for role in sorted({member.kind for member in directory.members}):
        listed = directory.of_kind(role)
        online = sum(member.id in lines for member in listed) if role in OWN_LINES else None
        yield MembersShown(role=role, listed=len(listed), online=online)
