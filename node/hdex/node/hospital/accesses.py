"""Who read what: the accesses in a node's log of all years, each with its decision and how far it is proven by now."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from hdex.ledger.errors import ChainUnavailable, ChainWrong
from hdex.ledger.event import RELEASES, Action, Decision, Event, parse_time
from hdex.ledger.index_sqlite import SqliteEventIndex
from hdex.ledger.log import Log
from hdex.ledger.note import parse_checkpoint, parse_note
from hdex.ledger.ports import EventQuery
from hdex.node.documents import Document
from hdex.node.errors import RequestInvalid
from hdex.node.hospital.log_years import LogYears, Year, whose

ACCESSES = (*sorted(RELEASES), Action.ROUND_JOIN)
OF_LIFE = ("contract.", "grant.", "transfer.", "delivery.", "invoice.")
LOOKS = (Action.CONTRACT_READ, Action.TRANSFER_READ)
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
    """The accesses of the log, of all years. anchored: how many entries the chain covers, or ChainUnavailable."""

    def __init__(
        self, log: Log, folder: Path, *, buyers: Buyers, anchored: Callable[[], int], needed: int,
        questions: Callable[[], Mapping[tuple[str, str], Document]] = dict,
        past: Callable[[], Sequence[Log]] = tuple,
    ) -> None:  # fmt: skip
        """questions: (contract, digest) -> the question that was answered, as it was asked. past: opens the finished
        shards of the log, oldest first. folder: of the indexes.
        """
        self._log = log
        self._questions = questions
        self._buyers = buyers
        self._anchored = anchored
        self._needed = max(1, needed)
        self._lock = threading.Lock()  # guards what follows
        self._years = LogYears(log, past, folder)

    def find(self, question: Question, *, before: int = 0, skip: int = 0, limit: int = MOST_ROWS) -> Document:
        """Return the accesses asked for, newest first, with how many there are and how far the year's log is proven.

        before: only those of entries before this one, counted over all years; 0: from the newest on. `next` is where
        the next page begins, 0 where there is none. Who pages by it sees every access once, though the log grows.
        """
        if skip < 0 or before < 0 or not 0 < limit <= MOST_ROWS:
            raise RequestInvalid(f"a page has 1 to {MOST_ROWS} accesses, and none before the first")
        holders = self._buyers.holders()
        with self._lock:
            years = self._years.read()
            found = [one.first + at for one in reversed(years) for at in self._positions(one, question, holders)]
            proven, asked = self._proven(), self._questions()
            due = [number for number in found if not before or number < before][skip:]
            proofs = {one.year: self._proven_in(one, proven) for one in years}
            shown = [(number, whose(years, number)) for number in due[:limit]]
            rows = [self._row(one, number - one.first, holders, proofs[one.year], asked) for number, one in shown]
        return {"total": len(found), "rows": rows, "next": due[limit - 1] if len(due) > limit else 0, "log": proven}

    def life_of(self, contract: str) -> list[Document]:
        """Return what the log says of a contract's life, of all years, oldest first: steps and papers, no access."""
        with self._lock:
            proven, lines = self._proven(), list[Document]()
            for one in self._years.read():
                found = sorted(one.index.search(EventQuery(contract=contract, limit=one.index.size())))
                lines += life_lines(one, found, self._proven_in(one, proven))
        return lines

    def _positions(self, year: Year, question: Question, holders: Mapping[str, str]) -> list[int]:
        """Return where in a year the accesses stand that answer a question, newest first.

        An allowed access under a contract is its holder's: only refusals must be read to know whose they were.
        """
        index, asked = year.index, question.consumer
        if not asked:
            return sorted(searched(index, question), reverse=True)
        own = [contract for contract, holder in holders.items() if holder == asked]
        found = {position for contract in own for position in searched(index, question, contract=contract)}
        commitments = self._buyers.commitments(asked)
        found |= searched(index, question, actor=commitments) if commitments else set()
        denied = found & searched(index, replace(question, decision=Decision.DENY.value))
        others = {one for one in denied if self._buyers.of(year.event(one), holders) != asked}
        return sorted(found - others, reverse=True)

    def _row(
        self, year: Year, position: int, holders: Mapping[str, str], proven: Mapping[str, Any],
        asked: Mapping[tuple[str, str], Document],
    ) -> Document:  # fmt: skip
        """Return one access: codes, counts and names of organisations, as the event and the contracts state them."""
        event = year.event(position)
        told: Document = {
            "year": year.year,
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

    def _proven_in(self, year: Year, present: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return how far a year's log is proven.

        The first entry of the next one carries its head: who cosigns or anchors that one vouches for all of this.
        """
        if year.origin == present["origin"]:
            return present
        own = witnessed(year.log.cosigned(), self._needed)[1]
        return {
            "witnessed_size": year.log.size if present["witnessed_size"] else own,
            "anchored_size": year.log.size if present["anchored_size"] else 0,
        }


def life_lines(year: Year, found: Iterable[int], proven: Mapping[str, Any]) -> Iterator[Document]:
    """Yield the steps and papers among the events found in a year, each with how far it is proven."""
    for position in found:
        event = year.event(position)
        if event.action.value.startswith(OF_LIFE) and event.action not in LOOKS:
            yield {
                "year": year.year,
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
