"""The exchange's end of the sites' streams: a Channel for the Grid of each study, over gRPC that the sites opened."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue

import grpc

from hdex.federated.errors import SiteLost
from hdex.proto.v1 import exchange_pb2

POLL_S = 0.5


class ChannelServer:
    """Knows which sites are connected now. One stream a site: a new one takes the place of the old."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards both maps
        self._out: dict[str, SimpleQueue[exchange_pb2.Frame | None]] = {}
        self._in: dict[str, SimpleQueue[tuple[str, bytes]]] = {}

    def attach(
        self, site: str, frames: Iterator[exchange_pb2.Frame], context: grpc.ServicerContext
    ) -> Iterator[exchange_pb2.Frame]:
        """Yield the frames for one site until its stream ends; its own frames are read in a thread of their own."""
        out: SimpleQueue[exchange_pb2.Frame | None] = SimpleQueue()
        with self._lock:
            replaced, self._out[site] = self._out.get(site), out
        if replaced is not None:
            replaced.put(None)
        threading.Thread(target=self._read, args=(site, frames, out), name=f"site-{site}", daemon=True).start()
        while context.is_active():
            with suppress(Empty):
                frame = out.get(timeout=POLL_S)
                if frame is None:
                    break
                yield frame
        self._detach(site, out)

    def open(self, study_id: str) -> "StudyChannel":
        """Return the channel of one study."""
        with self._lock:
            self._in.setdefault(study_id, SimpleQueue())
        return StudyChannel(self, study_id)

    def sites(self) -> set[str]:
        """Return the sites that are connected now."""
        with self._lock:
            return set(self._out)

    def send(self, site: str, study_id: str, payload: bytes) -> None:
        """Queue one frame for a site. Raises SiteLost when it is not connected."""
        with self._lock:
            out = self._out.get(site)
        if out is None:
            raise SiteLost(f"{site} is not connected")
        out.put(exchange_pb2.Frame(study_id=study_id, payload=payload))

    def receive(self, study_id: str, timeout_s: float) -> tuple[str, bytes]:
        """Return the next (site, frame) of a study; raise TimeoutError when none comes in time."""
        with self._lock:
            queue = self._in[study_id]
        try:
            return queue.get(timeout=timeout_s)
        except Empty:
            raise TimeoutError(f"no frame within {timeout_s:g} s") from None

    def close(self, study_id: str) -> None:
        """Forget a study's queue."""
        with self._lock:
            self._in.pop(study_id, None)

    def _read(
        self, site: str, frames: Iterator[exchange_pb2.Frame], out: "SimpleQueue[exchange_pb2.Frame | None]"
    ) -> None:
        with suppress(grpc.RpcError):
            for frame in frames:
                with self._lock:
                    queue = self._in.get(frame.study_id)
                if queue is not None:
                    queue.put((site, frame.payload))
        out.put(None)

    def _detach(self, site: str, out: "SimpleQueue[exchange_pb2.Frame | None]") -> None:
        with self._lock:
            if self._out.get(site) is out:
                del self._out[site]


class StudyChannel:
    """The Channel port of one study."""

    def __init__(self, server: ChannelServer, study_id: str) -> None:
        self._server = server
        self._study_id = study_id

    def sites(self) -> set[str]:
        return self._server.sites()

    def send(self, site: str, frame: bytes) -> None:
        self._server.send(site, self._study_id, frame)

    def receive(self, timeout_s: float) -> tuple[str, bytes]:
        return self._server.receive(self._study_id, timeout_s)

    def close(self) -> None:
        self._server.close(self._study_id)
