"""A person of a hospital at the command line: reads what the node proposes, signs it, decides requests."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from hdex.node.contract_record import ContractRecord
from hdex.node.documents import Document
from hdex.node.keys import KeyProvider
from hdex.node.signed import Envelope, sign

Say = Callable[[str, str], None]


class Desk(Protocol):
    """The person's own node. Raises PeerUnavailable and RemoteRefused."""

    def ingest(self, dataset: str, path: Path, view: str, say: Say) -> Document: ...
    def classify(self, dataset: str, say: Say) -> Document: ...
    def approve(self, kind: str, dataset: str, envelope: Envelope) -> Document: ...
    def deidentify(self, dataset: str, order: Mapping[str, str], say: Say) -> Document: ...
    def publish(self, dataset: str, version: str, offer: Mapping[str, Any], say: Say) -> Document: ...
    def requests(self) -> list[ContractRecord]: ...
    def decide(self, contract_id: str, *, approve: bool, reason: str = "") -> ContractRecord: ...
    def revoke(self, contract_id: str, reason: str) -> ContractRecord: ...
    def withdraw_consent(self, dataset: str, patient_file: Path) -> Document: ...
    def status(self) -> Document: ...


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

    def ingest(self, dataset: str, path: Path, view: str, say: Say) -> Document:
        """Have an export read; where a mapping is proposed, sign it and have the export kept."""
        answer = self.desk.ingest(dataset, path, view, say)
        if answer["state"] == "mapping.proposed":
            mapping = answer["mapping"]
            if isinstance(mapping, dict):
                self.sign("mapping", dataset, mapping)
            answer = self.desk.ingest(dataset, path, view, say)
        return answer
