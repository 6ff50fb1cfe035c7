"""What every LogStore and WitnessStore must keep, memory and SQLite alike."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hdex.ledger.errors import LogConflict
from hdex.ledger.merkle import leaf_hash
from hdex.ledger.ports import LogStore, WitnessStore
from hdex.ledger.store_memory import MemoryLogStore, MemoryWitnessStore
from hdex.ledger.store_sqlite import SqliteLogStore, SqliteWitnessStore

LogStores = Callable[[], LogStore]


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogStore]:
    found: LogStore = MemoryLogStore() if request.param == "memory" else SqliteLogStore(tmp_path / "log.sqlite")
    yield found
    found.close()


@pytest.fixture(params=["memory", "sqlite"])
def witness(request: pytest.FixtureRequest, tmp_path: Path) -> WitnessStore:
    return MemoryWitnessStore() if request.param == "memory" else SqliteWitnessStore(tmp_path / "witness.sqlite")


def test_an_empty_store_says_so(store: LogStore) -> None:
    assert store.load() == (0, (), None)
    assert store.size() == 0
    assert store.read(0, 10) == []
    assert store.notes("cosigned") == []


def test_leaves_keep_their_index_and_the_newest_head_stays(store: LogStore) -> None:
    store.append(0, [b"a", b""], "head 2")
    store.append(2, [b"c" * 100_000], "head 3")
    assert store.size() == 3
    assert store.read(0, 99) == [b"a", b"", b"c" * 100_000]
    assert store.read(1, 2) == [b""]
    assert store.load() == (3, (leaf_hash(b"a") + leaf_hash(b"") + leaf_hash(b"c" * 100_000),), "head 3")


@pytest.mark.parametrize("first", [0, 2, 7])
def test_an_append_that_does_not_continue_the_log_changes_nothing(store: LogStore, first: int) -> None:
    store.append(0, [b"a"], "head 1")
    with pytest.raises(LogConflict):
        store.append(first, [b"x"], "another head")
    assert store.load() == (1, (leaf_hash(b"a"),), "head 1")
    store.append(1, [b"b"], "head 2")
    assert store.size() == 2


def test_notes_are_kept_once_by_kind_in_order(store: LogStore) -> None:
    for kind, note in (
        ("cosigned", "log\none"),
        ("cosigned", "log\ntwo"),
        ("other", "log\none"),
        ("cosigned", "log\none"),
    ):
        store.put_note(kind, note)
    assert store.notes("cosigned") == ["log\none", "log\ntwo"]
    assert store.notes("other") == ["log\none"]


def test_what_sqlite_acknowledged_is_there_after_reopening(tmp_path: Path) -> None:
    first = SqliteLogStore(tmp_path / "log.sqlite")
    first.append(0, [b"a", b"b"], "head")
    first.put_note("cosigned", "note")
    second = SqliteLogStore(tmp_path / "log.sqlite")
    assert second.read(0, 2) == [b"a", b"b"]
    assert second.load() == (2, (leaf_hash(b"a") + leaf_hash(b"b"),), "head")
    assert second.notes("cosigned") == ["note"]


def test_two_sqlite_writers_on_one_file_cannot_both_append(tmp_path: Path) -> None:
    first, second = SqliteLogStore(tmp_path / "log.sqlite"), SqliteLogStore(tmp_path / "log.sqlite")
    first.append(0, [b"a"], "head")
    with pytest.raises(LogConflict):
        second.append(0, [b"b"], "another head")
    assert first.read(0, 9) == [b"a"]


def test_a_witness_store_advances_only_from_what_is_latest(witness: WitnessStore) -> None:
    assert witness.latest("log") is None
    assert witness.advance("log", None, "log\none", [b"1" * 32, b"2" * 32])
    assert not witness.advance("log", None, "log\nlost", [b"x" * 32])
    assert not witness.advance("log", "other", "log\nlost", [])
    assert witness.advance("log", "log\none", "log\ntwo", [b"3" * 32])
    assert witness.latest("log") == "log\ntwo"
    assert witness.mirror("log") == [b"1" * 32, b"2" * 32, b"3" * 32]
    assert witness.latest("other log") is None
    assert witness.mirror("other log") == []
