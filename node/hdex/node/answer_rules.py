"""Rules by which a hospital answers requests for contracts without a person: read strictly, matched without any I/O.

The first rule that matches answers; where none does, a person decides. A rule can do no more than a person's click:
what it says passes the same gates, and requests of level 3 and above never reach one.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from hdex.catalog.documents import from_document
from hdex.catalog.price import PricePlan
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.purposes import purposes
from hdex.catalog.quote import ordered_price
from hdex.catalog.terms import AccessRequest
from hdex.ledger.event import format_time
from hdex.node.contract_record import MOST_ROUNDS, ORDER, UNTIL, order_of
from hdex.node.errors import ConfigInvalid
from hdex.node.identity import Identity
from hdex.node.signed import digest

AGREE, OFFER, PERSON = "agree", "offer", "person"
ROLE = "answer_rule"  # of the policies: no certificate can bear it
LEVEL_MOST = 2  # of a product that a rule may answer about
MOST_COUNTERS, MOST_DAYS, MOST_RULES = 5, 3650, 100
LONGEST_REASON = 400
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
OFFERED = ("plan", "columns", "rounds", "days", "reason")  # keys that say what an offer changes


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """One rule: which requests it is about, and what it says to them. What is left out holds for every request.

    purposes: every purpose asked must be one of them. countries: where the directory says the buyer stores things.
    non_profit: the request says that it is neither commercial nor for profit. amount_most: price of one unit of the
    plan, of per_round of all rounds asked, in minor units of `currency`, tax apart.

    columns, rounds, days: at most these are offered, never more than was asked; days counts from the offer to the
    contract's latest end. counters: offers of one negotiation. sign_accepted: sign what the rule would offer, once it
    is asked for or accepted; else a person does.
    """

    name: str
    answer: str  # agree, offer or person
    products: tuple[str, ...] = ()
    level_most: int = LEVEL_MOST
    purposes: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    buyers: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    non_profit: bool = False
    amount_most: int | None = None
    currency: str = ""
    rounds_most: int | None = None
    plan: str = ""
    columns: tuple[str, ...] = ()
    rounds: int | None = None
    days: int | None = None
    reason: str = ""
    counters: int = 1
    sign_accepted: bool = False

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigInvalid("answers: a rule's name has 1 to 64 small letters, digits and inner '-'")
        for says, holds in self._form().items():
            if not holds:
                raise ConfigInvalid(f"answers: rule {self.name}: {says}")

    def _form(self) -> Mapping[str, bool]:
        """Return what must hold, by what is said where it does not."""
        offers = [name for name in OFFERED if getattr(self, name) not in ("", (), None)]
        changes = [name for name in offers if name != "reason"]
        counts = ((self.rounds, MOST_ROUNDS), (self.days, MOST_DAYS))
        return {
            f"answer is {AGREE}, {OFFER} or {PERSON}": self.answer in (AGREE, OFFER, PERSON),
            f"level_most is 1 to {LEVEL_MOST}: higher levels are a person's": 1 <= self.level_most <= LEVEL_MOST,
            "purposes are codes of the vocabulary": set(self.purposes) <= set(purposes()),
            f"modes are {', '.join(DeliveryMode)}": set(self.modes) <= set(DeliveryMode),
            f"plan is one of {', '.join(PricePlan)}": self.plan in ("", *PricePlan),
            "amount_most is 0 or more and names its currency": (self.amount_most is None) == (not self.currency)
            and (self.amount_most or 0) >= 0,
            f"rounds_most is 0 to {MOST_ROUNDS}": 0 <= (self.rounds_most or 0) <= MOST_ROUNDS,
            f"rounds are 1 to {MOST_ROUNDS}, days 1 to {MOST_DAYS}": all(
                found is None or 1 <= found <= most for found, most in counts
            ),
            f"counters are 1 to {MOST_COUNTERS}": 1 <= self.counters <= MOST_COUNTERS,
            "an offer changes plan, columns, rounds or days": self.answer != OFFER or bool(changes),
            f"an offer says its reason, {LONGEST_REASON} characters at most": self.answer != OFFER
            or 0 < len(self.reason) <= LONGEST_REASON,
            f"{', '.join(offers)} and sign_accepted belong to an offer": self.answer == OFFER
            or not (offers or self.sign_accepted),
        }

    def digest(self) -> str:
        """Return the SHA-256 of the rule as it stands, hex: what the log names beside its name."""
        return digest({name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()})

    @property
    def by(self) -> str:
        """Who answers, as the bargaining says it."""
        return f"rule:{self.name}"


@dataclass(frozen=True, slots=True)
class Answers:
    """A hospital's rules, in their order. None: a person decides everything."""

    rules: tuple[AnswerRule, ...] = ()

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if len(names) > MOST_RULES or len(set(names)) < len(names):
            raise ConfigInvalid(f"answers: {MOST_RULES} rules at most, each with a name of its own")

    def matching(self, product: DataProduct, asked: Mapping[str, Any], country: str) -> AnswerRule | None:
        """Return the first rule that is about a request, None where none is. country: where its buyer stores things.

        Raises PriceInvalid where the request orders what the product does not offer.
        """
        return next((rule for rule in self.rules if is_about(rule, product, asked, country)), None)


def rule_of(actor: Identity) -> str | None:
    """Return the name of the rule that acts, None where a person does."""
    return actor.spiffe_id.rpartition("/")[2] if actor.role == ROLE else None


def is_about(rule: AnswerRule, product: DataProduct, asked: Mapping[str, Any], country: str) -> bool:
    """Return whether a rule is about a request for a product."""
    access = from_document(AccessRequest, asked["access"], "access")
    return product.level <= rule.level_most and all(
        (
            not rule.products or product.id in rule.products,
            not rule.purposes or set(access.purposes()) <= set(rule.purposes),
            not rule.modes or asked["delivery_mode"] in rule.modes,
            not rule.buyers or asked["consumer"] in rule.buyers,
            not rule.countries or country in rule.countries,
            not rule.non_profit or (access.commercial is False and access.for_profit is False),
            rule.rounds_most is None or asked["max_rounds"] <= rule.rounds_most,
            rule.amount_most is None or is_within(rule, product, asked),
        )
    )


def is_within(rule: AnswerRule, product: DataProduct, asked: Mapping[str, Any]) -> bool:
    """Return whether what is ordered costs at most what a rule allows, in its currency."""
    price = ordered_price(product, order_of(asked))
    units = max(1, int(asked["max_rounds"])) if price.plan is PricePlan.PER_ROUND else 1
    return price.currency == rule.currency and price.amount_cents * units <= (rule.amount_most or 0)


def proposal(rule: AnswerRule, asked: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    """Return a request as a rule would offer it; the same where it is within that already, None where none of the
    columns asked is offered.

    Nothing grows: columns, rounds and term are at most those asked.
    """
    order = dict(asked.get(ORDER, {}))
    if rule.plan:
        order["plan"] = rule.plan
    if rule.columns:
        wanted = order.get("columns") or ()
        order["columns"] = [one for one in rule.columns if not wanted or one in wanted]
        if not order["columns"]:
            return None
    found = {**asked, ORDER: order} if order else dict(asked)
    if rule.rounds is not None:
        found["max_rounds"] = min(int(asked["max_rounds"]), rule.rounds)
    if rule.days is not None:
        latest = now + timedelta(days=rule.days)
        if UNTIL not in asked or datetime.fromisoformat(asked[UNTIL]) > latest:
            found[UNTIL] = format_time(latest)
    return dict(asked) if is_same(found, asked) else found


def is_same(found: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Return whether two requests ask for the same; the order of columns says nothing."""

    def plain(one: Mapping[str, Any]) -> dict[str, Any]:
        order = dict(one.get(ORDER, {}))
        order["columns"] = sorted(order.get("columns") or ())
        return {**one, ORDER: order}

    return plain(found) == plain(asked)
