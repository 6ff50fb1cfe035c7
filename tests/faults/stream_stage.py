"""The exchange's end of the sites' streams over real gRPC, sites that dial in, and a line that can fall silent."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
from tests.node.wire_stage import DOMAIN, tls_of

from hdex.node import pki
from hdex.node.authz import CedarAuthorizer
from hdex.node.config import Limits
from hdex.node.wire.channel_client import ChannelClient, Handle
from hdex.node.wire.channel_server import ChannelServer
from hdex.node.wire.client import channel
from hdex.node.wire.interceptors import Doorkeeper
from hdex.node.wire.server import Serving, serve
from hdex.node.wire.services_exchange import ChannelServicer
from hdex.proto.v1 import exchange_pb2, exchange_pb2_grpc

LOOK_S = 0.005
SITE = """
import sys, threading
from pathlib import Path
from hdex.node.wire.channel_client import ChannelClient
from hdex.node.wire.client import channel
from hdex.node.wire.tls import Tls
folder, endpoint, domain = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
tls = Tls(*((folder / name).read_bytes() for name in ("site.pem", "site.key", "ca.pem")))
line = channel(endpoint, tls=tls, server="exchange", trust_domain=domain)
ChannelClient(lambda: line, bytes, stop=threading.Event()).start()
sys.stdin.read()
"""


class Relay:
    """A loopback TCP line to a port. `swallow` makes it silent: connections stay open and nothing passes any more."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._silent = threading.Event()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        """Forward nothing from now on, in either direction, for whoever is or will be connected."""
        self._silent.set()

    def mend(self) -> None:
        """Forward again what new connections say; what was swallowed of the old ones is lost."""
        for one in self._sockets:
            shut(one)
        self._sockets.clear()
        self._silent.clear()

    def close(self) -> None:
        """End it."""
        shut(self._listener)
        self.mend()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self._silent.is_set():
                    sink.sendall(data)
        if not self._silent.is_set():  # a silent line does not tell either that its other end has gone
            shut(sink)


def shut(one: socket.socket) -> None:
    """Close a socket under whoever reads it."""
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@dataclass
class Streams:
    """The exchange's end, and who dialled in."""

    authority: pki.Authority
    server: ChannelServer
    serving: Serving
    dials: dict[str, int] = field(default_factory=dict)  # how often each site has opened a stream
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.serving.port}"

    def dial(self, site: str, handle: Handle, endpoint: str = "") -> None:
        """Let a site of this process hold a stream, as its node does."""
        line = channel(
            endpoint or self.endpoint, tls=tls_of(self.authority, f"hospital/{site}"), server="exchange",
            trust_domain=DOMAIN,
        )  # fmt: skip
        ChannelClient(lambda: line, handle, stop=self.stop).start()

    @contextmanager
    def process(self, site: str, folder: Path, endpoint: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """Yield a process that holds the stream of a site, once it is connected."""
        tls = tls_of(self.authority, f"hospital/{site}")
        for name, data in (("site.pem", tls.certificate), ("site.key", tls.private_key), ("ca.pem", tls.ca)):
            (folder / name).write_bytes(data)
        command = [sys.executable, "-c", SITE, str(folder), endpoint or self.endpoint, DOMAIN]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as running:
            try:
                self.until(lambda: site in self.server.sites())
                yield running
            finally:
                os.kill(running.pid, signal.SIGCONT)
                running.kill()

    def until(self, holds: Callable[[], bool], *, seconds: float = 120.0) -> None:
        """Return once `holds`; the bound is for a loaded machine."""
        look = threading.Event()
        for _ in range(int(seconds / LOOK_S)):
            if holds():
                return
            look.wait(LOOK_S)
        raise AssertionError("it never came")


class Counting(ChannelServicer):
    """The production servicer, which also counts dials."""

    def __init__(self, server: ChannelServer, dials: dict[str, int]) -> None:
        super().__init__(server)
        self._dials = dials

    def Connect(
        self, request_iterator: Iterator[exchange_pb2.Frame], context: grpc.ServicerContext
    ) -> Iterator[exchange_pb2.Frame]:
        from hdex.node.wire.interceptors import caller

        site = caller(context).participant
        self._dials[site] = self._dials.get(site, 0) + 1
        return super().Connect(request_iterator, context)


@contextmanager
def streams(folder: Path, limits: Limits | None = None) -> Iterator[Streams]:
    """Serve an exchange's channel service under mutual TLS until the block ends."""
    authority = pki.init(folder / "ca", DOMAIN)
    (folder / "denied.txt").write_text("")
    door = Doorkeeper(
        kind="exchange", participant="exchange", trust_domain=DOMAIN, authorizer=CedarAuthorizer(),
        audit=lambda access: None, denied=pki.DenyList(folder / "denied.txt"), clock=lambda: datetime.now(UTC),
        limits=limits or Limits(),
    )  # fmt: skip
    server, dials = ChannelServer(), dict[str, int]()

    def add(grpc_server: grpc.Server) -> None:
        exchange_pb2_grpc.add_ChannelServiceServicer_to_server(Counting(server, dials), grpc_server)

    serving = serve("127.0.0.1:0", [add], tls=tls_of(authority, "exchange/exchange"), door=door)
    made = Streams(authority, server, serving, dials)
    try:
        yield made
    finally:
        made.stop.set()
        serving.stop(0)
