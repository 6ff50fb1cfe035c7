"""Pages over HTTP on a thread of their own, on the address the configuration names."""

import socket
import threading
from typing import Any

import uvicorn

from hdex.node.config import Listen
from hdex.node.errors import CannotListen


def serve_pages(app: Any, listen: Listen, *, stop: threading.Event) -> None:
    """Serve an ASGI app until `stop`; return at once. Port 0 means no pages. Raises CannotListen."""
    if not listen.http_port:
        return
    config = uvicorn.Config(
        app, host=listen.host, port=listen.http_port, log_level="warning", access_log=False, server_header=False
    )
    server, listener = uvicorn.Server(config), listening(listen)

    def end() -> None:
        stop.wait()
        server.should_exit = True

    threading.Thread(target=server.run, args=([listener],), name="pages", daemon=True).start()
    threading.Thread(target=end, name="pages-end", daemon=True).start()


def listening(listen: Listen) -> socket.socket:
    """Return a socket on the address of the pages. Raises CannotListen here, not unseen in the pages' thread."""
    return bound((listen.host, listen.http_port))


def bound(address: tuple[str, int]) -> socket.socket:
    """Return a listening socket. Raises CannotListen when the address is taken or not ours."""
    try:
        return socket.create_server(address)
    except OSError as error:
        host, port = address
        raise CannotListen(f"{host}:{port} cannot be listened on: is another process there?") from error
