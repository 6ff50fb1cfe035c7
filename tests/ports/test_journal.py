"""One suite for the Journal and Store ports of the federated room, run over every adapter."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.federated.samples import consortium
from tests.ports.postgres_server import Server, binaries, running_server

from hdex.federated.errors import JournalConflict, JournalUnavailable
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal import Attempt, Gathered, ReplyRecord, RoundRecord
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.journal_postgres import PostgresJournal
from hdex.federated.journal_sqlite import SqliteJournal
from hdex.federated.ports import Journal, Store
from hdex.federated.run import run_study
from hdex.federated.store_memory import MemoryStore
from hdex.federated.store_sqlite import SqliteStore
from hdex.node.errors import ConfigInvalid
from hdex.node.exchange.journals import open_journal

pytestmark = pytest.mark.xdist_group("journal")  # one PostgreSQL server for all of these
DURABLE = ("sqlite", "postgres")
STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda folder: SqliteStore(folder / "kept.sqlite"),
}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """A real PostgreSQL server."""
    if binaries() is None:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed")
    with running_server() as server:
        yield server


def opener(name: str, request: pytest.FixtureRequest, folder: Path) -> Callable[[], Journal]:
    """Return what opens the same fresh journal again and again."""
    if name == "sqlite":
        return lambda: SqliteJournal(folder / "journal.sqlite")
    server: Server = request.getfixturevalue("postgres")
    with psycopg.connect(server.url) as connection:
        connection.execute("DROP TABLE IF EXISTS hdex_rounds, hdex_attempts, hdex_gathered")
    return lambda: PostgresJournal(server.url)


@pytest.fixture(params=["memory", *DURABLE])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    return MemoryJournal() if request.param == "memory" else opener(request.param, request, tmp_path)()


@pytest.fixture(params=DURABLE)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Journal]:
    return opener(request.param, request, tmp_path)


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return STORES[request.param](tmp_path)


def row(number: int, study: str = "study-1", state: tuple[float, ...] = (0.1, -2.5e-300, 3.0)) -> RoundRecord:
    replies = tuple(ReplyRecord(site, "ab" * 32, 2, 1024, 1500) for site in ("a", "b"))
    return RoundRecord(study, "00" * 32, number, 1, "newton", "11" * 32, replies, "22" * 32, "33" * 32, state)


def test_rows_come_back_in_order_per_study(journal: Journal) -> None:
    for number in (1, 2, 3):
        journal.commit(row(number))
    journal.commit(row(1, study="study-2"))
    assert list(journal.rounds("study-1")) == [row(1), row(2), row(3)]
    assert list(journal.rounds("study-2")) == [row(1, study="study-2")]
    assert list(journal.rounds("study-3")) == []


def test_the_same_row_again_is_fine_and_another_is_refused(journal: Journal) -> None:
    journal.commit(row(1))
    journal.commit(row(1))
    for wrong in (row(1, state=(0.2,)), replace(row(1), attempt=2)):
        with pytest.raises(JournalConflict):
            journal.commit(wrong)
    assert list(journal.rounds("study-1")) == [row(1)]


def test_a_gap_is_refused(journal: Journal) -> None:
    for number in (2, 0, -1):
        with pytest.raises(JournalConflict):
            journal.commit(row(number))
    journal.commit(row(1))
    with pytest.raises(JournalConflict):
        journal.commit(row(3))


def test_a_round_keeps_its_last_attempt_and_goes_back_to_none_before(journal: Journal) -> None:
    first, second = Attempt("study-1", 1, 1, ("a", "b", "c")), Attempt("study-1", 1, 2, ("a", "c"))
    assert journal.declared("study-1", 1) is None
    for attempt in (first, first, second, second):
        journal.declare(attempt)
        assert journal.declared("study-1", 1) == attempt
    for wrong in (first, replace(second, sites=("a", "b"))):
        with pytest.raises(JournalConflict):
            journal.declare(wrong)
    assert journal.declared("study-1", 1) == second
    assert journal.declared("study-1", 2) is journal.declared("study-2", 1) is None


def test_what_was_gathered_stays_as_it_is_until_its_round_is_committed(journal: Journal) -> None:
    first = Gathered("study-1", 1, 2, (b"one\n", b"", b"\0\xff" * 1000))
    assert journal.gathered("study-1", 1) is None
    for _ in range(2):
        journal.gather(first)
        assert journal.gathered("study-1", 1) == first
    for wrong in (replace(first, attempt=3), replace(first, replies=first.replies[:2])):
        with pytest.raises(JournalConflict):
            journal.gather(wrong)
    assert journal.gathered("study-1", 2) is journal.gathered("study-2", 1) is None
    journal.commit(row(1))
    assert journal.gathered("study-1", 1) is None


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(state=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8))
def test_the_state_comes_back_bit_for_bit(journal: Journal, state: list[float]) -> None:
    study = f"study-{hash(tuple(state))}"
    record = row(1, study, tuple(state))
    journal.commit(record)
    found = journal.rounds(study)[0]
    assert found.sums().tolist() == state
    assert found.digest() == record.digest()


def test_rows_survive_reopening(reopen: Callable[[], Journal]) -> None:
    reopen().commit(row(1))
    reopen().declare(Attempt("study-1", 2, 2, ("a", "c")))
    assert reopen().declared("study-1", 2) == Attempt("study-1", 2, 2, ("a", "c"))
    reopen().gather(Gathered("study-1", 2, 2, (b"a", b"c")))
    assert reopen().gathered("study-1", 2) == Gathered("study-1", 2, 2, (b"a", b"c"))
    assert list(reopen().rounds("study-1")) == [row(1)]


def test_of_two_that_commit_the_same_round_one_is_told(reopen: Callable[[], Journal]) -> None:
    """Two coordinators of one study, after a restart that left the old one alive."""
    conflicts: list[JournalConflict] = []
    start = threading.Barrier(4)

    def commit(number: int) -> None:
        journal = reopen()
        start.wait(30)
        try:
            journal.commit(row(1, state=(float(number),)))
        except JournalConflict as conflict:
            conflicts.append(conflict)

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(conflicts) == 3
    assert len(reopen().rounds("study-1")) == 1


def test_a_study_goes_on_from_the_journal(reopen: Callable[[], Journal]) -> None:
    party = consortium(secure="plain")
    found = [
        run_study(party.envelope, grid=InprocGrid(party.handlers()), decryptor=party.decryptor, journal=reopen())
        for _ in range(2)
    ]
    assert found[0].document() == found[1].document()
    assert set(party.computations().values()) == {found[0].rounds}  # nobody was asked a second time


def test_a_server_that_dies_keeps_what_it_said_it_has(postgres: Server) -> None:
    journal = PostgresJournal(postgres.url)
    record = row(1, study="study-crash")
    journal.commit(record)
    postgres.stop("immediate")
    with pytest.raises(JournalUnavailable):
        journal.commit(row(2, study="study-crash"))
    with pytest.raises(JournalUnavailable):
        PostgresJournal(postgres.url)
    postgres.start()
    assert list(journal.rounds("study-crash")) == [record]


@pytest.mark.parametrize("url", ["postgresql://a:secret@h/db", "postgresql://h/db?password=secret", "mysql://h/db"])
def test_an_exchanges_journal_url_names_postgresql_and_no_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        open_journal(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_an_exchange_has_sqlite_unless_told_otherwise(postgres: Server, tmp_path: Path) -> None:
    assert isinstance(open_journal("", tmp_path), SqliteJournal)
    assert isinstance(open_journal(postgres.url, tmp_path), PostgresJournal)


def test_named_bytes_are_replaced_whole(store: Store) -> None:
    assert store.get("reply/study-1") is None
    for value in (b"first", b"", b"\0\xff" * 1000):
        store.put("reply/study-1", value)
        assert store.get("reply/study-1") == value
    assert store.get("reply/study-2") is None


def test_named_bytes_survive_reopening_sealed(tmp_path: Path) -> None:
    def turn(value: bytes) -> bytes:
        return bytes(byte ^ 0x5A for byte in value)

    path = tmp_path / "kept.sqlite"
    SqliteStore(path, seal=turn, unseal=turn).put("key/study-1", b"the private key")
    assert SqliteStore(path, seal=turn, unseal=turn).get("key/study-1") == b"the private key"
    assert SqliteStore(path).get("key/study-1") == turn(b"the private key")
    assert all(b"the private key" not in file.read_bytes() for file in tmp_path.iterdir())
