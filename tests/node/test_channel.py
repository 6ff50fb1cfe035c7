"""The two ends of a site's stream: rubbish on it ends neither the site's thread nor another site's place."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hdex.federated.errors import FrameInvalid, SiteLost
from hdex.node.errors import PeerUnavailable
from hdex.node.wire.channel_client import ChannelClient
from hdex.node.wire.channel_server import ChannelServer
from hdex.proto.v1 import exchange_pb2


class Line:
    """A channel whose other end says these frames, once a dial, and hears the answers."""

    def __init__(self, dials: list[list[bytes]]) -> None:
        self._dials = dials
        self.heard: list[bytes] = []
        self.done = threading.Event()

    def stream_stream(self, *_: Any, **__: Any) -> Callable[[Iterator[Any]], Iterator[Any]]:
        def connect(outgoing: Iterator[Any]) -> Iterator[Any]:
            if not self._dials:
                self.done.set()
                raise PeerUnavailable("nobody there")
            frames = self._dials.pop(0)
            for payload in frames:
                yield exchange_pb2.Frame(study_id="study-1", payload=payload)
                if not payload.startswith(b"bad"):
                    self.heard.append(next(outgoing).payload)

        return connect


def answer(frame: bytes) -> bytes:
    """Answer as a site would; `bad` frames are none, `worse` ones meet a bug."""
    if frame == b"bad":
        raise FrameInvalid("not a whole frame")
    if frame == b"bad and worse":
        raise KeyError("a bug")
    return b"re: " + frame


def served(dials: list[list[bytes]]) -> Line:
    line, stop = Line(dials), threading.Event()
    ChannelClient(lambda: line, answer, stop=stop).start()  # type: ignore[arg-type,return-value]  # a line without a wire
    assert line.done.wait(10)
    stop.set()
    return line


def test_a_frame_that_is_none_is_dropped_and_the_next_answered() -> None:
    """One garbage frame from the coordinator ended the thread: the site was out of every study until a restart."""
    assert served([[b"one", b"bad", b"two"]]).heard == [b"re: one", b"re: two"]


def test_whatever_fails_the_site_dials_again() -> None:
    assert served([[b"one"], [b"bad and worse"], [b"two"]]).heard == [b"re: one", b"re: two"]


class Context:
    """A call that is active until told otherwise."""

    active = True

    def is_active(self) -> bool:
        return self.active


def attached(server: ChannelServer, site: str, frames: list[tuple[str, bytes]]) -> tuple[Iterator[Any], Context]:
    """Return a site's stream as the exchange serves it, after its frames were read."""
    context, read = Context(), threading.Event()

    def incoming() -> Iterator[Any]:
        for study, payload in frames:
            yield exchange_pb2.Frame(study_id=study, payload=payload)
        read.set()
        threading.Event().wait(30 if context.active else 0)

    stream = server.attach(site, incoming(), context)  # type: ignore[arg-type]  # a call without a wire
    server.open("study-1")
    return stream, context


def test_only_a_connected_site_is_sent_to() -> None:
    server = ChannelServer()
    channel = server.open("study-1")
    with pytest.raises(SiteLost):
        channel.send("hospital-a", b"frame")
    stream, _ = attached(server, "hospital-a", [])
    out: list[Any] = []
    taker = threading.Thread(target=lambda: out.append(next(stream)), daemon=True)
    taker.start()
    while "hospital-a" not in server.sites():
        taker.join(0.01)
    channel.send("hospital-a", b"frame")
    taker.join(5)
    assert [frame.payload for frame in out] == [b"frame"]


def test_a_study_that_is_closed_hears_nothing_and_another_is_not_disturbed() -> None:
    server = ChannelServer()
    first, second = server.open("study-1"), server.open("study-2")
    first.close()
    with pytest.raises(TimeoutError):
        second.receive(0.01)
    assert server.open("study-1").sites() == set()
