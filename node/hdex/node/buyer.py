"""A buyer's verbs: find, request, accept, fetch, open, study. What arrives is checked before it is believed."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hdex.catalog.contract import State
from hdex.catalog.documents import to_document
from hdex.catalog.product import DataProduct
from hdex.catalog.terms import AccessRequest
from hdex.ledger.event import format_time
from hdex.node.container import Header
from hdex.node.container_file import Receiver, open_frame
from hdex.node.contract_record import ContractRecord
from hdex.node.directory import Directory
from hdex.node.errors import AccessDenied
from hdex.node.keys import KeyProvider
from hdex.node.signed import Envelope, countersign, digest, sign, verify

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str, str], None]


class Market(Protocol):
    """The exchange as a buyer uses it."""

    def find(self, text: str, *, lang: str = "en", mode: str = "", provider: str = "") -> list[DataProduct]: ...
    def show(self, product_id: str) -> Envelope: ...
    def request(self, request: Envelope) -> ContractRecord: ...
    def verify(self, agreement: Envelope) -> ContractRecord: ...
    def status(self, contract_id: str) -> ContractRecord: ...
    def plan(self, question: Mapping[str, Any]) -> dict[str, Any]: ...
    def start(self, study: Envelope, say: Say) -> dict[str, Any]: ...


class Counter(Protocol):
    """A provider's delivery counter: one range of sealed chunks a call."""

    def deliver(self, provider: str, contract_id: str, first_chunk: int) -> Iterator[tuple[bytes, int, bytes]]:
        """Yield (prologue, 0, b"") first, then (b"", index, sealed chunk) of one range."""
        ...

    def acknowledge(self, provider: str, receipt: Envelope) -> None: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What a buyer asks for."""

    product: str
    delivery_mode: str
    access: AccessRequest
    max_rounds: int = 0
    statement: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a fetch brought: the sealed file once `complete`, bytes received in this call, chunks held so far."""

    path: Path
    complete: bool
    received: int
    chunks: int


class Buyer:
    """One organisation at the exchange. `folder` keeps what was fetched, chunk by chunk."""

    def __init__(
        self, me: str, keys: KeyProvider, directory: Directory, *,
        market: Market, counter: Counter, folder: Path, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._me = self.me = me
        self._keys = keys
        self._directory = directory
        self._market = market
        self._counter = counter
        self._folder = folder
        self._clock = clock

    def find(self, text: str, *, lang: str = "en", mode: str = "", provider: str = "") -> list[DataProduct]:
        """Return the products that match, best first."""
        return self._market.find(text, lang=lang, mode=mode, provider=provider)

    def show(self, product_id: str) -> tuple[DataProduct, str]:
        """Return a product and its manifest's digest, after checking its provider's signature."""
        envelope = self._market.show(product_id)
        provider = str(envelope["document"].get("provider", {}).get("id"))
        manifest = verify("manifest", envelope, self._directory.sign_keys(provider))
        return DataProduct.from_document(manifest), digest(manifest)

    def request(self, wish: Wish, *, contract_id: str = "") -> ContractRecord:
        """Sign a request and send it; raise AccessDenied with rule and next step where the provider's rules refuse."""
        product, manifest_digest = self.show(wish.product)
        document = {
            "contract_id": contract_id or str(uuid.uuid4()),
            "product": product.id,
            "version": product.version,
            "provider": product.provider.id,
            "manifest_digest": manifest_digest,
            "consumer": self._me,
            "delivery_mode": wish.delivery_mode,
            "max_rounds": wish.max_rounds,
            "statement": wish.statement,
            "access": to_document(wish.access),
        }
        return accepted(self._market.request(sign("request", document, self._me, self._keys.secret("sign"))))

    def accept(self, contract_id: str) -> ContractRecord:
        """Check the agreement against the request and sign it; raise AccessDenied while there is none."""
        record = accepted(self._market.status(contract_id))
        if record.state == State.FINALIZED:
            return record
        if record.agreement is None:
            raise AccessDenied(
                "agreement.pending", "wait for the provider's decision", f"the contract is {record.state}"
            )
        self._require_as_asked(record)
        signed = countersign("agreement", record.agreement, self._me, self._keys.secret("sign"))
        return accepted(self._market.verify(signed))

    def status(self, contract_id: str) -> ContractRecord:
        """Return where a contract stands."""
        return self._market.status(contract_id)

    def fetch(self, contract_id: str, *, stop_after: int | None = None) -> Delivered:
        """Receive the product range by range, from where an earlier call stopped, and verify it.

        `stop_after` ends the call once so many chunks are here, as a cut line would. Each chunk is checked when it
        arrives and the whole when it is complete; only then does the file have its name.
        """
        record = self._market.status(contract_id)
        provider = str(record.asked["provider"])
        path = self._folder / f"{contract_id}.hdx"
        if path.exists():
            return Delivered(path, True, 0, 0)
        receiver = self._receiver(path, provider)
        received = 0
        while not receiver.complete:
            for prologue, index, chunk in self._counter.deliver(provider, contract_id, receiver.next_index):
                if prologue:
                    receiver.begin(prologue, contract=contract_id)
                    continue
                receiver.accept(index, chunk)
                received += len(chunk)
                if stop_after is not None and receiver.next_index >= stop_after:
                    return Delivered(path, False, received, receiver.next_index)
        receiver.finish()
        self._acknowledge(record, receiver.header)
        return Delivered(path, True, received, receiver.next_index)

    def first_range(self, contract_id: str) -> int:
        """Ask for the first range of a delivery, keep nothing, and return how many chunks came."""
        provider = str(self._market.status(contract_id).asked["provider"])
        return sum(bool(chunk) for _, _, chunk in self._counter.deliver(provider, contract_id, 0))

    def open(self, contract_id: str) -> "pl.DataFrame":
        """Return a delivered product as a frame; every chunk is verified again while it is read."""
        provider = str(self._market.status(contract_id).asked["provider"])
        path = self._folder / f"{contract_id}.hdx"
        return open_frame(path, self._keys.secret("hpke"), self._directory.member(provider).sign_key)

    def study(self, question: Mapping[str, Any], say: Say) -> dict[str, Any]:
        """Have the exchange plan a study, sign the plan when it is what was asked, start it and return its result."""
        plan = self._market.plan(question)
        for name, value in question.items():
            if plan.get(name) != value:
                raise AccessDenied("study.plan", "", f"the plan's {name} is not what was asked")
        return self._market.start(sign("study", plan, self._me, self._keys.secret("sign")), say)

    def _require_as_asked(self, record: ContractRecord) -> None:
        agreement = record.agreement["document"] if record.agreement else {}
        provider = str(record.asked["provider"])
        verify("agreement", record.agreement or {}, self._directory.sign_keys(provider))
        same = {
            "request_id": record.contract_id,
            "product": record.asked["product"],
            "version": record.asked["version"],
            "manifest_digest": record.asked["manifest_digest"],
            "provider": provider,
            "consumer": self._me,
            "purpose": record.asked["access"]["purpose"],
            "delivery_modes": [record.asked["delivery_mode"]],
        }
        for name, value in same.items():
            if agreement.get(name) != value:
                raise AccessDenied(
                    "agreement.differs", "ask the provider", f"the agreement's {name} is not what was asked"
                )

    def _receiver(self, path: Path, provider: str) -> Receiver:
        public = self._directory.member(provider).sign_key
        return Receiver(path, hpke_private=self._keys.secret("hpke"), provider_public=public)

    def _acknowledge(self, record: ContractRecord, header: Header) -> None:
        receipt = {
            "contract_id": record.contract_id,
            "agreement_digest": digest(record.agreement["document"]) if record.agreement else "",
            "root": header.root,
            "received": format_time(self._clock()),
        }
        envelope = sign("receipt", receipt, self._me, self._keys.secret("sign"))
        self._counter.acknowledge(str(record.asked["provider"]), envelope)


def accepted(record: ContractRecord) -> ContractRecord:
    """Return a record that was not refused; raise AccessDenied with the provider's rule and next step."""
    if record.state == State.TERMINATED:
        raise AccessDenied(record.rule, record.next_step, f"the provider refused by rule {record.rule}")
    return record
