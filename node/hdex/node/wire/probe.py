"""Short questions to the outside: who answers there, may this port be used, what does the chain say. Nothing is sent
but a handshake, a question for health or a reading JSON-RPC call."""

import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hdex.node.config import IdentityFiles
from hdex.node.errors import IdentityRefused, PeerUnavailable

TIMEOUT_S = 3.0
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: doctor.invalid\r\nConnection: close\r\n\r\n"


def shake(endpoint: str, identity: IdentityFiles, expected_name: str) -> None:
    """Do the mutual TLS handshake with who listens at host:port.

    Raises PeerUnavailable where nobody answers, IdentityRefused where either side does not accept the other.
    """
    with _shaken(endpoint, identity, expected_name, protocol="h2") as wrapped:
        wrapped.recv(1)  # in TLS 1.3 the server's refusal comes after our side of the handshake


def is_healthy(endpoint: str, identity: IdentityFiles, expected_name: str) -> bool:
    """Return whether an HTTPS port says that it answers calls. Raises as `shake` does."""
    with _shaken(endpoint, identity, expected_name, protocol="http/1.1") as wrapped:
        wrapped.sendall(HEALTH)
        return wrapped.recv(64).startswith(b"HTTP/1.1 200 ")


@contextmanager
def _shaken(endpoint: str, identity: IdentityFiles, expected_name: str, *, protocol: str) -> Iterator[ssl.SSLSocket]:
    """Yield a line after its handshake, and word what breaks on it."""
    host, _, port = endpoint.rpartition(":")
    context = ssl.create_default_context(cafile=str(identity.ca))
    context.load_cert_chain(identity.certificate, identity.private_key)
    context.set_alpn_protocols([protocol])
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=expected_name) as wrapped,
        ):
            yield wrapped
    except ssl.SSLCertVerificationError as error:
        raise IdentityRefused(f"who answers is not {expected_name}: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise IdentityRefused(f"it refuses this certificate, or speaks no TLS: {error.reason}") from error
    except (OSError, ValueError) as error:
        raise PeerUnavailable(f"nobody answers at {endpoint}") from error


def is_taken(host: str, port: int) -> bool:
    """Return whether something listens on an address of this machine."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError:
            return True
    return False


def ask_chain(url: str, method: str, *parameters: object) -> Any:
    """Return the result of a JSON-RPC call that changes nothing. Raises PeerUnavailable."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  # as configured
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310  # as configured
            return json.loads(answer.read())["result"]
    except (OSError, ValueError, KeyError, urllib.error.URLError) as error:
        raise PeerUnavailable(f"the chain does not answer at {url}") from error
