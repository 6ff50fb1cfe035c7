"""A hospital answers requests by its rules, where no person has to: agree, offer, or leave it.

A rule does what a person's click does, by the same verbs and through the same gates, and is logged by its name and its
digest. Once a person has offered, or a rule was refused, the negotiation is left to people. Nothing else is kept: what
waits is looked at when it comes, and again by the clock.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hdex.catalog.contract import State
from hdex.catalog.errors import CatalogError
from hdex.node.answer_rules import AGREE, OFFER, PERSON, ROLE, AnswerRule, Answers, is_same, proposal
from hdex.node.contract_record import ContractRecord
from hdex.node.directory import Directory
from hdex.node.errors import NodeError, describe
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.offers import Offers
from hdex.node.hospital.products import Products
from hdex.node.identity import Identity
from hdex.node.recorder import REFUSALS
from hdex.node.signed import digest

logger = logging.getLogger(__name__)
WAITING = (State.REQUESTED, State.ACCEPTED)
Key = tuple[str, str, int]
AGREED = "agree"  # a word of the bargaining: a rule has agreed


@dataclass(frozen=True, slots=True)
class Deed:
    """What a rule does about a record: agree to `asked`, or offer it."""

    rule: AnswerRule
    answer: str
    asked: dict[str, object]


class RuleAnswers:
    """One hospital's rules at work. me: its own process, as the directory names it."""

    def __init__(
        self, answers: Answers, negotiations: Negotiations, offers: Offers, products: Products, *,
        me: Identity, directory: Directory, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._answers = answers
        self._negotiations = negotiations
        self._offers = offers
        self._products = products
        self._me = me
        self._directory = directory
        self._clock = clock
        self._lock = threading.Lock()
        self._left: set[Key] = set()  # what is not tried again while this process runs

    def answer(self, contract_id: str) -> None:
        """Answer one request where a rule does; where none may, it waits for a person. What fails is tried again."""
        if self._answers.rules:
            self._tried(self._negotiations.get(contract_id))

    def sweep(self) -> None:
        """Look at everything that waits: what came while this process was away, or could not be told."""
        if not self._answers.rules:
            return
        records = self._negotiations.all()
        with self._lock:
            self._left &= {key_of(one) for one in records}
        for record in records:
            self._tried(record)

    def _tried(self, record: ContractRecord) -> None:
        try:
            self._look(record)
        except (NodeError, CatalogError) as error:
            logger.warning("a rule's answer waits", extra={"reason": describe(error).rule})

    def _look(self, record: ContractRecord) -> None:
        key = key_of(record)
        with self._lock:
            if key in self._left or not is_open(record):
                return
            self._left.add(key)  # one thread looks at one state of a record
        try:
            self._answered(record)
        except (NodeError, CatalogError) as error:
            if (problem := describe(error)).status not in REFUSALS:
                with self._lock:
                    self._left.discard(key)  # a peer is away: it is tried again
                raise
            logger.info("a rule leaves it", extra={"contract": record.contract_id, "rule": problem.rule})

    def _answered(self, record: ContractRecord) -> None:
        if record.state == State.AGREED:  # by a rule, and perhaps not told
            self._negotiations.decide(record.contract_id, self._me, approved=True)
            return
        deed = self._deed(record)
        if deed is None:
            return
        actor = Identity(f"{self._me.spiffe_id}/{ROLE}/{deed.rule.name}", "hospital", self._me.participant, ROLE)
        read = digest(record.asked)
        if deed.answer == OFFER:
            self._offers.by_rule(deed.rule, deed.asked, read, actor)
        else:
            self._negotiations.decide(record.contract_id, actor, approved=True, rule=deed.rule, read=read)

    def _deed(self, record: ContractRecord) -> Deed | None:
        """Return what the first matching rule does; None where it is a person's."""
        asked = record.asked
        product = self._products.live(asked["product"], asked["manifest_digest"])
        country = self._directory.member(asked["consumer"]).storage_country
        rule = self._answers.matching(product, asked, country)
        if rule is None or rule.answer == PERSON:
            return None
        if rule.answer == AGREE:
            return Deed(rule, AGREE, asked)
        offered = proposal(rule, asked, self._clock())
        if offered is None:
            return None
        if is_same(offered, asked):
            return Deed(rule, AGREE, asked) if rule.sign_accepted else None
        made = sum(one["kind"] == OFFER for one in record.bargain)
        return Deed(rule, OFFER, offered) if record.state == State.REQUESTED and made < rule.counters else None


def is_open(record: ContractRecord) -> bool:
    """Return whether a rule may speak: no person has, or what a rule agreed to may be untold."""
    if record.revoked:
        return False
    if record.state == State.AGREED:
        return bool(record.bargain) and record.bargain[-1]["kind"] == AGREED
    by_person = any(one["kind"] == OFFER and not one["by"].startswith("rule:") for one in record.bargain)
    return record.state in WAITING and not by_person and not record.approvals


def key_of(record: ContractRecord) -> Key:
    """Return what a record stands for: another state, or another word of the bargaining, is looked at anew."""
    return record.contract_id, str(record.state), len(record.bargain)
