"""The desk of one person of a hospital or of the exchange, wired: that person's certificate and keys, pages on this
machine alone.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from hdex.node.compose.client import open_billing, open_reviewer, open_steward
from hdex.node.compose.desk_line import door_of, serve_desk_app
from hdex.node.compose.standing import now
from hdex.node.config import ExchangeConfig, HospitalConfig
from hdex.node.errors import ConfigInvalid
from hdex.node.identity import Identity, check_issued, check_peer
from hdex.node.pki import DenyList
from hdex.node.reviewer import Reviewer
from hdex.node.steward import Steward
from hdex.node.web.desk_acts import DeskActs, MemoryDrafts
from hdex.node.web.desk_app import create_desk_app
from hdex.node.web.desk_billing import BillingPart, MemoryStatements
from hdex.node.web.desk_contracts import ContractsPart
from hdex.node.web.desk_door import Door
from hdex.node.web.desk_invoices import InvoicesPart, Till
from hdex.node.web.desk_pages import DeskPages
from hdex.node.web.desk_requests import RequestsPart
from hdex.node.web.desk_revenue import RevenuePart
from hdex.node.web.desk_routes import Part, desk_of
from hdex.node.web.desk_runs import RunsPart
from hdex.node.web.desk_vetting import OfficeHome, VettingPart
from hdex.node.web.desk_words import OfficeWords

CERTIFICATE = "staff.pem"


def serve_desk(config: HospitalConfig, desk: Path, port: int, *, tls: bool = False, stop: threading.Event) -> str:
    """Serve the desk of whose certificate lies in the folder until `stop`; return the address that signs in once.

    tls: under the hospital's own certificate, and without a code to a browser that shows this very person's: what is
    signed at this desk is signed with this person's key, so nobody else of the hospital is let in.
    """
    who, door = opened(config, desk, port, tls=tls)
    steward, drafts = open_steward(config, desk, who.role), MemoryDrafts()
    parts = hospital_parts(steward, open_reviewer(config, desk, who.role), open_billing(config, desk))
    app = create_desk_app(door, DeskPages(steward, drafts), DeskActs(steward, drafts), parts)
    return serve_desk_app(app, door, who, config.identity, stop=stop)


def serve_office(config: ExchangeConfig, desk: Path, port: int, *, tls: bool = False, stop: threading.Event) -> str:
    """Serve the desk of a person of the exchange who vets until `stop`; return the address that signs in once."""
    who, door = opened(config, desk, port, tls=tls)
    vetting = VettingPart(open_reviewer(config, desk, who.role))
    app = desk_of(door, [OfficeHome(vetting), vetting], OfficeWords)
    return serve_desk_app(app, door, who, config.identity, stop=stop)


def hospital_parts(steward: Steward, reviewer: Reviewer, till: Till, clock: Callable[[], datetime] = now) -> list[Part]:
    """Return the parts of a hospital's desk beside its own pages."""
    return [
        VettingPart(reviewer),
        RequestsPart(reviewer),
        ContractsPart(steward),
        RunsPart(steward),
        BillingPart(till, clock, MemoryStatements()),  # before the pages of one invoice
        InvoicesPart(till, clock),
        RevenuePart(steward, till, clock),
    ]


def opened(config: HospitalConfig | ExchangeConfig, desk: Path, port: int, *, tls: bool) -> tuple[Identity, Door]:
    """Return whose desk a folder is, and its door. Raises IdentityRefused, ConfigInvalid."""
    denied = DenyList(config.identity.denied)
    who = person(config, desk, denied())
    return who, door_of(
        desk, who, port, denied, domain=config.trust_domain, tls=tls, lets=lambda one: one.spiffe_id == who.spiffe_id
    )


def person(config: HospitalConfig | ExchangeConfig, desk: Path, denied: frozenset[int]) -> Identity:
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
