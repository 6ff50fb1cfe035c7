"""Pages over HTTP on a thread of their own, on the address the configuration names."""

import threading
from typing import Any

import uvicorn

from hdex.node.config import Listen


def serve_pages(app: Any, listen: Listen, *, stop: threading.Event) -> None:
    """Serve an ASGI app until `stop`; return at once. Port 0 means no pages."""
    if not listen.http_port:
        return
    config = uvicorn.Config(
        app, host=listen.host, port=listen.http_port, log_level="warning", access_log=False, server_header=False
    )
    server = uvicorn.Server(config)

    def end() -> None:
        stop.wait()
        server.should_exit = True

    threading.Thread(target=server.run, name="pages", daemon=True).start()
    threading.Thread(target=end, name="pages-end", daemon=True).start()
