"""What a connector needs from outside: a place for its processes, a way to the other side, and rules of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hdex.node.dsp.process import Document, Kind, Process


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message of ours that the other side must still have, and the process as it was before we wrote it."""

    pid: str
    path: str  # below the other side's address
    document: Document
    before: Process
    after: int  # version of the process that the message made
    number: int = 0  # of the outbox: order of writing
    attempts: int = 0
    refusals: int = 0


class Processes(Protocol):
    """Processes and the outbox of their messages. On return from a write both are on disk, or neither is."""

    def get(self, pid: str) -> Process:
        """Return a process by our id. Raises NotFound."""
        ...

    def opened_by(self, kind: Kind, peer: str, peer_pid: str) -> Process | None:
        """Return the process that a peer opened here under its own id."""
        ...

    def open_of(self, peer: str) -> int:
        """Return how many processes with a peer have not ended."""
        ...

    def live(self) -> list[Process]:
        """Return every process that has not ended, oldest first."""
        ...

    def save(self, process: Process, outgoing: Outgoing | None = None) -> None:
        """Store a new process, or the next version of one, with the message that it sends.

        A process that has ended by the other side's message takes its waiting messages with it.
        Raises AlreadyExists when somebody else was faster, or the peer has opened this id already.
        """
        ...

    def waiting(self, now: datetime) -> list[Outgoing]:
        """Return of every process its first message, where that may be tried now."""
        ...

    def next_try(self, now: datetime) -> datetime | None:
        """Return when, after now, the next first message of a process may be tried; None when none waits."""
        ...

    def postpone(self, outgoing: Outgoing, until: datetime, *, refused: bool) -> None:
        """Count an attempt that failed; the message is tried again from `until` on."""
        ...

    def settle(self, outgoing: Outgoing, process: Process | None = None) -> None:
        """Forget a message that arrived or never will, and store what the process becomes by it."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side answered: its HTTP status, its JSON object, empty where it sent none, and its Link."""

    status: int
    document: Document
    link: str = ""


class Courier(Protocol):
    """Carries messages to the other side. Raises PeerUnavailable when it does not answer."""

    def require_address(self, address: str) -> None:
        """Raise AccessDenied unless messages may be sent to this address."""
        ...

    def post(self, peer: str, url: str, document: Document) -> Answer:
        """Send a message."""
        ...

    def get(self, peer: str, url: str) -> Answer:
        """Read a process of the other side."""
        ...


class Desk(Protocol):
    """What this side offers, and what it does when a process has moved. Refusals are AccessDenied or NotFound."""

    def datasets(self, after: str, count: int) -> Sequence[Document]:
        """Return up to `count` data sets with an id above `after`, in the order of their ids."""
        ...

    def dataset(self, dataset_id: str) -> Document:
        """Return one data set. Raises NotFound."""
        ...

    def require_request(self, process: Process) -> None:
        """Raise AccessDenied unless this consumer may ask for this offer."""
        ...

    def require_transfer(self, process: Process) -> None:
        """Raise AccessDenied unless the agreement stands between the two and covers the format."""
        ...

    def require_paper(self, process: Process) -> None:
        """Raise AccessDenied unless the signed paper of the message that led here is what this state asks for."""
        ...

    def offer(self, process: Process) -> Document:
        """Return the offer that we make, or ask for, in a process."""
        ...

    def agreement(self, process: Process) -> Document:
        """Return the agreement that we propose."""
        ...

    def entered(self, process: Process) -> None:
        """Hear that a process has entered its state, or stands in it at a start; what follows happens elsewhere."""
        ...
