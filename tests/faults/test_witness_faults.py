"""Who lies, who is cloned, who is rolled back, whose clock jumps: what the others do, and what can be proven after."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from tests.ledger.evidence_story import NODES, START, log_signer, make_event, origin, trust, witness_signer
from tests.node.market_stage import Market

from hdex.ledger.anchor import Anchorer, AnchorState
from hdex.ledger.chain_memory import MemoryChain, MemoryLedger
from hdex.ledger.errors import AnchorAlarm, CheckpointConflict, LedgerError, LogConflict, OldSizeWrong
from hdex.ledger.event import Action, Decision, canonical
from hdex.ledger.fraud import parse_fraud, verify_fraud
from hdex.ledger.log import Log
from hdex.ledger.monitor import Monitor
from hdex.ledger.note import Signer, cosign, parse_checkpoint
from hdex.ledger.outbox_memory import MemoryOutbox
from hdex.ledger.store_memory import MemoryLogStore, MemoryWitnessStore
from hdex.ledger.store_sqlite import SqliteLogStore
from hdex.ledger.testimony import authenticate
from hdex.ledger.trust import Trust
from hdex.ledger.witness import Witness
from hdex.node.auditor_logs import ShownLog
from hdex.node.docket import Docket
from hdex.node.keeper import Keeper
from hdex.node.meter import Meter
from hdex.node.watch import Report, Watch

pytestmark = pytest.mark.fault

A, B, C = NODES
KEY_HASH = sha256(log_signer(A).public_key).digest()


class Peer:
    """A witness as the keeper of a log meets it; `lie` answers in its stead."""

    def __init__(self, name: str, witness: Witness) -> None:
        self.name, self.witness = name, witness
        self.lie: str | None = None

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], checkpoint: str, leaf_hashes: Sequence[bytes]
    ) -> tuple[str, int]:
        if self.lie is not None:
            return self.lie, parse_checkpoint(checkpoint).size
        try:
            line = self.witness.add_checkpoint(old_size, proof, checkpoint, leaf_hashes)
        except OldSizeWrong as error:
            return "", error.size
        return line, old_size + len(leaf_hashes)


@dataclass
class Machine:
    """A running copy of hospital-a: its log and its keeper."""

    log: Log
    keeper: Keeper
    anchorer: Anchorer

    def write(self, text: str) -> None:
        event = make_event(A, self.log.size, Action.AUDIT_READ, decision=Decision.ALLOW, reason=text)
        self.log.append(canonical(event))


@dataclass
class Scene:
    """Hospital-a with two witnesses, a chain, and a monitor that starts anew from its file each time."""

    folder: Path
    market: Market
    late: timedelta = timedelta()
    peers: dict[str, Peer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(admin="operator", operator="1 operator: test", clock=self.now)
        MemoryChain(self.ledger, "operator").enroll(A, "account-a", KEY_HASH)
        self.docket = Docket(self.folder / "fraud")
        for name in (B, C):
            logs = {origin(A): log_signer(A).public_key}
            witness = Witness(
                witness_signer(name), MemoryWitnessStore(), logs=logs, clock=self.now, accuse=self.docket.accuse
            )
            self.peers[name] = Peer(name, witness)

    def now(self) -> datetime:
        return self.market.clock() + self.late

    def machine(self, store: MemoryLogStore | None = None) -> Machine:
        log = Log(store or MemoryLogStore(), origin(A), log_signer(A))
        chain = MemoryChain(self.ledger, "account-a")
        anchorer = Anchorer(chain, MemoryOutbox(), A, root_at=log.root_at, clock=self.now)
        keys = {name: witness_signer(name).public_key for name in (B, C)}
        keeper = Keeper(
            log, list(self.peers.values()), anchoring=lambda: anchorer, flush=lambda: None,
            meter=Meter(self.market.grounds[A].documents), period_s=1, keys=keys,
        )  # fmt: skip
        return Machine(log, keeper, anchorer)

    def cosigners(self, machine: Machine) -> set[str]:
        """Return who vouches for what the machine publishes, as an auditor finds it."""
        log = trust().log(origin(A))
        assert log is not None
        return set(authenticate(machine.keeper.published(), log, trust()).cosigners)

    def watch(self, machine: Machine) -> Report:
        """Run one round of the monitor, to which only hospital-a shows itself."""
        scene = self

        class Logs:
            def read(self, node: str, *, year: int = 0, start: int = 0, end: int = 0) -> ShownLog:
                machine.keeper.keep()
                notes = machine.log.cosigned()
                entries = machine.log.entries(start, end or parse_checkpoint(notes[-1]).size)
                return ShownLog(tuple(notes), (2026,), iter(entries))

            def mirror(self, witness: str, name: str, *, head_only: bool = False) -> tuple[str, list[bytes]]:
                found = scene.peers[witness].witness
                return found.latest(name) or "", found.mirror(name)

        alone = trust_in_a()
        return Watch(
            alone, Logs(), monitor=Monitor(alone), chain=lambda: MemoryChain(self.ledger, "auditor"),
            docket=self.docket, state=self.folder / "state.json", clock=self.now,
        ).round()  # fmt: skip


def trust_in_a() -> Trust:
    return replace(trust(), logs=trust().logs[:1])


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, Market(tmp_path / "market"))


def proven(scene: Scene) -> set[tuple[int, int]]:
    """Return the sizes of every fraud that the files kept prove to a stranger."""
    frauds = [verify_fraud(parse_fraud(path.read_bytes()), trust()) for path in scene.docket.proofs()]
    assert {fraud.node for fraud in frauds} <= {A}
    return {fraud.sizes for fraud in frauds}


# two nodes with one key


def test_of_two_machines_with_one_key_the_second_is_not_cosigned_not_anchored_and_proven(scene: Scene) -> None:
    first = scene.machine()
    for number in range(3):
        first.write(f"shared {number}")
    first.keeper.keep()
    second = scene.machine()  # restored from the same backup, started beside the first
    for entry in first.log.entries(0, 3):
        second.log.append(entry)
    first.write("of the first")
    second.write("of the second")
    first.keeper.keep()
    with pytest.raises(AnchorAlarm, match="another root"):
        second.keeper.keep()
    assert second.log.cosigned() == []
    assert scene.cosigners(first) == {B, C}
    assert proven(scene) == {(4, 4)}
    assert [anchor.root for anchor in MemoryChain(scene.ledger, "x").anchors(A)][-1] == first.log.root_at(4)


def test_two_processes_on_one_log_file_do_not_both_write(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    first, second = (Log(SqliteLogStore(path), origin(A), log_signer(A)) for _ in range(2))
    first.append(b"one")
    with pytest.raises(LedgerError) as refused:
        second.append(b"two")
    assert isinstance(refused.value.__cause__, LogConflict)
    assert second.failed
    assert first.append(b"three").index == 1
    assert Log(SqliteLogStore(path), origin(A), log_signer(A)).check() == 2


# a witness that lies


def lies() -> dict[str, str]:
    """Return what a lying witness may answer: its own name and key id, and a signature over something else."""
    other = Log(MemoryLogStore(), origin(A), log_signer(A))
    other.append(b"another past")
    return {
        "over another checkpoint": cosign(other.checkpoint(), witness_signer(B), START),
        "in another's name": cosign(other.checkpoint(), witness_signer(C), START),
        "under a key of its own making": cosign(other.checkpoint(), Signer(B, bytes(32)), START),
        "nonsense": "nonsense",
    }


@pytest.mark.parametrize("lie", lies())
def test_a_witness_that_lies_does_not_spoil_what_the_other_vouches_for(scene: Scene, lie: str) -> None:
    """A signature that does not hold made the whole checkpoint unreadable to auditors."""
    machine = scene.machine()
    machine.write("one")
    scene.peers[B].lie = lies()[lie]
    machine.keeper.keep()
    assert scene.cosigners(machine) == {C}
    scene.peers[B].lie = None
    machine.write("two")
    machine.keeper.keep()
    assert scene.cosigners(machine) == {B, C}
    assert proven(scene) == set()


def test_one_witness_that_signs_anything_does_not_make_a_quorum(scene: Scene) -> None:
    machine = scene.machine()
    machine.write("one")
    machine.keeper.keep()
    forged = Log(MemoryLogStore(), origin(A), log_signer(A))
    forged.append(b"another past")
    careless = cosign(forged.checkpoint(), witness_signer(B), scene.now())
    note = forged.add_cosignatures(forged.checkpoint(), [careless])
    log = trust().logs[0]
    found = authenticate(note, log, trust())
    assert found.cosigners == (B,)
    assert not trust().is_witnessed_by(found.cosigners)
    with pytest.raises(CheckpointConflict):
        scene.peers[C].witness.add_checkpoint(1, [], forged.checkpoint())
    assert proven(scene) == {(1, 1)}


# a checkpoint that shrinks


def test_a_log_restored_from_an_old_backup_is_refused_by_all_and_told(scene: Scene) -> None:
    machine = scene.machine()
    for number in range(5):
        machine.write(f"entry {number}")
    assert scene.watch(machine).alarms == []
    old = scene.machine()
    for entry in machine.log.entries(0, 3):
        old.log.append(entry)
    with pytest.raises(AnchorAlarm, match="rolled back"):
        old.keeper.keep()
    assert old.log.cosigned() == []
    assert proven(scene) == set()  # it lost entries; it signed nothing new
    old.write("and went on")
    old.write("with other entries")
    with pytest.raises(AnchorAlarm):
        old.keeper.keep()
    assert proven(scene) == {(5, 5)}


# the chain gone and back


def test_a_chain_that_comes_back_gets_the_newest_head_once_and_the_monitor_falls_silent(scene: Scene) -> None:
    machine = scene.machine()
    machine.write("one")
    assert scene.watch(machine).alarms == []
    scene.ledger.up = False
    told: list[set[str]] = []
    for minutes in (1, 20, 90):
        scene.late = timedelta(minutes=minutes)
        machine.write(f"after {minutes} minutes")
        told.append({f"{alarm.kind} {alarm.severity}" for alarm in scene.watch(machine).alarms})
    assert "chain.silent warn" in told[0]
    assert not any(word.startswith("anchor.old") for word in told[0])
    scene.ledger.up = True
    assert machine.anchorer.run_once().state is AnchorState.ANCHORED
    assert [anchor.size for anchor in MemoryChain(scene.ledger, "x").anchors(A)] == [1, 4]
    machine.write("the last")
    assert scene.watch(machine).alarms == []


# clocks that step


@pytest.mark.parametrize("step", [timedelta(days=-800), timedelta(days=800)])
def test_a_clock_that_steps_stops_no_witness_and_loses_no_anchor(scene: Scene, step: timedelta) -> None:
    machine = scene.machine()
    machine.write("before")
    machine.keeper.keep()
    scene.late = step
    machine.write("after")
    machine.keeper.keep()
    scene.late = timedelta()
    machine.write("and back")
    machine.keeper.keep()
    assert scene.cosigners(machine) == {B, C}
    assert [anchor.size for anchor in MemoryChain(scene.ledger, "x").anchors(A)] == [1, 2, 3]
    assert machine.anchorer.age() == timedelta()
    assert scene.watch(machine).alarms == []
