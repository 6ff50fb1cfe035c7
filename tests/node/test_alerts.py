"""A node's watch makes alerts events of its own log, once each, over restarts and crashes, and names nobody."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.ledger.evidence_story import log_signer, make_event, origin

from hdex.ledger.anomaly import Rule
from hdex.ledger.anomaly_rules import default_rules
from hdex.ledger.bundle import LogEvidence
from hdex.ledger.detail import Details
from hdex.ledger.detail_memory import MemoryDetailStore
from hdex.ledger.errors import LogFailed
from hdex.ledger.event import Action, Event, parse
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.shard_sqlite import Shards
from hdex.ledger.store_memory import MemoryLogStore
from hdex.node.alerts import KIND, STATE, AlertWatch
from hdex.node.auditor_alerts import SeenAlert, alerts_in, raised_alert
from hdex.node.compose.alerting import recorded_actor
from hdex.node.documents import MemoryDocuments
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder

NODE = "hospital-a"
START = datetime(2026, 11, 2, 2, tzinfo=UTC)
BUYERS = [Identity(f"spiffe://hdex.test/buyer/buyer-{n}", "buyer", f"buyer-{n}") for n in "ab"]


class Node:
    """One node's log, records and clock."""

    def __init__(self) -> None:
        self.now = START
        self.store, self.documents = MemoryLogStore(), MemoryDocuments()
        self.log = Log(self.store, origin(NODE), log_signer(NODE))
        self.details = Details(MemoryDetailStore(), b"m" * 32)
        self.recorder = Recorder(self.log, self.details, node=NODE, organisation="A", clock=self.clock)

    def clock(self) -> datetime:
        return self.now

    def watch(self) -> AlertWatch:
        return AlertWatch(
            self.log,
            self.documents,
            recorded_actor(self.details),
            default_rules(),
            node=NODE,
            organisation="A",
            secret=b"s" * 32,
            clock=self.clock,
        )

    def export(self, buyer: Identity, count: int, *, rows: int = 10) -> None:
        for _ in range(count):
            self.now += timedelta(milliseconds=1)
            self.recorder.allow("export", buyer, product="p", grant="g", rows=rows)

    def alerts(self) -> list[Event]:
        events = [parse(leaf) for leaf in self.log.entries(0, self.log.size)]
        return [event for event in events if event.action == "alert.raise"]


def test_a_thousand_events_of_one_second_raise_one_alert_in_one_look() -> None:
    node = Node()
    node.export(BUYERS[0], 1000)
    (alert,) = node.watch().run_once()
    assert alert.rule is Rule.RATE
    (event,) = node.alerts()
    assert event.reason == alert.code == f"rate@0-{alert.last}"
    assert (event.product, event.grant, event.role) == ("p", "g", "watch")
    assert event.at == node.now  # the log's own clock: no later than the look


def test_two_actors_are_told_apart_though_the_log_commits_to_each_anew() -> None:
    node, both = Node(), 30
    for _ in range(both):
        for buyer in BUYERS:
            node.export(buyer, 1)
    assert node.watch().run_once() == []  # 30 each are usual, 60 of one would not be
    node.export(BUYERS[0], 30)
    assert [alert.rule for alert in node.watch().run_once()] == [Rule.RATE]


def test_neither_log_nor_state_names_anybody() -> None:
    node = Node()
    node.export(BUYERS[0], 100)
    watch = node.watch()
    watch.run_once()
    watch.keep()
    assert "buyer-a" not in str(node.documents.get(KIND, STATE))
    assert b"buyer-a" not in b"".join(node.log.entries(0, node.log.size))


def test_what_was_learnt_survives_a_restart_and_nothing_is_raised_twice() -> None:
    node = Node()
    node.export(BUYERS[0], 100)
    first = node.watch()
    assert len(first.run_once()) == 1
    first.keep()
    second = node.watch()
    assert second.run_once() == []
    node.export(BUYERS[0], 1, rows=1_000_000)
    assert [alert.rule for alert in second.run_once()] == [Rule.EXPORT_SIZE]
    assert len(node.alerts()) == 2


def test_after_a_crash_entries_are_looked_at_again_and_no_alert_is_raised_twice() -> None:
    node = Node()
    node.export(BUYERS[0], 100)
    node.watch().run_once()  # dies before it keeps its state
    node.export(BUYERS[1], 100)
    again = node.watch()
    assert len(again.run_once()) == 1
    assert again.run_once() == []
    assert len({event.reason for event in node.alerts()}) == len(node.alerts()) == 2


def test_a_state_from_another_time_is_learnt_anew() -> None:
    node = Node()
    node.export(BUYERS[0], 100)
    for strange in ({"next": 0, "detector": {}}, {"next": 10**6, "detector": {}}, {}):
        node.documents.put(KIND, STATE, strange)
        watch = node.watch()
        assert watch._next == 0


def test_an_actor_whose_records_are_erased_counts_under_organisation_and_role() -> None:
    node = Node()
    node.export(BUYERS[0], 30)
    node.export(BUYERS[1], 30)
    watch = AlertWatch(
        node.log, MemoryDocuments(), lambda event_id: None, default_rules(),
        node=NODE, organisation="A", secret=b"s" * 32, clock=node.clock,
    )  # fmt: skip
    assert [alert.actor for alert in watch.run_once()] == ["A/buyer"]


def test_the_state_is_kept_now_and_then() -> None:
    node = Node()
    watch = node.watch()
    node.export(BUYERS[0], 5)
    watch.run_once()
    assert node.documents.all(KIND) == []
    node.now += timedelta(minutes=1)
    watch.run_once()
    assert node.documents.get(KIND, STATE)["next"] == 5


def test_a_log_that_cannot_be_written_is_said_and_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node()
    node.export(BUYERS[0], 100)
    monkeypatch.setattr(node.store, "append", lambda *_: (_ for _ in ()).throw(LogFailed("the disk is gone")))
    with pytest.raises(LogFailed):
        node.watch().run_once()


def seen(node: Node) -> list[SeenAlert]:
    return alerts_in(LogEvidence(NODE, origin(NODE), tuple(node.log.entries(0, node.log.size))), default_rules())


def test_an_auditor_sees_what_the_node_raised_and_what_it_finds_itself() -> None:
    node = Node()
    node.export(BUYERS[0], 100)
    node.watch().run_once()
    by = {one.by: one for one in seen(node)}
    assert set(by) == {"node", "auditor"}
    assert {(one.rule, one.first, one.who) for one in by.values()} == {("rate", 0, "A/buyer")}
    node.export(BUYERS[1], 100)
    node.watch().run_once()
    assert [one.by for one in seen(node)].count("node") == 2  # the node tells two actors apart, the auditor cannot


@pytest.mark.parametrize("reason", ["rate@0-99", "rate@5-3", "boredom@0-0", "rate", "", None])
def test_an_alert_that_points_nowhere_is_passed_over(reason: str | None) -> None:
    event = make_event(NODE, 0, Action.ALERT_RAISE, **({"reason": reason} if reason else {}))
    assert raised_alert(NODE, event, [event]) is None


def test_the_watch_goes_on_in_the_log_of_a_new_year(tmp_path: Path) -> None:
    node = Node()
    node.now = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    shards = Shards(tmp_path, NODE, signer=lambda name: Signer(name, log_signer(NODE).seed), clock=node.clock)
    node.log = shards.open()
    node.recorder = Recorder(node.log, node.details, node=NODE, organisation="A", clock=node.clock)
    watch = node.watch()
    node.export(BUYERS[0], 10)
    assert watch.run_once() == []
    node.now += timedelta(minutes=2)
    node.export(BUYERS[0], 100)
    (alert,) = watch.run_once()
    assert (alert.rule, alert.first) == (Rule.RATE, 1)  # entry 0 of the new shard is its link
    watch.keep()
    assert node.watch()._next == node.log.size - 1  # it stands before its own alert
    node.log.close()


def test_the_first_look_at_a_long_log_learns_and_raises_nothing_of_long_ago() -> None:
    node = Node()
    node.export(BUYERS[0], 100)
    node.now += timedelta(days=30)
    watch = node.watch()
    assert watch.run_once() == []
    node.export(BUYERS[0], 100)
    assert [alert.first for alert in watch.run_once()] == [100]
