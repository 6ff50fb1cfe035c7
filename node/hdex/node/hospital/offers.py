"""Counter-offers: a provider answers a request with other columns, plan, rounds or end; the consumer accepts or not.

Each answer is a paper: the provider signs its offer, the consumer a request of the same contract with other terms. What
was accepted is signed as an agreement by a decision, as any request. Who offers is a person, or a rule of the hospital.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hdex.catalog.contract import Message, Party, State, step
from hdex.catalog.documents import to_document
from hdex.catalog.quote import ordered_price
from hdex.ledger.event import format_time
from hdex.node.answer_rules import AnswerRule, rule_of
from hdex.node.contract_record import (
    ORDER,
    UNTIL,
    ContractRecord,
    bargained,
    named,
    order_of,
    read_request,
    require_read,
)
from hdex.node.directory import Directory
from hdex.node.documents import Document
from hdex.node.errors import AccessDenied, RequestInvalid
from hdex.node.hospital.access_record import read_texts
from hdex.node.hospital.contract_shelf import about
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.products import Products
from hdex.node.hospital.signatory import Signatory
from hdex.node.hospital.staff import OFFICER, Staff
from hdex.node.identity import Identity
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import Envelope, digest, sign, single, verify

OFFER_ORDER, OFFER = "contract.offer", "offer"  # what the officer signs, and what the node signs for the consumer
FIELDS = frozenset({"contract", "plan", "columns", "rounds", "until", "reason", "at"})
MOST_OFFERS = 20  # of one negotiation: its papers stay with it
TERMS = (ORDER, "max_rounds", UNTIL)  # of a request: what an answer may change, beside the statement
PENDING = ("offer.pending", "the consumer accepts or counters: hdex buy negotiate --accept, --counter")
ACCEPTED = {"rule": "approval.pending", "next_step": "a person signs what was accepted: hdex node decide"}
COUNTERED = {"rule": "approval.pending", "next_step": "a person decides about the counter-offer: hdex node decide"}


@dataclass(frozen=True, slots=True)
class Said:
    """Who offers (a role, or `rule:` and its name), why, and the digest of the paper or rule that says so."""

    name: str
    reason: str
    policy: str


class Offers:
    """One provider's offers in negotiations over the Dataspace Protocol."""

    def __init__(
        self, signer: Signatory, negotiations: Negotiations, products: Products, staff: Staff, *,
        directory: Directory, recorder: Recorder,
    ) -> None:  # fmt: skip
        self._signer = signer
        self._negotiations = negotiations
        self._shelf = negotiations.lives.shelf
        self._products = products
        self._staff = staff
        self._directory = directory
        self._recorder = recorder

    def order(self, envelope: Envelope, actor: Identity) -> Document:
        """Answer a request with an offer, by the officer's paper. Raises AccessDenied, TransitionForbidden."""
        name = named(envelope, "contract")
        with self._recorder.refusals("contract.offer", actor, contract=name):
            if actor.role != OFFICER:
                raise AccessDenied("contract.offer.role", f"ask the {OFFICER}", "this order is signed by another role")
            paper = read_texts(self._staff.verified(OFFER_ORDER, single(envelope), OFFICER), FIELDS)
            self._negotiations.exchange.require_offers(name)
            with self._shelf.changing:
                record = self._shelf.get(paper["contract"])
                step(State(record.state), Party.PROVIDER, Message.OFFER)
                asked = proposed(record.asked, paper)
                said = Said(OFFICER, paper["reason"], digest(paper))
                offer = self._offered(record, asked, actor, said)
        self._negotiations.exchange.submit_offer(offer)
        return {"contract": record.contract_id, "state": State.OFFERED.value, "offer": offer["document"]}

    def by_rule(self, rule: AnswerRule, asked: Mapping[str, Any], read: str, actor: Identity) -> None:
        """Answer a request with what a rule offers. read: the digest of the request that the rule matched.

        Raises AccessDenied where a person's offer would be refused, or the request is left to people.
        """
        name = str(asked["contract_id"])
        with self._recorder.refusals("contract.offer", actor, contract=name):
            self._negotiations.exchange.require_offers(name)
            with self._shelf.changing:
                record = self._shelf.get(name)
                require_read(record, read)
                self._negotiations.require_nobody(record, actor)
                offer = self._offered(record, read_request(asked), actor, Said(rule.by, rule.reason, rule.digest()))
        self._negotiations.exchange.submit_offer(offer)

    def _offered(self, record: ContractRecord, asked: Mapping[str, Any], actor: Identity, by: "Said") -> Envelope:
        """Sign and keep an offer of the terms of `asked`. Raises AccessDenied, TransitionForbidden."""
        state = step(State(record.state), Party.PROVIDER, Message.OFFER)
        if sum(one["kind"] == OFFER for one in record.bargain) >= MOST_OFFERS:
            raise AccessDenied("offer.many", "agree to what was asked, or refuse it", f"{MOST_OFFERS} offers were made")
        product = self._products.live(asked["product"], asked["manifest_digest"])
        if isinstance(refused := self._negotiations.passage(product, dict(asked)), AccessDenied):
            raise refused
        said = {name: asked[name] for name in TERMS if name in asked}
        said |= {"contract_id": record.contract_id, "manifest_digest": asked["manifest_digest"]}
        said |= {"price": to_document(ordered_price(product, order_of(asked))), "reason": by.reason}
        now, me = self._signer.clock(), self._signer
        offer = sign(OFFER, said | {"at": format_time(now)}, me.hospital, me.sign_key)
        facts = about(record.asked) | Facts(policy_digest=by.policy, result_digest=digest(offer["document"]))
        told = bargained(record, OFFER, now, by=by.name, paper=offer, policy=by.policy)
        with self._recorder.release("contract.offer", actor, rule=rule_of(actor), **facts):
            moved = record.moved(state, offer=offer, bargain=told, rule=PENDING[0], next_step=PENDING[1])
            self._shelf.store(moved)
        return offer

    def require_answer(self, contract_id: str, paper: Envelope | None, *, accepts: bool) -> dict[str, Any]:
        """Return the request by which a consumer answers an offer. Raises AccessDenied, SignatureInvalid."""
        record = self._shelf.get(contract_id)
        if paper is None:
            raise AccessDenied("paper.absent", "carry the signed request", "the answer carries no paper")
        asked = read_request(verify("request", paper, self._directory.sign_keys(str(record.asked["consumer"]))))
        if record.state != State.OFFERED or record.offer is None:
            if record.asked == asked:
                return asked  # heard before
            raise AccessDenied("offer.absent", "read the contract's state again", f"the contract is {record.state}")
        require_same_subject(record, asked)
        offered = record.offer["document"]
        if accepts and any(asked.get(name) != offered.get(name) for name in TERMS):
            raise AccessDenied("offer.other", "accept the offer as it is, or counter it", "other terms are accepted")
        return asked

    def answered(self, contract_id: str, paper: Envelope, actor: Identity, *, accepts: bool) -> ContractRecord:
        """Keep a consumer's answer: an accepted offer waits for a person, a counter is considered as a new request."""
        action = "contract.accept" if accepts else "contract.request"
        with self._recorder.refusals(action, actor, contract=contract_id), self._shelf.changing:
            asked = self.require_answer(contract_id, paper, accepts=accepts)
            record = self._shelf.get(contract_id)
            if record.state != State.OFFERED:
                return record
            state = step(State.OFFERED, Party.CONSUMER, Message.ACCEPT if accepts else Message.REQUEST)
            told = bargained(
                record, "accept" if accepts else "counter", self._signer.clock(), by=asked["consumer"], paper=paper
            )
            product = self._products.live(asked["product"], asked["manifest_digest"])
            refused = self._negotiations.passage(product, asked)
            if isinstance(refused, AccessDenied):
                self._recorder.deny("contract.refuse", actor, refused.rule, **about(asked))
                ended = step(state, Party.PROVIDER, Message.TERMINATION)
                said = {"rule": refused.rule, "next_step": refused.next_step}
                return self._shelf.store(record.moved(ended, request=paper, bargain=told, **said))
            with self._recorder.release(action, actor, **about(asked)):
                moved = record.moved(state, request=paper, offer=None, approvals=(), bargain=told)
                return self._shelf.store(moved.moved(state, **(ACCEPTED if accepts else COUNTERED)))


def proposed(asked: Mapping[str, Any], paper: Mapping[str, str]) -> dict[str, Any]:
    """Return a request with the terms that an offer proposes; an empty text leaves a term as it was asked."""
    order = dict(asked.get(ORDER, {}))
    if paper["plan"]:
        order["plan"] = paper["plan"]
    if paper["columns"]:
        order["columns"] = [one.strip() for one in paper["columns"].split(",") if one.strip()]
    if paper["rounds"] and not paper["rounds"].isdecimal():
        raise RequestInvalid("rounds are a whole number")
    said: dict[str, Any] = {ORDER: order} if order else {}
    said |= {UNTIL: paper["until"]} if paper["until"] else {}
    said |= {"max_rounds": int(paper["rounds"])} if paper["rounds"] else {}
    return read_request({**asked, **said})


def require_same_subject(record: ContractRecord, asked: Mapping[str, Any]) -> None:
    """Raise AccessDenied where an answer changes more than its terms."""
    beside = {*TERMS, "statement"}
    for name in {*record.asked, *asked} - beside:
        if record.asked.get(name) != asked.get(name):
            raise AccessDenied("request.differs", "ask anew under a new id", f"the answer has another {name}")
