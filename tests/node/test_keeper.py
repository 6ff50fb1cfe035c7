"""A log is cosigned and anchored whatever one witness or the chain does; an auditor reads it even then."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.node.market_stage import Ground, Market, person

from hdex.ledger.anchor import Anchorer
from hdex.ledger.chain_memory import MemoryChain
from hdex.ledger.errors import AnchorAlarm, ChainUnavailable, LedgerError, OldSizeWrong
from hdex.ledger.log import Log
from hdex.ledger.note import Signer, parse_checkpoint, parse_note
from hdex.ledger.outbox_memory import MemoryOutbox
from hdex.ledger.store_memory import MemoryLogStore, MemoryWitnessStore
from hdex.ledger.witness import Witness
from hdex.node.errors import AccessDenied, PeerUnavailable, RemoteRefused
from hdex.node.keeper import Keeper, WitnessPeer
from hdex.node.logbook import Logbook

ORIGIN = "hdex/hospital-a/2026"


class Peer:
    """A witness at the other end of the wire; `fault` makes it another than it should be."""

    def __init__(self, name: str, witness: Witness) -> None:
        self.name = name
        self._witness = witness
        self.fault = ""
        self.asked = 0

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], checkpoint: str, leaf_hashes: Sequence[bytes]
    ) -> tuple[str, int]:
        self.asked += 1
        if self.fault == "down":
            raise PeerUnavailable(f"{self.name} does not answer")
        if self.fault == "conflict":
            raise RemoteRefused("checkpoint-conflict", "", "two roots", status="ABORTED")
        if self.fault == "negative":
            return "", -5
        if self.fault:
            return self.fault, parse_checkpoint(checkpoint).size
        try:
            line = self._witness.add_checkpoint(old_size, proof, checkpoint, leaf_hashes)
        except OldSizeWrong as error:
            return "", error.size
        return line, old_size + len(leaf_hashes)


class Stage:
    """One log with three witnesses and a chain."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.ground: Ground = market.grounds["hospital-a"]
        self.log = self.ground.log
        names = ("hospital-b", "hospital-c", "exchange")
        self.stores = {name: MemoryWitnessStore() for name in names}
        self.peers = [self.peer(name) for name in names]
        self.outbox = MemoryOutbox()
        self.chain_is_there = True
        self.flushed = 0
        self.keeper = self.make()

    def peer(self, name: str) -> Peer:
        signer = Signer(name, self.market.keys[name].secret("witness"))
        logs = {ORIGIN: self.log.public_key}
        return Peer(name, Witness(signer, self.stores[name], logs=logs, clock=self.market.clock))

    def make(self) -> Keeper:
        """Return the keeper as after a restart."""
        peers: list[WitnessPeer] = list(self.peers)
        return Keeper(
            self.log,
            peers,
            anchoring=self.anchoring,
            flush=self.flush,
            meter=self.ground.meter,
            period_s=0.001,
        )

    def anchoring(self) -> Anchorer:
        if not self.chain_is_there:
            raise ChainUnavailable("no chain is configured")
        return Anchorer(
            MemoryChain(self.market.ledger, "hospital-a"), self.outbox, "hospital-a", root_at=self.log.root_at
        )

    def flush(self) -> None:
        self.flushed += 1

    def grow(self, entries: int = 1) -> None:
        for _ in range(entries):
            self.ground.recorder.allow("catalogue.read", person("buyer-heartline"))

    def cosigners(self, note: str) -> set[str]:
        return {signature.name for signature in parse_note(note).signatures} - {ORIGIN}

    def anchored(self) -> list[int]:
        return [anchor.size for anchor in MemoryChain(self.market.ledger, "hospital-a").anchors("hospital-a")]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(Market(tmp_path))


def test_a_head_is_cosigned_by_all_and_anchored_once(stage: Stage) -> None:
    stage.grow(3)
    note = stage.keeper.keep()
    assert stage.cosigners(note) == {"hospital-b", "hospital-c", "exchange"}
    assert stage.anchored() == [3]
    stage.keeper.keep()
    assert [peer.asked for peer in stage.peers] == [1, 1, 1]
    assert stage.anchored() == [3]
    assert stage.log.cosigned() == [note]


@pytest.mark.parametrize(
    "fault",
    [
        "down",
        "conflict",
        "negative",
        "garbage",
        "— hospital-b AAAA\n",
        "two\nlines\n",
        "— somebody-else nRXG1rCYZn5zC2sMuIuJjMoW/AnPfPQmGXlD\n",
    ],
)
def test_one_bad_witness_does_not_spoil_the_others(stage: Stage, fault: str) -> None:
    """A line that is no signature made the whole pass fail: no cosignature was kept and nothing was anchored."""
    stage.grow()
    stage.peers[0].fault = fault
    note = stage.keeper.keep()
    assert {"hospital-c", "exchange"} <= stage.cosigners(note)
    assert "somebody-else" not in stage.cosigners(note)
    assert stage.anchored() == [1]
    stage.peers[0].fault = ""
    stage.grow()
    assert stage.cosigners(stage.keeper.keep()) == {"hospital-b", "hospital-c", "exchange"}


def test_a_witness_that_was_down_is_asked_again_without_a_new_entry(stage: Stage) -> None:
    stage.grow()
    stage.peers[1].fault = "down"
    stage.keeper.keep()
    stage.peers[1].fault = ""
    stage.keeper.keep()
    assert set().union(*(stage.cosigners(note) for note in stage.log.cosigned())) == {
        "hospital-b",
        "hospital-c",
        "exchange",
    }


def test_the_published_checkpoint_carries_all_cosignatures_it_ever_got(stage: Stage) -> None:
    assert stage.keeper.published() == stage.log.checkpoint()
    stage.grow()
    stage.peers[1].fault = "down"
    stage.keeper.keep()
    stage.peers[1].fault = ""
    stage.keeper.keep()
    everybody = {"hospital-b", "hospital-c", "exchange"}
    assert stage.cosigners(stage.keeper.published()) == everybody
    stage.grow()  # not cosigned yet
    assert parse_checkpoint(stage.make().published()).size == 1
    assert stage.cosigners(stage.make().published()) == everybody


def test_a_checkpoint_shown_to_a_witness_by_somebody_else_does_not_stop_us(stage: Stage) -> None:
    """Whoever read our public checkpoint can submit it over HTTP, without leaf hashes: the mirror stays behind."""
    stage.grow(2)
    stage.keeper.keep()
    stage.grow(2)
    witness = stage.peers[0]._witness
    witness.add_checkpoint(2, stage.log.consistency(2, 4), stage.log.checkpoint())
    stage.grow()
    assert "hospital-b" in stage.cosigners(stage.keeper.keep())
    assert witness.mirrored(ORIGIN) == 5
    stage.grow()
    assert "hospital-b" in stage.cosigners(stage.keeper.keep())


def test_after_a_restart_the_witnesses_are_found_where_they_stand(stage: Stage) -> None:
    stage.grow(5)
    stage.keeper.keep()
    stage.grow(4)
    keeper = stage.make()
    assert stage.cosigners(keeper.keep()) == {"hospital-b", "hospital-c", "exchange"}
    assert [stage.stores[peer.name].latest(ORIGIN) is not None for peer in stage.peers] == [True] * 3
    assert all(len(stage.stores[peer.name].mirror(ORIGIN)) == 9 for peer in stage.peers)


def test_a_rewritten_log_is_not_cosigned(stage: Stage) -> None:
    stage.grow(3)
    stage.keeper.keep()
    forged = Log(MemoryLogStore(), ORIGIN, Signer(ORIGIN, stage.ground.keys.secret("log")))
    for number in range(3):
        forged.append(b"forged %d" % number)
    stage.log = forged
    note = stage.make()
    with pytest.raises(AnchorAlarm):
        note.keep()
    assert forged.cosigned() == []


@pytest.mark.parametrize("missing", ["answer", "configuration"])
def test_a_chain_that_is_away_keeps_nobody_from_cosigning_or_reading(stage: Stage, missing: str) -> None:
    stage.grow()
    stage.chain_is_there = missing == "answer"
    stage.market.ledger.up = missing != "answer"
    book = Logbook(stage.log, stage.keeper, stage.ground.recorder, stage.ground.meter)
    shown = book.read_for_audit(person("exchange"))
    checkpoints, entries = shown.checkpoints, list(shown.entries)
    assert len(stage.cosigners(checkpoints[-1])) == 3
    assert len(entries) == 2  # the read itself is the second
    stage.chain_is_there = stage.market.ledger.up = True
    stage.keeper.keep()
    assert stage.anchored() == [2]


def test_an_auditor_reads_the_log_whose_anchors_contradict_it(stage: Stage) -> None:
    """That is when he is needed most."""
    MemoryChain(stage.market.ledger, "hospital-a").anchor("hospital-a", 1, b"\x01" * 32, b"\x02" * 32)
    stage.grow()
    with pytest.raises(AnchorAlarm):
        stage.keeper.keep()
    book = Logbook(stage.log, stage.keeper, stage.ground.recorder, stage.ground.meter)
    shown = book.read_for_audit(person("exchange"))
    checkpoints, entries = shown.checkpoints, list(shown.entries)
    assert parse_checkpoint(checkpoints[-1]).size == len(entries) == 2


def test_an_audit_that_cannot_be_remembered_reads_nothing(stage: Stage) -> None:
    stage.grow()
    stage.ground.store.fails = True
    book = Logbook(stage.log, stage.keeper, stage.ground.recorder, stage.ground.meter)
    with pytest.raises(LedgerError):
        book.read_for_audit(person("exchange"))


def test_nobody_submits_the_checkpoint_of_another(stage: Stage) -> None:
    book = Logbook(stage.log, stage.keeper, stage.ground.recorder, stage.ground.meter)
    stage.grow()
    book.require_own_origin(stage.log.checkpoint(), person("hospital-a"))
    for other in ("hospital-b", "exchange"):
        with pytest.raises(AccessDenied):
            book.require_own_origin(stage.log.checkpoint(), person(other))


def test_the_loop_survives_whatever_a_pass_raises(stage: Stage) -> None:
    stop, seen = threading.Event(), []

    def broken() -> None:
        seen.append(1)
        if len(seen) == 3:
            stop.set()
        raise KeyError("unforeseen")

    peers: list[WitnessPeer] = list(stage.peers)
    keeper = Keeper(stage.log, peers, anchoring=stage.anchoring, flush=broken, meter=stage.ground.meter, period_s=0.001)
    stage.grow()
    keeper.run(stop)
    assert len(seen) == 3
