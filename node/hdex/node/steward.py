"""A person of a hospital at the command line: reads what the node proposes, signs it, decides requests."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from hdex.ledger.event import format_time
from hdex.node.contract_record import ContractRecord
from hdex.node.documents import Document
from hdex.node.errors import NotFound
from hdex.node.keys import KeyProvider
from hdex.node.signed import Envelope, sign

Say = Callable[[str, str], None]


class Desk(Protocol):
    """The person's own node. Raises PeerUnavailable and RemoteRefused."""

    def ingest(self, dataset: str, path: Path, view: str, say: Say) -> Document: ...
    def classify(self, dataset: str, say: Say) -> Document: ...
    def approve(self, kind: str, dataset: str, envelope: Envelope) -> Document: ...
    def deidentify(self, dataset: str, order: Mapping[str, str], say: Say) -> Document: ...
    def assess(self, dataset: str, version: str, offer: Mapping[str, Any], say: Say) -> Document: ...
    def publish(self, dataset: str, version: str, offer: Mapping[str, Any], say: Say) -> Document: ...
    def requests(self) -> list[ContractRecord]: ...
    def decide(self, contract_id: str, *, approve: bool, reason: str = "") -> ContractRecord: ...
    def revoke(self, contract_id: str, reason: str) -> ContractRecord: ...
    def withdraw_consent(self, dataset: str, patient_file: Path) -> Document: ...
    def runs(self) -> list[Document]: ...
    def status(self) -> Document: ...
    def read(self, part: str, dataset: str = "", version: str = "") -> Document: ...
    def accesses(self, question: Mapping[str, str], *, before: int, limit: int) -> Document: ...


class Steward:
    """One person: `signer` is hospital/role as the hospital's staff.json lists it."""

    def __init__(self, signer: str, keys: KeyProvider, desk: Desk) -> None:
        self.signer = signer
        self.desk = desk
        self._keys = keys

    def sign(self, kind: str, dataset: str, document: Mapping[str, Any]) -> Document:
        """Sign a mapping or a classification that was read, and hand it to the node."""
        envelope = sign(kind, document, self.signer, self._keys.secret("sign"))
        return self.desk.approve(kind, dataset, envelope)

    def assess(self, dataset: str, version: str, offer: Mapping[str, Any], say: Say) -> Document:
        """Have a version's manifest drafted and sign its assessment; another role signs the same words again."""
        answer = self.desk.assess(dataset, version, offer, say)
        return self.sign("assessment", dataset, answer["assessment"])

    def publish(self, dataset: str, version: str, offer: Mapping[str, Any], say: Say) -> Document:
        """Sign the assessment as the second and have the version listed."""
        self.assess(dataset, version, offer, say)
        return self.desk.publish(dataset, version, offer, say)

    def review(self, run: str, *, approve: bool, reason: str = "", shown: str = "") -> Document:
        """Sign the script of a run that waits to be run, or the output of one that waits to be released.

        shown: the digest of what was read; where another waits by now, the node refuses.
        """
        row = next((one for one in self.desk.runs() if one["run"] == run), None)
        if row is None:
            raise NotFound("no such run waits for a person")
        is_script = row["state"] == "SUBMITTED"
        digest = shown or (row["script_digest"] if is_script else row["output_digest"])
        paper = {"run": run, "digest": digest, "approve": approve, **({"reason": reason} if reason else {})}
        return self.sign("enclave.script" if is_script else "enclave.output", "", paper)

    def order(self, kind: str, product: str, reason: str, *, version: str = "") -> Document:
        """Sign an order about a product (`product.suspend`, `.resume`, `.withdraw`) and have it carried out."""
        paper = {"product": product, "version": version, "reason": reason, "at": format_time(datetime.now(UTC))}
        return self.sign(kind, product, paper)

    def order_contract(self, kind: str, contract: str, reason: str) -> Document:
        """Sign an order about a contract (`contract.suspend`, `.resume`) and have it carried out."""
        return self.sign(kind, "", {"contract": contract, "reason": reason, "at": format_time(datetime.now(UTC))})

    def offer(self, contract: str, reason: str, terms: Mapping[str, str]) -> Document:
        """Sign other terms for a request (plan, columns, rounds, until; empty leaves one) and have them offered."""
        paper = {"contract": contract, "reason": reason, "at": format_time(datetime.now(UTC)), **terms}
        return self.sign("contract.offer", "", paper)

    def ingest(self, dataset: str, path: Path, view: str, say: Say) -> Document:
        """Have an export read; where a mapping is proposed, sign it and have the export kept."""
        answer = self.desk.ingest(dataset, path, view, say)
        if answer["state"] == "mapping.proposed":
            mapping = answer["mapping"]
            if isinstance(mapping, dict):
                self.sign("mapping", dataset, mapping)
            answer = self.desk.ingest(dataset, path, view, say)
        return answer
