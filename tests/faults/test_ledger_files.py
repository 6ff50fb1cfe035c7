"""A flipped bit in any file beside the log: found or without effect, never a false word to others.

The log itself, its write-ahead log and the sealed details: test_log_faults.py and test_log_writes.py.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.ledger.evidence_story import (
    NODES,
    START,
    log_signer,
    make_event,
    origin,
    save,
    trust,
    usual_consortium,
    usual_events,
    witness_signer,
)

from hdex.ledger.anchor import Anchorer
from hdex.ledger.bundle import read_evidence
from hdex.ledger.chain_memory import MemoryChain, MemoryLedger
from hdex.ledger.errors import EvidenceUnreadable, LedgerError, StoreCorrupt
from hdex.ledger.event import Action, canonical
from hdex.ledger.index import Search, matches, scan
from hdex.ledger.index_sqlite import SqliteEventIndex
from hdex.ledger.log import Log
from hdex.ledger.monitor_state import MonitorState, loads
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.outbox_sqlite import SqliteOutbox
from hdex.ledger.ports import EventQuery
from hdex.ledger.store_memory import MemoryLogStore
from hdex.ledger.store_sqlite import SqliteWitnessStore
from hdex.ledger.verify import verify_evidence
from hdex.ledger.witness import Witness

pytestmark = [pytest.mark.fault, pytest.mark.timeout(3600)]  # the long form takes long

A, B = NODES[:2]
FLIPS = 2000 if os.environ.get("HDEX_SOAK") == "1" else 60


def flipped(path: Path, *, seed: int) -> Iterator[Path]:
    """Yield the file again and again, one bit of it changed: anywhere, then where something stands, in turns."""
    chance, raw = random.Random(seed), path.read_bytes()
    written = [place for place, value in enumerate(raw) if value]
    for run in range(FLIPS):
        changed = bytearray(raw)
        where = chance.choice(written) if run % 2 else chance.randrange(len(raw))
        changed[where] ^= 1 << chance.randrange(8)
        folder = path.parent / f"flip{run}"
        folder.mkdir()
        (folder / path.name).write_bytes(changed)
        yield folder / path.name
        for one in folder.iterdir():
            one.unlink()


def log_of(name: str, size: int) -> Log:
    log = Log(MemoryLogStore(), origin(A), log_signer(A))
    for number in range(size):
        log.append(b"%d %s" % (number, name.encode() if number > 4 else b"shared"))
    return log


def test_a_damaged_witness_never_cosigns_a_fork(tmp_path: Path) -> None:
    path, log, fork = tmp_path / "witness.db", log_of("true", 20), log_of("fork", 30)
    logs = {origin(A): log.public_key}

    def witness(file: Path) -> Witness:
        return Witness(witness_signer(B), SqliteWitnessStore(file), logs=logs, clock=lambda: START)

    store = SqliteWitnessStore(path)
    asked = Witness(witness_signer(B), store, logs=logs, clock=lambda: START)
    asked.add_checkpoint(0, [], log.checkpoint(), log.leaf_hashes(0, 20))
    store.close()
    refused = 0
    for file in flipped(path, seed=3):
        for old in (0, 5, 20):  # where it might believe to stand
            with pytest.raises(LedgerError):
                witness(file).add_checkpoint(
                    old, fork.consistency(old, 30) if old else [], fork.checkpoint(), fork.leaf_hashes(0, 30)
                )
            refused += 1
    assert refused == 3 * FLIPS
    untouched = witness(path).latest(origin(A))
    assert untouched is not None
    assert parse_checkpoint(untouched).size == 20


def test_what_a_damaged_outbox_holds_does_not_reach_the_chain(tmp_path: Path) -> None:
    path, log = tmp_path / "outbox.db", log_of("true", 20)
    early, outbox = log_of("true", 7).checkpoint(), SqliteOutbox(path)
    ledger = MemoryLedger(admin="operator", operator="1 operator: test", clock=lambda: START)
    MemoryChain(ledger, "operator").enroll(A, A, b"\x01" * 32)
    before = Anchorer(MemoryChain(ledger, A), outbox, A, root_at=log.root_at)
    before.note(early)
    before.run_once()
    ledger.up = False
    before.note(log.checkpoint())
    before.run_once()  # the newest head waits in the file
    outbox.close()
    for file in flipped(path, seed=5):
        chain = MemoryLedger(admin="operator", operator="1 operator: test", clock=lambda: START)  # one that forgot
        MemoryChain(chain, "operator").enroll(A, A, b"\x01" * 32)
        try:
            damaged = SqliteOutbox(file)
            anchorer = Anchorer(MemoryChain(chain, A), damaged, A, root_at=log.root_at)
            anchorer.run_once()
            anchorer.note(log.checkpoint())
            anchorer.run_once()
            damaged.close()
        except LedgerError:
            continue
        finally:
            told = MemoryChain(chain, A).anchors(A)
            assert all(anchor.root == log.root_at(anchor.size) for anchor in told)
        assert [anchor.size for anchor in told][-1:] == [20]


def test_a_damaged_index_shows_no_event_that_does_not_match(tmp_path: Path) -> None:
    path, log = tmp_path / "index.db", Log(MemoryLogStore(), origin(A), log_signer(A))
    events = [make_event(A, number, Action.EXPORT, product=f"p{number % 5}") for number in range(100)]
    log.append_all([canonical(event) for event in events])
    index = SqliteEventIndex(path)
    index.add(0, events)
    index.close()
    query, whole = EventQuery(product="p3"), 0
    for file in flipped(path, seed=11):
        search = Search(
            log,
            opened=lambda file=file: SqliteEventIndex(file),  # type: ignore[misc]  # bound now
            fresh=lambda file=file: SqliteEventIndex.fresh(file),  # type: ignore[misc]
        )
        found = search.find(query)
        search.close()
        assert all(matches(query, event) for _, event in found)
        whole += found == scan(log, query)
    assert whole > FLIPS // 2


def test_a_damaged_evidence_file_is_unreadable_or_not_verified_or_says_the_same(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    path, found = save(tmp_path / "evidence.zip", replace(evidence, logs=evidence.logs[:1])), 0
    original = read_evidence(path)
    for file in flipped(path, seed=13):
        try:
            report = verify_evidence(file, trust())
        except EvidenceUnreadable:
            found += 1
            continue
        assert not report.verified or read_evidence(file).logs == original.logs
        found += not report.verified
    assert found > FLIPS // 2


def test_a_monitor_s_damaged_memory_is_never_taken_for_what_it_saw(tmp_path: Path) -> None:
    state = MonitorState()
    log = state.log(origin(A), A, START)
    for event in usual_events(A):
        log.frontier.append(bytes(32))
        log.mark(log.frontier.size, event.at + timedelta(seconds=1))
    log.remember({17: log.frontier.root()})
    path = tmp_path / "state.json"
    path.write_text(state.dumps())
    assert loads(path.read_bytes()).dumps() == state.dumps()
    found = 0
    for file in flipped(path, seed=17):
        try:
            assert loads(file.read_bytes()).dumps() == state.dumps()  # a bit of white space
        except StoreCorrupt:
            found += 1
    assert found > FLIPS // 2
