"""HTTPS of one participant with its own certificate, on a thread of its own."""

import asyncio
import ssl
import threading
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hdex.node.config import IdentityFiles
from hdex.node.errors import CannotListen
from hdex.node.wire.pages import bound

CONNECTIONS = 128
IDLE_S = 30
AGE_S = 60.0


class AgedConnection(H11Protocol):
    """A connection that ends after AGE_S, or with the request it is answering then.

    Uvicorn waits for ever for the first byte and for the end of a header: 128 silent clients would lock all others out.
    """

    age_s = AGE_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin to count."""
        super().connection_made(transport)
        self.loop.call_later(self.age_s, self.end)

    def end(self) -> None:
        """Close, unless an answer is on its way: then a little later."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.loop.call_later(1.0, self.end)
        else:
            self.transport.close()


class KnownConnection(AgedConnection):
    """A connection whose requests carry the client's certificate, DER, as `state["certificate"]`; empty without one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Look at the certificate once: TLS has checked its chain."""
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        self.app_state = {**self.app_state, "certificate": certificate or b""}  # uvicorn copies it into each request
        super().connection_made(transport)


@dataclass(frozen=True, slots=True)
class HttpServing:
    """A server that answers at `port` until `stop`."""

    server: uvicorn.Server
    thread: threading.Thread
    port: int

    def stop(self) -> None:
        """Take no more requests and return when the thread has ended."""
        self.server.should_exit = True
        self.thread.join(10)


def serve_https(
    app: Any, address: tuple[str, int], identity: IdentityFiles, *, connection: type[AgedConnection] = AgedConnection
) -> HttpServing:
    """Serve an ASGI app on (host, port) under TLS 1.3 and return at once; port 0 takes a free one.

    Raises CannotListen when the address is taken.
    """
    files: dict[str, Any] = {"ssl_certfile": identity.certificate, "ssl_keyfile": identity.private_key}
    return started(configured(app, connection, **files), address)


def serve_known(app: Any, address: tuple[str, int], identity: IdentityFiles) -> HttpServing:
    """Serve an ASGI app as `serve_https` does, to clients whose certificate the consortium's CA has issued."""
    files: dict[str, Any] = {"ssl_certfile": identity.certificate, "ssl_keyfile": identity.private_key}
    files |= {"ssl_ca_certs": str(identity.ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return started(configured(app, KnownConnection, **files), address)


def serve_welcoming(app: Any, address: tuple[str, int], identity: IdentityFiles) -> HttpServing:
    """Serve an ASGI app as `serve_https` does, to visitors too; a certificate, where one is shown, must be the CA's."""
    files: dict[str, Any] = {"ssl_certfile": identity.certificate, "ssl_keyfile": identity.private_key}
    files |= {"ssl_ca_certs": str(identity.ca), "ssl_cert_reqs": ssl.CERT_OPTIONAL}
    return started(configured(app, KnownConnection, **files), address)


def serve_unprotected(app: Any, port: int) -> HttpServing:
    """Serve an ASGI app over plain HTTP on this machine's own address, to whoever is on it."""
    return started(configured(app, KnownConnection, tls=False), ("127.0.0.1", port))


def configured(app: Any, connection: type[AgedConnection], *, tls: bool = True, **files: Any) -> uvicorn.Config:
    """Return how an app is served; under TLS 1.3, or not at all, unless `tls` is off."""
    config = uvicorn.Config(
        app,
        http=connection,
        ws="none",
        proxy_headers=False,  # X-Forwarded-For would choose whose rate limit counts
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=2,
        **files,
    )
    config.load()
    if tls:
        if config.ssl is None:
            raise CannotListen("no TLS without certificate and key")
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    return config


def started(config: uvicorn.Config, address: tuple[str, int]) -> HttpServing:
    """Serve on a thread of its own. Raises CannotListen when the address is taken."""
    listener = bound(address)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="https", daemon=True)
    thread.start()
    return HttpServing(server, thread, int(listener.getsockname()[1]))
