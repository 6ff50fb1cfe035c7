"""The desk of one person of a hospital, wired: that person's certificate and keys, pages on this machine alone."""

import threading
from pathlib import Path

from hdex.node.compose.client import open_steward
from hdex.node.compose.desk_line import door_of, serve_desk_app
from hdex.node.compose.standing import now
from hdex.node.config import HospitalConfig
from hdex.node.errors import ConfigInvalid
from hdex.node.identity import Identity, check_issued, check_peer
from hdex.node.pki import DenyList
from hdex.node.web.desk_acts import DeskActs, MemoryDrafts
from hdex.node.web.desk_app import create_desk_app
from hdex.node.web.desk_pages import DeskPages

CERTIFICATE = "staff.pem"


def serve_desk(config: HospitalConfig, desk: Path, port: int, *, tls: bool = False, stop: threading.Event) -> str:
    """Serve the desk of whose certificate lies in the folder until `stop`; return the address that signs in once.

    tls: under the hospital's own certificate, and without a code to a browser that shows this very person's: what is
    signed at this desk is signed with this person's key, so nobody else of the hospital is let in.
    """
    denied = DenyList(config.identity.denied)
    who = person(config, desk, denied())
    door = door_of(
        desk, who, port, denied, domain=config.trust_domain, tls=tls, lets=lambda one: one.spiffe_id == who.spiffe_id
    )
    steward, drafts = open_steward(config, desk, who.role), MemoryDrafts()
    app = create_desk_app(door, DeskPages(steward, drafts), DeskActs(steward, drafts))
    return serve_desk_app(app, door, who, config.identity, stop=stop)


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
