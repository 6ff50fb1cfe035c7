"""Over a line that breaks a call is asked again under its own key: it happens once, and its answer comes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from tests.faults.stream_stage import Relay
from tests.node.api_stage import BUYER, Stage, behind_doors, services, staged
from tests.node.wire_stage import DOMAIN

from hdex.catalog.ports import Query
from hdex.node.errors import NodeError, PeerUnavailable, RemoteRefused
from hdex.node.idempotency import FULL, IN_FLIGHT, NONE_KEPT, Call, KeyBook
from hdex.node.wire.client import channel
from hdex.node.wire.interceptors import IDEMPOTENCY_KEY
from hdex.node.wire.remote import RemoteExchange
from hdex.node.wire.remote_searches import RemoteSearches
from hdex.node.wire.repeats import PAUSES_S, WAIT_S, Details, repeated

SAVE, REQUEST, FIND = (
    f"/hdex.proto.v1.{name}"
    for name in ("ExchangeService/SaveSearch", "ContractService/Request", "ExchangeService/Find")
)
OPEN_SUM = "/hdex.proto.v1.KeyHolderService/OpenSum"
WAIT_AT_MOST_S = 20


class CutLine:
    """The keys of the exchange, with a line that breaks: once the first answer is kept, or while it is being made."""

    def __init__(self, book: KeyBook) -> None:
        self._book = book
        self.cut: Callable[[], None] = lambda: None
        self.in_the_middle = False
        self.asked_again = threading.Event()
        self.keys: list[str] = []

    def once(self, call: Call, run: Callable[[], bytes]) -> bytes:
        self.keys.append(call.key)
        if len(self.keys) > 1:
            try:
                return self._book.once(call, run)
            finally:
                self.asked_again.set()
        if not self.in_the_middle:
            answer = self._book.once(call, run)
            self.cut()
            return answer

        def slow() -> bytes:
            self.cut()
            self.asked_again.wait(WAIT_AT_MOST_S)
            return run()

        return self._book.once(call, slow)


class Cutting(list[Any]):
    """What the exchange remembers of calls; at the first one the line breaks."""

    cut: Callable[[], None]

    def append(self, access: Any) -> None:
        super().append(access)
        if len(self) == 1:
            self.cut()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return staged(tmp_path_factory.mktemp("repeats"))


@contextmanager
def dialled(stage: Stage, keys: Any) -> Iterator[tuple[grpc.Channel, Relay]]:
    """Serve with these keys, behind a line that may be cut, and yield a channel of the buyer."""
    stage.keys = keys
    with behind_doors(stage, services(stage)):
        assert stage.serving is not None
        relay = Relay(stage.serving.port)
        try:
            with channel(relay.endpoint, tls=stage.tls(BUYER), server="exchange", trust_domain=DOMAIN) as line:
                yield line, relay
        finally:
            relay.close()


@pytest.mark.parametrize("in_the_middle", [False, True])
def test_an_answer_that_was_lost_is_fetched_and_nothing_happens_twice(stage: Stage, in_the_middle: bool) -> None:
    keys = CutLine(stage.key_book())
    keys.in_the_middle = in_the_middle
    name = f"stents {in_the_middle}"
    with dialled(stage, keys) as (line, relay):
        keys.cut = relay.mend  # closes what is connected; who dials again is let through
        searches = RemoteSearches(line)
        saved = searches.save(Query(text="stent"), name=name, webhook="https://localhost/in")
        kept = [one for one in searches.list() if one["name"] == name]
        assert [one["id"] for one in kept] == [saved["id"]]
        assert saved["webhook_secret"]
        assert len(keys.keys) >= 2
        assert len({*keys.keys}) == 1
        searches.save(Query(text="stent"), name=f"{name}, another")
        assert len({*keys.keys}) == 2


def test_a_paper_that_may_come_twice_is_sent_again(stage: Stage) -> None:
    keys = CutLine(stage.key_book())
    stage.accesses = Cutting()
    with dialled(stage, keys) as (line, relay):
        stage.accesses.cut = relay.mend
        assert stage.product is not None
        record = RemoteExchange(line).request(stage.market.request_paper(stage.product, contract_id="c-cut"))
        assert (record.contract_id, record.state) == ("c-cut", "REQUESTED")
        assert [one.action for one in stage.accesses] == ["ContractService.Request"] * 2
        assert keys.keys == []


def test_a_participant_that_keeps_no_keys_is_asked_without_one(stage: Stage) -> None:
    with dialled(stage, None) as (line, _):
        RemoteSearches(line).save(Query(text="stent"), name="without a key")
        assert [one for one in RemoteSearches(line).list() if one["name"] == "without a key"]


# ---- the order of repeats, without a line --------------------------------------------------------------------------


class Broken(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


def broke(code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE, rule: str = "") -> NodeError:
    error = PeerUnavailable("exchange did not answer")
    error.rule, error.__cause__ = rule, Broken(code)
    return error


def said(rule: str) -> NodeError:
    return RemoteRefused(rule, "", "no", status="ABORTED")


class Server:
    """Answers with what it is given, in turn; then `answer`."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.keys: list[str | None] = []
        self.paused: list[float] = []

    def __call__(self, details: Details) -> str:
        self.keys.append(dict(details.metadata or ()).get(IDEMPOTENCY_KEY))
        if self._errors:
            raise self._errors.pop(0)
        return "answer"

    def asked(self, method: str, *metadata: tuple[str, str], timeout_s: float = 30.0) -> str:
        details = Details(method, timeout_s, list(metadata), None, None, None)
        return str(repeated(details, self, pause=self.paused.append))


def test_a_call_under_way_is_asked_for_until_it_has_an_answer() -> None:
    server = Server(broke(), *[said(IN_FLIGHT)] * 5)
    assert server.asked(SAVE) == "answer"
    assert server.paused == [PAUSES_S[0], *[WAIT_S] * 5]
    assert len(server.keys) == 7
    assert len({*server.keys}) == 1
    assert server.keys[0]


@pytest.mark.parametrize("rule", [FULL, NONE_KEPT])
def test_where_no_key_is_taken_the_call_goes_without(rule: str) -> None:
    server = Server(said(rule))
    assert server.asked(SAVE) == "answer"
    assert server.keys[0]
    assert server.keys[1:] == [None]


@pytest.mark.parametrize("method", [SAVE, REQUEST])
def test_a_line_that_stays_broken_ends_it(method: str) -> None:
    server = Server(*[broke()] * 9)
    with pytest.raises(PeerUnavailable):
        server.asked(method)
    assert server.paused == [*PAUSES_S]


@pytest.mark.parametrize(
    "error",
    [
        said("idempotency.unknown"),
        said("contract.state"),
        broke(rule="log-failed"),
        broke(grpc.StatusCode.DEADLINE_EXCEEDED),
        broke(grpc.StatusCode.CANCELLED),
    ],
)
def test_what_the_server_has_answered_or_we_have_ended_is_not_repeated(error: NodeError) -> None:
    server = Server(error)
    with pytest.raises(type(error)):
        server.asked(SAVE)
    assert len(server.keys) == 1


def test_no_repeat_goes_beyond_the_deadline() -> None:
    server = Server(*[said(IN_FLIGHT)] * 9)
    with pytest.raises(RemoteRefused):
        server.asked(SAVE, timeout_s=WAIT_S / 2)
    assert server.paused == []


@pytest.mark.parametrize("method", [FIND, OPEN_SUM, "/grpc.health.v1.Health/Check"])
def test_reads_and_who_goes_on_by_itself_are_left_alone(method: str) -> None:
    server = Server(broke())
    with pytest.raises(PeerUnavailable):
        server.asked(method)
    assert server.keys == [None]


def test_a_key_that_the_caller_chose_is_the_callers() -> None:
    server = Server(said(IN_FLIGHT))
    with pytest.raises(RemoteRefused):
        server.asked(SAVE, (IDEMPOTENCY_KEY, "mine"))
    assert server.keys == ["mine"]


def test_a_channel_closed_meanwhile_says_what_broke() -> None:
    server = Server(broke(), ValueError("Cannot invoke RPC on closed channel!"))
    with pytest.raises(PeerUnavailable):
        server.asked(SAVE)
