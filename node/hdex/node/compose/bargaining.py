"""What a hospital answers to requests for contracts, wired: offers of its people, and its rules."""

from hdex.node.compose.access import identity_of
from hdex.node.compose.standing import Standing, now
from hdex.node.config import HospitalConfig
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.offers import Offers
from hdex.node.hospital.products import Products
from hdex.node.hospital.rule_answers import RuleAnswers
from hdex.node.hospital.signatory import Signatory
from hdex.node.hospital.staff import Staff


def offers_of(standing: Standing, negotiations: Negotiations, products: Products, staff: Staff) -> Offers:
    """Return a hospital's offers."""
    return Offers(
        Signatory(standing.config.id, standing.keys.secret("sign"), now),
        negotiations,
        products,
        staff,
        directory=standing.directory,
        recorder=standing.recorder,
    )


def answers_of(
    standing: Standing, config: HospitalConfig, negotiations: Negotiations, products: Products, offers: Offers
) -> RuleAnswers:
    """Return the rules of a hospital's configuration at work."""
    return RuleAnswers(
        config.answers,
        negotiations,
        offers,
        products,
        me=identity_of(standing),
        directory=standing.directory,
        clock=now,
    )
