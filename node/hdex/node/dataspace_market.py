"""A provider as a buyer deals with it over the Dataspace Protocol: the same verbs, messages carry the papers."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from hdex.catalog.contract import Party, State, TransferState, agreement_digest
from hdex.catalog.dsp import CONTEXT, FORMATS
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.node.buyer import Market, Say
from hdex.node.contract_record import ContractRecord, require_as_asked
from hdex.node.directory import Directory
from hdex.node.dsp.connector import Connector
from hdex.node.dsp.messages import PAPER
from hdex.node.dsp.papers import OFFER, agreement_id
from hdex.node.dsp.ports import Courier, Desk
from hdex.node.dsp.process import Document, Kind, Process
from hdex.node.errors import AccessDenied, NotFound, PeerUnavailable, RequestInvalid
from hdex.node.signed import Envelope, verify

GRANT_DIGITS = 32
PAGES = 1000
SEALED = frozenset({State.AGREED, State.VERIFIED, State.FINALIZED})
NEXT = 'rel="next"'


@dataclass(slots=True)
class BuyerDesk:
    """A desk that offers nothing and takes no agreement but the one that was asked for."""

    directory: Directory
    moved: threading.Condition = field(default_factory=threading.Condition)

    def datasets(self, after: str, count: int) -> Sequence[Document]:
        return []

    def dataset(self, dataset_id: str) -> Document:
        raise NotFound("no data set is offered here")

    def require_request(self, process: Process) -> None:
        raise AccessDenied("role", "", "this participant only asks")

    def require_transfer(self, process: Process) -> None:
        raise AccessDenied("role", "", "this participant only asks")

    def require_paper(self, process: Process) -> None:
        if (process.kind, process.state) == (Kind.NEGOTIATION, State.OFFERED):
            self._require_offer(process)
        if (process.kind, process.state) != (Kind.NEGOTIATION, State.AGREED):
            return
        if process.paper is None or process.request is None:
            raise AccessDenied("paper.absent", "carry the signed agreement", "the agreement carries no paper")
        provider = self.directory.require(str(process.request["document"]["provider"]), "hospital")
        document = verify("agreement", process.paper, {provider.id: provider.sign_key})
        require_as_asked(process.request["document"], document)
        if agreement_id(document) != process.agreement_id:
            raise AccessDenied("agreement.other", "name the digest that is signed", "the id is of another agreement")

    def _require_offer(self, process: Process) -> None:
        """Raise unless an offer answers our request and is signed by its provider."""
        if process.paper is None or process.request is None:
            raise AccessDenied("paper.absent", "carry the signed offer", "the offer carries no paper")
        provider = self.directory.require(str(process.request["document"]["provider"]), "hospital")
        if verify("offer", process.paper, {provider.id: provider.sign_key}).get("contract_id") != process.pid:
            raise AccessDenied("offer.other", "name the contract", "the offer is about another contract")

    def offer(self, process: Process) -> Document:
        return process.offer

    def agreement(self, process: Process) -> Document:
        raise AccessDenied("role", "", "this participant only asks")

    def entered(self, process: Process) -> None:
        with self.moved:
            self.moved.notify_all()


@dataclass(slots=True)
class DataspaceMarket:
    """One provider's connector as `Market`. wait_s: how long a call waits for the provider's next word."""

    provider: str
    address: str
    connector: Connector
    desk: BuyerDesk
    courier: Courier
    wait_s: float = 30.0
    answer_s: float = 30.0  # how long a request waits for its answer, so that it is known to have arrived

    def find(self, text: str, *, lang: str = "en", mode: str = "", provider: str = "") -> list[DataProduct]:
        shown = [DataProduct.from_document(one[PAPER]["document"]) for one in self._datasets()]
        asked = [one for one in shown if not text or text in one.id or text in one.title.en or text in one.title.zh]
        return [one for one in asked if not mode or one.allows(mode)]

    def show(self, product_id: str) -> Envelope:
        for one in self._datasets():
            if one[PAPER]["document"].get("id") == product_id:
                envelope: Envelope = one[PAPER]
                return envelope
        raise NotFound(f"{self.provider} offers no product of this id")

    def request(self, request: Envelope) -> ContractRecord:
        asked = request["document"]
        try:
            return self.status(str(asked["contract_id"]))
        except NotFound:
            target = f"urn:hdex:product:{asked['product']}:{asked['version']}"
            offer: Document = {"@id": OFFER + str(asked["manifest_digest"]), "@type": "Offer", "target": target}
            offer["permission"] = [{"action": "use"}]
            pid = str(asked["contract_id"])
            self.connector.request(self.provider, self.address, offer=offer, paper=request, pid=pid)
        return self._waited(pid, frozenset({""}), self.answer_s)

    def verify(self, agreement: Envelope) -> ContractRecord:
        pid = str(agreement["document"]["request_id"])
        if self.connector.process(pid).state == State.AGREED:
            self.connector.act(pid, "verify", paper=agreement)
        return self._waited(pid, frozenset({State.VERIFIED}))

    def status(self, contract_id: str) -> ContractRecord:
        return record_of(self.connector.process(contract_id))

    def awaited(self, contract_id: str) -> ContractRecord:
        """Return the record once the provider has decided, or as it stands after `wait_s`."""
        return self._waited(contract_id, frozenset({"", State.REQUESTED, State.ACCEPTED}))

    def answer(self, request: Envelope, *, verb: str) -> ContractRecord:
        """Send a signed request as the acceptance ("accept") or the counter ("counter") of an offer."""
        pid = str(request["document"]["contract_id"])
        self.connector.act(pid, verb, paper=request, request=request)
        return self.status(pid)

    def withdraw(self, termination: Envelope) -> ContractRecord:
        """End a negotiation that is not final; the provider is told, and the exchange where it carries it."""
        pid, reason = str(termination["document"]["contract_id"]), str(termination["document"]["reason"])
        if self.connector.process(pid).state != State.TERMINATED:
            self.connector.act(pid, "terminate", paper=termination, reason=f"consumer.withdrew: {reason}")
        return self.status(pid)

    def transfer(self, contract_id: str) -> str:
        """Ask for the data of a final contract over the protocol; return the transfer, started or as it then stands."""
        negotiation = self.connector.process(contract_id)
        asked = FORMATS[DeliveryMode((negotiation.request or {})["document"]["delivery_mode"])]
        process = self.connector.request_transfer(
            self.provider, self.address, agreement_id=negotiation.agreement_id, format=asked
        )
        self._waited_state(process.pid, frozenset({"", TransferState.REQUESTED}), self.wait_s)
        return process.pid

    def complete(self, pid: str) -> None:
        """Tell the provider that a transfer is complete: what came was verified and its receipt is signed."""
        if self.connector.process(pid).state == TransferState.STARTED:
            self.connector.act(pid, "complete")

    def plan(self, question: Mapping[str, Any]) -> dict[str, Any]:
        raise RequestInvalid("studies are planned at the exchange")

    def start(self, study: Envelope, say: Say) -> dict[str, Any]:
        raise RequestInvalid("studies are started at the exchange")

    def _waited(self, pid: str, states: frozenset[str], wait_s: float | None = None) -> ContractRecord:
        """Return the record as soon as it has left these states, or as it stands after `wait_s`."""
        self._waited_state(pid, states, self.wait_s if wait_s is None else wait_s)
        return self.status(pid)

    def _waited_state(self, pid: str, states: frozenset[str], longest: float) -> None:
        with self.desk.moved:
            self.desk.moved.wait_for(lambda: self.connector.process(pid).state not in states, longest)

    def _datasets(self) -> list[Document]:
        """Return every data set of the provider that shows its signed manifest."""
        url, found = f"{self.address}/catalog/request", list[Document]()
        answer = self.courier.post(self.provider, url, {"@context": [CONTEXT], "@type": "CatalogRequestMessage"})
        for _ in range(PAGES):
            if answer.status != 200:
                raise PeerUnavailable(f"{self.provider} answered {answer.status} to a request for its catalogue")
            page = answer.document.get("dataset", [])
            found += [one for one in page if isinstance(one, dict) and is_paper(one.get(PAPER))]
            following, _, relation = answer.link.partition("; ")
            if relation != NEXT or not following.startswith(f"<{self.address}/"):
                break
            answer = self.courier.get(self.provider, following.strip("<>"))
        return found


def is_paper(found: object) -> bool:
    """Return whether something has the shape of a signed document; signatures are checked by who believes it."""
    return isinstance(found, dict) and isinstance(found.get("document"), dict) and "signatures" in found


def record_of(process: Process) -> ContractRecord:
    """Return a process of ours as the record that the buyer's verbs read."""
    if process.role is not Party.CONSUMER or process.request is None:
        raise NotFound(f"no contract {process.pid} is recorded here")
    record = ContractRecord(process.pid, process.state or State.REQUESTED, process.request)
    if process.state == State.TERMINATED:
        rule, _, next_step = process.reason.partition(": ")
        return record.moved(State.TERMINATED, rule=rule, next_step=next_step)
    if process.state == State.OFFERED and process.paper is not None:
        return record.moved(State.OFFERED, rule="offer.pending", next_step="accept or counter it", offer=process.paper)
    if process.state not in SEALED or process.paper is None:
        return record.moved(record.state, rule="approval.pending", next_step="the provider decides")
    paper = bytes.fromhex(agreement_digest(process.paper["document"]))
    grant = sha256(b"hdex/grant/v1\n" + paper).hexdigest()[:GRANT_DIGITS] if process.state == State.FINALIZED else ""
    return record.moved(process.state, agreement=process.paper, grant_id=grant)


_market: type[Market] = DataspaceMarket
_desk: type[Desk] = BuyerDesk
