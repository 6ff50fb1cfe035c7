"""The anchor's outbox in memory."""

from hdex.ledger.ports import Head, Outbox, TxRef


class MemoryOutbox:
    """Forgets with its process."""

    def __init__(self) -> None:
        self._waiting: Head | None = None
        self._anchored: tuple[Head, TxRef] | None = None

    def put(self, head: Head) -> None:
        self._waiting = head
        if self._anchored is not None and self._anchored[0].size >= head.size:
            self._anchored = None

    def waiting(self) -> Head | None:
        return self._waiting

    def done(self, head: Head, tx: TxRef) -> None:
        self._anchored = (head, tx)
        if self._waiting == head:
            self._waiting = None

    def anchored(self) -> tuple[Head, TxRef] | None:
        return self._anchored


_: type[Outbox] = MemoryOutbox
