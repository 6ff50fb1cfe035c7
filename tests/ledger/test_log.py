"""The log: durable before acknowledged, provable afterwards, refusing after a failure."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hdex.ledger import merkle
from hdex.ledger.errors import EventInvalid, LogConflict, LogFailed, NoteInvalid, StoreCorrupt
from hdex.ledger.event import Action, Decision, Event, canonical
from hdex.ledger.log import Log, Receipt
from hdex.ledger.note import Signer, Verifier, format_checkpoint, parse_checkpoint, sign_note, verify_note
from hdex.ledger.store_memory import MemoryLogStore
from hdex.ledger.store_sqlite import SqliteLogStore

ORIGIN = "hdex/hospital-a/2026"
SIGNER = Signer(ORIGIN, bytes(range(32)))


class FullDisk(MemoryLogStore):
    """A store whose disk is full after some appends: the shipped memory store, made to fail."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.writes = 0

    def append(self, first: int, leaves: Sequence[bytes], head: str) -> None:
        self.writes += 1
        if self.size() + len(leaves) > self.room:
            raise LogFailed("no room is left")
        super().append(first, leaves, head)


def event(decision: Decision | None = Decision.ALLOW) -> Event:
    return Event(
        event_id="e", time="2026-11-21T22:00:00.000Z", node="hospital-a", action=Action.PRODUCT_READ, decision=decision
    )


def test_a_receipt_proves_its_entry_under_the_logs_key() -> None:
    log = Log(MemoryLogStore(), ORIGIN, SIGNER)
    receipts = [log.append(bytes([i])) for i in range(9)]
    for index, receipt in enumerate(receipts):
        head = parse_checkpoint(receipt.checkpoint)
        verify_note(receipt.checkpoint, [Verifier(ORIGIN, SIGNER.public_key)])
        assert (receipt.index, head.size, head.root) == (index, receipt.size, receipt.root)
        proof = log.inclusion(index, log.size)
        merkle.verify_inclusion(receipt.leaf_hash, index, 9, proof, parse_checkpoint(log.checkpoint()).root)
    proof = log.consistency(4, 9)
    merkle.verify_consistency(4, 9, proof, receipts[3].root, receipts[8].root)


def test_an_empty_log_has_a_signed_head_of_size_zero() -> None:
    log = Log(MemoryLogStore(), ORIGIN, SIGNER)
    assert parse_checkpoint(log.checkpoint()).size == 0
    assert parse_checkpoint(log.checkpoint()).root == merkle.EMPTY_ROOT


def test_many_threads_share_writes_and_each_gets_its_own_index() -> None:
    store = FullDisk(10_000)
    log = Log(store, ORIGIN, SIGNER)
    gate = threading.Barrier(32)

    def work(worker: int) -> list[tuple[bytes, Receipt]]:
        gate.wait()
        leaves = [f"{worker}-{i}".encode() for i in range(20)]
        return [(leaf, log.append(leaf)) for leaf in leaves]

    with ThreadPoolExecutor(32) as pool:
        found = [pair for pairs in pool.map(work, range(32)) for pair in pairs]
    assert sorted(receipt.index for _, receipt in found) == list(range(640))
    entries = log.entries(0, 640)
    assert all(entries[receipt.index] == leaf for leaf, receipt in found)
    assert log.check() == 640
    assert store.writes <= 640


def test_many_leaves_of_one_caller_keep_their_order_over_groups() -> None:
    store = FullDisk(5_000)
    log = Log(store, ORIGIN, SIGNER)
    receipts = log.append_all([b"%d" % i for i in range(2_500)])
    assert [receipt.index for receipt in receipts] == list(range(2_500))
    assert store.writes == 3
    assert log.append_all([]) == []
    assert log.entries(1_999, 2_001) == [b"1999", b"2000"]


def test_when_a_group_of_many_fails_the_caller_learns_it() -> None:
    log = Log(FullDisk(1_500), ORIGIN, SIGNER)
    with pytest.raises(LogFailed):
        log.append_all([b"%d" % i for i in range(2_500)])
    assert log.size == 1_000


def test_group_commit_writes_fewer_times_than_it_is_asked(tmp_path: Path) -> None:
    store = SqliteLogStore(tmp_path / "log.sqlite")
    log = Log(store, ORIGIN, SIGNER)
    with ThreadPoolExecutor(32) as pool:
        receipts = list(pool.map(lambda i: log.append(b"%d" % i), range(640)))
    assert len({receipt.size for receipt in receipts}) < 640
    assert Log(store, ORIGIN, SIGNER).check() == 640


def test_an_allowed_release_is_in_the_log_before_its_body_runs() -> None:
    store = MemoryLogStore()
    log = Log(store, ORIGIN, SIGNER)
    with log.release(event()) as receipt:
        assert store.read(0, 1) == [canonical(event())]
        assert receipt.index == 0


@pytest.mark.parametrize("decision", [Decision.DENY, None])
def test_a_release_without_an_allow_is_refused(decision: Decision | None) -> None:
    log = Log(MemoryLogStore(), ORIGIN, SIGNER)
    with pytest.raises(EventInvalid), log.release(event(decision)):
        pytest.fail("the body ran")
    assert log.size == 0


def test_when_the_append_fails_nothing_is_released_and_reading_goes_on() -> None:
    log = Log(FullDisk(2), ORIGIN, SIGNER)
    log.append(b"a")
    head = log.append(b"b").checkpoint
    with pytest.raises(LogFailed), log.release(event()):
        pytest.fail("the body ran")
    assert log.failed
    assert log.checkpoint() == head
    assert log.entries(0, 9) == [b"a", b"b"]
    assert len(log.inclusion(0, 2)) == 1


def test_after_a_failure_everything_is_refused_until_the_log_is_reopened() -> None:
    store = FullDisk(1)
    log = Log(store, ORIGIN, SIGNER)
    log.append(b"a")
    with pytest.raises(LogFailed):
        log.append(b"b")
    store.room = 9
    with pytest.raises(LogFailed):
        log.append(b"c")
    assert store.writes == 2
    reopened = Log(store, ORIGIN, SIGNER)
    assert reopened.append(b"d").index == 1


def test_every_waiting_caller_learns_of_the_failure() -> None:
    log = Log(FullDisk(0), ORIGIN, SIGNER)
    with ThreadPoolExecutor(16) as pool:
        waits = [pool.submit(log.append, bytes([i])) for i in range(64)]
    assert all(isinstance(wait.exception(), LogFailed) for wait in waits)
    assert log.size == 0


def test_a_second_writer_on_one_store_is_found(tmp_path: Path) -> None:
    store = SqliteLogStore(tmp_path / "log.sqlite")
    first, second = Log(store, ORIGIN, SIGNER), Log(SqliteLogStore(tmp_path / "log.sqlite"), ORIGIN, SIGNER)
    first.append(b"a")
    with pytest.raises(LogFailed) as caught:
        second.append(b"b")
    assert isinstance(caught.value.__cause__, LogConflict)
    assert first.append(b"c").index == 1


def store_of(leaves: list[bytes], head: str) -> MemoryLogStore:
    store = MemoryLogStore()
    store.append(0, leaves, head)
    return store


def head_of(leaves: list[bytes], signer: Signer = SIGNER, origin: str = ORIGIN) -> str:
    return sign_note(format_checkpoint(origin, len(leaves), merkle.root([merkle.leaf_hash(x) for x in leaves])), signer)


@pytest.mark.parametrize(
    "make",
    [
        lambda: store_of([b"a", b"x"], head_of([b"a", b"b"])),
        lambda: store_of([b"a"], head_of([b"a", b"b"])),
        lambda: store_of([b"a", b"b"], head_of([b"a"])),
        lambda: store_of([b"a"], head_of([b"a"], Signer(ORIGIN, bytes(32)))),
        lambda: store_of([b"a"], "no note"),
    ],
    ids=["changed", "lost", "unsigned", "foreign key", "no note"],
)
def test_leaves_that_are_not_the_signed_ones_do_not_open(make: Callable[[], MemoryLogStore]) -> None:
    with pytest.raises(StoreCorrupt):
        Log(make(), ORIGIN, SIGNER)


def test_a_signer_of_another_name_is_refused() -> None:
    with pytest.raises(NoteInvalid):
        Log(MemoryLogStore(), ORIGIN, Signer("hdex/hospital-b/2026", bytes(32)))


def test_proofs_beyond_what_is_durable_are_refused() -> None:
    log = Log(MemoryLogStore(), ORIGIN, SIGNER)
    log.append(b"a")
    with pytest.raises(ValueError, match="beyond"):
        log.inclusion(0, 2)
    with pytest.raises(ValueError, match="beyond"):
        log.consistency(1, 2)
    assert log.leaf_hashes(0, 9) == [merkle.leaf_hash(b"a")]


def test_cosigned_checkpoints_are_kept_only_when_they_are_ours() -> None:
    log = Log(MemoryLogStore(), ORIGIN, SIGNER)
    log.append(b"a")
    assert log.add_cosignatures(log.checkpoint(), []) == log.checkpoint()
    assert log.cosigned() == [log.checkpoint()]
    with pytest.raises(NoteInvalid):
        log.add_cosignatures(head_of([b"a"], Signer(ORIGIN, bytes(32))), [])
    with pytest.raises(NoteInvalid):
        log.add_cosignatures(head_of([b"a"], SIGNER, "hdex/hospital-b/2026"), [])
