"""The monitor's rounds over logs, witnesses and a chain that answer, are silent, or lie."""

import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from tests.ledger.evidence_story import (
    NODES,
    START,
    Consortium,
    log_signer,
    make_event,
    origin,
    trust,
    usual_consortium,
)
from tests.ledger.evidence_story import usual_events as events_of

from hdex.ledger.chain_memory import MemoryChain, MemoryLedger
from hdex.ledger.errors import StoreCorrupt
from hdex.ledger.event import Action, Decision, canonical
from hdex.ledger.fraud import parse_fraud, verify_fraud
from hdex.ledger.log import Log
from hdex.ledger.monitor import Monitor
from hdex.ledger.note import note_hash, parse_checkpoint
from hdex.ledger.ports import Chain
from hdex.ledger.shard import link_to
from hdex.ledger.store_memory import MemoryLogStore
from hdex.node.auditor_logs import ShownLog, anchored_as
from hdex.node.docket import Docket
from hdex.node.errors import PeerUnavailable
from hdex.node.watch import Report, Watch

A = NODES[0]


class Wire:
    """Everybody's logs and mirrors, as they would come over the wire."""

    def __init__(self, story: Consortium) -> None:
        self.story = story
        self.down: set[str] = set()
        self.asked: list[str] = []
        self.given: list[tuple[str, int]] = []  # node, from which entry on
        self.instead: dict[str, Log] = {}  # what a node shows instead of its log

    def read(self, node: str, *, year: int = 0, start: int = 0, end: int = 0) -> ShownLog:
        self._ask(f"log {node}", node)
        log = self.instead.get(node) or self.story.logs[node]
        notes = log.cosigned() or [log.checkpoint()]
        self.given.append((node, start))
        entries = log.entries(start, end or parse_checkpoint(notes[-1]).size)
        return ShownLog(tuple(notes), (2026,), iter(entries))

    def mirror(self, witness: str, name: str, *, head_only: bool = False) -> tuple[str, list[bytes]]:
        self._ask(f"mirror {name}", witness)
        found = self.story.witnesses[witness]
        return found.latest(name) or "", found.mirror(name)

    def _ask(self, what: str, who: str) -> None:
        self.asked.append(what)
        if who in self.down:
            raise PeerUnavailable(f"{who} does not answer")


class Stage:
    """A watch that is restarted before each round."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wire = Wire(usual_consortium())
        self.now = START + timedelta(minutes=2)
        self.ledger = MemoryLedger(admin="operator", operator="1 operator: test", clock=lambda: self.now)
        for node in NODES:
            key_hash = log_key_hash(node)
            MemoryChain(self.ledger, "operator").enroll(node, f"account {node}", key_hash)
            self.anchor(node)

    def anchor(self, node: str) -> None:
        note = self.wire.story.logs[node].cosigned()[-1]
        head = parse_checkpoint(note)
        MemoryChain(self.ledger, f"account {node}").anchor(node, head.size, head.root, note_hash(note))

    def grow(self, node: str, number: int) -> None:
        self.wire.story.write(node, [make_event(node, number, Action.AUDIT_READ, decision=Decision.ALLOW)])
        self.wire.story.publish(node)

    def chain(self) -> Chain:
        return MemoryChain(self.ledger, "auditor")

    def round(self) -> Report:
        watch = Watch(
            trust(),
            self.wire,
            monitor=Monitor(trust()),
            chain=self.chain,
            docket=Docket(self.folder / "fraud"),
            state=self.folder / "state.json",
            clock=lambda: self.now,
        )
        return watch.round()


def log_key_hash(node: str) -> bytes:
    return sha256(log_signer(node).public_key).digest()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_an_honest_consortium_raises_nothing_over_restarts(stage: Stage) -> None:
    report = stage.round()
    assert (list(report.alarms), report.alarmed) == ([], False)
    assert report.sizes == dict.fromkeys(NODES, 17)
    stage.grow(A, 30)
    stage.anchor(A)
    assert list(stage.round().alarms) == []
    assert stage.round().sizes[A] == 18


def test_the_witnesses_are_asked_before_the_log(stage: Stage) -> None:
    stage.round()
    for node in NODES:
        last_mirror = max(i for i, what in enumerate(stage.wire.asked) if what == f"mirror {origin(node)}")
        assert last_mirror < stage.wire.asked.index(f"log {node}")


def test_an_alarm_is_new_once_and_again_after_it_was_gone(stage: Stage) -> None:
    stage.round()
    stage.wire.down = {A}
    first, second = stage.round(), stage.round()
    assert [alarm.kind for alarm in first.new] == ["log.silent"]
    assert (list(second.new), [alarm.kind for alarm in second.alarms]) == ([], ["log.silent"])
    stage.wire.down = set()
    assert list(stage.round().alarms) == []
    stage.wire.down = {A}
    assert [alarm.kind for alarm in stage.round().new] == ["log.silent"]
    assert not stage.round().alarmed


def test_a_chain_that_is_down_is_a_warning(stage: Stage) -> None:
    stage.round()
    stage.ledger.up = False
    report = stage.round()
    assert [(alarm.kind, alarm.node) for alarm in report.alarms] == [("chain.silent", "chain")]
    stage.ledger.up = True
    assert list(stage.round().alarms) == []


def test_a_split_view_leaves_a_file_that_convinces_others(stage: Stage) -> None:
    forged = Log(MemoryLogStore(), origin(A), log_signer(A))
    for event in [replace(events_of(A)[0], product="another"), *events_of(A)[1:]]:
        forged.append(canonical(event))
    stage.wire.instead[A] = forged
    report = stage.round()
    assert report.alarmed
    assert report.proofs
    assert {verify_fraud(parse_fraud(path.read_bytes()), trust()).node for path in report.proofs} == {A}
    assert json.loads(json.dumps(report.document()))["alarms"][0]["proven"] is True


def test_a_log_that_the_trust_file_does_not_name_is_not_followed(stage: Stage) -> None:
    stage.wire.instead[A] = stage.wire.story.logs[NODES[1]]
    report = stage.round()
    assert ("log.silent", A) in [(alarm.kind, alarm.node) for alarm in report.alarms]
    assert A not in report.sizes or report.sizes[A] == 0


def test_a_damaged_state_is_not_taken_for_a_new_one(stage: Stage) -> None:
    stage.round()
    (stage.folder / "state.json").write_text("{}")
    with pytest.raises(StoreCorrupt, match="begin anew"):
        stage.round()


def test_a_log_that_continues_an_earlier_year_is_anchored_under_its_year() -> None:
    for first in (b"", b"{}", b"not JSON", b'{"action":"audit.read"}', b"[1]"):
        assert anchored_as(A, origin(A), first) == A
    assert anchored_as(A, origin(A), link_to(usual_consortium().logs[A].checkpoint(), START)) == f"{A}/2026"


def test_a_second_round_asks_only_for_what_is_new(stage: Stage) -> None:
    stage.round()
    stage.wire.given.clear()
    stage.grow(A, 30)
    assert list(stage.round().alarms) == []
    assert stage.wire.given == [(node, 17) for node in NODES]
