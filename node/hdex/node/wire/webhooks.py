"""Notices over HTTPS to the webhooks of saved searches.

An organisation names the address, so it must not lead inwards: only hosts that the operator has named are called, a
host is looked up once, every address found must be public, and the connection goes to the address that was checked.
Nobody is followed to another address.
"""

import http.client
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from hdex.node.dsp.addresses import Resolve, is_public, resolve
from hdex.node.egress import is_loopback, permit
from hdex.node.errors import AccessDenied, PeerUnavailable, RequestInvalid
from hdex.node.wire.dsp_client import ended_after

TIMEOUT_S, WHOLE_S = 10.0, 30.0  # of one read; of everything: who drips bytes would keep all others' notices back
LONGEST_URL = 500


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Sends to the hosts in `hosts`. `loopback` lets notices go to this machine too: for tests only.

    `context` is what a webhook's certificate is checked against: the system's authorities, unless given.
    """

    hosts: frozenset[str]
    loopback: bool = False
    context: ssl.SSLContext | None = None
    look_up: Resolve = resolve
    whole_s: float = WHOLE_S

    def check(self, url: str) -> None:
        """Raise RequestInvalid or AccessDenied unless notices may go to `url` now."""
        self._addresses(self._parts(url))

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Return the status of the answer to one POST. Raises PeerUnavailable where there is none."""
        parts = self._parts(url)
        address = self._addresses(parts)[0]
        host = str(parts.hostname)
        permit(host, address)
        connection = http.client.HTTPSConnection(host, parts.port or 443, timeout=TIMEOUT_S)
        try:
            plain = socket.create_connection((address, parts.port or 443), timeout=TIMEOUT_S)
            context = self.context or ssl.create_default_context()
            connection.sock = context.wrap_socket(plain, server_hostname=host)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            with ended_after(self.whole_s, connection.sock):
                connection.request("POST", path, body=body, headers=headers)
                return connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise PeerUnavailable(f"the webhook did not answer ({type(error).__name__})") from error
        finally:
            connection.close()

    def _parts(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise RequestInvalid("the webhook is not a URL") from error
        plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= LONGEST_URL
        if not plain or parts.scheme != "https" or not parts.hostname or port == 0 or parts.fragment:
            raise RequestInvalid(f"a webhook is https://host/path, in ASCII and {LONGEST_URL} characters at most")
        if parts.username is not None or parts.password is not None:
            raise RequestInvalid("a webhook's URL holds no user or password; its notices are signed")
        if parts.hostname not in self.hosts:
            raise AccessDenied(
                "webhook.host",
                "ask the exchange's operator to name the host in searches.webhook_hosts",
                "this host is not among those that the exchange sends notices to",
            )
        return parts

    def _addresses(self, parts: SplitResult) -> Sequence[str]:
        """Return the addresses of the host, looked up once, every one of them checked."""
        addresses = self.look_up(str(parts.hostname), parts.port or 443)
        if not addresses or not all(self._is_outside(address) for address in addresses):
            raise AccessDenied("webhook.private", "name a host with public addresses", "the webhook leads inwards")
        return addresses

    def _is_outside(self, address: str) -> bool:
        return (self.loopback and is_loopback(address)) or is_public(address)
