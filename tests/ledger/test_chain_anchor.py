"""Anchoring: one waiting row while the chain is down, truth from the contract, alarms when roots differ."""

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.ledger import merkle
from hdex.ledger.anchor import STEADY, Anchorer, AnchorState
from hdex.ledger.chain_memory import MemoryChain, MemoryLedger
from hdex.ledger.errors import AnchorAlarm, StoreCorrupt
from hdex.ledger.note import Signer, format_checkpoint, note_hash, sign_note
from hdex.ledger.outbox_memory import MemoryOutbox
from hdex.ledger.outbox_sqlite import SqliteOutbox
from hdex.ledger.ports import Head, Outbox, TxRef

ORIGIN = "hdex/hospital-a/2026"
SIGNER = Signer(ORIGIN, hashlib.sha256(b"log key").digest())
NODE = "hospital-a"
KEY_HASH = hashlib.sha256(b"key").digest()


def root(size: int, text: str = "leaf") -> bytes:
    return merkle.root([merkle.leaf_hash(f"{text} {number}".encode()) for number in range(size)])


def checkpoint(size: int, text: str = "leaf") -> str:
    return sign_note(format_checkpoint(ORIGIN, size, root(size, text)), SIGNER)


@pytest.fixture
def ledger() -> MemoryLedger:
    ledger = MemoryLedger(admin="operator", operator="1 operator: test")
    MemoryChain(ledger, "operator").enroll(NODE, "account-a", KEY_HASH)
    return ledger


@pytest.fixture(params=["memory", "sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Outbox]:
    """Return the outbox as the next process finds it."""
    kept = MemoryOutbox()
    return lambda: kept if request.param == "memory" else SqliteOutbox(tmp_path / "outbox.db")


def anchorer(ledger: MemoryLedger, outbox: Outbox) -> Anchorer:
    return Anchorer(MemoryChain(ledger, "account-a"), outbox, NODE)


def sizes(ledger: MemoryLedger) -> list[int]:
    return [anchor.size for anchor in MemoryChain(ledger, "auditor").anchors(NODE)]


def test_the_newest_head_is_anchored_once(ledger: MemoryLedger, reopen: Callable[[], Outbox]) -> None:
    anchor = anchorer(ledger, reopen())
    assert anchor.run_once().state is AnchorState.EMPTY
    for size in (1, 2, 3):
        anchor.note(checkpoint(size))
    status = anchor.run_once()
    assert (status.state, status.noted_size, status.anchored_size) == (AnchorState.ANCHORED, 3, 3)
    assert anchor.run_once() == status
    (told,) = MemoryChain(ledger, "auditor").anchors(NODE)
    assert (told.size, told.root, told.note_hash) == (3, root(3), note_hash(checkpoint(3)))
    assert status.tx == TxRef(told.tx, told.block)


def test_chain_down_is_one_waiting_row_and_no_error(ledger: MemoryLedger, reopen: Callable[[], Outbox]) -> None:
    outbox = reopen()
    anchor = anchorer(ledger, outbox)
    ledger.up = False
    for size in range(1, 50):
        anchor.note(checkpoint(size))
        status = anchor.run_once()
    assert (status.state, status.noted_size, status.anchored_size) == (AnchorState.WAITING, 49, 0)
    assert "does not answer" in status.reason
    assert outbox.waiting() == Head(49, root(49), note_hash(checkpoint(49)))
    ledger.up = True
    assert anchor.run_once().state is AnchorState.ANCHORED
    assert sizes(ledger) == [49]


def test_a_head_that_waited_is_anchored_after_a_restart(ledger: MemoryLedger, reopen: Callable[[], Outbox]) -> None:
    ledger.up = False
    before = anchorer(ledger, reopen())
    before.note(checkpoint(5))
    before.run_once()
    ledger.up = True
    assert anchorer(ledger, reopen()).run_once().anchored_size == 5
    assert sizes(ledger) == [5]


def test_a_crash_between_sending_and_remembering_anchors_once(
    ledger: MemoryLedger, reopen: Callable[[], Outbox]
) -> None:
    outbox = reopen()
    head = Head(5, root(5), note_hash(checkpoint(5)))
    outbox.put(head)
    sent = MemoryChain(ledger, "account-a").anchor(NODE, head.size, head.root, head.note_hash)
    status = anchorer(ledger, reopen()).run_once()
    assert (status.state, status.tx) == (AnchorState.ANCHORED, sent)
    assert sizes(ledger) == [5]


def test_heads_that_come_out_of_order_never_shrink_the_anchor(ledger: MemoryLedger) -> None:
    anchor = anchorer(ledger, MemoryOutbox())
    for size in (4, 2, 9, 7):
        anchor.note(checkpoint(size))
    assert anchor.run_once().anchored_size == 9
    anchor.note(checkpoint(8))
    assert anchor.run_once().noted_size == 9


def test_another_root_on_chain_is_an_alarm_each_time(ledger: MemoryLedger, reopen: Callable[[], Outbox]) -> None:
    MemoryChain(ledger, "account-a").anchor(NODE, 5, root(5, "rewritten"), KEY_HASH)
    for _ in range(2):
        anchor = anchorer(ledger, reopen())
        anchor.note(checkpoint(5))
        for _ in range(2):
            with pytest.raises(AnchorAlarm, match="another root"):
                anchor.run_once()


def test_two_roots_noted_for_one_size_are_an_alarm(ledger: MemoryLedger) -> None:
    anchor = anchorer(ledger, MemoryOutbox())
    anchor.note(checkpoint(5))
    anchor.note(checkpoint(5, "other"))
    with pytest.raises(AnchorAlarm, match="two roots"):
        anchor.run_once()
    assert sizes(ledger) == []


def test_a_log_rolled_back_below_its_anchor_is_an_alarm(ledger: MemoryLedger) -> None:
    MemoryChain(ledger, "account-a").anchor(NODE, 9, root(9), KEY_HASH)
    anchor = anchorer(ledger, MemoryOutbox())
    anchor.note(checkpoint(7))
    with pytest.raises(AnchorAlarm, match="SizeMustGrow"):
        anchor.run_once()


def test_every_anchor_on_chain_is_compared_with_the_log(ledger: MemoryLedger) -> None:
    chain = MemoryChain(ledger, "account-a")
    chain.anchor(NODE, 3, root(3), KEY_HASH)
    chain.anchor(NODE, 6, root(6, "rewritten"), KEY_HASH)
    honest = Anchorer(chain, MemoryOutbox(), NODE, root_at=root)
    with pytest.raises(AnchorAlarm, match="at size 6"):
        honest.run_once()
    shrunk = Anchorer(chain, MemoryOutbox(), NODE, root_at=lambda size: root(size) if size <= 4 else None)
    with pytest.raises(AnchorAlarm, match="rolled back"):
        shrunk.run_once()


def test_what_a_reorganisation_forgot_is_sent_again(ledger: MemoryLedger, reopen: Callable[[], Outbox]) -> None:
    anchor = anchorer(ledger, reopen())
    anchor.note(checkpoint(5))
    anchor.run_once()
    ledger.facts.pop()
    known = ledger.nodes[NODE]
    ledger.nodes[NODE] = type(known)(known.key, known.log_key_hash)
    assert anchorer(ledger, reopen()).run_once().state is AnchorState.ANCHORED
    assert sizes(ledger) == [5]


def test_a_chain_that_comes_back_with_another_past_is_an_alarm(ledger: MemoryLedger) -> None:
    anchor = anchorer(ledger, MemoryOutbox())
    anchor.note(checkpoint(5))
    anchor.run_once()
    ledger.up = False
    anchor.note(checkpoint(6))
    assert anchor.run_once().state is AnchorState.WAITING
    ledger.facts[-1] = replace(ledger.facts[-1], fields={**ledger.facts[-1].fields, "root": root(5, "forged").hex()})
    ledger.up = True
    with pytest.raises(AnchorAlarm, match="another root"):
        anchor.run_once()


def test_a_node_that_is_not_enrolled_yet_waits(reopen: Callable[[], Outbox]) -> None:
    ledger = MemoryLedger(admin="operator", operator="1 operator: test")
    anchor = anchorer(ledger, reopen())
    anchor.note(checkpoint(5))
    assert (anchor.run_once().state, anchor.run_once().reason) == (
        AnchorState.WAITING,
        "the contract refuses: NotTheNodesKey",
    )
    MemoryChain(ledger, "operator").enroll(NODE, "account-a", KEY_HASH)
    assert anchor.run_once().state is AnchorState.ANCHORED


def test_an_outbox_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").write_text("not a database, only text that is long enough to look like one" * 50)
    with pytest.raises(StoreCorrupt, match="outbox"):
        SqliteOutbox(tmp_path / "outbox.db")


@given(st.lists(st.tuples(st.integers(1, 20), st.booleans(), st.booleans()), max_size=30))
def test_after_any_story_the_newest_noted_head_is_anchored(steps: list[tuple[int, bool, bool]]) -> None:
    ledger = MemoryLedger(admin="operator", operator="1 operator: test")
    MemoryChain(ledger, "operator").enroll(NODE, "account-a", KEY_HASH)
    outbox = MemoryOutbox()
    anchor = anchorer(ledger, outbox)
    newest = 0
    for size, up, restart in steps:
        ledger.up = up
        anchor.note(checkpoint(size))
        newest = max(newest, size)
        anchor.run_once()
        if restart:
            anchor = anchorer(ledger, outbox)
    ledger.up = True
    assert anchor.run_once().anchored_size == newest
    told = sizes(ledger)
    assert told == sorted(set(told))
    assert not newest or told[-1] == newest


# how often, how long, and what a chain takes back without a word

START = datetime(2026, 11, 22, 6, tzinfo=UTC)


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


def paced(ledger: MemoryLedger, outbox: Outbox, clock: Clock) -> Anchorer:
    return Anchorer(MemoryChain(ledger, "account-a"), outbox, NODE, pace=STEADY, clock=clock)


def forget_last_anchor(ledger: MemoryLedger) -> None:
    """Take the newest anchor back, as a reorganisation does."""
    ledger.facts.pop()
    known, before = ledger.nodes[NODE], [fact for fact in ledger.facts if fact.kind == "CheckpointAnchored"]
    size = int(before[-1].fields["size"]) if before else 0
    ledger.nodes[NODE] = type(known)(known.key, known.log_key_hash, size)


def test_the_chain_is_written_to_every_ten_seconds_or_two_thousand_entries(ledger: MemoryLedger) -> None:
    clock = Clock()
    anchor = paced(ledger, MemoryOutbox(), clock)
    story = [(0, 1, [1]), (0, 2, [1]), (9, 3, [1]), (10, 4, [1, 4]), (11, 5, [1, 4]), (12, 2004, [1, 4, 2004])]
    for second, size, expected in story:
        clock.time = START + timedelta(seconds=second)
        anchor.note(checkpoint(size))
        anchor.run_once()
        assert sizes(ledger) == expected


def test_what_is_taken_back_while_nobody_looks_is_sent_again_within_a_minute(ledger: MemoryLedger) -> None:
    clock = Clock()
    anchor = paced(ledger, MemoryOutbox(), clock)
    anchor.note(checkpoint(5))
    anchor.run_once()
    forget_last_anchor(ledger)
    for second, expected in ((30, []), (60, [5]), (61, [5])):
        clock.time = START + timedelta(seconds=second)
        assert anchor.run_once().state is AnchorState.ANCHORED
        assert sizes(ledger) == expected


def test_a_root_that_changed_on_chain_without_an_outage_is_an_alarm(ledger: MemoryLedger) -> None:
    clock = Clock()
    anchor = paced(ledger, MemoryOutbox(), clock)
    anchor.note(checkpoint(5))
    anchor.run_once()
    ledger.facts[-1] = replace(ledger.facts[-1], fields={**ledger.facts[-1].fields, "root": root(5, "forged").hex()})
    clock.time += timedelta(minutes=2)
    with pytest.raises(AnchorAlarm):
        anchor.run_once()


def test_the_age_counts_from_the_oldest_entry_that_waits_also_over_restarts(
    ledger: MemoryLedger, reopen: Callable[[], Outbox]
) -> None:
    clock = Clock()
    anchor = paced(ledger, reopen(), clock)
    assert anchor.age() == timedelta()
    anchor.note(checkpoint(1))
    anchor.run_once()
    assert anchor.age() == timedelta()
    ledger.up = False
    for minute in range(1, 61):
        clock.time = START + timedelta(minutes=minute)
        anchor.note(checkpoint(1 + minute))
        anchor.run_once()
        if minute % 20 == 0:
            anchor = paced(ledger, reopen(), clock)
    assert anchor.age() == timedelta(minutes=59)
    ledger.up = True
    assert anchor.run_once().state is AnchorState.ANCHORED
    assert anchor.age() == timedelta()


@pytest.mark.parametrize("step", [timedelta(days=-400), timedelta(days=400)])
def test_a_clock_that_steps_loses_no_anchor(ledger: MemoryLedger, step: timedelta) -> None:
    clock = Clock()
    anchor = paced(ledger, MemoryOutbox(), clock)
    anchor.note(checkpoint(1))
    anchor.run_once()
    anchor.note(checkpoint(2))
    clock.time += step
    assert anchor.run_once().anchored_size == 2
    assert anchor.age() == timedelta()
    anchor.note(checkpoint(3))
    clock.time -= step
    assert anchor.age() >= timedelta()
    clock.time += timedelta(seconds=10)
    assert anchor.run_once().anchored_size == 3


def test_an_outbox_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path, head = tmp_path / "outbox.db", Head(3, root(3), note_hash(checkpoint(3)))
    database = sqlite3.connect(path)
    database.execute(
        "CREATE TABLE head (state TEXT PRIMARY KEY, size INTEGER, root BLOB, note_hash BLOB, tx BLOB, block INTEGER)"
    )
    database.execute("INSERT INTO head VALUES ('waiting', ?, ?, ?, NULL, NULL)", (head.size, head.root, head.note_hash))
    database.commit()
    database.close()
    outbox = SqliteOutbox(path)
    assert outbox.waiting() == head
    outbox.put(replace(head, since=START))
    assert (outbox.waiting() or head).since == START
