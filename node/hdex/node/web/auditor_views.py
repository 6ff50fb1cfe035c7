"""What the auditor's pages show, as plain values: nothing here reads, verifies or decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import ceil
from urllib.parse import urlencode

from hdex.ledger.audit_report import ANCHOR_ALARM, ANCHOR_WARN
from hdex.ledger.event import Action, Decision, Event, document
from hdex.ledger.merkle import leaf_hash
from hdex.ledger.ports import EventQuery
from hdex.ledger.trust import Trust
from hdex.node.auditor_desk import Place, Reading, ReadLog
from hdex.node.web.auditor_path import Step, draw, steps
from hdex.node.web.auditor_words import AuditWords
from hdex.node.web.markup import Markup

PER_PAGE = 50
LONGEST = 256
TEXTS = ("product", "contract", "grant", "purpose")
CODES = {"action": tuple(one.value for one in Action), "decision": tuple(one.value for one in Decision)}


@dataclass(frozen=True, slots=True)
class LogCard:
    """One log on the first page."""

    log: ReadLog
    witnesses: tuple[str, ...]  # who could vouch for it
    needed: int
    mood: str  # good, wait, bad
    anchor_age: timedelta | None
    unanchored: int


def log_cards(reading: Reading, trust: Trust) -> list[LogCard]:
    """Return a card for every log that was read."""
    return [log_card(log, reading, trust) for log in reading.logs.values()]


def log_card(log: ReadLog, reading: Reading, trust: Trust) -> LogCard:
    """Return one card: bad where too few vouch or the anchor is an hour old while the log moved on.

    The end of a past year is vouched for by the year after it, which the report holds against it.
    """
    state, known = log.state, trust.log(log.evidence.origin)
    others = tuple(one.name for one in trust.witnesses_of(known)) if known else ()
    age = reading.taken - state.anchored.time if state.anchored else None
    behind = state.entries - (state.anchored.size if state.anchored else 0)
    offence = reading.report["first_offence"] or {}
    is_bad = not (log.is_past or trust.is_witnessed_by(state.cosigners)) or offence.get("log") == log.node
    late = age if behind and age is not None and not log.is_past else timedelta()
    mood = "bad" if is_bad or late > ANCHOR_ALARM else "wait" if late > ANCHOR_WARN or age is None else "good"
    return LogCard(log, others, trust.min_witnesses, mood, age, behind)


@dataclass(frozen=True, slots=True)
class Search:
    """A search as its address states it; what makes no sense in it is left out and said."""

    log: str = ""
    page: int = 1
    values: tuple[tuple[str, str], ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    is_odd: bool = False

    @classmethod
    def read(cls, asked: Mapping[str, str]) -> "Search":
        """Return the search of a query string, which a stranger may have written."""
        given = {name: asked.get(name, "").strip()[:LONGEST] for name in (*TEXTS, *CODES)}
        kept = tuple((n, v) for n, v in given.items() if v and (n not in CODES or v in CODES[n]))
        (since, odd_since), (until, odd_until) = day(asked.get("since", "")), day(asked.get("until", ""))
        number = asked.get("page", "1")
        page = int(number) if number.isascii() and number.isdecimal() and len(number) < 7 else 1
        return cls(asked.get("log", "")[:LONGEST], max(1, page), kept, since, until, odd_since or odd_until)

    def query(self) -> EventQuery:
        """Return what is asked of each log; a last day is meant whole."""
        until = self.until + timedelta(days=1) if self.until else None
        values: dict[str, str] = dict(self.values)
        return EventQuery(**values, since=self.since, until=until)  # type: ignore[arg-type]  # names of TEXTS and CODES

    def address(self, *, page: int | None = None) -> str:
        """Return the query string of this search, or of another page of it."""
        days = {name: f"{time:%Y-%m-%d}" for name in ("since", "until") if (time := getattr(self, name)) is not None}
        held = {**({"log": self.log} if self.log else {}), **dict(self.values), **days}
        return urlencode({**held, "page": page} if page else held)


def day(text: str) -> tuple[datetime | None, bool]:
    """Return a day of a form as its midnight, and whether the text was something else."""
    if not text:
        return None, False
    try:
        return datetime.strptime(text[:LONGEST], "%Y-%m-%d").replace(tzinfo=UTC), False
    except ValueError:
        return None, True


@dataclass(frozen=True, slots=True)
class EventsPage:
    """One page of found events."""

    search: Search
    places: list[Place]
    total: int
    pages: int


def events_page(reading: Reading, search: Search) -> EventsPage:
    """Return the page of a search. Raises NotFound for a log that was not read."""
    total, found = reading.find(search.query(), search.log)
    start = PER_PAGE * (search.page - 1)
    shown = list(islice(found, start, start + PER_PAGE)) if start < total else []
    return EventsPage(search, shown, total, ceil(total / PER_PAGE))


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of an event's life and whether it has reached it."""

    name: str
    is_reached: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EventPage:
    """One event with its proof."""

    log: ReadLog
    index: int
    event: Event
    raw: str
    fields: list[tuple[str, str]]
    stages: list[Stage]
    leaf: bytes
    path: list[Step]
    picture: Markup | None


def event_page(log: ReadLog, index: int, trust: Trust, words: AuditWords, *, newest_block: int) -> EventPage:
    """Return one event. The index is within the log's events; newest_block: the last one in which anything was read."""
    entry, size = log.evidence.entries[index], log.state.size
    leaf = leaf_hash(entry)
    path = steps(leaf, index, size, log.proof(index))
    picture = draw(leaf, path, words, index=index, size=size) if index < size else None
    event = log.event(index)
    fields = [(name, told(name, value, words)) for name, value in sorted(document(event).items())]
    stages = event_stages(log, index, trust, words, newest_block=newest_block)
    return EventPage(log, index, event, entry.decode(), fields, stages, leaf, path, picture)


def told(name: str, value: object, words: AuditWords) -> str:
    """Return a field's value as a reader wants it, its code beside it."""
    if name in {"action", "decision"}:
        label = words.name(name, str(value))
        return str(value) if label == value else f"{label} ({value})"
    return f"{value:,}" if isinstance(value, int) and name != "schema" else str(value)


def event_stages(log: ReadLog, index: int, trust: Trust, words: AuditWords, *, newest_block: int) -> list[Stage]:
    """Return durable, checkpointed, witnessed, anchored and final, each with what shows it.

    Final: a later block with an anchor stands upon that of this entry, so a chain that took it back took others' too.
    """
    state, anchor = log.state, log.anchor(index)
    is_signed = index < state.size
    known = trust.log(log.evidence.origin)
    others = len(trust.witnesses_of(known)) if known else 0
    count = len(state.cosigners) if is_signed else 0
    vouched = f"{count} {words.say('page.of')} {others}, {words.say('logs.needed')} {trust.min_witnesses}"
    block = f"{words.say('logs.block')} {anchor.block}, {words.minute(anchor.time)}" if anchor else ""
    above = newest_block - anchor.block if anchor else 0
    return [
        Stage("durable", True, words.minute(log.event(index).at)),
        Stage("checkpointed", is_signed, f"{words.say('logs.size')} {state.size:,}" if is_signed else ""),
        Stage("witnessed", count > 0 and trust.is_witnessed_by(state.cosigners), vouched),
        Stage("anchored", anchor is not None, block),
        Stage("final", above > 0, f"{above:,} {words.say('event.blocks_above')}" if above > 0 else ""),
    ]
