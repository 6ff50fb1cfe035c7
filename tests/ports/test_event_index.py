"""What every EventIndex must keep, memory and SQLite alike; and what a search does with an index that lies."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hdex.ledger.errors import IndexFailed
from hdex.ledger.event import Action, Decision, Event, canonical, format_time
from hdex.ledger.index import Search, matches, scan
from hdex.ledger.index_memory import MemoryEventIndex
from hdex.ledger.index_sqlite import SqliteEventIndex
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.ports import EventIndex, EventQuery
from hdex.ledger.store_memory import MemoryLogStore

START = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
ORIGIN = "hdex/hospital-a/2026"
ACTORS = [f"{number:064x}" for number in range(10, 13)]


def event(number: int, **said: object) -> Event:
    base = Event(
        event_id=str(number), time=format_time(START + timedelta(seconds=number)), node="a", action=Action.EXPORT
    )
    return replace(base, **said)  # type: ignore[arg-type]  # the test's own fields


EVENTS = [
    event(0, product="stents", actor=ACTORS[0], decision=Decision.ALLOW, organisation="A"),
    event(1, product="stents", actor=ACTORS[1], decision=Decision.DENY, role="buyer"),
    event(2, product="valves", contract="c-1", grant="g-1", action=Action.PRODUCT_READ),
    event(3, product="valves", purpose="DUO:0000042", actor=ACTORS[0], action=Action.AUDIT_READ),
]


@pytest.fixture(params=["memory", "sqlite"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventIndex]:
    found: EventIndex = MemoryEventIndex() if request.param == "memory" else SqliteEventIndex(tmp_path / "index.db")
    yield found
    found.close()


def test_an_empty_index_finds_nothing(index: EventIndex) -> None:
    assert index.size() == 0
    assert index.search(EventQuery()) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (EventQuery(), [0, 1, 2, 3]),
        (EventQuery(organisation="A"), [0]),
        (EventQuery(role="buyer"), [1]),
        (EventQuery(product="stents"), [0, 1]),
        (EventQuery(contract="c-1"), [2]),
        (EventQuery(grant="g-1"), [2]),
        (EventQuery(purpose="DUO:0000042"), [3]),
        (EventQuery(action="export"), [0, 1]),
        (EventQuery(decision="deny"), [1]),
        (EventQuery(actor=(ACTORS[0],)), [0, 3]),
        (EventQuery(actor=(ACTORS[1], ACTORS[0], ACTORS[2])), [0, 1, 3]),
        (EventQuery(actor=("no commitment",)), []),
        (EventQuery(actor=("AB" * 32, "")), []),
        (EventQuery(product="stents", actor=(ACTORS[0],)), [0]),
        (EventQuery(since=START + timedelta(seconds=2)), [2, 3]),
        (EventQuery(since=START + timedelta(seconds=1, microseconds=1)), [2, 3]),
        (EventQuery(until=START + timedelta(seconds=1)), [0]),
        (EventQuery(until=START + timedelta(seconds=1, microseconds=1)), [0, 1]),
        (EventQuery(first=1, limit=2), [1, 2]),
        (EventQuery(limit=0), []),
        (EventQuery(first=9), []),
        (EventQuery(product="no such"), []),
    ],
)
def test_each_field_narrows_and_the_order_is_that_of_the_log(
    index: EventIndex, query: EventQuery, expected: list[int]
) -> None:
    index.add(0, EVENTS[:1])
    index.add(1, EVENTS[1:])
    assert index.search(query) == expected


def test_what_is_indexed_is_not_indexed_twice_and_a_gap_is_refused(index: EventIndex) -> None:
    index.add(0, EVENTS[:2])
    index.add(0, EVENTS[:3])
    index.add(1, EVENTS[1:2])
    assert index.size() == 3
    assert index.search(EventQuery()) == [0, 1, 2]
    with pytest.raises(IndexFailed):
        index.add(4, EVENTS[3:])
    assert index.size() == 3


def test_more_commitments_than_a_statement_has_places(index: EventIndex) -> None:
    index.add(0, EVENTS)
    many = tuple(f"{number:064x}" for number in range(40_000, 80_000))
    assert index.search(EventQuery(actor=(*many, ACTORS[1]))) == [1]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    product=st.none() | st.sampled_from(["stents", "valves", "x"]),
    actor=st.lists(st.sampled_from(ACTORS), max_size=2),
    window=st.tuples(st.none() | st.integers(0, 5), st.none() | st.integers(0, 5)),
    page=st.tuples(st.integers(-1, 5), st.integers(0, 5)),
)
def test_the_index_answers_what_a_scan_of_the_log_answers(
    index: EventIndex,
    product: str | None,
    actor: list[str],
    window: tuple[int | None, int | None],
    page: tuple[int, int],
) -> None:
    index.add(0, EVENTS)
    since, until = (None if second is None else START + timedelta(seconds=second) for second in window)
    query = EventQuery(product=product, actor=tuple(actor), since=since, until=until, first=page[0], limit=page[1])
    assert index.search(query) == [where for where, _ in scan(log_of(EVENTS), query)]


def log_of(events: list[Event]) -> Log:
    log = Log(MemoryLogStore(), ORIGIN, Signer(ORIGIN, bytes(range(32))))
    for one in events:
        log.append(canonical(one))
    return log


def search_over(log: Log, path: Path) -> Search:
    return Search(log, opened=lambda: SqliteEventIndex(path), fresh=lambda: SqliteEventIndex.fresh(path))


def test_a_search_catches_up_with_the_log_before_it_answers(tmp_path: Path) -> None:
    log = log_of(EVENTS[:1])
    search = search_over(log, tmp_path / "index.db")
    assert search.find(EventQuery(product="stents")) == [(0, EVENTS[0])]
    log.append(canonical(EVENTS[1]))
    assert [where for where, _ in search.find(EventQuery(product="stents"))] == [0, 1]
    search.close()
    log.append(canonical(EVENTS[2]))
    assert search.size() == 3


Damage = Callable[[Path], object]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


def ahead(path: Path) -> None:
    other = SqliteEventIndex(path)
    other.add(4, [event(4), event(5)])
    other.close()


def lying(path: Path) -> None:
    SqliteEventIndex.fresh(path).close()
    other = SqliteEventIndex(path)
    other.add(0, [replace(one, product="stents") for one in EVENTS])
    other.close()


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b"rubbish" * 999), cut, ahead, lying, Path.unlink])
def test_an_index_that_is_damaged_or_lies_is_built_again(tmp_path: Path, damage: Damage) -> None:
    path, log = tmp_path / "index.db", log_of(EVENTS)
    before = search_over(log, path)
    before.find(EventQuery())
    before.close()
    damage(path)
    after = search_over(log, path)
    assert [where for where, _ in after.find(EventQuery(product="stents"))] == [0, 1]
    after.close()


def test_an_index_that_fails_refuses_no_append(tmp_path: Path) -> None:
    log = log_of(EVENTS[:1])
    search = search_over(log, tmp_path / "no such folder" / "index.db")
    with pytest.raises(IndexFailed):
        search.find(EventQuery())
    assert log.append(canonical(EVENTS[1])).index == 1
    assert [where for where, _ in scan(log, EventQuery())] == [0, 1]


def test_every_field_of_a_query_is_compared() -> None:
    names = ("organisation", "role", "product", "contract", "grant", "purpose", "action", "decision")
    whole = event(0, **{name: "allow" if name == "decision" else "export" for name in names})
    for name in names:
        asked = EventQuery(**{name: str(getattr(whole, name))})  # type: ignore[arg-type]  # one field at a time
        assert matches(asked, whole)
        assert not matches(EventQuery(**{name: "other"}), whole)  # type: ignore[arg-type]  # one field at a time
