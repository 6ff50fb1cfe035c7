"""A site's end of the stream: it dials out to the exchange, waits for frames and sends back its replies."""

import logging
import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

import grpc

from hdex.federated.errors import FederatedError
from hdex.node.errors import NodeError
from hdex.proto.v1 import exchange_pb2, exchange_pb2_grpc

logger = logging.getLogger(__name__)
Handle = Callable[[bytes], bytes]
ByStudy = Callable[[str, bytes], bytes]  # (study, frame): for who passes them on
RETRY_S = 0.3


class ChannelClient:
    """Keeps one stream open until `stop`; a lost one is dialled again. `handle` turns a frame into its reply.

    by_study: handles frames side by side instead, each in a thread of its own: it waits for others.
    """

    def __init__(
        self,
        channel: Callable[[], grpc.Channel],
        handle: Handle | None = None,
        *,
        stop: threading.Event,
        by_study: ByStudy | None = None,
    ) -> None:
        self._channel = channel
        self._handle: ByStudy = by_study or (lambda study, frame: handle(frame) if handle is not None else b"")
        self._apart = by_study is not None
        self._stop = stop
        self._thread = threading.Thread(target=self._run, name="site-channel", daemon=True)

    def start(self) -> None:
        """Dial out in a thread."""
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(RETRY_S):
            try:
                self._converse()
            except (NodeError, grpc.RpcError) as error:
                logger.info("the exchange's stream ended", extra={"reason": type(error).__name__})
            except Exception as error:  # a thread that ends would leave this site out of every study, in silence
                logger.exception("the stream to the exchange failed", extra={"reason": type(error).__name__})

    def _converse(self) -> None:
        """Answer frames until the stream ends."""
        replies: SimpleQueue[exchange_pb2.Frame | None] = SimpleQueue()
        ended = threading.Event()
        stub = exchange_pb2_grpc.ChannelServiceStub(self._channel())
        try:
            for frame in stub.Connect(self._outgoing(replies, ended)):
                if self._apart:
                    threading.Thread(target=self._reply, args=(frame, replies), name="frame", daemon=True).start()
                else:
                    self._reply(frame, replies)
        finally:
            ended.set()
            replies.put(None)

    def _reply(self, frame: exchange_pb2.Frame, replies: "SimpleQueue[exchange_pb2.Frame | None]") -> None:
        if payload := self._answer(frame.study_id, frame.payload):
            replies.put(exchange_pb2.Frame(study_id=frame.study_id, payload=payload))

    def _answer(self, study_id: str, frame: bytes) -> bytes:
        """Return the reply to a frame; nothing to bytes that are none: who meant something sends it again."""
        try:
            return self._handle(study_id, frame)
        except FederatedError as error:
            logger.warning("a frame was dropped", extra={"reason": type(error).__name__})
            return b""

    def _outgoing(
        self, replies: "SimpleQueue[exchange_pb2.Frame | None]", ended: threading.Event
    ) -> Iterator[exchange_pb2.Frame]:
        while not ended.is_set() and not self._stop.is_set():
            try:
                frame = replies.get(timeout=1.0)
            except Empty:
                continue
            if frame is None:
                return
            yield frame
