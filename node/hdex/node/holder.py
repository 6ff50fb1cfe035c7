"""A buyer's verbs with a contract it has: how it stands, renew it, end its negotiation, attest deletion at its end."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from hdex.catalog.attestation import Attestation, Kept, require_kept
from hdex.catalog.contract import Agreement, State, agreement_digest
from hdex.catalog.documents import from_document
from hdex.catalog.terms import AccessRequest
from hdex.ledger.event import format_time
from hdex.node.buyer import Buyer, Wish
from hdex.node.contract_record import ContractRecord, order_of
from hdex.node.durable import write_atomic
from hdex.node.errors import AccessDenied, PeerUnavailable
from hdex.node.keys import KeyProvider
from hdex.node.signed import Envelope, canonical, sign

KEPT = (  # papers, no rows
    ".receipt.json",
    ".manifest.json",
    ".request.json",
    ".log.jsonl",
    ".attestation.json",
    ".seen.json",
)


class Custodian(Protocol):
    """A contract's provider as its holder asks it. Raises PeerUnavailable and RemoteRefused."""

    def standing(self, provider: str, contract_id: str) -> dict[str, Any]: ...
    def attest(self, provider: str, attestation: Envelope) -> dict[str, Any]: ...


class Ending(Protocol):
    """Where a negotiation can be ended by its consumer."""

    def withdraw(self, termination: Envelope) -> ContractRecord: ...


class Holder:
    """One organisation and its contracts. folder: where what was fetched lies."""

    def __init__(
        self, buyer: Buyer, keys: KeyProvider, *,
        custodian: Custodian, ending: Ending, folder: Path, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._buyer = buyer
        self._keys = keys
        self._custodian = custodian
        self._ending = ending
        self._folder = folder
        self._clock = clock

    def standing(self, contract_id: str) -> dict[str, Any]:
        """Return how a contract stands: what was negotiated, and once it is final the provider's own word."""
        record = self._buyer.status(contract_id)
        found: dict[str, Any] = {
            "contract": contract_id,
            "state": record.state,
            "rule": record.rule,
            "next_step": record.next_step,
            "grant": record.grant_id,
        }
        if record.offer is not None:
            found["offer"] = record.offer["document"]
        if record.state != State.FINALIZED:
            return found
        try:
            return found | self.told(record)
        except PeerUnavailable:
            return found | {"next_step": "the provider does not answer; ask again for how the contract stands there"}

    def told(self, record: ContractRecord) -> dict[str, Any]:
        """Return the provider's own word about a final contract, as it was said. Raises PeerUnavailable."""
        return self._custodian.standing(str(record.asked["provider"]), record.contract_id)

    def renew(self, contract_id: str, *, rounds: int | None = None, statement: str = "") -> ContractRecord:
        """Ask for a contract of the same terms that takes another one's place; both sides sign it as any other."""
        asked = self._buyer.status(contract_id).asked
        access = from_document(AccessRequest, asked["access"], "access")
        wish = Wish(
            product=str(asked["product"]),
            delivery_mode=str(asked["delivery_mode"]),
            access=replace(access, at=format_time(self._clock())),
            max_rounds=int(asked["max_rounds"]) if rounds is None else rounds,
            statement=statement or str(asked["statement"]),
            order=order_of(asked),
            renews=contract_id,
        )
        return self._buyer.request(wish)

    def withdraw(self, contract_id: str, reason: str) -> ContractRecord:
        """End a negotiation that is not final, and have the provider told."""
        paper = {"contract_id": contract_id, "reason": reason, "at": format_time(self._clock())}
        return self._ending.withdraw(self._signed("termination", paper))

    def attest(
        self, contract_id: str, deleted: Sequence[str], *, copies: int, kept: Sequence[Kept] = (), delete: bool = False
    ) -> dict[str, Any]:
        """Sign what was deleted and what is kept, hand it to the provider, keep it, and return how the contract stands.

        delete: this machine's files first, once the paper is one that can be signed: what would be refused for its
        form deletes nothing. Raises AccessDenied while this machine still holds the file: a signature must not say
        what is not so.
        """
        record = self._buyer.status(contract_id)
        if record.agreement is None:
            raise AccessDenied("contract.state", "withdraw instead", f"the contract is {record.state}, not FINALIZED")
        paper = self._attestation(record, deleted, copies, kept)
        if delete:
            self.delete(contract_id)
        if left := self.held(contract_id):
            raise AccessDenied(
                "attestation.file_here", "delete it first: --delete", f"{len(left)} file(s) of this contract lie here"
            )
        envelope = self._signed("attestation", paper)
        answer = self._custodian.attest(str(record.asked["provider"]), envelope)
        write_atomic(self._folder / f"{contract_id}.attestation.json", canonical(envelope))
        return answer

    def held(self, contract_id: str) -> list[Path]:
        """Return the files of a contract's rows on this machine, unfinished ones included; papers are none."""
        found = sorted(path for path in self._folder.iterdir() if path.name.startswith(f"{contract_id}."))
        return [path for path in found if path.name.removeprefix(contract_id) not in KEPT]

    def delete(self, contract_id: str) -> int:
        """Delete a contract's rows from this machine and return how many files there were."""
        files = self.held(contract_id)
        for path in files:
            path.unlink()
        return len(files)

    def _attestation(
        self, record: ContractRecord, deleted: Sequence[str], copies: int, kept: Sequence[Kept]
    ) -> dict[str, Any]:
        """Return the paper, checked as the provider will. Raises AttestationInvalid, DocumentInvalid."""
        document: dict[str, Any] = record.agreement["document"] if record.agreement else {}
        paper: dict[str, Any] = Attestation(
            contract_id=record.contract_id,
            agreement_digest=agreement_digest(document),
            consumer=self._buyer.me,
            deleted=tuple(deleted),
            copies=copies,
            at=format_time(self._clock()),
            kept=tuple(kept),
        ).document()
        require_kept(Attestation.from_document(paper), Agreement.from_document(document))
        return paper

    def _signed(self, kind: str, paper: dict[str, Any]) -> Envelope:
        return sign(kind, paper, self._buyer.me, self._keys.secret("sign"))
