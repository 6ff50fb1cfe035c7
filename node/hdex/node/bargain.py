"""A buyer's answers to a provider's offer, over the Dataspace Protocol: accept it as it is, or counter it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from hdex.catalog.contract import State
from hdex.node.buyer import Buyer
from hdex.node.contract_record import ORDER, UNTIL, ContractRecord, read_request
from hdex.node.directory import Directory
from hdex.node.durable import write_atomic
from hdex.node.errors import AccessDenied
from hdex.node.keys import KeyProvider
from hdex.node.signed import Envelope, sign, verify

TERMS = (ORDER, "max_rounds", UNTIL)


class Table(Protocol):
    """Where answers are given."""

    def answer(self, request: Envelope, *, verb: str) -> ContractRecord:
        """Send a signed request as the acceptance ("accept") or the counter ("counter") of an offer."""
        ...


class Bargain:
    """One buyer over one provider's offers. folder: where its papers lie."""

    def __init__(self, buyer: Buyer, keys: KeyProvider, directory: Directory, *, table: Table, folder: Path) -> None:
        self._buyer = buyer
        self._keys = keys
        self._directory = directory
        self._table = table
        self._folder = folder

    def offered(self, contract_id: str) -> dict[str, Any]:
        """Return the provider's signed offer. Raises AccessDenied where none waits."""
        record = self._buyer.status(contract_id)
        if record.state != State.OFFERED or record.offer is None:
            raise AccessDenied("offer.absent", "wait for the provider", f"the contract is {record.state}, not OFFERED")
        provider = self._directory.require(str(record.asked["provider"]), "hospital")
        said = verify("offer", record.offer, {provider.id: provider.sign_key})
        if (said.get("contract_id"), said.get("manifest_digest")) != (contract_id, record.asked["manifest_digest"]):
            raise AccessDenied("offer.other", "tell the provider", "the offer is about another contract or version")
        return said

    def accept(self, contract_id: str) -> ContractRecord:
        """Accept an offer as it is."""
        offer = self.offered(contract_id)
        return self._answer(contract_id, {name: offer.get(name) for name in TERMS}, "accept")

    def counter(self, contract_id: str, terms: Mapping[str, Any]) -> ContractRecord:
        """Counter an offer. terms: order, max_rounds and until as they are asked; what is absent is as it was asked."""
        self.offered(contract_id)
        return self._answer(contract_id, terms, "counter")

    def _answer(self, contract_id: str, terms: Mapping[str, Any], verb: str) -> ContractRecord:
        asked = {**self._buyer.status(contract_id).asked, **terms}
        document = read_request({name: value for name, value in asked.items() if value is not None})
        paper = sign("request", document, self._buyer.me, self._keys.secret("sign"))
        record = self._table.answer(paper, verb=verb)
        write_atomic(self._folder / f"{contract_id}.request.json", json.dumps(paper, ensure_ascii=False).encode())
        return record
