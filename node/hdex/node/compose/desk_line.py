"""How a desk's pages reach the browser: over HTTP on this machine, or over TLS with the participant's certificate."""

import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hdex.node.code_slot import collect
from hdex.node.compose.standing import now
from hdex.node.config import IdentityFiles, Listen
from hdex.node.errors import IdentityRefused
from hdex.node.identity import Identity, check_peer
from hdex.node.pki import DenyList
from hdex.node.sessions import Sessions
from hdex.node.web.desk_door import Door
from hdex.node.wire.http_server import serve_browsers
from hdex.node.wire.pages import serve_pages

HOST = "127.0.0.1"
Lets = Callable[[Identity], bool]


def door_of(slot: Path, who: Identity, port: int, denied: DenyList, *, domain: str, tls: bool, lets: Lets) -> Door:
    """Return the door of a desk: codes from `slot`, and over TLS the certificates of those whom `lets` names."""

    def identify(certificate: bytes) -> Identity:
        pem = ssl.DER_cert_to_PEM_cert(certificate).encode()
        found = check_peer(pem, trust_domain=domain, now=now(), denied=denied())
        if not lets(found):
            raise IdentityRefused("the certificate is of the consortium, but of nobody whom this desk lets in")
        return found

    return Door(Sessions(clock=now, denied=denied), lambda: collect(slot, who, now()), port, tls, identify)


def serve_desk_app(app: Any, door: Door, who: Identity, files: IdentityFiles, *, stop: threading.Event) -> str:
    """Serve a desk until `stop`; return the address that signs in once. Raises CannotListen."""
    if door.is_tls:
        serving = serve_browsers(app, (HOST, door.port), files)

        def end() -> None:
            stop.wait()
            serving.stop()

        threading.Thread(target=end, name="desk-end", daemon=True).start()
    else:
        serve_pages(app, Listen(http_port=door.port), stop=stop)
    scheme = "https" if door.is_tls else "http"
    return f"{scheme}://{HOST}:{door.port}/sign-in?code={door.sessions.issue(who)}"
