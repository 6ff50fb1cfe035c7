"""The desk of a buying organisation, wired: the organisation's certificate and keys, pages on this machine alone."""

import threading
from pathlib import Path

from hdex.node.applicant import Applicant
from hdex.node.buyer import Buyer
from hdex.node.buyer_desk import BuyerDesk, Verbs
from hdex.node.compose.client import Caller, caller
from hdex.node.compose.desk_line import door_of, serve_desk_app
from hdex.node.compose.standing import now
from hdex.node.config import BuyerConfig
from hdex.node.customer import Customer
from hdex.node.errors import ConfigInvalid
from hdex.node.identity import Identity, check_issued, check_peer
from hdex.node.pki import DenyList
from hdex.node.web.buyer_app import create_buyer_app
from hdex.node.wire.remote import RemoteExchange, RemoteHospitals
from hdex.node.wire.remote_access import RemoteOffices, RemoteReviews
from hdex.node.wire.remote_settlement import RemoteInvoices

SLOT = "desk"  # in the data folder: where new codes are left


def serve_buyer_desk(config: BuyerConfig, port: int, *, tls: bool = False, stop: threading.Event) -> str:
    """Serve the organisation's desk until `stop`; return the address that signs in once.

    tls: under the organisation's own certificate; a browser that shows it, or one of its people's, needs no code.
    """
    denied = DenyList(config.identity.denied)
    who = organisation(config, denied())
    slot = slot_of(config)
    slot.mkdir(parents=True, exist_ok=True, mode=0o700)
    door = door_of(
        slot,
        who,
        port,
        denied,
        domain=config.trust_domain,
        tls=tls,
        lets=lambda one: (one.kind, one.participant) == (who.kind, who.participant),
    )
    return serve_desk_app(create_buyer_app(door, desk_of(config)), door, who, config.identity, stop=stop)


def slot_of(config: BuyerConfig) -> Path:
    """Return the folder in which codes are left for a running desk."""
    return config.data_dir / SLOT


def organisation(config: BuyerConfig, denied: frozenset[int]) -> Identity:
    """Return whose desk this is. Raises IdentityRefused for a certificate that does not hold, ConfigInvalid for one
    of another.
    """
    try:
        pem = config.identity.certificate.read_bytes()
        check_issued(pem, config.identity.ca.read_bytes())
    except OSError as error:
        raise ConfigInvalid(f"{error.filename} cannot be read: a desk needs the organisation's certificate") from error
    who = check_peer(pem, trust_domain=config.trust_domain, now=now(), denied=denied)
    if (who.kind, who.participant) != ("buyer", config.id):
        raise ConfigInvalid(f"the certificate is not that of the buyer {config.id}")
    return who


def desk_of(config: BuyerConfig) -> BuyerDesk:
    """Return everything that the organisation can do, over one set of keys and channels."""
    who = caller(config.identity, config.trust_domain, config.limits)
    verbs = verbs_of(config, who)
    hospitals = sorted(member.id for member in who.directory.members if member.kind == "hospital")
    return BuyerDesk(verbs, office=config.exchange.id, hospitals=hospitals, home=config.data_dir, clock=now)


def verbs_of(config: BuyerConfig, who: Caller) -> Verbs:
    """Return the verbs of buyer, applicant and customer, each over its folder."""
    received, requests = config.data_dir / "received", config.data_dir / "requests"
    for folder in (received, requests):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    buyer = Buyer(
        config.id,
        who.keys,
        who.directory,
        market=RemoteExchange(who.channels(config.exchange.id)),
        counter=RemoteHospitals(who.channels),
        folder=received,
        clock=now,
    )
    offices, reviews = RemoteOffices(who.channels), RemoteReviews(who.channels)
    applicant = Applicant(config.id, who.keys, offices=offices, reviews=reviews, folder=requests, clock=now)
    till = RemoteInvoices(who.channels)
    customer = Customer(
        config.id, who.keys, who.directory, till=till, status=buyer.status, received=received, clock=now
    )
    return Verbs(buyer, applicant, customer)
