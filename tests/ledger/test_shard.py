"""A log over New Year: a shard a year, each begun with the end of the one before, all of them found again."""

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hdex.ledger import merkle
from hdex.ledger.errors import LogFailed, NoteInvalid, StoreCorrupt
from hdex.ledger.event import Action, Decision, Event, canonical, format_time, parse
from hdex.ledger.log import Log
from hdex.ledger.note import Signer, Verifier, parse_checkpoint, verify_note
from hdex.ledger.shard import in_order, link_to, linked_head, origin_of, parse_origin, require_continued
from hdex.ledger.shard_sqlite import Shards
from hdex.ledger.store_memory import MemoryWitnessStore
from hdex.ledger.witness import Witness

NODE, SECRET = "hospital-a", bytes(range(32))
EVE = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
YEAR = timedelta(days=365)


class Clock:
    def __init__(self, now: datetime = EVE) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def shards(folder: Path, clock: Clock) -> Shards:
    return Shards(folder, NODE, signer=lambda origin: Signer(origin, SECRET), clock=clock)


def leaf(name: str, clock: Clock) -> bytes:
    return canonical(
        Event(
            event_id=name, time=format_time(clock()), node=NODE, action=Action.EXPORT, decision=Decision.ALLOW, rows=1
        )
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    "origin", ["hdex/a", "hdex//2026", "hdex/a/26", "hdex/a/b/2026", "other/a/2026", "hdex/a/２０２６"]
)
def test_an_origin_of_another_form_is_refused(origin: str) -> None:
    with pytest.raises(NoteInvalid):
        parse_origin(origin)


def test_origins_sort_by_year() -> None:
    names = [origin_of("a", year) for year in (2028, 2026, 2027)]
    assert in_order(names) == ["hdex/a/2026", "hdex/a/2027", "hdex/a/2028"]
    assert parse_origin(names[0]) == ("a", 2028)


def test_at_new_year_the_next_append_opens_a_shard_that_carries_the_last_head(tmp_path: Path, clock: Clock) -> None:
    log = shards(tmp_path, clock).open()
    for number in range(3):
        log.append(leaf(f"old {number}", clock))
    ended = log.checkpoint()
    clock.now += timedelta(seconds=2)
    assert log.checkpoint() == ended  # nothing happens before something is to be written
    receipt = log.append(leaf("new", clock))
    assert (log.origin, receipt.index, receipt.size) == ("hdex/hospital-a/2027", 1, 2)
    link, entry = log.entries(0, 9)
    assert linked_head(link) == ended
    assert parse(link).action == Action.SHARD_OPEN
    assert entry == leaf("new", clock)
    require_continued(ended, link, log.public_key)
    merkle.verify_inclusion(receipt.leaf_hash, 1, 2, log.inclusion(1, 2), receipt.root)
    verify_note(log.checkpoint(), [Verifier("hdex/hospital-a/2027", log.public_key)])


def test_all_shards_are_found_again_and_the_newest_is_written(tmp_path: Path, clock: Clock) -> None:
    log = shards(tmp_path, clock).open()
    for year in range(3):
        clock.now = EVE + year * YEAR
        log.append(leaf(f"{year}", clock))
    log.close()
    again = shards(tmp_path, clock)
    assert sorted(again.files()) == [2026, 2027, 2028]
    current = again.open()
    assert (current.origin, current.size) == ("hdex/hospital-a/2028", 2)
    assert current.append(leaf("more", clock)).index == 2
    past = again.past()
    assert [(one.origin, one.size) for one in past] == [("hdex/hospital-a/2026", 1), ("hdex/hospital-a/2027", 2)]
    for one, after in zip(past, [*past[1:], current], strict=True):
        require_continued(one.checkpoint(), after.entries(0, 1)[0], current.public_key)
    with pytest.raises(StoreCorrupt, match="2026, 2027, 2028"):
        again.read(2025)


def test_a_restart_after_new_year_goes_on_with_the_old_shard_first(tmp_path: Path, clock: Clock) -> None:
    log = shards(tmp_path, clock).open()
    log.append(leaf("old", clock))
    ended = log.checkpoint()
    log.close()
    clock.now += 3 * YEAR
    log = shards(tmp_path, clock).open()
    assert log.checkpoint() == ended
    log.append(leaf("new", clock))
    assert log.origin == "hdex/hospital-a/2029"
    assert linked_head(log.entries(0, 1)[0]) == ended


def test_a_clock_that_goes_back_begins_nothing(tmp_path: Path, clock: Clock) -> None:
    clock.now += timedelta(days=1)
    log = shards(tmp_path, clock).open()
    log.append(leaf("a", clock))
    clock.now = EVE
    log.append(leaf("b", clock))
    assert (log.origin, log.size) == ("hdex/hospital-a/2027", 2)


def test_many_callers_at_midnight_open_one_shard(tmp_path: Path, clock: Clock) -> None:
    log = shards(tmp_path, clock).open()
    log.append(leaf("old", clock))
    clock.now += timedelta(seconds=2)
    with ThreadPoolExecutor(16) as pool:
        receipts = list(pool.map(lambda n: log.append(leaf(f"{n}", clock)), range(64)))
    assert sorted(receipt.index for receipt in receipts) == list(range(1, 65))
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["log-2027.db", "log.db"]


def test_a_shard_whose_first_write_failed_has_not_begun(tmp_path: Path, clock: Clock) -> None:
    log = shards(tmp_path, clock).open()
    log.append(leaf("old", clock))
    clock.now += timedelta(seconds=2)
    (tmp_path / "log-2027.db").mkdir()
    with pytest.raises(LogFailed):
        log.append(leaf("new", clock))
    assert log.failed
    assert log.origin == "hdex/hospital-a/2026"
    log.close()
    (tmp_path / "log-2027.db").rmdir()
    sqlite3.connect(tmp_path / "log-2027.db").close()
    again = shards(tmp_path, clock).open()
    assert again.origin == "hdex/hospital-a/2026"
    assert again.append(leaf("new", clock)).index == 1
    assert again.origin == "hdex/hospital-a/2027"


def rolled(folder: Path, clock: Clock) -> None:
    log = shards(folder, clock).open()
    log.append(leaf("old", clock))
    shutil.copy(folder / "log.db", folder / "backup")
    log.append(leaf("older", clock))
    clock.now += timedelta(seconds=2)
    log.append(leaf("new", clock))
    log.close()


def test_an_old_shard_put_back_from_a_backup_is_found(tmp_path: Path, clock: Clock) -> None:
    rolled(tmp_path, clock)
    shards(tmp_path, clock).open().close()
    other = Clock()
    shorter = tmp_path / "other"
    shorter.mkdir()
    log = shards(shorter, other).open()
    log.append(leaf("old", other))
    log.close()
    shutil.copy(shorter / "log.db", tmp_path / "log.db")
    with pytest.raises(StoreCorrupt, match="ends at 1 entries"):
        shards(tmp_path, clock).open()


def test_a_shard_under_anothers_name_is_found(tmp_path: Path, clock: Clock) -> None:
    rolled(tmp_path, clock)
    (tmp_path / "log-2027.db").rename(tmp_path / "log-2030.db")
    with pytest.raises(StoreCorrupt, match="another year"):
        shards(tmp_path, clock).open()


@pytest.mark.parametrize("what", ["no link", "other shard", "other key"])
def test_a_first_entry_that_continues_something_else_is_refused(tmp_path: Path, clock: Clock, what: str) -> None:
    log = shards(tmp_path, clock).open()
    log.append(leaf("a", clock))
    head, key = log.checkpoint(), log.public_key
    log.append(leaf("b", clock))
    link = leaf("c", clock) if what == "no link" else link_to(log.checkpoint(), clock())
    with pytest.raises(StoreCorrupt):
        require_continued(
            log.checkpoint() if what == "other key" else head, link, bytes(32) if what == "other key" else key
        )


def test_a_witness_cosigns_the_new_shard_and_with_it_the_end_of_the_old(tmp_path: Path, clock: Clock) -> None:
    log = shards(tmp_path, clock).open()
    log.append(leaf("old", clock))
    keys = {origin_of(NODE, year): log.public_key for year in (2026, 2027)}
    witness = Witness(Signer("hospital-b", bytes(32)), MemoryWitnessStore(), logs=keys, clock=clock)
    witness.add_checkpoint(0, [], log.checkpoint(), log.leaf_hashes(0, 1))
    clock.now += timedelta(seconds=2)
    log.append(leaf("new", clock))
    witness.add_checkpoint(0, [], log.checkpoint(), log.leaf_hashes(0, 2))
    assert parse_checkpoint(str(witness.latest("hdex/hospital-a/2027"))).size == 2
    assert witness.size("hdex/hospital-a/2026") == 1


def test_a_log_that_stays_in_one_store_never_asks_for_another(tmp_path: Path) -> None:
    from hdex.ledger.store_memory import MemoryLogStore

    origin = origin_of(NODE, 2026)
    log = Log(MemoryLogStore(), origin, Signer(origin, SECRET))
    log.append(b"any bytes")
    assert log.origin == origin
