"""One suite for Flower's Grid: in process, over streams with a thread per site, over a stock SuperLink.

What depends on frames runs over the first two alone: a SuperLink takes no fault script and knows who sends.
"""

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flwr.supercore.task_identity import TaskIdentity
from tests.federated.samples import SITES, consortium
from tests.ports.superlink_stage import Stock, environment, running_stock

from hdex.federated.apps.flower import (
    COORDINATOR_NODE_ID,
    ConfigRecord,
    Grid,
    Message,
    MessageType,
    RecordDict,
    Run,
    from_frame,
    node_id,
    set_message_id,
    to_frame,
)
from hdex.federated.apps.superlink import installed_bundle
from hdex.federated.channel_memory import Fault, FaultKind, MemoryChannel, ThreadChannel
from hdex.federated.draft import Question
from hdex.federated.errors import AdmissionRefused, FrameInvalid, SiteLost, StudyInvalid
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.grid_stream import StreamGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.run import run_study
from hdex.federated.waiting import Patience

pytestmark = pytest.mark.xdist_group("grid")  # one set of stock processes for all of these

PATIENCE = 60  # a stock SuperNode looks for messages every three seconds
ENOUGH = 1.5  # seconds in which a thread that need not wait has answered, on a busy machine too
Handlers = Mapping[str, Callable[[bytes], bytes]]
MakeGrid = Callable[..., Grid]


@pytest.fixture(params=["inproc", "stream"])
def make_grid(request: pytest.FixtureRequest) -> Iterator[MakeGrid]:
    """Make grids of one kind; threads end with the test."""
    channels: list[ThreadChannel] = []

    def make(handlers: Handlers, faults: Sequence[Fault] = ()) -> Grid:
        if request.param == "inproc":
            return InprocGrid(handlers, faults=faults)
        channels.append(ThreadChannel(handlers, faults=faults))
        return StreamGrid(channels[-1], resend_after_s=0.1)

    yield make
    for channel in channels:
        channel.close()


@pytest.fixture(scope="module")
def stock() -> Iterator[Stock]:
    """A stock SuperLink with a SuperNode of every site."""
    with running_stock(SITES) as processes:
        yield processes


@pytest.fixture(params=["inproc", "stream", "superlink"])
def any_grid(request: pytest.FixtureRequest) -> Iterator[MakeGrid]:
    """Make grids of one kind, stock Flower's among them."""
    with ExitStack() as ends:

        def make(handlers: Handlers) -> Grid:
            if request.param == "inproc":
                return InprocGrid(handlers)
            if request.param == "stream":
                channel = ThreadChannel(handlers)
                ends.callback(channel.close)
                return StreamGrid(channel, resend_after_s=0.1)
            processes: Stock = request.getfixturevalue("stock")
            ends.enter_context(processes.gatekeepers(handlers))
            grid = processes.grid()
            ends.callback(grid.close)
            return grid

        yield make


def echo(frame: bytes) -> bytes:
    """Answer with what was asked."""
    message = from_frame(frame)
    return to_frame(Message(message.content, reply_to=message))


def start(grid: Grid) -> Grid:
    grid.set_run(Run.create_empty(7))
    return grid


def test_a_run_is_all_that_a_grid_needs_in_a_process_that_has_had_none(
    make_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, None)
    assert {message.metadata.run_id for message in messages(start(make_grid({})))} == {7}


def messages(grid: Grid, sites: Sequence[str] = SITES) -> list[Message]:
    content = RecordDict({"asked": ConfigRecord({"value": b"\0\xff"})})
    return [grid.create_message(content, MessageType.TRAIN, node_id(site), "1") for site in sites]


def test_every_site_answers_what_it_was_asked(any_grid: MakeGrid) -> None:
    grid = start(any_grid(dict.fromkeys(SITES, echo)))
    assert set(grid.get_node_ids()) == {node_id(site) for site in SITES}
    replies = list(grid.send_and_receive(messages(grid), timeout=PATIENCE))
    assert [reply.metadata.src_node_id for reply in replies] == [node_id(site) for site in SITES]
    assert all(reply.metadata.dst_node_id == COORDINATOR_NODE_ID for reply in replies)
    assert all(reply.content.config_records["asked"]["value"] == b"\0\xff" for reply in replies)


def test_the_same_question_has_the_same_id_and_another_addressee_another(make_grid: MakeGrid) -> None:
    grid = start(make_grid({}))
    first, second = messages(grid)[:2]
    again = messages(grid)[0]
    assert first.metadata.message_id == again.metadata.message_id != second.metadata.message_id


def test_push_and_pull_deliver_each_reply_once(make_grid: MakeGrid) -> None:
    grid = start(make_grid(dict.fromkeys(SITES, echo)))
    identifiers = list(grid.push_messages(messages(grid)))
    found: list[Message] = []
    for _ in range(100_000):
        found += grid.pull_messages(identifiers)
        if len(found) == 3:
            break
    assert len(found) == 3
    assert list(grid.pull_messages(identifiers)) == []


def test_a_silent_site_is_missing_after_the_timeout(make_grid: MakeGrid) -> None:
    def silent(frame: bytes) -> bytes:
        raise FrameInvalid("no answer")

    grid = start(make_grid({**dict.fromkeys(SITES, echo), "hospital-b": silent}))
    replies = list(grid.send_and_receive(messages(grid), timeout=ENOUGH))
    assert {reply.metadata.src_node_id for reply in replies} == {node_id("hospital-a"), node_id("hospital-c")}


def test_a_site_that_answers_in_anothers_name_is_not_heard(make_grid: MakeGrid) -> None:
    def impostor(frame: bytes) -> bytes:
        message = from_frame(frame)
        message.metadata.dst_node_id = node_id("hospital-a")
        return to_frame(Message(message.content, reply_to=message))

    grid = start(make_grid({**dict.fromkeys(SITES, echo), "hospital-b": impostor}))
    replies = list(grid.send_and_receive(messages(grid), timeout=ENOUGH))
    assert [reply.metadata.src_node_id for reply in replies] == [node_id("hospital-a"), node_id("hospital-c")]


def test_a_site_that_answers_anothers_question_is_not_heard(make_grid: MakeGrid) -> None:
    def meddler(frame: bytes) -> bytes:
        message = from_frame(frame)
        set_message_id(message, stolen)
        message.metadata.dst_node_id = node_id("hospital-a")  # so that the reply claims to come from there
        return to_frame(Message(message.content, reply_to=message))

    def silent(frame: bytes) -> bytes:
        raise FrameInvalid("no answer")

    grid = start(make_grid({"hospital-a": silent, "hospital-b": meddler}))
    asked = messages(grid, SITES[:2])
    stolen = asked[0].metadata.message_id
    assert list(grid.send_and_receive(asked, timeout=0.3)) == []


def test_messages_are_serialised_so_that_sites_share_no_object(any_grid: MakeGrid) -> None:
    seen: list[int] = []

    def remember(frame: bytes) -> bytes:
        message = from_frame(frame)
        seen.append(id(message.content))
        message.content.config_records["asked"]["value"] = b"changed"
        return to_frame(Message(message.content, reply_to=message))

    grid = start(any_grid(dict.fromkeys(SITES, remember)))
    asked = messages(grid)
    assert len(list(grid.send_and_receive(asked, timeout=PATIENCE))) == 3
    assert all(message.content.config_records["asked"]["value"] == b"\0\xff" for message in asked)


@pytest.mark.parametrize("direction", ["send", "reply"])
@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.CRASH])
def test_one_bad_frame_is_made_good(make_grid: MakeGrid, kind: FaultKind, direction: str) -> None:
    grid = start(make_grid(dict.fromkeys(SITES, echo), [Fault(direction, 2, kind)]))
    replies = list(grid.send_and_receive(messages(grid), timeout=PATIENCE))
    assert [reply.metadata.src_node_id for reply in replies] == [node_id(site) for site in SITES]


def test_a_whole_study_gives_the_same_numbers_on_every_grid(make_grid: MakeGrid) -> None:
    party = consortium()
    faults = [Fault("send", 4, FaultKind.DROP), Fault("reply", 8, FaultKind.CORRUPT)]
    grid = make_grid(party.handlers(), faults)
    result = run_study(
        party.envelope, grid=grid, decryptor=party.keyholder, journal=MemoryJournal(), patience=Patience(20)
    )
    plain = consortium(secure="plain")
    expected = run_study(
        plain.envelope, grid=InprocGrid(plain.handlers()), decryptor=plain.decryptor, journal=MemoryJournal()
    )
    rows = zip(result.document()["coefficients"], expected.document()["coefficients"], strict=True)
    for found, wanted in rows:
        assert abs(found["estimate"] - wanted["estimate"]) <= 1e-9
    assert set(party.computations().values()) == {result.rounds}


def test_a_question_has_the_same_answer_on_every_grid(any_grid: MakeGrid) -> None:
    asked = Question("", ("age", "bmi"), "DUO:0000006", kind="mean")
    party, plain = consortium(question=asked), consortium(question=asked, secure="plain")
    grid = any_grid(party.handlers())
    found = run_study(party.envelope, grid=grid, decryptor=party.keyholder, journal=MemoryJournal())
    expected = run_study(
        plain.envelope, grid=InprocGrid(plain.handlers()), decryptor=plain.decryptor, journal=MemoryJournal()
    )
    assert found.answer.document() == expected.answer.document()
    assert set(party.computations().values()) == {found.rounds}


def shipped(folder: Path) -> bytes:
    """Return a bundle with code that leaves a mark when anybody imports it."""
    mark = f"import pathlib\npathlib.Path({str(folder / 'mark')!r}).touch()\n"
    code = mark + "from flwr.clientapp import ClientApp\napp = ClientApp()\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(installed_bundle())) as installed, zipfile.ZipFile(buffer, "w") as archive:
        project = installed.read("pyproject.toml").decode().replace("hdex.federated.installed:site", "shipped.site:app")
        archive.writestr("pyproject.toml", project)
        archive.writestr("shipped/site.py", code)
    return buffer.getvalue()


def test_a_gatekeeper_answers_no_run_whose_bundle_it_does_not_know(stock: Stock, tmp_path: Path) -> None:
    asked: list[bytes] = []

    def ask(frame: bytes) -> bytes:
        asked.append(frame)
        return echo(frame)

    with stock.gatekeepers(dict.fromkeys(SITES, ask)):
        grid = stock.grid(shipped(tmp_path))
        grid.set_run(Run.create_empty(7))
        replies = list(grid.send_and_receive(messages(grid, SITES[:1]), timeout=PATIENCE))
        grid.close(failed=True)
    assert ["allow-list" in (reply.error.reason or "") for reply in replies if reply.has_error()] == [True]
    assert asked == []
    assert not (tmp_path / "mark").exists()


def test_stock_processes_stay_on_loopback(stock: Stock) -> None:
    assert all(process.poll() is None for process in stock.processes.values())
    assert not stock.egress.exists(), stock.egress.read_text()
    reach = "import socket; socket.create_connection(('192.0.2.1', 9), 1)"
    environ = environment(stock.folder / "home-superlink")
    subprocess.run([sys.executable, "-c", reach], env=environ, stderr=subprocess.DEVNULL, check=False)
    assert stock.egress.read_text() == "socket.getaddrinfo 192.0.2.1\n"  # the guard is awake in these processes
    stock.egress.unlink()


def test_the_bundle_of_one_installation_is_one_sequence_of_bytes() -> None:
    assert installed_bundle() == installed_bundle()
    with zipfile.ZipFile(io.BytesIO(installed_bundle())) as archive:
        assert [name for name in archive.namelist() if name.endswith(".py")] == []


def test_a_refusal_crosses_with_its_rule(any_grid: MakeGrid) -> None:
    party = consortium()
    party.sites["hospital-c"].refuse[1] = "level_5_needs_two"
    with pytest.raises(AdmissionRefused) as caught:
        run_study(party.envelope, grid=any_grid(party.handlers()), decryptor=party.keyholder, journal=MemoryJournal())
    assert caught.value.rule == "level_5_needs_two"


class LateChannel(MemoryChannel):
    """hospital-b connects only at the `at`-th look, and once vanishes between look and send."""

    def __init__(self, handlers: Handlers, at: int) -> None:
        super().__init__(handlers)
        self._looks, self._at, self._vanish = 0, at, True

    def sites(self) -> set[str]:
        self._looks += 1
        return super().sites() if self._looks >= self._at else super().sites() - {"hospital-b"}

    def send(self, site: str, frame: bytes) -> None:
        if site == "hospital-b" and self._vanish:
            self._vanish = False
            raise SiteLost(site)
        super().send(site, frame)


def test_a_site_that_comes_late_is_asked_when_it_is_there() -> None:
    grid = start(StreamGrid(LateChannel(dict.fromkeys(SITES, echo), at=4), resend_after_s=60))
    assert len(list(grid.send_and_receive(messages(grid), timeout=PATIENCE))) == 3


class BusyChannel(MemoryChannel):
    """Nobody answers; waiting moves the clock, and every send is noted with its time."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(SITES[:1], echo))
        self.now, self.sent = 0.0, []  # type: ignore[var-annotated]  # times

    def send(self, site: str, frame: bytes) -> None:
        self.sent.append(self.now)

    def receive(self, timeout_s: float) -> tuple[str, bytes]:
        self.now += max(timeout_s, 0.001)
        raise TimeoutError


def test_a_busy_site_is_asked_again_after_ever_longer_waits() -> None:
    """Copies every two seconds drowned sites that were slow because they were many on one machine."""
    channel = BusyChannel()
    grid = start(StreamGrid(channel, resend_after_s=2.0, clock=lambda: channel.now))
    assert list(grid.send_and_receive(messages(grid, SITES[:1]), timeout=60)) == []
    waits = [round(after - before) for before, after in pairwise(channel.sent)]
    assert waits == [2, 4, 8, 16, 16]


def test_a_grid_without_a_run_says_so(make_grid: MakeGrid) -> None:
    with pytest.raises(StudyInvalid):
        _ = make_grid({}).run


@pytest.mark.parametrize("frame", [b"", b"HDF1", b"x" * 100])
def test_bytes_that_are_no_frame_are_refused(frame: bytes) -> None:
    with pytest.raises(FrameInvalid):
        from_frame(frame)


def test_every_altered_byte_of_a_frame_is_noticed() -> None:
    grid = start(InprocGrid({}))
    frame = to_frame(messages(grid)[0])
    for position in range(len(frame)):
        with pytest.raises(FrameInvalid):
            from_frame(frame[:position] + bytes([frame[position] ^ 1]) + frame[position + 1 :])


def test_a_whole_frame_with_foreign_content_is_refused() -> None:
    import hashlib

    body: Any = b"\xff\xff\xff"
    with pytest.raises(FrameInvalid):
        from_frame(b"HDF1" + hashlib.sha256(body).digest() + body)
