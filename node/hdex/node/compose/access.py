"""Vetting and access requests, wired: offices at hospitals and at the exchange, and the clock that ends what waits."""

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from hdex.catalog.access_review import ReviewPolicy, default_policy, read_review_policy
from hdex.catalog.lifecycle import OFFICER, STEWARD
from hdex.catalog.vetting_rules import VettingRules, default_rules, read_rules
from hdex.node.compose.hospital_records import HospitalRecords
from hdex.node.compose.standing import Standing, now
from hdex.node.config import ExchangeConfig, HospitalConfig
from hdex.node.hospital.access_requests import AccessRequests, ReviewRoom
from hdex.node.hospital.borders import Borders
from hdex.node.hospital.contract_gate import ContractGate
from hdex.node.hospital.lifecycle import Lifecycle
from hdex.node.hospital.staff import Staff, read_staff
from hdex.node.identity import Identity
from hdex.node.vetting import Office, Vettings
from hdex.node.vetting_certificate import nobody
from hdex.node.wire.remote_access import RemoteOffices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)
HOSPITAL_ROLES = (STEWARD, OFFICER)
EXCHANGE_ROLES = ("exchange_operator", "security_officer")
RULES, POLICY = "vetting.toml", "access_review.toml"  # in the data folder they take the shipped files' place
LOOK_S = 60.0


class AccessParts:
    """A hospital's office, its reviews, and the gate before its contracts."""

    def __init__(self, standing: Standing, config: HospitalConfig, records: HospitalRecords) -> None:
        me, staff, products = identity_of(standing), records.staff, records.products
        key = standing.keys.secret("sign")
        exchange = RemoteOffices(standing.channels)
        self.vettings = Vettings(
            Office(me, HOSPITAL_ROLES, staff, key, now),
            standing.documents,
            standing.directory,
            rules=rules_of(standing.data),
            recorder=standing.recorder,
            ask=lambda participant: exchange.certificate(config.exchange.id, participant),
        )
        self.requests = AccessRequests(
            ReviewRoom(me, staff, key, standing.documents, records.vault, products, now),
            standing.directory,
            self.vettings,
            policy=policy_of(standing.data),
            recorder=standing.recorder,
        )
        borders = Borders(config.id, standing.documents, standing.directory)
        self.gate = ContractGate(self.vettings, self.requests, products, borders)


def exchange_vettings(standing: Standing, config: ExchangeConfig) -> Vettings:
    """Return the office of an exchange; without a list of staff nobody can be vetted there."""
    staff = Staff(config.id, read_staff(config.staff) if config.staff else {})
    return Vettings(
        Office(identity_of(standing), EXCHANGE_ROLES, staff, standing.keys.secret("sign"), now),
        standing.documents,
        standing.directory,
        rules=rules_of(standing.data),
        recorder=standing.recorder,
        ask=nobody,
    )


def identity_of(standing: Standing) -> Identity:
    """Return a participant's own process, as the directory names it."""
    member = standing.directory.member(standing.config.id)
    return Identity(member.spiffe_id, member.kind, member.id)


def rules_of(data: Path) -> VettingRules:
    """Return the vetting rules of a data folder, or those that ship. Raises TermsInvalid."""
    path = data / RULES
    return read_rules(path.read_text(encoding="utf-8")) if path.exists() else default_rules()


def policy_of(data: Path) -> ReviewPolicy:
    """Return the review policy of a data folder, or the one that ships. Raises TermsInvalid."""
    path = data / POLICY
    return read_review_policy(path.read_text(encoding="utf-8")) if path.exists() else default_policy()


def watch_terms(standing: Standing, vettings: Vettings, lifecycle: Lifecycle, *sweeps: "Callable[[], object]") -> None:
    """Have a hospital's node end by itself what has a term: vettings, offers of products, and what `sweeps` look at."""
    me = identity_of(standing)
    watch_clock(standing.stop, vettings.expire, lambda: lifecycle.expire(actor=me), *sweeps)


def watch_clock(stop: threading.Event, *duties: "Callable[[], object]", look_s: float = LOOK_S) -> None:
    """Do each duty at once, for what ended while nothing ran, then now and then until `stop` is set."""

    def run() -> None:
        while True:
            look_after(duties)
            if stop.wait(look_s):
                return

    threading.Thread(target=run, name="deadlines", daemon=True).start()


def look_after(duties: "Iterable[Callable[[], object]]") -> None:
    """Do each duty once; one that fails is tried again at the next look, and keeps no other from its turn."""
    for duty in duties:
        try:
            duty()
        except Exception:
            logger.exception("a deadline could not be looked after")
