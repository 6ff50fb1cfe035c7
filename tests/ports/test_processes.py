"""One suite over both stores of Dataspace Protocol processes and their outbox."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hdex.catalog.contract import Party
from hdex.node.dsp.ports import Outgoing, Processes
from hdex.node.dsp.process import Kind, Process
from hdex.node.dsp.store_memory import MemoryProcesses
from hdex.node.dsp.store_sqlite import SqliteProcesses
from hdex.node.errors import AlreadyExists, NotFound

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
Factory = Callable[[], Processes]


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Processes:
    return MemoryProcesses() if request.param == "memory" else SqliteProcesses(tmp_path / "processes.db")


def process(number: int = 1, peer: str = "buyer-a", peer_pid: str = "") -> Process:
    return Process(
        kind=Kind.NEGOTIATION, role=Party.PROVIDER, pid=f"p{number}", peer=peer, peer_pid=peer_pid or f"c{number}",
        address="https://a.example", state="REQUESTED", visits={"REQUESTED": 1}, dataset="d", offer={"@id": "o"},
    )  # fmt: skip


def message(found: Process, path: str = "/negotiations/c1/offers") -> Outgoing:
    return Outgoing(found.pid, path, {"@type": "ContractOfferMessage"}, found, found.version + 1)


def test_a_process_comes_back_as_it_was(store: Processes) -> None:
    store.save(process())
    assert store.get("p1") == process()
    assert store.opened_by(Kind.NEGOTIATION, "buyer-a", "c1") == process()
    assert store.opened_by(Kind.TRANSFER, "buyer-a", "c1") is None
    assert store.opened_by(Kind.NEGOTIATION, "buyer-b", "c1") is None
    with pytest.raises(NotFound):
        store.get("p2")


def test_whoever_saves_an_older_version_loses(store: Processes) -> None:
    store.save(process())
    first, second = process().entered("OFFERED"), process().entered("TERMINATED")
    store.save(first, message(process()))
    with pytest.raises(AlreadyExists):
        store.save(second, message(process()))
    assert store.get("p1").state == "OFFERED"
    assert len(store.waiting(NOW)) == 1  # the loser's message is not stored either


def test_a_peer_opens_an_id_once_and_another_peer_may_use_the_same(store: Processes) -> None:
    store.save(process(1, peer_pid="c"))
    with pytest.raises(AlreadyExists):
        store.save(process(2, peer_pid="c"))
    store.save(process(3, peer="buyer-b", peer_pid="c"))


def test_open_processes_are_counted_by_peer(store: Processes) -> None:
    store.save(process(1))
    store.save(process(2).entered("TERMINATED"))
    store.save(process(3, peer="buyer-b"))
    assert (store.open_of("buyer-a"), store.open_of("buyer-b"), store.open_of("buyer-c")) == (1, 1, 0)


def test_requests_without_an_answer_do_not_collide(store: Processes) -> None:
    for number in (1, 2):
        store.save(replace(process(number), peer_pid="", state="", role=Party.CONSUMER))
    assert len(store.live()) == 2


def test_messages_of_one_process_leave_in_order_those_of_others_beside_them(store: Processes) -> None:
    store.save(process(1), message(process(1), "/first"))
    store.save(process(1).entered("OFFERED"), message(process(1), "/second"))
    store.save(process(2), message(process(2), "/other"))
    assert [one.path for one in store.waiting(NOW)] == ["/first", "/other"]
    first = store.waiting(NOW)[0]
    assert (first.document, first.before) == ({"@type": "ContractOfferMessage"}, process(1))
    store.settle(first)
    assert [one.path for one in store.waiting(NOW)] == ["/second", "/other"]


def test_a_message_that_failed_waits_and_counts(store: Processes) -> None:
    store.save(process(), message(process()))
    (waiting,) = store.waiting(NOW)
    store.postpone(waiting, NOW + timedelta(seconds=5), refused=True)
    assert store.waiting(NOW) == []
    assert store.next_try(NOW) == NOW + timedelta(seconds=5)
    (again,) = store.waiting(NOW + timedelta(seconds=5))
    assert (again.attempts, again.refusals, again.number) == (1, 1, waiting.number)
    store.settle(again, process().entered("OFFERED"))
    assert store.waiting(NOW + timedelta(days=1)) == []
    assert store.next_try(NOW) is None
    assert store.get("p1").state == "OFFERED"


def test_what_the_other_side_ends_sends_nothing_more(store: Processes) -> None:
    store.save(process(), message(process()))
    store.save(process().entered("TERMINATED"))
    assert store.waiting(NOW) == []
    assert store.live() == []


def test_processes_and_messages_outlive_the_process(tmp_path: Path) -> None:
    SqliteProcesses(tmp_path / "p.db").save(process(), message(process()))
    again = SqliteProcesses(tmp_path / "p.db")
    assert again.live() == [process()]
    assert len(again.waiting(NOW)) == 1
