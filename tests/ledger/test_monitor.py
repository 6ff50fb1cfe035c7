"""The monitor follows three logs, forgets nothing over a restart, and tells exactly what does not hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.evidence_story import (
    NODES,
    START,
    Consortium,
    anchor_of,
    log_signer,
    make_event,
    origin,
    trust,
    usual_consortium,
    usual_events,
    witness_signer,
)

from hdex.ledger.alarm import Alarm, Severity
from hdex.ledger.errors import StoreCorrupt
from hdex.ledger.event import Action, Decision, Event, canonical
from hdex.ledger.fraud import verify_fraud
from hdex.ledger.frontier import Frontier
from hdex.ledger.log import Log
from hdex.ledger.merkle import Tree, leaf_hash
from hdex.ledger.monitor import Monitor, Round
from hdex.ledger.monitor_log import Limits, Seen
from hdex.ledger.monitor_state import MonitorState, loads
from hdex.ledger.note import Signer, add_signatures, cosign, parse_checkpoint, sign_note
from hdex.ledger.ports import ChainRecord
from hdex.ledger.store_memory import MemoryLogStore

A, B, C = NODES
MINUTE = timedelta(minutes=1)


@given(st.integers(0, 70), st.integers(0, 70))
def test_the_right_edge_alone_gives_the_root_of_the_whole_tree(before: int, more: int) -> None:
    hashes = [leaf_hash(b"%d" % number) for number in range(before + more)]
    frontier = Frontier()
    for value in hashes[:before]:
        frontier.append(value)
    again = Frontier(frontier.size, frontier.peaks)
    for value in hashes[before:]:
        again.append(value)
    assert again.root() == Tree(hashes).root()
    assert len(again.peaks) == (before + more).bit_count()


def test_an_edge_that_is_none_is_refused() -> None:
    for size, peaks in ((3, [bytes(32)]), (1, [bytes(31)]), (-1, []), (0, [bytes(32)])):
        with pytest.raises(StoreCorrupt):
            Frontier(size, peaks)


@dataclass
class Post:
    """A monitor at its post, restarted from its file before every pass."""

    story: Consortium = field(default_factory=usual_consortium)
    now: datetime = START + 2 * MINUTE
    file: str = field(default_factory=lambda: MonitorState().dumps())
    limits: Limits = field(default_factory=Limits)
    asked_for_all: int = 0
    silent: tuple[str, ...] = ()
    chain_silent: bool = False
    records: tuple[ChainRecord, ...] = ()
    heard: list[str] = field(default_factory=list)

    def seen(self, node: str, start: int) -> Seen:
        log = self.story.logs[node]
        notes = log.cosigned()
        size = parse_checkpoint(notes[-1]).size
        entries = log.entries(0, size)

        def all_hashes() -> list[bytes]:
            self.asked_for_all += 1
            return [leaf_hash(entry) for entry in entries]

        mirrors = {
            name: latest
            for name, witness in self.story.witnesses.items()
            if name != node and (latest := witness.latest(log.origin))
        }
        trusted = trust().log(log.origin)
        assert trusted is not None
        anchors = None if self.chain_silent else tuple(self.story.anchors[node])
        return Seen(trusted, tuple(notes), start, entries[start:], all_hashes, mirrors, anchors)

    def look(self, **changed: Seen) -> list[Alarm]:
        """Run one pass; `changed` are logs shown otherwise than they are, by the node's last letter."""
        state = loads(self.file.encode())
        shown = []
        for node in NODES:
            if node in self.silent:
                continue
            known = state.logs.get(origin(node))
            shown.append(changed.get(node[-1]) or self.seen(node, known.frontier.size if known else 0))
        monitor = Monitor(trust(), limits=self.limits, hooks=[self.hear])
        round_ = Round(shown, dict.fromkeys(self.silent, "PeerUnavailable"), self.records)
        alarms = monitor.observe(state, round_, self.now)
        self.file = state.dumps()
        return alarms

    def hear(self, events: Sequence[Event]) -> list[Alarm]:
        self.heard += [event.event_id for event in events]
        assert [event.time for event in events] == sorted(event.time for event in events)
        return []

    def grow(self, node: str, *events: Event, publish: bool = True) -> None:
        self.story.write(node, events)
        if publish:
            self.story.publish(node)


def kinds(alarms: Sequence[Alarm]) -> list[tuple[str, str]]:
    return [(alarm.kind, alarm.node) for alarm in alarms]


def read_event(number: int, node: str = A, **fields: object) -> Event:
    return make_event(node, number, Action.AUDIT_READ, decision=Decision.ALLOW, **fields)


def test_honest_logs_raise_nothing_and_each_event_is_heard_once() -> None:
    post = Post()
    assert post.look() == []
    assert len(post.heard) == len(set(post.heard)) == 51
    post.grow(A, read_event(30), read_event(31))
    assert post.look() == []
    assert post.heard[51:] == ["hospital-a-30", "hospital-a-31"]
    assert post.look() == []
    assert len(post.heard) == 53
    assert post.asked_for_all == 0  # nothing was hashed twice


def test_the_state_is_small_and_survives_the_disk() -> None:
    post = Post()
    post.look()
    assert loads(post.file.encode()).dumps() == post.file
    for broken in (b"", b"{}", b"[]", post.file.encode()[:-20], post.file.replace('"size": 17', '"size": 16').encode()):
        with pytest.raises(StoreCorrupt):
            loads(broken)


def forged(events: list[Event], cut: int = 0) -> Log:
    """Return hospital-a's log with its first event rewritten, signed with its true key."""
    log = Log(MemoryLogStore(), origin(A), log_signer(A))
    for event in [replace(events[0], product="another"), *events[1 : len(events) - cut]]:
        log.append(canonical(event))
    return log


def shown(log: Log, start: int, template: Seen, notes: tuple[str, ...] = ()) -> Seen:
    entries = log.entries(0, log.size)
    return replace(
        template,
        notes=notes or (log.checkpoint(),),
        start=start,
        entries=entries[start:],
        leaf_hashes=lambda: [leaf_hash(entry) for entry in entries],
    )


def test_a_rewritten_log_is_proven_guilty_by_what_the_monitor_saw_before() -> None:
    post = Post()
    post.look()
    log = forged([*usual_events(A), read_event(30)])
    alarms = post.look(a=shown(log, 17, replace(post.seen(A, 17), mirrors={})))
    (alarm,) = alarms
    assert kinds(alarms) == [("log.split_view", A)]
    assert alarm.fraud is not None
    assert verify_fraud(alarm.fraud, trust()).sizes == (17, 18)
    assert kinds(post.look()) == []  # the true log still is where it was


def test_a_view_for_the_monitor_alone_is_contradicted_by_any_one_witness() -> None:
    post = Post()
    log = forged([*usual_events(A)])
    alarms = post.look(a=shown(log, 0, post.seen(A, 0)))
    split = [alarm for alarm in alarms if alarm.kind == "log.split_view"]
    assert len(split) == 2  # both witnesses
    for alarm in split:
        assert alarm.fraud is not None
        assert verify_fraud(alarm.fraud, trust()).node == A
    assert {alarm.kind for alarm in alarms} == {"log.split_view", "anchor.contradicts"}


def test_a_log_that_shrank_is_told_with_who_saw_more() -> None:
    post = Post()
    post.look()
    log = Log(MemoryLogStore(), origin(A), log_signer(A))
    for entry in post.story.logs[A].entries(0, 10):
        log.append(entry)
    alarms = post.look(a=shown(log, 10, post.seen(A, 17)))
    assert kinds(alarms) == [("log.shrank", A)] * 3
    assert any("hospital-b cosigned 17" in alarm.why for alarm in alarms)
    assert kinds(Post().look(a=shown(log, 0, post.seen(A, 0)))) == [("log.shrank", A)] * 3  # also at the first sight


def test_entries_that_are_not_those_signed_are_told_although_nothing_is_proven() -> None:
    post = Post()
    honest = post.seen(A, 0)
    for entries in ([*honest.entries[:-1], b"{}"], honest.entries[:-1], [*honest.entries, honest.entries[0]]):
        assert kinds(Post().look(a=replace(honest, entries=entries))) == [("log.rewritten", A)]


def test_a_checkpoint_under_a_foreign_key_is_told() -> None:
    post = Post()
    text = post.story.logs[A].checkpoint().partition("\n\n")[0] + "\n"
    stranger = sign_note(text, Signer(origin(A), bytes(32)))
    assert kinds(post.look(a=replace(post.seen(A, 0), notes=(stranger,)))) == [("key.unknown", A)]


def test_a_witness_that_lies_is_told_and_the_honest_log_is_not() -> None:
    post = Post()
    seen = post.seen(A, 0)
    head = parse_checkpoint(seen.notes[-1])
    forged_text = f"{head.origin}\n{head.size}\n{'A' * 43}=\n"
    made_up = sign_note(forged_text, Signer(origin(A), bytes(32)))
    made_up = add_signatures(made_up, [cosign(made_up, witness_signer(B), START)])
    uncosigned = sign_note(seen.notes[-1].partition("\n\n")[0] + "\n", log_signer(A))
    for lie in (made_up, uncosigned, "nothing"):
        alarms = Post().look(a=replace(seen, mirrors={**seen.mirrors, B: lie}))
        assert kinds(alarms) == [("witness.false", B)]


def test_a_log_that_falls_silent_is_warned_of_and_then_an_alarm() -> None:
    post = Post()
    post.look()
    post.silent, post.now = (A,), post.now + 14 * MINUTE
    assert [(alarm.kind, alarm.severity) for alarm in post.look()] == [("log.silent", Severity.WARN)]
    post.now += 2 * MINUTE
    for node in (B, C):
        post.grow(node, read_event(40, node))
    assert kinds(post.look()) == [("log.silent", A), ("checkpoint.late", A)]


def test_a_log_that_answers_but_is_not_witnessed_any_more_is_late() -> None:
    post = Post()
    post.look()
    post.now += 16 * MINUTE
    for node in (B, C):
        post.grow(node, read_event(40, node))
    post.grow(A, read_event(40), publish=False)
    post.story.logs[A].add_cosignatures(post.story.logs[A].checkpoint(), [])
    assert ("checkpoint.late", A) in kinds(post.look())
    assert ("checkpoint.late", B) not in kinds(post.look())


def test_a_log_never_heard_of_is_late_from_when_it_was_first_asked() -> None:
    post = Post(silent=(A,))
    assert kinds(post.look()) == [("log.silent", A)]
    post.now += 16 * MINUTE
    assert ("checkpoint.late", A) in kinds(post.look())


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({"grant": "nobodys"}, "not issued"),
        ({"grant": None}, "names no grant"),
        ({"grant": "hospital-a-g"}, "revoked"),  # revoked at 15 s; the tolerance is two minutes
    ],
)
def test_an_access_without_a_live_grant_is_told_with_its_index(event: dict[str, str], why: str) -> None:
    post = Post()
    post.grow(A, make_event(A, 300, Action.EXPORT, decision=Decision.ALLOW, **event))
    (alarm,) = post.look()
    assert (alarm.kind, alarm.node, alarm.index) == ("access.without_grant", A, 17)
    assert why in alarm.why
    assert post.look() == []  # told once


def test_a_grant_in_a_log_that_is_silent_now_is_waited_for() -> None:
    post = Post(silent=(B,))
    post.grow(A, make_event(A, 5, Action.EXPORT, decision=Decision.ALLOW, grant="hospital-b-g"))
    post.grow(A, make_event(A, 6, Action.EXPORT, decision=Decision.ALLOW, grant="nobodys"))
    assert kinds(post.look()) == [("log.silent", B)]
    post.silent = ()
    alarms = post.look()
    assert [(alarm.kind, alarm.index) for alarm in alarms] == [("access.without_grant", 18)]


def test_an_entry_of_another_node_or_of_no_form_is_told() -> None:
    post = Post()
    post.story.logs[A].append(canonical(read_event(20, B)))
    post.story.logs[A].append(b"{}")
    post.story.publish(A)
    assert [(alarm.kind, alarm.index) for alarm in post.look()] == [("entry.malformed", 18), ("entry.malformed", 17)]


def test_the_age_of_the_oldest_entry_without_anchor_warns_and_then_alarms() -> None:
    post = Post(limits=Limits(cadence=timedelta(days=9)))
    post.look()
    anchors = list(post.story.anchors[A])
    post.grow(A, read_event(60))  # one minute after START
    post.story.anchors[A] = anchors
    post.look()
    told = []
    for minute in (10, 16, 17, 61, 62):
        post.now = START + minute * MINUTE
        told.append([alarm.severity for alarm in post.look() if alarm.kind == "anchor.old"])
    assert told == [[], [], [Severity.WARN], [Severity.WARN], [Severity.ALARM]]
    post.story.anchors[A] = [*anchors, anchor_of(post.story.logs[A].checkpoint(), block=9)]
    assert post.look() == []


def test_the_age_is_exact_at_the_first_sight_of_a_half_anchored_log() -> None:
    post = Post()
    post.story.anchors[A] = post.story.anchors[A][:1]  # 8 of 17; entry 8 is of START + 8 s
    post.now = START + 15 * MINUTE + timedelta(seconds=8)
    assert post.look() == []
    again = Post(story=post.story, now=post.now + timedelta(seconds=1))
    assert kinds(again.look()) == [("anchor.old", A)]


def test_a_silent_chain_leaves_the_age_running() -> None:
    post = Post(limits=Limits(cadence=timedelta(days=9)))
    post.look()
    post.chain_silent = True
    post.grow(A, read_event(60))
    post.now += 20 * MINUTE
    assert ("anchor.old", A) in kinds(post.look())


def test_an_anchor_of_another_root_or_beyond_the_log_or_lost_is_told() -> None:
    post = Post()
    first, second = post.story.anchors[A]
    post.story.anchors[A] = [first, replace(second, root=bytes(32))]
    assert kinds(post.look()) == [("anchor.contradicts", A)]
    ahead = Post()
    ahead.story.anchors[A].append(replace(second, size=18))
    assert kinds(ahead.look()) == [("log.shrank", A)]
    lost = Post()
    lost.look()
    lost.story.anchors[A].pop()
    assert kinds(lost.look()) == [("anchor.lost", A)]
    assert kinds(lost.look()) == []


def test_a_key_that_only_the_chain_knows_is_told() -> None:
    def record(kind: str, block: int, key: bytes) -> ChainRecord:
        fields: dict[str, str | int] = {"node": A, "logKeyHash": sha256(key).hexdigest()}
        return ChainRecord(kind, fields, block, START, bytes(32))

    true_key = log_signer(A).public_key
    post = Post(records=(record("NodeEnrolled", 1, true_key),))
    assert post.look() == []
    post.records = (record("NodeKeyRotated", 2, b"another"), record("NodeEnrolled", 1, true_key))
    assert kinds(post.look()) == [("key.unknown", A)]


def test_an_alarm_names_no_value_of_a_record() -> None:
    post = Post()
    post.grow(A, make_event(A, 300, Action.EXPORT, decision=Decision.ALLOW, grant="secret-name", product="secret"))
    assert "secret" not in "".join(str(alarm.document()) for alarm in post.look())
