"""Flower's Grid inside one process: every message is serialised, as on a wire. For tests and simulation."""

from collections.abc import Mapping, Sequence

from hdex.federated.channel_memory import Fault, Handler, MemoryChannel
from hdex.federated.grid_stream import StreamGrid


class InprocGrid(StreamGrid):
    """A stream grid whose sites are functions of this process, usually `SiteSession.handle`."""

    def __init__(
        self, handlers: Mapping[str, Handler], *, faults: Sequence[Fault] = (), resend_after_s: float = 0.0
    ) -> None:
        super().__init__(MemoryChannel(handlers, faults=faults), resend_after_s=resend_after_s)
