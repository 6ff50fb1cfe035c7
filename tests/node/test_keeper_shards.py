"""Over New Year the keeper has the new shard cosigned from its first entry on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.node.market_stage import Market, person
from tests.node.test_keeper import Peer

from hdex.ledger.errors import ChainUnavailable
from hdex.ledger.note import Signer, parse_checkpoint, parse_note
from hdex.ledger.shard import origin_of
from hdex.ledger.shard_sqlite import Shards
from hdex.ledger.store_memory import MemoryWitnessStore
from hdex.ledger.witness import Witness
from hdex.node.errors import NotFound
from hdex.node.keeper import Anchoring, Keeper
from hdex.node.logbook import Logbook


class Years:
    def __init__(self) -> None:
        self.now = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def no_chain() -> Anchoring:
    raise ChainUnavailable("no chain is configured")


def test_a_new_shard_is_cosigned_though_it_is_shorter_than_the_old(tmp_path: Path) -> None:
    clock, market = Years(), Market(tmp_path / "market")
    log = Shards(tmp_path, "hospital-a", signer=lambda origin: Signer(origin, bytes(range(32))), clock=clock).open()
    logs = {origin_of("hospital-a", year): log.public_key for year in (2026, 2027)}
    peer = Peer("b", Witness(Signer("b", bytes(32)), MemoryWitnessStore(), logs=logs, clock=clock))
    meter = market.grounds["hospital-a"].meter
    keeper = Keeper(log, [peer], anchoring=no_chain, flush=lambda: None, meter=meter, period_s=1)
    for number in range(7):
        log.append(b"%d" % number)
    assert len(parse_note(keeper.keep()).signatures) == 2
    clock.now += timedelta(seconds=2)
    log.append(b"new")
    for size in (2, 3):
        note = keeper.keep()
        assert (parse_checkpoint(note).origin, parse_checkpoint(note).size) == ("hdex/hospital-a/2027", size)
        assert len(parse_note(note).signatures) == 2
        log.append(b"more")


def test_an_auditor_reads_any_year_and_any_part_of_it_and_each_reading_is_an_event(tmp_path: Path) -> None:
    clock, market = Years(), Market(tmp_path / "market")
    shards = Shards(tmp_path, "hospital-a", signer=lambda origin: Signer(origin, bytes(range(32))), clock=clock)
    log, ground = shards.open(), market.grounds["hospital-a"]
    keeper = Keeper(log, [], anchoring=no_chain, flush=lambda: None, meter=ground.meter, period_s=1)
    book = Logbook(log, keeper, ground.recorder, ground.meter, shards=shards)
    for number in range(1200):
        log.append(b"%d" % number)
    clock.now += timedelta(seconds=2)
    log.append(b"new")
    past = book.read_for_audit(person("exchange"), year=2026, start=499, end=502)
    assert (past.years, list(past.entries)) == ((2026, 2027), [b"499", b"500", b"501"])
    assert parse_checkpoint(past.checkpoints[-1]).size == 1200
    assert list(book.read_for_audit(person("exchange"), year=2026).entries) == [
        b"%d" % number for number in range(1200)
    ]
    for year in (0, 2027):
        assert list(book.read_for_audit(person("exchange"), year=year, start=1).entries) == [b"new"]
    assert list(book.read_for_audit(person("exchange"), start=7).entries) == []
    with pytest.raises(NotFound, match="2026, 2027"):
        book.read_for_audit(person("exchange"), year=2025)
    assert ground.meter.totals()["log entries"]["count"] == 3 + 1200 + 1 + 1
    assert [event.action for event in ground.events()] == ["audit.read"] * 6
    log.close()
