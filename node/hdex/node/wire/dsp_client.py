"""The way to the other side: HTTPS with our certificate to exactly the participant meant, or nothing."""

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from hdex.ledger.document import load
from hdex.node import egress
from hdex.node.config import IdentityFiles
from hdex.node.dsp import addresses
from hdex.node.dsp.addresses import AddressRules, Resolve, Target
from hdex.node.dsp.ports import Answer, Courier
from hdex.node.dsp.process import Document
from hdex.node.errors import AccessDenied, PeerUnavailable
from hdex.node.identity import server_name
from hdex.node.wire.kept_lines import KeptLines, Line

TIMEOUT_S, WHOLE_S = 15.0, 60.0  # of one read; of everything: who drips bytes holds a thread no longer
MAX_ANSWER_BYTES = 256 * 1024
MOST_TRIED = 4  # addresses of one name: who leads us to dead ones holds a thread for WHOLE_S at most
HUNG_UP = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
Ask = Callable[[http.client.HTTPConnection, str], None]


@dataclass(frozen=True, slots=True)
class Certified:
    """How we show who we are and know who they are."""

    context: ssl.SSLContext
    trust_domain: str

    @classmethod
    def of(cls, files: IdentityFiles, trust_domain: str) -> "Certified":
        """Return the TLS 1.3 of a participant: its certificate, its consortium's CA and no other."""
        context = ssl.create_default_context(cafile=str(files.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(str(files.certificate), str(files.private_key))
        return cls(context, trust_domain)


class HttpCourier:
    """Posts JSON. Redirects are answers like any other: nothing is followed. Without `tls` only plain HTTP is left."""

    def __init__(
        self, rules: AddressRules, tls: Certified | None, *,
        resolve: Resolve = addresses.resolve, whole_s: float = WHOLE_S,
    ) -> None:  # fmt: skip
        self._rules = rules
        self._tls = tls
        self._resolve = resolve
        self._whole_s = whole_s
        self._kept = KeptLines()

    def require_address(self, address: str) -> None:
        self._checked(address)

    def post(self, peer: str, url: str, document: Document) -> Answer:
        body = json.dumps(document, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        return self._asked(peer, url, lambda line, path: line.request("POST", path, body, headers))

    def get(self, peer: str, url: str) -> Answer:
        return self._asked(peer, url, lambda line, path: line.request("GET", path, headers={"Accept": "*/*"}))

    def _checked(self, address: str) -> Target:
        try:
            target = self._rules.checked(address, self._resolve)
        except PermissionError as error:  # the process's own wall: this host is in no configuration
            raise AccessDenied("egress", "name the host in the configuration", "the host is not configured") from error
        for ip in target.ips:
            egress.permit(target.host, ip)
        return target

    def _asked(self, peer: str, url: str, ask: Ask) -> Answer:
        target = self._checked(url)  # also where a line is kept: what a name resolves to, and the rules, may change
        place = (peer, target.scheme, target.host, target.port, frozenset(target.ips))
        try:
            kept = self._kept.take(place)
            if kept is not None:
                with contextlib.suppress(*HUNG_UP):  # closed while it was idle; our messages may be sent again
                    return self._answered(kept, place, target, ask)
            return self._answered(self._kept.line(self._line(target, peer)), place, target, ask)
        except (OSError, http.client.HTTPException) as error:
            raise PeerUnavailable(f"{peer} does not answer: {type(error).__name__}") from error

    def _answered(self, line: Line, place: Hashable, target: Target, ask: Ask) -> Answer:
        """Ask over a line and keep it where the answer was read to its end; else hang up."""
        whole = False
        try:
            with ended_after(self._whole_s, line.connection.sock):
                ask(line.connection, target.path or "/")
                response = line.connection.getresponse()
                raw = response.read(MAX_ANSWER_BYTES + 1)
            whole = response.isclosed() and not response.will_close
        finally:
            if not whole:
                line.close()
        if whole:
            self._kept.keep(place, line)
        return Answer(response.status, read_answer(raw), response.getheader("Link") or "")

    def _line(self, target: Target, peer: str) -> http.client.HTTPConnection:
        """Return a connection to an address that was checked, whatever the name resolves to by now."""
        line = http.client.HTTPConnection(target.host, target.port, timeout=TIMEOUT_S)
        raw = connected(target)
        if target.scheme == "http":
            line.sock = raw
            return line
        if self._tls is None:
            raw.close()
            raise AccessDenied("address.tls", "run with a certificate", "this connector has no certificate to show")
        try:
            name = server_name(peer, self._tls.trust_domain)  # the certificate must be this participant's
            line.sock = self._tls.context.wrap_socket(raw, server_hostname=name)
        except (OSError, ValueError):
            raw.close()
            raise
        return line


def connected(target: Target) -> socket.socket:
    """Return a socket to the first address that takes it: `localhost` is often ::1 before 127.0.0.1."""
    *others, last = target.ips[:MOST_TRIED]
    for ip in others:
        with contextlib.suppress(OSError):
            return socket.create_connection((ip, target.port), TIMEOUT_S)
    return socket.create_connection((last, target.port), TIMEOUT_S)


@contextlib.contextmanager
def ended_after(seconds: float, sock: socket.socket) -> Iterator[None]:
    """Hang up on a line that lasts too long.

    sock: of the connection before it was used: it forgets its own when the answer says `Connection: close`.
    """

    def hang_up() -> None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def read_answer(raw: bytes) -> Document:
    """Return the JSON object of an answer; empty where there is none: its status says enough."""
    if not raw or len(raw) > MAX_ANSWER_BYTES:
        return {}
    try:
        found = load(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


_: type[Courier] = HttpCourier
