"""What moves a final contract: each step is held against its guards, signed by the node, remembered, then kept.

People suspend and resume by a signed order, the clock ends terms, the consumer gives back and attests deletion. What
has ended owes an attestation where rows left under a clause that asks for it; who is late gets no new contract.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hdex.catalog.attestation import DELETION_DAYS, Attestation, require_kept
from hdex.catalog.contract import Agreement, agreement_digest
from hdex.catalog.contract_life import CONSUMER, ENDED, LIFE, LIVE, LifeArrow, LifeEvidence, LifeState
from hdex.ledger.event import format_time
from hdex.node.contract_record import RENEWS, ContractRecord, named
from hdex.node.directory import Directory
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, NotFound
from hdex.node.facts import ChainFacts
from hdex.node.hospital.access_record import read_texts
from hdex.node.hospital.contract_shelf import ContractShelf, about
from hdex.node.hospital.signatory import Signatory
from hdex.node.hospital.staff import OFFICER, Staff
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.identity import Identity
from hdex.node.recorder import Facts, Recorder
from hdex.node.signed import Envelope, digest, sign, single, verify

STEP, ATTESTATION = "contract.step", "attestation"
ORDERS = {"contract.suspend": LifeArrow.SUSPEND, "contract.resume": LifeArrow.RESUME}  # kinds of signed papers
ORDERED = "contract_order"
ORDER_FIELDS = frozenset({"contract", "reason", "at"})
LONGEST_CHAIN = 1000  # renewals of renewals
Tell = Callable[[ContractRecord, LifeArrow, str], None]


@dataclass(frozen=True, slots=True)
class LifeRoom:
    """What a contract's life is reckoned from. tell: hears of each step; it decides nothing."""

    staff: Staff
    book: UsageBook
    documents: Documents
    tell: Tell = lambda record, arrow, reason: None


class ContractLives:
    """The lives of one provider's contracts."""

    def __init__(
        self, signer: Signatory, shelf: ContractShelf, room: LifeRoom, *,
        directory: Directory, recorder: Recorder, facts: ChainFacts,
    ) -> None:  # fmt: skip
        self._signer = signer
        self._shelf = self.shelf = shelf
        self.book = room.book
        self._room = room
        self._directory = directory
        self._recorder = recorder
        self._facts = facts

    def order(self, kind: str, envelope: Envelope, *, actor: Identity) -> Document:
        """Suspend or resume a contract by the privacy officer's paper {contract, reason, at}."""
        arrow = ORDERS[kind]
        with self._recorder.refusals(f"contract.{arrow.value}", actor, contract=named(envelope, "contract")):
            if actor.role != OFFICER:
                raise AccessDenied(f"{kind}.role", f"ask the {OFFICER}", "this order is signed by another role")
            paper = read_texts(self._room.staff.verified(kind, single(envelope), OFFICER), ORDER_FIELDS)
            self.sweep()
            with self._shelf.changing:
                record = self._final(paper["contract"])
                self._require_new(f"{kind}/{digest(paper)}")
                evidence = self._evidence(record, by=actor.role, reason=paper["reason"])
                record = self._move(record, arrow, evidence, actor=actor, paper=paper)
                self._room.documents.put(ORDERED, f"{kind}/{digest(paper)}", {"envelope": envelope})
        self._room.tell(record, arrow, paper["reason"])
        return {"contract": record.contract_id, "life": record.life, "reason": paper["reason"]}

    def revoke(self, record: ContractRecord, reason: str, actor: Identity) -> ContractRecord:
        """Return the contract after its revocation. The caller holds the shelf's lock and tells everybody."""
        evidence = self._evidence(record, by=actor.role, reason=reason)
        said: dict[str, Any] = {"revoked": True, "rule": "contract.revoked", "next_step": reason}
        return self._settled(self._move(record, LifeArrow.REVOKE, evidence, actor=actor, **said), actor)

    def renewed(self, contract_id: str, newer: str, actor: Identity) -> ContractRecord:
        """End a contract whose renewal has become final; what it owes passes to the renewal."""
        with self._shelf.changing:
            record = self._final(contract_id)
            if record.lives in LIVE:
                evidence = self._evidence(record, renewed_by=newer, reason=f"renewed by {newer}")
                record = self._move(record, LifeArrow.COMPLETE, evidence, actor=actor)
                record = self._move(record, LifeArrow.CLOSE, self._evidence(record, renewed_by=newer), actor=actor)
        self._ended(record, LifeArrow.COMPLETE, f"renewed by {newer}")
        return record

    def attest(self, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Close a contract by its consumer's attestation of deletion; one that is live is given back by it.

        The same attestation again returns the contract as it stands.
        """
        with self._recorder.refusals("contract.close", actor, contract=named(envelope, "contract_id")):
            consumer = self._directory.require(actor.participant, "buyer")
            paper = verify(ATTESTATION, single(envelope), {consumer.id: consumer.sign_key})
            said = Attestation.from_document(paper)
            self.sweep()
            with self._shelf.changing:
                record = self._attested(said, consumer.id)
                if record.attestation is not None and digest(record.attestation["document"]) == digest(paper):
                    return record
                was_live = record.lives in LIVE
                if was_live:
                    evidence = self._evidence(record, by=CONSUMER, reason="given back")
                    record = self._move(record, LifeArrow.COMPLETE, evidence, actor=actor, paper=paper)
                record = self._closed(record, envelope, actor)
        if was_live:
            self._ended(record, LifeArrow.COMPLETE, "given back")
        return record

    def sweep(self) -> list[str]:
        """Do what the clock asks: end every contract whose term has ended, and return them."""
        ended = []
        while (name := self._shelf.next_due(self._signer.clock())) is not None:
            self._expired(name)
            ended.append(name)
        for name in self._shelf.unsettled():
            with self._shelf.changing:
                self._settled(self._final(name), self._me())
        return ended

    def require_attested(self, consumer: str) -> None:
        """Raise AccessDenied where the consumer's organisation is late with an attestation of deletion."""
        now = self._signer.clock()
        late = [one for one in self._shelf.owing() if one.due < now]
        if not late:
            return
        organisation = self._organisation(consumer)
        for one in late:
            if one.consumer == consumer or self._organisation(one.consumer) == organisation:
                raise AccessDenied(
                    "contract.attestation_overdue",
                    f"attest deletion first: hdex buy attest {one.contract_id}",
                    f"deletion under contract {one.contract_id} was to be attested by {format_time(one.due)}",
                )

    def _expired(self, name: str) -> None:
        me, reason = self._me(), "its term has ended"
        with self._shelf.changing:
            record = self._final(name)
            if record.lives in LIVE:
                evidence = self._evidence(record, reason=reason)
                record = self._settled(self._move(record, LifeArrow.EXPIRE, evidence, actor=me), me)
        self._room.tell(record, LifeArrow.EXPIRE, reason)

    def _closed(self, record: ContractRecord, envelope: Envelope, actor: Identity) -> ContractRecord:
        """Return the contract closed under an attestation, whether or not one was owed."""
        if record.lives in ENDED:
            record = self._settled(record, actor)
        if record.lives is LifeState.CLOSED:  # nothing was owed: the paper is kept all the same
            with self._recorder.release("contract.close", actor, **self._facts_of(record, envelope["document"])):
                return self._shelf.store(replace(record, attestation=envelope))
        evidence = self._evidence(record, by=CONSUMER, attested=True)
        said: dict[str, Any] = {"attestation": envelope, "due": ""}
        return self._move(record, LifeArrow.CLOSE, evidence, actor=actor, paper=envelope["document"], **said)

    def _settled(self, record: ContractRecord, actor: Identity) -> ContractRecord:
        """Return an ended contract with what it owes: an attestation by a day, or nothing."""
        evidence = self._evidence(record)
        if not evidence.owed:
            return self._move(record, LifeArrow.CLOSE, evidence, actor=actor)
        days = int(self._agreement(record).clauses[DELETION_DAYS] or 0)
        due = format_time(evidence.at + timedelta(days=days))
        return self._move(record, LifeArrow.OBLIGE, evidence, actor=actor, due=due)

    def _move(
        self, record: ContractRecord, arrow: LifeArrow, evidence: LifeEvidence, *,
        actor: Identity, paper: Document | None = None, **changes: Any,
    ) -> ContractRecord:  # fmt: skip
        """Return the contract after one step that was signed, remembered and kept; refused, nothing changes."""
        state = record.lives
        if state is None:
            raise AccessDenied("contract.state", "finish the negotiation", f"the contract is {record.state}")
        target, at = LIFE.advance(state, arrow, evidence), format_time(evidence.at)
        step = {
            "contract": record.contract_id,
            "agreement_digest": agreement_digest(record.agreement["document"]) if record.agreement else "",
            "arrow": arrow.value,
            "from": state.value,
            "to": target.value,
            "rules": list(LIFE.rules_of(state, arrow)),
            "by": evidence.by,
            "reason": evidence.reason,
            "at": at,
        }
        signed = sign(STEP, step, self._signer.hospital, self._signer.sign_key)
        facts = self._facts_of(record, paper) | Facts(policy_digest=digest(step))
        action = "grant.revoke" if arrow is LifeArrow.REVOKE else f"contract.{arrow.value}"
        with self._recorder.release(action, actor, **facts):
            return self._shelf.store(
                replace(record, life=target.value, since=at, steps=[*record.steps, signed], **changes)
            )

    def _ended(self, record: ContractRecord, arrow: LifeArrow, reason: str) -> None:
        self._facts.revoke_grant(record.grant_id)  # the chain must not show a grant that is honoured no more
        self._room.tell(record, arrow, reason)

    def _evidence(self, record: ContractRecord, **said: Any) -> LifeEvidence:
        expires = datetime.fromisoformat(self._agreement(record).expires)
        at = max(self._signer.clock(), datetime.fromisoformat(record.since)) if record.since else self._signer.clock()
        owed = record.lives in ENDED and not said.get("renewed_by") and self._owes(record)
        return LifeEvidence(at=at, expires=expires, owed=owed, **said)

    def _owes(self, record: ContractRecord) -> bool:
        """Return whether rows left under a clause that asks for their deletion, here or before a renewal."""
        seen = 0
        while seen < LONGEST_CHAIN:
            days = self._agreement(record).clauses.get(DELETION_DAYS)
            if type(days) is int and days >= 0 and self._room.book.has_delivered(record.contract_id):
                return True
            before = self._shelf.find(str(record.asked.get(RENEWS, "")))
            if before is None:
                return False
            record, seen = before, seen + 1
        return True

    def _attested(self, said: Attestation, consumer: str) -> ContractRecord:
        """Return the contract that an attestation is about. Raises AccessDenied where it is about another."""
        record = self._final(said.contract_id)
        if {said.consumer, str(record.asked["consumer"])} != {consumer}:
            raise AccessDenied("contract.foreign", "", "the contract is between others")
        agreement = self._agreement(record)
        if said.agreement_digest != agreement_digest(agreement.document()):
            raise AccessDenied(
                "attestation.other", "sign the digest of the agreement", "the attestation is about another agreement"
            )
        require_kept(said, agreement)
        return record

    def _final(self, contract_id: str) -> ContractRecord:
        """Return a contract that is final. Raises NotFound, AccessDenied."""
        record = self._shelf.get(contract_id)
        if record.lives is None:
            raise AccessDenied("contract.state", "finish the negotiation", f"the contract is {record.state}")
        return record

    def _agreement(self, record: ContractRecord) -> Agreement:
        return Agreement.from_document(record.agreement["document"] if record.agreement else {})

    def _facts_of(self, record: ContractRecord, paper: Document | None) -> Facts:
        facts = about(record.asked, record.grant_id)
        if paper is not None:
            facts["request_digest"] = digest(paper)
        return facts

    def _organisation(self, participant: str) -> str:
        """Return whose participant this is; one that has left the consortium is its own."""
        try:
            return self._directory.member(participant).organisation
        except NotFound:
            return participant

    def _me(self) -> Identity:
        member = self._directory.member(self._signer.hospital)
        return Identity(member.spiffe_id, member.kind, member.id)

    def _require_new(self, paper: str) -> None:
        """Raise AccessDenied where this very order was carried out: a copy of it must not suspend again."""
        try:
            self._room.documents.get(ORDERED, paper)
        except NotFound:
            return
        raise AccessDenied("contract.order", "sign a new order", "this order was carried out already")
