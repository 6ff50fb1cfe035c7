"""Flower's Grid over a Channel: content-addressed messages, resend until answered, duplicates dropped."""

import time
from collections.abc import Callable, Collection, Iterable

from hdex.federated.apps.flower import (
    Grid,
    Message,
    RecordDict,
    Run,
    be_task,
    from_frame,
    message_id,
    node_id,
    set_message_id,
    to_frame,
)
from hdex.federated.errors import FrameInvalid, SiteLost, StudyInvalid
from hdex.federated.ports import Channel

_MOST_PATIENCE = 8.0  # longest wait between two copies, in units of resend_after_s
_SLICE_S = 0.25  # longest wait before reconnected sites are looked at again
Watch = Callable[[int, Collection[int], Collection[int]], None]  # (round, nodes awaited, nodes connected)


def watch_nobody(number: int, awaited: Collection[int], connected: Collection[int]) -> None:
    """Say nothing."""


class _Pending:
    """One message that has no reply yet. Its frame is made when it is sent: 1,000 kept frames are 1,000 studies."""

    __slots__ = ("message", "node", "patience", "sent_at")

    def __init__(self, message: Message) -> None:
        self.node, self.message = message.metadata.dst_node_id, message
        self.sent_at: float | None = None  # None: to be sent as soon as the site is there
        self.patience = 1.0  # doubles with every resend: a busy site would drown in copies of one question


class StreamGrid(Grid):
    """Sends each message as one frame. One thread uses it; the channel may have its own.

    A message is sent again when its site comes back and, without an answer, after `resend_after_s`, then after twice
    that, and so on: replies are idempotent, so a resend changes nothing. `watch` is told whom it waits for.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        resend_after_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        watch: Watch = watch_nobody,
    ) -> None:
        self._channel = channel
        self._resend_after_s = resend_after_s
        self._clock = clock
        self._watch = watch
        self._run: Run | None = None
        self._pending: dict[str, _Pending] = {}
        self._replies: dict[str, Message] = {}
        self._failed = False  # a reply carries an error

    def set_run(self, run: Run) -> None:
        """Set the run whose messages this grid carries; the process takes on its identity: Flower's messages ask."""
        be_task(run.run_id)
        self._run = run
        self._pending.clear()
        self._replies.clear()

    @property
    def run(self) -> Run:
        """Return the run."""
        if self._run is None:
            raise StudyInvalid("the grid has no run yet")
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Return a message whose id is the digest of what it says to whom."""
        message = Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)
        set_message_id(message, message_id(message))
        return message

    def get_node_ids(self) -> Iterable[int]:
        """Return the connected sites' node ids."""
        return sorted(self._connected())

    def _connected(self) -> dict[int, str]:
        return {node_id(site): site for site in self._channel.sites()}

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Queue the messages, send those whose site is connected, return their ids."""
        identifiers = []
        for message in messages:
            identifier = message_id(message)
            set_message_id(message, identifier)
            if identifier not in self._pending:
                self._pending[identifier] = _Pending(message)
            identifiers.append(identifier)
        self._send_due()
        return identifiers

    def _send_due(self) -> None:
        connected, now = self._connected(), self._clock()
        for pending in self._pending.values():
            if pending.node not in connected:
                pending.sent_at = None
            elif pending.sent_at is None or now - pending.sent_at >= self._resend_after_s * pending.patience:
                pending.patience = 1.0 if pending.sent_at is None else min(2 * pending.patience, _MOST_PATIENCE)
                self._send(pending, connected[pending.node])

    def _send(self, pending: _Pending, site: str) -> None:
        try:
            self._channel.send(site, to_frame(pending.message))
            pending.sent_at = self._clock()
        except SiteLost:  # it left between look and send: sent when it is back
            pending.sent_at = None

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that are there now, each once."""
        while self._receive(0.0):
            pass
        return [self._replies.pop(identifier) for identifier in message_ids if identifier in self._replies]

    def _receive(self, timeout_s: float) -> bool:
        """Take one frame if it comes in time; a frame that is broken, late, doubled or of another sender is dropped."""
        try:
            site, frame = self._channel.receive(timeout_s)
        except TimeoutError:
            return False
        try:
            message = from_frame(frame)
        except FrameInvalid:
            return True
        identifier = message.metadata.reply_to_message_id
        pending = self._pending.get(identifier)
        if pending is not None and pending.node == node_id(site) == message.metadata.src_node_id:
            del self._pending[identifier]
            self._replies[identifier] = message
            self._failed = self._failed or message.has_error()
        return True

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Return the replies in order of the messages; those still missing after `timeout` seconds are left out.

        Returns at once when a reply carries an error: the round is over then.
        """
        self._failed = False
        messages = list(messages)
        identifiers = list(self.push_messages(messages))
        number = max((int(message.metadata.group_id or 0) for message in messages), default=0)
        end = None if timeout is None else self._clock() + timeout
        told = self._clock()
        while not self._failed and not self._pending.keys().isdisjoint(identifiers):
            left = _SLICE_S if end is None else end - self._clock()
            if left <= 0:
                break
            silent = not self._receive(min(left, _SLICE_S, self._resend_after_s))
            if silent:  # what waits is read before any resend
                self._send_due()
            if silent or self._clock() - told >= _SLICE_S:  # not for each of 1,000 frames
                self._tell(number, identifiers)
                told = self._clock()
        self._tell(number, identifiers)
        for identifier in identifiers:
            self._pending.pop(identifier, None)
        return [self._replies.pop(identifier) for identifier in identifiers if identifier in self._replies]

    def _tell(self, number: int, identifiers: list[str]) -> None:
        self._watch(
            number, [self._pending[name].node for name in identifiers if name in self._pending], self._connected()
        )
