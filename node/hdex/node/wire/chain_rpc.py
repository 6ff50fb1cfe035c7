"""The embedded chain's JSON-RPC over HTTP on loopback. Decides nothing: a body goes to `respond`, its answer back."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hdex.node.errors import CannotListen, ConfigInvalid

BODY_LIMIT = 1 << 20
IDLE_TIMEOUT_S = 60.0
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
Respond = Callable[[bytes], bytes]


class ChainServer:
    """Serves one chain from `start` to `close`; port 0 takes a free one."""

    def __init__(self, respond: Respond, *, host: str = "127.0.0.1", port: int = 0) -> None:
        require_loopback(host)
        try:
            self._http = Http(respond, host, port)
        except OSError as error:
            raise CannotListen(f"{host}:{port} cannot be listened on: is another process there?") from error
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="chain-rpc", daemon=True)
        bound_host, bound_port = str(self._http.server_address[0]), int(self._http.server_address[1])
        self.port = bound_port
        self.url = f"http://{f'[{bound_host}]' if ':' in bound_host else bound_host}:{bound_port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Answer what was asked, take no more and drop idle connections."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._http.drop_connections()

    def __enter__(self) -> "ChainServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Http(ThreadingHTTPServer):
    """The listening socket, its threads and its open connections."""

    daemon_threads = False
    block_on_close = False
    request_queue_size = 64
    allow_reuse_address = True

    def __init__(self, respond: Respond, host: str, port: int) -> None:
        self.respond = respond
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._open: dict[socket.socket, threading.Thread] = {}  # owned by _lock
        self._lock = threading.Lock()
        super().__init__((host, port), Handler)

    def opened(self, connection: socket.socket) -> None:
        """Remember a connection and the thread that answers it."""
        with self._lock:
            self._open[connection] = threading.current_thread()

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._lock:
            self._open.pop(connection, None)

    def drop_connections(self) -> None:
        """End the reading side of every connection and wait until each has sent its last answer."""
        with self._lock:
            waiting = dict(self._open)
        for connection in waiting:
            try:
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                continue  # the peer was faster
        for thread in waiting.values():
            thread.join(IDLE_TIMEOUT_S)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a peer that goes away in mid-request is no event."""


class Handler(BaseHTTPRequestHandler):
    """One keep-alive connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two segments: with Nagle each call costs 40 ms
    wbufsize = -1
    timeout = IDLE_TIMEOUT_S
    server: Http

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.server.closed(self.connection)

    def do_POST(self) -> None:
        """Answer one JSON-RPC body."""
        length = self._length()
        refusal = self._refusal(length)
        if refusal is not None:
            self._refuse(refusal)
            return
        self._send(HTTPStatus.OK, self.server.respond(self.rfile.read(length)))

    def _length(self) -> int:
        given = self.headers.get("Content-Length", "")
        return int(given) if given.isascii() and given.isdigit() else -1

    def _refusal(self, length: int) -> HTTPStatus | None:
        """Return why a request is not read: browsers' pages must not reach the chain (CSRF, DNS rebinding)."""
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in LOCAL_NAMES or self.headers.get("Origin") is not None:
            return HTTPStatus.FORBIDDEN
        if self.headers.get_content_type() != "application/json" or self.headers.get("Content-Type") is None:
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        if length < 0:
            return HTTPStatus.LENGTH_REQUIRED
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if length > BODY_LIMIT else None

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True  # the body was not read
        self._send(status, status.phrase.encode(), content_type="text/plain")

    def _send(self, status: HTTPStatus, body: bytes, *, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the nodes' logs say what was sent."""

    def version_string(self) -> str:
        return "hdex"


def require_loopback(host: str) -> None:
    """Raise ConfigInvalid unless only this machine can reach `host`: the chain's JSON-RPC knows no caller."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigInvalid("the embedded chain answers on loopback only; for several machines run Besu")


def serve(
    path: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    genesis_accounts: Sequence[str] | None,
    chain_id: int,
    ready: Callable[[str], None],
    stop: threading.Event,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Serve the chain at `path` until `stop` is set; `ready` gets the URL. Returns after the last block is on disk."""
    from hdex.ledger.evm import EmbeddedChain  # py-evm costs a second

    chain = EmbeddedChain(path, genesis_accounts, clock, chain_id=chain_id)
    try:
        with ChainServer(chain.respond, host=host, port=port) as server:
            ready(server.url)
            stop.wait()
    finally:
        chain.close()
