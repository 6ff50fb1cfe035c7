"""Flower's Grid over a stock SuperLink: its nodes are the sites whose SuperNode keys were registered."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from flwr.common.serde import run_from_proto
from flwr.proto.runtime_pb2 import PullTaskInputRequest, PushTaskOutputRequest
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.superlink.grid.http_grid import HttpGrid

from hdex.federated.apps.flower import Grid, Message, RecordDict, Run, be_task, node_id
from hdex.federated.apps.superlink import SERVER_TASK, Endpoint, acquire
from hdex.federated.errors import SiteLost, StudyInvalid

PULL_S = 0.5  # Flower's own grid sleeps three seconds between two looks


class SuperlinkGrid(Grid):
    """Sends messages through a SuperLink as the run's ServerApp would.

    nodes: site -> node id that the SuperLink gave to the site's SuperNode key (`Control.register`). What another node
    sends is nobody's reply. Delivery, storage and retries are Flower's; a lost SuperLink ends the run.
    """

    def __init__(self, inner: HttpGrid, nodes: Mapping[str, int]) -> None:
        self._inner = inner
        self._node = {node_id(site): node for site, node in nodes.items()}
        self._name = {node: name for name, node in self._node.items()}
        given = inner._runtime_client.PullTaskInput(PullTaskInputRequest())
        self._run: Run = run_from_proto(given.run)
        self._context = given.context
        inner.set_run(self._run)
        self._asked: dict[str, int] = {}  # message id -> node
        self._heart = HeartbeatSender(make_task_heartbeat_fn_http(inner._runtime_client))
        self._heart.start()  # a ServerApp that is not heard of is a failed run

    @classmethod
    def join(
        cls,
        superlink: Endpoint,
        secret: bytes,
        nodes: Mapping[str, int],
        *,
        wait_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> "SuperlinkGrid":
        """Return the grid of a run that `Control.start_run` started; its task is taken as Flower's SuperExec would."""
        end, pause = clock() + wait_s, threading.Event()
        while (token := acquire(superlink, secret, SERVER_TASK)) is None:
            if clock() >= end:
                raise SiteLost(f"the SuperLink has no run to take within {wait_s:g} s")
            pause.wait(PULL_S)
        return cls(HttpGrid(superlink.address, False, superlink.ca, token=token), nodes)

    def set_run(self, run: Run) -> None:
        """Keep the SuperLink's run: Flower's messages must carry its id."""
        be_task(self._run.run_id)
        self._asked.clear()

    @property
    def run(self) -> Run:
        """Return the SuperLink's run."""
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Return a message to a site, under the node id that the SuperLink knows. Raises StudyInvalid."""
        if dst_node_id not in self._node:
            raise StudyInvalid("a site of the study has no registered SuperNode")
        return Message(content, self._node[dst_node_id], message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the connected sites' node ids, as our other grids name them."""
        return sorted(self._name[node] for node in self._inner.get_node_ids() if node in self._name)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Give the messages to the SuperLink and return their ids."""
        batch = list(messages)
        identifiers = list(self._inner.push_messages(batch))
        if len(identifiers) != len(batch) or not all(identifiers):
            raise SiteLost("the SuperLink did not take every message")
        self._asked.update({name: one.metadata.dst_node_id for name, one in zip(identifiers, batch, strict=True)})
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that are there now, each once, from the site that was asked."""
        found = []
        for message in self._inner.pull_messages(list(message_ids)):
            node = self._asked.pop(message.metadata.reply_to_message_id, None)
            if node is None or node != message.metadata.src_node_id:
                continue
            message.metadata.__dict__["_src_node_id"] = self._name[node]
            found.append(message)
        return found

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Return the replies in order of the messages; those missing after `timeout` seconds are left out."""
        identifiers = list(self.push_messages(messages))
        end = None if timeout is None else time.monotonic() + timeout
        replies: dict[str, Message] = {}
        pause = threading.Event()
        while left := [name for name in identifiers if name not in replies]:
            for message in self.pull_messages(left):
                replies[message.metadata.reply_to_message_id] = message
            if any(message.has_error() for message in replies.values()) or len(replies) == len(identifiers):
                break
            if end is not None and time.monotonic() >= end:
                break
            pause.wait(PULL_S)
        return [replies[name] for name in identifiers if name in replies]

    def close(self, *, failed: bool = False) -> None:
        """Tell the SuperLink that the run has ended."""
        self._heart.stop()
        status = "failed" if failed else "completed"
        self._inner._runtime_client.PushTaskOutput(
            PushTaskOutputRequest(context=self._context, sub_status=status, details="")
        )
        self._inner.close()
