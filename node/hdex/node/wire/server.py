"""A gRPC server of one participant: mutual TLS, the gate, the bounds of SECURITY.md."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc

from hdex.node.config import Limits
from hdex.node.errors import CannotListen
from hdex.node.wire.interceptors import Doorkeeper, Gate
from hdex.node.wire.keepalive import keepalive_options
from hdex.node.wire.probe import is_taken
from hdex.node.wire.tls import Tls

Adder = Callable[[grpc.Server], None]  # for example lambda server: add_XServicer_to_server(servicer, server)
QUEUED_CALLS = 64  # beyond the workers; more are refused instead of waiting


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that answers."""

    server: grpc.Server
    port: int

    def stop(self, grace_s: float = 2.0) -> None:
        """Finish running calls for `grace_s` seconds, then end; return when all is closed."""
        self.server.stop(grace_s).wait()

    def wait(self) -> None:
        """Return when the server has ended."""
        self.server.wait_for_termination()


def serve(address: str, adders: Sequence[Adder], *, tls: Tls, door: Doorkeeper) -> Serving:
    """Serve on "host:port" (port 0: any free one) and return at once. Raises CannotListen."""
    limits = door.limits
    require_free(address)
    server = grpc.server(
        ThreadPoolExecutor(limits.workers, thread_name_prefix="rpc"),
        interceptors=[Gate(door)],
        options=server_options(limits),
        maximum_concurrent_rpcs=limits.workers + QUEUED_CALLS,
    )
    for add in adders:
        add(server)
    pair = [(tls.private_key, tls.certificate)]
    credentials = grpc.ssl_server_credentials(pair, root_certificates=tls.ca, require_client_auth=True)
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise CannotListen(f"{address} cannot be listened on: is another process there?") from error
    server.start()
    return Serving(server, port)


def require_free(address: str) -> None:
    """Raise CannotListen when an address is taken: asked here, the C core has no reason to say it in its own words."""
    host, _, port = address.rpartition(":")
    if int(port) and is_taken(host.strip("[]"), int(port)):
        raise CannotListen(f"{address} cannot be listened on: is another process there?")


def server_options(limits: Limits) -> list[tuple[str, int]]:
    """Return the channel arguments of a server."""
    return [
        ("grpc.max_receive_message_length", limits.data_bytes),
        ("grpc.max_send_message_length", limits.data_bytes),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.max_concurrent_streams", 100),
        ("grpc.max_connection_age_ms", int(limits.connection_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", int(limits.connection_grace_s * 1000)),
        ("grpc.server_handshake_timeout_ms", 10_000),  # half-open handshakes live 120 s otherwise
        *keepalive_options(),
        ("grpc.so_reuseport", 0),  # two processes never share a port unnoticed
    ]
