"""What every DetailStore must keep, memory and SQLite alike; and that a destroyed key is nowhere in its files."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hdex.ledger.detail import Detail, Details
from hdex.ledger.detail_memory import MemoryDetailStore
from hdex.ledger.detail_sqlite import SqliteDetailStore
from hdex.ledger.errors import DetailErased, LogFailed, StoreCorrupt
from hdex.ledger.event import Action, Event, commit
from hdex.ledger.grouping import Grouped, _Batch
from hdex.ledger.ports import DetailRow, DetailStore

MASTER = bytes(range(32))
SALT = bytes(range(16))
ANN, BOB = "spiffe://hdex.test/hospital/a/ann", "spiffe://hdex.test/hospital/a/bob"


def event(name: str, action: Action = Action.EXPORT) -> Event:
    return Event(event_id=name, time="2026-11-21T22:00:00.000Z", node="a", action=action, product="p", contract="c")


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DetailStore]:
    found: DetailStore = (
        MemoryDetailStore() if request.param == "memory" else SqliteDetailStore(tmp_path / "details.db")
    )
    yield found
    found.close()


def test_a_detail_comes_back_and_opens_the_commitment(store: DetailStore) -> None:
    details = Details(store, MASTER)
    details.remember(event("e1"), Detail(ANN, SALT))
    details.remember(event("e2"), Detail(BOB, SALT))
    assert details.open("e1") == Detail(ANN, SALT)
    assert details.commitments(ANN) == (commit(ANN, SALT),)
    assert [row.event_id for row in details.of_actor(BOB)] == ["e2"]
    assert details.commitments("nobody") == ()


def test_the_first_detail_of_an_event_stays(store: DetailStore) -> None:
    details = Details(store, MASTER)
    details.remember(event("e1"), Detail(ANN, SALT))
    details.remember(event("e1"), Detail(BOB, SALT))
    assert details.open("e1").actor == ANN
    assert details.of_actor(BOB) == []


def test_a_destroyed_key_takes_detail_and_tag_and_does_not_come_back(store: DetailStore) -> None:
    details = Details(store, MASTER)
    for name, actor in (("e1", ANN), ("e2", ANN), ("e3", BOB)):
        details.remember(event(name), Detail(actor, SALT))
    details.destroy(details.of_actor(ANN)[:1])
    with pytest.raises(DetailErased):
        details.open("e1")
    assert [row.event_id for row in details.of_actor(ANN)] == ["e2"]
    details.remember(event("e1"), Detail(ANN, SALT))
    with pytest.raises(DetailErased):
        details.open("e1")
    assert details.open("e3").actor == BOB


def test_a_row_sealed_for_one_event_does_not_open_for_another(store: DetailStore) -> None:
    details = Details(MemoryDetailStore(), MASTER)
    details.remember(event("e1"), Detail(ANN, SALT))
    row = details.row("e1")
    assert row is not None
    moved = {name: getattr(row, name) for name in ("time", "action", "product", "contract", "sealed", "key", "tag")}
    store.put([DetailRow(event_id="e2", **moved)])
    with pytest.raises(StoreCorrupt):
        Details(store, MASTER).open("e2")


def test_a_store_whose_index_leads_to_another_row_is_not_believed() -> None:
    """Found by the long form of the bit flips: the row was whole, and of another person."""

    class Misled(MemoryDetailStore):
        def get(self, event_id: str) -> DetailRow | None:
            return super().get("e1")

        def find(self, tag: bytes) -> list[DetailRow]:
            row = super().get("e1")
            return [] if row is None else [row]

    details = Details(Misled(), MASTER)
    details.remember(event("e1"), Detail(ANN, SALT))
    details.remember(event("e2"), Detail(BOB, SALT))
    with pytest.raises(StoreCorrupt):
        details.open("e2")
    with pytest.raises(StoreCorrupt):
        details.commitments(BOB)


def test_another_master_key_opens_nothing_and_finds_nobody(store: DetailStore) -> None:
    Details(store, MASTER).remember(event("e1"), Detail(ANN, SALT))
    other = Details(store, bytes(32))
    assert other.of_actor(ANN) == []
    with pytest.raises(StoreCorrupt):
        other.open("e1")


def test_holds_are_kept_by_name_and_sealed(store: DetailStore) -> None:
    details = Details(store, MASTER)
    details.place_hold("court", {"actor": ANN})
    details.place_hold("court", {"actor": BOB})
    assert dict(details.holds()) == {"court": {"actor": BOB}}
    assert BOB.encode() not in dict(store.holds())["court"]
    details.lift_hold("court")
    assert list(details.holds()) == []


def test_after_an_erasure_no_file_holds_the_key_or_the_tag(tmp_path: Path) -> None:
    store = SqliteDetailStore(tmp_path / "details.db")
    details = Details(store, MASTER)
    for number in range(50):
        details.remember(event(f"e{number}"), Detail(ANN, SALT))
    rows = details.of_actor(ANN)
    assert any(rows[7].key in path.read_bytes() for path in tmp_path.iterdir())
    details.destroy(rows)
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [row for row in rows if row.key in held or row.tag in held]
    assert rows[7].sealed in held  # the row itself stays: without its key it is noise


def test_no_file_names_an_actor(tmp_path: Path) -> None:
    details = Details(SqliteDetailStore(tmp_path / "details.db"), MASTER)
    details.remember(event("e1"), Detail(ANN, SALT))
    details.place_hold("court", {"actor": ANN})
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"ann" not in held
    assert SALT not in held


def test_details_outlive_the_process(tmp_path: Path) -> None:
    Details(SqliteDetailStore(tmp_path / "details.db"), MASTER).remember(event("e1"), Detail(ANN, SALT))
    assert Details(SqliteDetailStore(tmp_path / "details.db"), MASTER).open("e1").actor == ANN


def test_many_callers_share_a_write_and_each_finds_its_own(tmp_path: Path) -> None:
    details = Details(SqliteDetailStore(tmp_path / "details.db"), MASTER)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: details.remember(event(f"e{n}"), Detail(f"actor {n}", SALT)), range(160)))
    assert all(details.open(f"e{n}").actor == f"actor {n}" for n in range(160))


def test_a_group_is_one_call_and_its_failure_reaches_everybody_in_it() -> None:
    first_is_writing, others_wait = threading.Event(), threading.Event()
    calls: list[list[int]] = []

    def write(items: object) -> None:
        calls.append(list(items))  # type: ignore[call-overload]  # a sequence of numbers
        if len(calls) == 1:
            first_is_writing.set()
            others_wait.wait(30)
        else:
            raise LogFailed("no room is left")

    grouped: Grouped[int] = Grouped(write)
    with ThreadPoolExecutor(5) as pool:
        leader = pool.submit(grouped.add, [0])
        first_is_writing.wait(30)
        followers = [pool.submit(grouped.add, [n]) for n in range(1, 5)]
        while len(grouped._queue) < 4:
            threading.Event().wait(0.001)
        others_wait.set()
        assert leader.result() is None
        assert all(isinstance(one.exception(), LogFailed) for one in followers)
    assert [sorted(call) for call in calls] == [[0], [1, 2, 3, 4]]


def test_who_waits_for_a_writer_that_was_interrupted_is_not_told_that_it_was_written() -> None:
    def write(_: object) -> None:
        raise KeyboardInterrupt

    grouped: Grouped[int] = Grouped(write)
    waiting = _Batch([1])
    with pytest.raises(KeyboardInterrupt):
        grouped._write_group([waiting])
    assert waiting.done
    assert isinstance(waiting.error, LogFailed)
