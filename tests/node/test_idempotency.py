"""Under one key a call happens once, whatever comes between: repeats, races, crashes, other messages, time."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.ledger.errors import LogFailed
from hdex.node.documents import MemoryDocuments, SqliteDocuments
from hdex.node.errors import AccessDenied, KeyConflict, LimitExceeded, NodeError, RemoteRefused, RequestInvalid
from hdex.node.idempotency import KIND, LIFE, MOST_KEYS, WRITES, KeyBook, call_of
from hdex.node.sealing import Sealing
from hdex.proto.v1 import access_pb2, exchange_pb2, hospital_pb2, keyholder_pb2, ledger_pb2, settlement_pb2

WHO, OTHER = "spiffe://hdex.test/buyer/heartline", "spiffe://hdex.test/buyer/other"
CREDIT, SAVE, REQUEST = "BillingService.CreditInvoice", "ExchangeService.SaveSearch", "ContractService.Request"
SEALING = Sealing(b"k" * 32)


class Killed(BaseException):
    """The process ended here."""


class Clock:
    now = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Work:
    """Something that must not happen twice."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self) -> bytes:
        self.done += 1
        return b"answer %d" % self.done


def test_the_same_call_again_is_given_the_first_answer_also_after_a_restart(tmp_path: Path) -> None:
    work, clock = Work(), Clock()
    call = call_of(WHO, SAVE, "k1", b"message")
    book = KeyBook(SqliteDocuments(tmp_path / "documents.db"), SEALING, clock)
    assert [book.once(call, work) for _ in range(3)] == [b"answer 1"] * 3
    again = KeyBook(SqliteDocuments(tmp_path / "documents.db"), SEALING, clock)
    assert again.once(call, work) == b"answer 1"
    assert again.once(call_of(OTHER, SAVE, "k1", b"message"), work) == b"answer 2"
    assert again.once(call_of(WHO, SAVE, "k2", b"message"), work) == b"answer 3"


def test_no_file_holds_an_answer_or_who_asked_in_the_clear(tmp_path: Path) -> None:
    documents = SqliteDocuments(tmp_path / "documents.db")
    KeyBook(documents, SEALING, Clock()).once(call_of(WHO, SAVE, "k1", b"m"), lambda: b"webhook secret")
    documents.close()
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"webhook secret" not in held
    assert WHO.encode() not in held


@pytest.mark.parametrize(("action", "message"), [(SAVE, b"other"), (REQUEST, b"message")])
def test_a_key_stands_for_one_call(action: str, message: bytes) -> None:
    book, work = KeyBook(MemoryDocuments(), SEALING, Clock()), Work()
    book.once(call_of(WHO, SAVE, "k1", b"message"), work)
    with pytest.raises(KeyConflict) as caught:
        book.once(call_of(WHO, action, "k1", message), work)
    assert (caught.value.rule, bool(caught.value.next_step)) == ("idempotency.reused", True)
    assert work.done == 1


def test_of_calls_at_the_same_time_one_runs_and_the_others_are_told_to_wait() -> None:
    book, call = KeyBook(MemoryDocuments(), SEALING, Clock()), call_of(WHO, SAVE, "k1", b"m")
    entered, go_on, work = threading.Event(), threading.Event(), Work()

    def slow() -> bytes:
        entered.set()
        go_on.wait(30)
        return work()

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(book.once, call, slow)
        assert entered.wait(30)
        for _ in range(3):
            with pytest.raises(KeyConflict) as caught:
                book.once(call, work)
            assert caught.value.rule == "idempotency.in_flight"
        go_on.set()
        assert first.result(30) == b"answer 1"
    assert book.once(call, work) == b"answer 1"


def cut_short(documents: MemoryDocuments, action: str, work: Work, *, before: bool) -> KeyBook:
    """Return the keys of the process that comes after one killed before or after the call did its work."""

    def killed() -> bytes:
        if not before:
            work()
        raise Killed

    with pytest.raises(Killed):
        KeyBook(documents, SEALING, Clock()).once(call_of(WHO, action, "k1", b"m"), killed)
    return KeyBook(documents, SEALING, Clock())


@pytest.mark.parametrize("before", [True, False])
def test_after_a_crash_what_must_not_run_twice_does_not_and_its_caller_is_told(before: bool) -> None:
    documents, work = MemoryDocuments(), Work()
    book = cut_short(documents, CREDIT, work, before=before)
    done = work.done
    for _ in range(2):
        with pytest.raises(KeyConflict) as caught:
            book.once(call_of(WHO, CREDIT, "k1", b"m"), work)
        assert (caught.value.rule, "look" in caught.value.next_step) == ("idempotency.unknown", True)
    assert work.done == done


@pytest.mark.parametrize("action", [REQUEST, SAVE])
def test_after_a_crash_what_finds_its_own_work_runs_again_and_once(action: str) -> None:
    documents, work = MemoryDocuments(), Work()
    book = cut_short(documents, action, work, before=False)
    assert book.once(call_of(WHO, action, "k1", b"m"), work) == b"answer 2"
    assert book.once(call_of(WHO, action, "k1", b"m"), work) == b"answer 2"


def failing(error: Exception) -> Callable[[], bytes]:
    def run() -> bytes:
        raise error

    return run


def test_a_refusal_is_an_answer_too() -> None:
    book, work = KeyBook(MemoryDocuments(), SEALING, Clock()), Work()
    call = call_of(WHO, SAVE, "k1", b"m")
    with pytest.raises(AccessDenied):
        book.once(call, failing(AccessDenied("webhook.host", "ask the operator", "that host is not called")))
    with pytest.raises(RemoteRefused, match="that host is not called") as caught:
        book.once(call, work)
    told = caught.value
    assert (told.rule, told.next_step, told.status) == ("webhook.host", "ask the operator", "PERMISSION_DENIED")
    assert work.done == 0


def test_what_a_limit_stopped_may_be_tried_again_and_of_what_broke_nobody_knows() -> None:
    book, work = KeyBook(MemoryDocuments(), SEALING, Clock()), Work()
    for error in (LimitExceeded("too many"), LimitExceeded("too many")):
        with pytest.raises(LimitExceeded):
            book.once(call_of(WHO, SAVE, "k1", b"m"), failing(error))
    assert book.once(call_of(WHO, SAVE, "k1", b"m"), work) == b"answer 1"
    for broken in (LogFailed("the disk is gone"), ValueError("a bug")):
        with pytest.raises(type(broken)):
            book.once(call_of(WHO, CREDIT, f"k-{type(broken).__name__}", b"m"), failing(broken))
        with pytest.raises(KeyConflict):
            book.once(call_of(WHO, CREDIT, f"k-{type(broken).__name__}", b"m"), work)


def test_a_key_ends_with_its_day_and_a_caller_has_so_many() -> None:
    documents, clock, work = MemoryDocuments(), Clock(), Work()
    book = KeyBook(documents, SEALING, clock)
    for number in range(MOST_KEYS):
        book.once(call_of(WHO, SAVE, f"k{number}", b"m"), work)
    with pytest.raises(LimitExceeded):
        book.once(call_of(WHO, SAVE, "one-more", b"m"), work)
    book.once(call_of(OTHER, SAVE, "k0", b"m"), work)
    clock.now += LIFE
    assert book.once(call_of(WHO, SAVE, "k0", b"another message"), work) == b"answer %d" % (MOST_KEYS + 2)
    assert len(documents.keys(KIND)) == 1  # what is over is forgotten


@pytest.mark.parametrize("key", ["", "two words", "k\n", "ключ", "k" * 129])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(RequestInvalid):
        call_of(WHO, SAVE, key, b"m")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.sampled_from(["ok", "die", "fail"])), max_size=12))
def test_no_history_of_repeats_and_crashes_runs_a_call_twice(steps: list[tuple[int, int, str]]) -> None:
    documents, done = MemoryDocuments(), list[tuple[int, int]]()
    book = KeyBook(documents, SEALING, Clock())
    for key, message, how in steps:

        def run(key: int = key, message: int = message, how: str = how) -> bytes:
            if how == "fail":
                raise AccessDenied("no")
            done.append((key, message))
            if how == "die":
                raise Killed
            return json.dumps([key, message]).encode()

        try:
            answer = book.once(call_of(WHO, CREDIT, f"k{key}", b"%d" % message), run)
            assert json.loads(answer) == [key, message]
        except Killed:
            book = KeyBook(documents, SEALING, Clock())
        except NodeError:
            pass
    assert len({key for key, _ in done}) == len(done)


READS = [
    "HospitalAdminService.ListRequests",
    "HospitalAdminService.Status",
    "HospitalAdminService.ListRuns",
    "HospitalAdminService.ReadDesk",
    "HospitalAdminService.ListAccesses",
    "HospitalService.GetRun",
    "HospitalService.GetStanding",
    "VettingService.GetVetting",
    "VettingService.GetVettingCertificate",
    "VettingService.ListVettings",
    "AccessRequestService.GetAccessRequest",
    "AccessRequestService.GetAccessDocument",
    "AccessRequestService.ListAccessRequests",
    "BillingService.GetStatement",
    "BillingService.ListDue",
    "BillingService.GetAccount",
    "BillingService.PreviewPayments",
    "InvoiceService.ListInvoicePage",
    "WitnessService.GetMirror",
    "LogService.GetCheckpoint",
    "LogService.GetInclusionProof",
    "LogService.GetConsistencyProof",
    "ExchangeService.Find",
    "ExchangeService.Show",
    "ExchangeService.Render",
    "ExchangeService.Precheck",
    "ExchangeService.Quote",
    "ExchangeService.Cohort",
    "ExchangeService.ListSearches",
    "ContractService.GetContract",
    "ContractService.ListContracts",
]


def test_every_unary_call_either_reads_or_takes_a_key() -> None:
    files = (access_pb2, exchange_pb2, hospital_pb2, keyholder_pb2, ledger_pb2, settlement_pb2)
    services: list[ServiceDescriptor] = [s for file in files for s in file.DESCRIPTOR.services_by_name.values()]
    unary = [
        f"{service.name}.{method.name}"
        for service in services
        for method in service.methods
        if not method.server_streaming and not method.client_streaming
    ]
    assert sorted(unary) == sorted([*READS, *WRITES])
