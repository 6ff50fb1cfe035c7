"""Who read what: the accesses in a node's own log, each with its decision and how far it is proven by now.

An index beside the log is caught up at every question. It is made anew when it is lost: the log alone counts.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from hdex.ledger.errors import ChainUnavailable, ChainWrong
from hdex.ledger.event import RELEASES, Action, Decision, Event, parse, parse_time
from hdex.ledger.index_sqlite import SqliteEventIndex
from hdex.ledger.log import Log
from hdex.ledger.note import parse_checkpoint, parse_note
from hdex.ledger.ports import EventQuery
from hdex.ledger.shard import parse_origin
from hdex.node.documents import Document
from hdex.node.errors import RequestInvalid

ACCESSES = (*sorted(RELEASES), Action.ROUND_JOIN)
OF_LIFE = ("contract.", "grant.", "transfer.", "delivery.", "invoice.")
LOOKS = (Action.CONTRACT_READ, Action.TRANSFER_READ)
BATCH = 1000
MOST_ROWS = 500
LONGEST = 256
DURABLE, WITNESSED, ANCHORED = "durable", "witnessed", "anchored"


@dataclass(frozen=True, slots=True)
class Question:
    """Which accesses are asked for. An empty text asks nothing."""

    product: str = ""
    consumer: str = ""
    purpose: str = ""
    decision: str = ""
    since: str = ""
    until: str = ""
    action: str = ""

    def __post_init__(self) -> None:
        if any(len(getattr(self, name)) > LONGEST for name in self.__dataclass_fields__):
            raise RequestInvalid(f"a field of a question has {LONGEST} characters at most")
        if self.decision not in ("", *Decision):
            raise RequestInvalid("the decision is allow or deny")
        if self.action not in ("", *ACCESSES):
            raise RequestInvalid(f"an access is one of {', '.join(ACCESSES)}")

    @property
    def actions(self) -> tuple[str, ...]:
        """The kinds of access that are asked for."""
        return (self.action,) if self.action else ACCESSES

    def query(self, action: str, contract: str | None, actor: tuple[str, ...], *, limit: int) -> EventQuery:
        """Return what is asked of the index for one kind of access."""
        return EventQuery(
            action=action,
            contract=contract,
            actor=actor,
            product=self.product or None,
            purpose=self.purpose or None,
            decision=Decision(self.decision) if self.decision else None,
            since=moment(self.since),
            until=moment(self.until),
            limit=limit,
        )


@dataclass(frozen=True, slots=True)
class Buyers:
    """Who is meant by a contract, and by an event.

    holders: contract id -> who holds it. of_event: event id -> the buyer who asked, empty where it was no buyer or is
    erased. commitments: a buyer -> the commitments under which it stands in events.
    """

    holders: Callable[[], Mapping[str, str]]
    of_event: Callable[[str], str]
    commitments: Callable[[str], tuple[str, ...]]

    def of(self, event: Event, holders: Mapping[str, str]) -> str:
        """Return for whom an access was asked: the buyer who asked, or where the exchange did, the contract's holder.

        A refusal to a stranger under another's contract is the stranger's.
        """
        return self.of_event(event.event_id) or holders.get(event.contract or "", "")


class Accesses:
    """The accesses of the log that is written now. anchored: how many entries the chain covers, or ChainUnavailable."""

    def __init__(
        self, log: Log, folder: Path, *, buyers: Buyers, anchored: Callable[[], int], needed: int,
        questions: Callable[[], Mapping[tuple[str, str], Document]] = dict,
        past: Callable[[], Sequence[Log]] = tuple,
    ) -> None:  # fmt: skip
        """questions: (contract, digest) -> the question that was answered, as it was asked. past: opens the finished
        shards of the log, oldest first; they are closed here once they are read.
        """
        self._log = log
        self._questions = questions
        self._past = past
        self._finished: dict[str, SqliteEventIndex] = {}  # origin of a finished shard -> its index
        self._folder = folder
        self._buyers = buyers
        self._anchored = anchored
        self._needed = max(1, needed)
        self._lock = threading.Lock()  # guards what follows
        self._index: SqliteEventIndex | None = None
        self._origin = ""

    def find(self, question: Question, *, before: int = 0, skip: int = 0, limit: int = MOST_ROWS) -> Document:
        """Return the accesses asked for, newest first, with how many there are and how far the log is proven.

        before: only those of entries before this one; 0: from the newest on. `next` is where the next page begins, 0
        where there is none. Who pages by it sees every access once, though the log grows meanwhile.
        """
        if skip < 0 or before < 0 or not 0 < limit <= MOST_ROWS:
            raise RequestInvalid(f"a page has 1 to {MOST_ROWS} accesses, and none before the first")
        holders = self._buyers.holders()
        with self._lock:
            index = self._caught_up()
            found = sorted(self._positions(index, question, holders), reverse=True)
        proven, asked = self._proven(), self._questions()
        due = [position for position in found if not before or position < before][skip:]
        rows = [self._row(position, holders, proven, asked) for position in due[:limit]]
        follows = rows[-1]["index"] if len(due) > limit else 0
        return {"total": len(found), "rows": rows, "next": follows, "log": proven}

    def life_of(self, contract: str) -> list[Document]:
        """Return what the log says of a contract's life, of all years, oldest first: steps and papers, no access."""
        with self._lock:
            index = self._caught_up()
            found = sorted(index.search(EventQuery(contract=contract, limit=index.size())))
            proven = self._proven()
            earlier = [line for shard in self._past() for line in self._life_in(shard, contract, proven)]
        return [*earlier, *life_lines(((position, self._event(position)) for position in found), proven)]

    def _life_in(self, shard: Log, contract: str, present: Mapping[str, Any]) -> list[Document]:
        """Return what a finished shard says of a contract, and close it.

        The first entry of the next shard carries its head: who cosigns or anchors that one vouches for all of this.
        """
        with closing(shard):
            if shard.origin not in self._finished:
                path = self._folder / f"accesses-{parse_origin(shard.origin)[1]}.index"
                self._finished[shard.origin] = SqliteEventIndex.fresh(path)
            index = caught_up(self._finished[shard.origin], shard)
            found = sorted(index.search(EventQuery(contract=contract, limit=index.size())))
            own = witnessed(shard.cosigned(), self._needed)[1]
            proven = {
                "origin": shard.origin,
                "witnessed_size": shard.size if present["witnessed_size"] else own,
                "anchored_size": shard.size if present["anchored_size"] else 0,
            }
            return list(life_lines(((one, parse(shard.entries(one, one + 1)[0])) for one in found), proven))

    def _positions(self, index: SqliteEventIndex, question: Question, holders: Mapping[str, str]) -> set[int]:
        """Return where the accesses stand that answer a question.

        An allowed access under a contract is its holder's: only refusals must be read to know whose they were.
        """
        asked = question.consumer
        if not asked:
            return searched(index, question)
        own = [contract for contract, holder in holders.items() if holder == asked]
        found = {position for contract in own for position in searched(index, question, contract=contract)}
        commitments = self._buyers.commitments(asked)
        found |= searched(index, question, actor=commitments) if commitments else set()
        denied = found & searched(index, replace(question, decision=Decision.DENY.value))
        return found - {one for one in denied if self._buyers.of(self._event(one), holders) != asked}

    def _row(
        self, position: int, holders: Mapping[str, str], proven: Mapping[str, Any],
        asked: Mapping[tuple[str, str], Document],
    ) -> Document:  # fmt: skip
        """Return one access: codes, counts and names of organisations, as the event and the contracts state them."""
        event = self._event(position)
        told: Document = {
            "index": position,
            "time": event.time,
            "action": event.action.value,
            "consumer": self._buyers.of(event, holders),
            "state": state(position, proven),
        }
        if question := asked.get((event.contract or "", event.request_digest or "")):
            told["question"] = question
        names = ("product", "version", "purpose", "contract", "role", "decision", "reason", "rows", "epsilon")
        return told | {name: value for name in names if (value := getattr(event, name)) is not None}

    def _event(self, position: int) -> Event:
        (entry,) = self._log.entries(position, position + 1)
        return parse(entry)

    def _caught_up(self) -> SqliteEventIndex:
        """Return the index of the present shard with every durable entry in it."""
        origin = self._log.origin
        if self._index is None or origin != self._origin:
            if self._index is not None:
                self._index.close()
            path = self._folder / f"accesses-{parse_origin(origin)[1]}.index"
            self._index, self._origin = SqliteEventIndex.fresh(path), origin
        return caught_up(self._index, self._log)

    def _proven(self) -> Document:
        witnesses, size = witnessed(self._log.cosigned(), self._needed)
        try:
            anchored = self._anchored()
        except (ChainUnavailable, ChainWrong):
            anchored = 0
        return {
            "origin": self._log.origin,
            "size": self._log.size,
            "witnessed_size": size,
            "witnesses": witnesses,
            "needed": self._needed,
            "anchored_size": anchored,
        }


def caught_up(index: SqliteEventIndex, log: Log) -> SqliteEventIndex:
    """Return an index of a log with every durable entry in it."""
    size = log.size
    for start in range(index.size(), size, BATCH):
        index.add(start, [parse(entry) for entry in log.entries(start, min(start + BATCH, size))])
    return index


def life_lines(events: Iterable[tuple[int, Event]], proven: Mapping[str, Any]) -> Iterator[Document]:
    """Yield the steps and papers among the events of one shard, each with how far it is proven."""
    year = parse_origin(str(proven["origin"]))[1]
    for position, event in events:
        if event.action.value.startswith(OF_LIFE) and event.action not in LOOKS:
            yield {
                "year": year,
                "index": position,
                "time": event.time,
                "action": event.action.value,
                "decision": event.decision.value if event.decision else "",
                "reason": event.reason or "",
                "role": event.role or "",
                "state": state(position, proven),
            }


def searched(
    index: SqliteEventIndex, question: Question, *, contract: str | None = None, actor: tuple[str, ...] = ()
) -> set[int]:
    """Return where the accesses stand that an index finds, whoever they were for."""
    queries = (question.query(action, contract, actor, limit=index.size()) for action in question.actions)
    return {position for query in queries for position in index.search(query)}


def buyer_of(spiffe_id: str | None) -> str:
    """Return the buyer that a SPIFFE id names, empty for anybody else."""
    parts = (spiffe_id or "").split("/")
    return parts[4] if len(parts) > 4 and parts[3] == "buyer" else ""


def state(position: int, proven: Mapping[str, Any]) -> str:
    """Return how far an entry is proven: on disk, under a cosigned checkpoint, or under an anchor too."""
    if position < proven["anchored_size"]:
        return ANCHORED
    return WITNESSED if position < proven["witnessed_size"] else DURABLE


def witnessed(notes: list[str], needed: int) -> tuple[list[str], int]:
    """Return (cosigners, size) of the newest checkpoint with enough cosignatures; nobody and 0 without one."""
    for note in reversed(notes):
        head = parse_checkpoint(note)
        names = [one.name for one in parse_note(note).signatures if one.name != head.origin]
        if len(names) >= needed:
            return names, head.size
    return [], 0


def moment(text: str) -> datetime | None:
    """Return a moment of a question, None for an empty one. Raises EventInvalid."""
    return parse_time(text) if text else None
