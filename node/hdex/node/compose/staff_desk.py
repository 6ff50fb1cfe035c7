"""The desk of one person of a hospital, wired: that person's certificate and keys, pages on this machine alone."""

import threading
from pathlib import Path

from hdex.node.code_slot import collect
from hdex.node.compose.client import open_steward
from hdex.node.compose.standing import now
from hdex.node.config import HospitalConfig, Listen
from hdex.node.errors import ConfigInvalid
from hdex.node.identity import Identity, check_issued, check_peer
from hdex.node.pki import DenyList
from hdex.node.sessions import Sessions
from hdex.node.web.desk_acts import DeskActs, MemoryDrafts
from hdex.node.web.desk_app import create_desk_app
from hdex.node.web.desk_door import Door
from hdex.node.web.desk_pages import DeskPages
from hdex.node.wire.pages import serve_pages

CERTIFICATE = "staff.pem"


def serve_desk(config: HospitalConfig, desk: Path, port: int, *, stop: threading.Event) -> str:
    """Serve the desk of whose certificate lies in the folder until `stop`; return the address that signs in once."""
    denied = DenyList(config.identity.denied)
    who = person(config, desk, denied())
    sessions = Sessions(clock=now, denied=denied)
    door = Door(sessions, lambda: collect(desk, who, now()), port)
    steward, drafts = open_steward(config, desk, who.role), MemoryDrafts()
    app = create_desk_app(door, DeskPages(steward, drafts), DeskActs(steward, drafts))
    serve_pages(app, Listen(http_port=port), stop=stop)
    return f"http://127.0.0.1:{port}/sign-in?code={sessions.issue(who)}"


def person(config: HospitalConfig, desk: Path, denied: frozenset[int]) -> Identity:
    """Return whose desk this is. Raises IdentityRefused for a certificate that does not hold, ConfigInvalid for one
    of nobody who works here.
    """
    try:
        pem = (desk / CERTIFICATE).read_bytes()
        check_issued(pem, config.identity.ca.read_bytes())
    except OSError as error:
        raise ConfigInvalid(f"{error.filename} cannot be read: a desk's folder holds a person's certificate") from error
    who = check_peer(pem, trust_domain=config.trust_domain, now=now(), denied=denied)
    if who.participant != config.id or not who.role:
        raise ConfigInvalid(f"the certificate in {desk} is of no person of {config.id}: ask for one with a role")
    return who
