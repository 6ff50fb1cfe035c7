"""Messages between the exchange and the process of one study: JSON head and payload, each with its length before it."""

import json
import struct
import threading
from dataclasses import dataclass
from typing import IO, Any

LARGEST = 1 << 28


@dataclass(frozen=True, slots=True)
class Packet:
    """One message: `head["kind"]` says what it is."""

    head: dict[str, Any]
    payload: bytes = b""

    @property
    def kind(self) -> str:
        return str(self.head["kind"])


class Pipe:
    """Both directions of one pipe; any thread may send, one thread receives."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        self._reader = reader
        self._writer = writer
        self._lock = threading.Lock()

    def send(self, kind: str, payload: bytes = b"", **head: Any) -> None:
        """Write one message. Raises OSError when the other side has gone."""
        text = json.dumps({"kind": kind, **head}).encode()
        with self._lock:
            self._writer.write(struct.pack(">II", len(text), len(payload)) + text + payload)
            self._writer.flush()

    def receive(self) -> Packet | None:
        """Return the next message, None when the other side has gone."""
        sizes = self._reader.read(8)
        if len(sizes) < 8:
            return None
        head, payload = struct.unpack(">II", sizes)
        if head > LARGEST or payload > LARGEST:
            return None
        text, body = self._reader.read(head), self._reader.read(payload)
        if len(text) < head or len(body) < payload:
            return None
        return Packet(json.loads(text), body)


def join(parts: list[bytes]) -> tuple[list[int], bytes]:
    """Return the sizes of the parts and the parts as one payload."""
    return [len(part) for part in parts], b"".join(parts)


def split(sizes: list[int], payload: bytes) -> list[bytes]:
    """Return the parts that `join` put together."""
    parts, start = [], 0
    for size in sizes:
        parts.append(payload[start : start + size])
        start += size
    return parts
