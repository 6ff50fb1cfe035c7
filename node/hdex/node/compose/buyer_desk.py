"""The desk of a buying organisation, wired: the organisation's certificate and keys, pages on this machine alone."""

import threading

from hdex.node.buyer_desk import BuyerDesk, Verbs
from hdex.node.compose.client import applicant_of, buyer_of, customer_of, folder_of, holder_of, organisation_caller
from hdex.node.compose.dealing import listen_for_desk
from hdex.node.compose.desk_line import door_of, serve_desk_app
from hdex.node.compose.standing import now
from hdex.node.config import BuyerConfig
from hdex.node.errors import ConfigInvalid
from hdex.node.identity import Identity, check_issued, check_peer
from hdex.node.pki import DenyList
from hdex.node.web.buyer_app import create_buyer_app

SLOT = "desk"  # in the data folder: where new codes are left


def serve_buyer_desk(config: BuyerConfig, port: int, *, tls: bool = False, stop: threading.Event) -> str:
    """Serve the organisation's desk until `stop`; return the address that signs in once.

    tls: under the organisation's own certificate; a browser that shows it, or one of its people's, needs no code.
    """
    denied = DenyList(config.identity.denied)
    who = organisation(config, denied())
    door = door_of(
        folder_of(config, SLOT),
        who,
        port,
        denied,
        domain=config.trust_domain,
        tls=tls,
        lets=lambda one: (one.kind, one.participant) == (who.kind, who.participant),
    )
    return serve_desk_app(create_buyer_app(door, desk_of(config, stop)), door, who, config.identity, stop=stop)


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


def desk_of(config: BuyerConfig, stop: threading.Event) -> BuyerDesk:
    """Return everything that the organisation can do, over one set of keys and channels; with a table [dsp] it listens
    for providers' words until `stop`.
    """
    who = organisation_caller(config)
    verbs = Verbs(
        buyer_of(config, who),
        applicant_of(config, who),
        customer_of(config, who),
        holder_of(config, who),
        listen_for_desk(config, who, stop),
    )
    hospitals = sorted(member.id for member in who.directory.members if member.kind == "hospital")
    return BuyerDesk(verbs, office=config.exchange.id, hospitals=hospitals, home=config.data_dir, clock=now)
