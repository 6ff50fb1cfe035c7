"""A hospital's side of the Dataspace Protocol: its products as data sets, and the same contract record as over gRPC.

A negotiation carries the papers that both sides sign: the consumer's request with its first message, the agreement with
the provider's, the countersigned agreement with the verification. The agreement's id in the protocol is the digest that
both have signed, and the contract's id is the consumer's id of the negotiation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hdex.catalog.contract import Party, State, TransferState
from hdex.catalog.contract_life import LifeArrow
from hdex.catalog.dsp import FORMATS, dataset_id, dsp_dataset, offer
from hdex.catalog.errors import CatalogError, TransitionForbidden
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.node.contract_record import ContractRecord
from hdex.node.directory import Directory
from hdex.node.dsp.connector import Connector
from hdex.node.dsp.messages import PAPER, PATH
from hdex.node.dsp.papers import agreement_id, policy_of, require_asked, require_countersigned
from hdex.node.dsp.ports import Desk, Processes
from hdex.node.dsp.process import Document, Kind, Process
from hdex.node.errors import AccessDenied, NodeError, NotFound, describe
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.offers import Offers
from hdex.node.hospital.ports import Exchange
from hdex.node.hospital.products import Products
from hdex.node.hospital.rule_answers import RuleAnswers
from hdex.node.identity import Identity
from hdex.node.recorder import REFUSALS
from hdex.node.signed import Envelope

MOVES = {"suspend": TransferState.STARTED, "start": TransferState.SUSPENDED}  # verb -> from where
DELIVERY = "urn:hdex:delivery:v1"  # sealed ranges over this node's gRPC port


@dataclass(slots=True)
class HospitalDesk:
    """What this hospital offers and answers. endpoint: host:port of its gRPC server, where deliveries are fetched."""

    address: str  # of the protocol's paths
    endpoint: str
    products: Products
    negotiations: Negotiations
    directory: Directory
    offers: Offers
    answers: RuleAnswers
    connectors: list[Connector] = field(default_factory=list)  # the one that is served, once it is made

    def datasets(self, after: str, count: int) -> Sequence[Document]:
        listed = sorted((dataset_id(product), product) for product in self.products.all())
        return [self._shown(product) for name, product in listed if name > after][:count]

    def dataset(self, dataset_id: str) -> Document:
        return self._shown(self._named(dataset_id))

    def require_request(self, process: Process) -> None:
        if process.role is Party.CONSUMER:
            raise AccessDenied("offer.unasked", "", "this participant takes no offers")
        require_asked(process, self._named(process.dataset), self.directory)

    def require_paper(self, process: Process) -> None:
        if (process.kind, process.state) == (Kind.NEGOTIATION, State.VERIFIED):
            require_countersigned(process, self.directory, self.negotiations.hospital)
        if is_answer(process):
            accepts = process.state == State.ACCEPTED
            self.offers.require_answer(process.peer_pid, process.paper, accepts=accepts)
        if (process.kind, process.state) == (Kind.TRANSFER, TransferState.COMPLETED):
            self._require_received(process)

    def require_transfer(self, process: Process) -> None:
        contract_id = self._contract(process)
        mode = next((mode for mode, word in FORMATS.items() if word == process.format), None)
        if mode is None:
            raise AccessDenied("format.unknown", f"ask for one of {', '.join(FORMATS.values())}")
        self.negotiations.require_live(contract_id, mode, process.peer)

    def offer(self, process: Process) -> Document:
        return offer(self._named(process.dataset)) | {"target": process.dataset}

    def agreement(self, process: Process) -> Document:
        return policy_of(process, self.negotiations.product_of(process.peer_pid))

    def entered(self, process: Process) -> None:
        answers: dict[tuple[Kind, str], Callable[[Process], None]] = {
            (Kind.NEGOTIATION, State.REQUESTED): self._consider,
            (Kind.NEGOTIATION, State.ACCEPTED): self._consider,
            (Kind.NEGOTIATION, State.VERIFIED): self._confirm,
            (Kind.NEGOTIATION, State.TERMINATED): self._withdrawn,
            (Kind.TRANSFER, TransferState.REQUESTED): self._start,
        }
        answer = answers.get((process.kind, process.state))
        if answer is None or process.role is Party.CONSUMER:
            return
        try:
            answer(process)
        except (NodeError, CatalogError) as error:
            problem = describe(error)
            if problem.status not in REFUSALS:  # not the peer's doing: it is tried again
                raise
            if not process.ended and self.connectors[0].process(process.pid).version == process.version:
                self._end(process, f"{problem.rule}: {problem.message}")  # nobody answered it meanwhile

    def _withdrawn(self, process: Process) -> None:
        self.negotiations.withdrawn(process.peer_pid, process.reason, self._peer(process))

    def _require_received(self, process: Process) -> None:
        """Raise AccessDenied where a file's transfer is called complete before its receipt is signed."""
        contract_id, book = self._contract(process), self.negotiations.lives.book
        if process.format == FORMATS[DeliveryMode.SEALED_FILE] and (
            not book.has_delivered(contract_id) or book.is_delivering(contract_id)
        ):
            raise AccessDenied("transfer.unacknowledged", "fetch, verify and sign the receipt first")

    def _consider(self, process: Process) -> None:
        record = self._considered(process)
        if record.state == State.TERMINATED:
            self._end(process, f"{record.rule}: {record.next_step}")
        elif record.agreement is not None:  # decided before a stop
            self.connectors[0].act(process.pid, "agree", paper=record.agreement)
        elif record.offer is not None and process.state == State.REQUESTED:  # offered before a stop
            self.connectors[0].act(process.pid, "offer", paper=record.offer)
        else:
            self.answers.answer(record.contract_id)

    def _considered(self, process: Process) -> ContractRecord:
        if not is_answer(process):
            return self.negotiations.consider(process.request or {}, self._peer(process))
        accepts = process.state == State.ACCEPTED
        return self.offers.answered(process.peer_pid, process.paper or {}, self._peer(process), accepts=accepts)

    def _confirm(self, process: Process) -> None:
        self.negotiations.confirm(process.paper or {}, self._peer(process))
        self.connectors[0].act(process.pid, "finalize")

    def _start(self, process: Process) -> None:
        named = {"@type": "EndpointProperty", "name": "contract", "value": self._contract(process)}
        where = {"@type": "DataAddress", "endpointType": DELIVERY, "endpoint": self.endpoint}
        self.connectors[0].act(process.pid, "start", data_address={**where, "endpointProperties": [named]})

    def _end(self, process: Process, reason: str) -> None:
        self.connectors[0].act(process.pid, "terminate", reason=reason)

    def _contract(self, process: Process) -> str:
        """Return the contract of an agreement with this consumer. Raises AccessDenied."""
        for record in self.negotiations.all():
            signed = record.agreement["document"] if record.agreement is not None else {}
            if signed.get("consumer") == process.peer and agreement_id(signed) == process.agreement_id:
                return record.contract_id
        raise AccessDenied("agreement.unknown", "agree on a contract first", "no such agreement stands between us")

    def _named(self, name: str) -> DataProduct:
        for product in self.products.all():
            if dataset_id(product) == name:
                return product
        raise NotFound("no such data set is offered here")

    def _shown(self, product: DataProduct) -> Document:
        manifest = self.products.get(product.id, product.version).envelope
        return {**dsp_dataset(product, base=self.address.removesuffix(PATH)), PAPER: manifest}

    def _peer(self, process: Process) -> Identity:
        member = self.directory.member(process.peer)
        return Identity(member.spiffe_id, member.kind, member.id)


def is_answer(process: Process) -> bool:
    """Return whether a consumer's message answers an offer of ours: it accepts it, or asks again."""
    if process.kind is not Kind.NEGOTIATION or process.role is Party.CONSUMER:
        return False
    again = process.state == State.REQUESTED and process.visits.get(State.OFFERED.value, 0) > 0
    return again or process.state == State.ACCEPTED


@dataclass(slots=True)
class ContractDoor:
    """The exchange as the negotiations call it: what was asked over the protocol is answered over the protocol."""

    exchange: Exchange
    processes: Processes
    consumer_of: Callable[[str], str]
    connectors: list[Connector]

    def publish(self, manifest: Envelope) -> str:
        return self.exchange.publish(manifest)

    def amend(self, step: Envelope) -> str:
        return self.exchange.amend(step)

    def submit_decision(self, contract_id: str, rule: str, next_step: str) -> ContractRecord:
        process = self._process(contract_id)
        if process is None:
            return self.exchange.submit_decision(contract_id, rule, next_step)
        if not process.ended:
            process = self.connectors[0].act(process.pid, "terminate", reason=f"{rule}: {next_step}")
        return self._record(contract_id, process)

    def submit_agreement(self, agreement: Envelope) -> ContractRecord:
        contract_id = str(agreement["document"]["request_id"])
        process = self._process(contract_id)
        if process is None:
            return self.exchange.submit_agreement(agreement)
        if process.state in (State.REQUESTED, State.ACCEPTED):
            process = self._agreed(process, agreement)
        return self._record(contract_id, process)

    def require_offers(self, contract_id: str) -> None:
        if self._process(contract_id) is None:
            self.exchange.require_offers(contract_id)

    def submit_offer(self, offer: Envelope) -> ContractRecord:
        contract_id = str(offer["document"]["contract_id"])
        process = self._process(contract_id)
        if process is None:
            return self.exchange.submit_offer(offer)
        if process.state == State.REQUESTED:
            process = self.connectors[0].act(process.pid, "offer", paper=offer)
        return self._record(contract_id, process)

    def revoke(self, contract_id: str, reason: str) -> ContractRecord:
        process = self._process(contract_id)
        if process is None:
            return self.exchange.revoke(contract_id, reason)
        about = {process.pid, *self._transfers(process)} - ({process.pid} if process.ended else set())
        for pid in sorted(about):
            self.connectors[0].act(pid, "terminate", reason=f"contract.revoked: {reason}")
        return self._record(contract_id, process)

    def _agreed(self, process: Process, agreement: Envelope) -> Process:
        """Return the process with the agreement sent, by us or by the desk, which may look at it at the same time."""
        try:
            return self.connectors[0].act(process.pid, "agree", paper=agreement)
        except TransitionForbidden:
            found = self.processes.get(process.pid)
            if found.state == State.REQUESTED:
                raise
            return found

    def lived(self, record: ContractRecord, arrow: LifeArrow, reason: str) -> None:
        """Tell the consumer's transfers what has become of their contract."""
        process = self._process(record.contract_id)
        verb = {LifeArrow.SUSPEND: "suspend", LifeArrow.RESUME: "start"}.get(arrow, "terminate")
        for pid in self._transfers(process) if process is not None else ():
            state = self.processes.get(pid).state
            if verb == "terminate" or state == MOVES[verb]:
                self.connectors[0].act(pid, verb, reason=f"contract.{arrow.value}: {reason}")

    def _transfers(self, process: Process) -> list[str]:
        """Return the transfers under an agreement that have not ended."""
        same = [one for one in self.processes.live() if one.kind is Kind.TRANSFER and one.peer == process.peer]
        return [one.pid for one in same if process.agreement_id and one.agreement_id == process.agreement_id]

    def _process(self, contract_id: str) -> Process | None:
        return self.processes.opened_by(Kind.NEGOTIATION, self.consumer_of(contract_id), contract_id)

    def _record(self, contract_id: str, process: Process) -> ContractRecord:
        return ContractRecord(contract_id, process.state, process.request or {})


_desk: type[Desk] = HospitalDesk
_door: type[Exchange] = ContractDoor
