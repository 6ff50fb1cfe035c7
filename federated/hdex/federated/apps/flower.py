"""The one door to Flower: telemetry off before import, the names we use, messages <-> frames, task identity.

`flwr.common.serde` and `TaskIdentity` are semi-private: everything that would break with a new Flower is here.
Frame: "HDF1" | SHA-256 of the message (32) | Flower's protobuf Message.
"""

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
os.environ.setdefault("FLWR_HOME", str(Path(tempfile.gettempdir()) / f"hdex-flwr-{os.getuid()}"))

from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MessageType,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Strategy
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from hdex.federated.errors import FrameInvalid

__all__ = [
    "Array",
    "ArrayRecord",
    "ClientApp",
    "ConfigRecord",
    "Context",
    "Error",
    "Grid",
    "Message",
    "MessageType",
    "MetricRecord",
    "RecordDict",
    "Run",
    "ServerApp",
    "Strategy",
    "as_task",
    "be_task",
    "from_frame",
    "message_id",
    "node_id",
    "set_message_id",
    "to_frame",
]

_IDENTITY = threading.Lock()
_MAGIC = b"HDF1"
COORDINATOR_NODE_ID = 1


def be_task(run_id: int) -> None:
    """Set the process-wide identity that Flower's messages ask for: one run per process at a time, or `as_task`."""
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, run_id, COORDINATOR_NODE_ID


@contextmanager
def as_task(run_id: int) -> Iterator[None]:
    """Make messages of one run where threads of a process have several."""
    with _IDENTITY:
        be_task(run_id)
        yield


def node_id(site: str) -> int:
    """Return the Flower node id of a site: 63 bits of its name's digest."""
    return int.from_bytes(hashlib.sha256(b"hdex/node/v1\n" + site.encode()).digest()[:8], "big") >> 1


def message_id(message: Message) -> str:
    """Return the id of an instruction: the digest of its run, addressee, type and content, so a resend has the same."""
    meta = message.metadata
    text = f"{meta.run_id}\n{meta.dst_node_id}\n{meta.message_type}\n{message.content.object_id}"
    return hashlib.sha256(text.encode()).hexdigest()


def set_message_id(message: Message, identifier: str) -> None:
    """Set the id, as Flower's SuperLink does for its own messages."""
    message.metadata.__dict__["_message_id"] = identifier


def to_frame(message: Message) -> bytes:
    """Return the frame of a message."""
    body: bytes = message_to_proto(message).SerializeToString(deterministic=True)
    return _MAGIC + hashlib.sha256(body).digest() + body


def from_frame(frame: bytes) -> Message:
    """Return the message of a whole frame, or raise FrameInvalid."""
    body = frame[36:]
    if frame[:4] != _MAGIC or hashlib.sha256(body).digest() != frame[4:36]:
        raise FrameInvalid(f"{len(frame)} bytes are not a whole frame")
    try:
        return message_from_proto(ProtoMessage.FromString(body))
    except Exception as error:  # whatever a foreign parser raises on foreign bytes
        raise FrameInvalid("the frame holds no Flower message") from error
