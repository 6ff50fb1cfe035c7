"""The exchange's side of the Dataspace Protocol: the whole catalogue, and contracts that it carries to the hospitals.

A buyer that reaches only the exchange negotiates here; rules, person and signature are the hospital's, as over gRPC.
Deliveries are the hospital's too, so transfers are not taken.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hdex.catalog.contract import Party, State
from hdex.catalog.dsp import dataset_id, dsp_dataset, offer
from hdex.catalog.errors import CatalogError
from hdex.catalog.index import Catalogue
from hdex.catalog.ports import Listing, Query
from hdex.catalog.product import DataProduct
from hdex.node.contract_record import ContractRecord
from hdex.node.directory import Directory
from hdex.node.dsp.connector import Connector
from hdex.node.dsp.messages import PAPER, PATH
from hdex.node.dsp.papers import policy_of, require_asked, require_countersigned
from hdex.node.dsp.ports import Desk
from hdex.node.dsp.process import Document, Kind, Process
from hdex.node.errors import AccessDenied, NodeError, NotFound, describe
from hdex.node.exchange.contracts import Contracts, is_answered
from hdex.node.identity import Identity
from hdex.node.recorder import REFUSALS

PAGE = 100
ASK_AGAIN = timedelta(seconds=30)  # a hospital that did not answer


@dataclass(slots=True)
class ExchangeDesk:
    """What is listed, and the papers of each negotiation on their way to the provider and back."""

    address: str  # of the protocol's paths
    catalogue: Catalogue
    contracts: Contracts
    directory: Directory
    clock: Callable[[], datetime]
    connectors: list[Connector] = field(default_factory=list)  # the one that is served, once it is made
    asked: dict[str, datetime] = field(default_factory=dict)  # process -> when its hospital was last asked

    def datasets(self, after: str, count: int) -> Sequence[Document]:
        listed = {dataset_id(one.product): one for one in self._listed()}
        return [self._shown(listed[name]) for name in sorted(listed) if name > after][:count]

    def dataset(self, dataset_id: str) -> Document:
        return self._shown(self._named(dataset_id))

    def require_request(self, process: Process) -> None:
        if process.role is Party.CONSUMER:
            raise AccessDenied("offer.unasked", "", "this participant takes no offers")
        require_asked(process, self._named(process.dataset).product, self.directory)

    def require_paper(self, process: Process) -> None:
        if (process.kind, process.state) == (Kind.NEGOTIATION, State.VERIFIED):
            require_countersigned(process, self.directory, self._product(process).provider.id)

    def require_transfer(self, process: Process) -> None:
        raise AccessDenied("transfer.elsewhere", "ask the provider of the agreement", "the exchange delivers nothing")

    def offer(self, process: Process) -> Document:
        return offer(self._product(process)) | {"target": process.dataset}

    def agreement(self, process: Process) -> Document:
        return policy_of(process, self._product(process))

    def entered(self, process: Process) -> None:
        if process.role is Party.CONSUMER or process.state not in {State.REQUESTED, State.VERIFIED, State.TERMINATED}:
            return
        if process.state == State.TERMINATED:
            self._withdrawn(process)
            return
        try:
            record = self._asked(process) if process.state == State.REQUESTED else self._verified(process)
        except (NodeError, CatalogError) as error:
            problem = describe(error)
            if problem.status not in REFUSALS:  # the hospital is away: it is asked again
                raise
            self._end(process, f"{problem.rule}: {problem.message}")
            return
        if record is not None:
            self._answer(process, record)

    def _withdrawn(self, process: Process) -> None:
        """Carry a consumer's signed word that it ends the negotiation; what we ended ourselves is known."""
        record = self.contracts.known(process.peer_pid)
        if record is not None and record.state != State.TERMINATED and process.paper is not None:
            self.contracts.withdrawn(process.paper, self._peer(process))

    def _asked(self, process: Process) -> ContractRecord | None:
        """Return what the provider has said; ask it where it has said nothing, but not all the time."""
        record = self.contracts.known(process.peer_pid)
        if record is not None and is_answered(record):
            return record
        last, now = self.asked.get(process.pid), self.clock()
        if last is not None and now < last + ASK_AGAIN:
            return None
        self.asked[process.pid] = now
        return self.contracts.request(process.request or {}, self._peer(process))

    def _verified(self, process: Process) -> ContractRecord:
        return self.contracts.verified(process.paper or {}, self._peer(process))

    def _answer(self, process: Process, record: ContractRecord) -> None:
        """Tell the consumer what the record holds beyond what it knows."""
        if record.state == State.TERMINATED:
            self._end(process, f"{record.rule}: {record.next_step}")
        elif process.state == State.REQUESTED and record.agreement is not None:
            self.connectors[0].act(process.pid, "agree", paper=record.agreement)
        elif process.state == State.VERIFIED and record.state == State.FINALIZED:
            self.connectors[0].act(process.pid, "finalize")

    def _end(self, process: Process, reason: str) -> None:
        self.asked.pop(process.pid, None)
        self.connectors[0].act(process.pid, "terminate", reason=reason)

    def _listed(self) -> Iterator[Listing]:
        offset, total = 0, 1
        while offset < total:
            page = self.catalogue.find(Query(limit=PAGE, offset=offset))
            yield from page.hits
            offset, total = offset + PAGE, page.total

    def _named(self, name: str) -> Listing:
        """Return the listing of a data set's id, which names product and version. Raises NotFound."""
        product_id = name.removeprefix("urn:hdex:product:").rpartition(":")[0]
        held = self.catalogue.held(product_id) if product_id else None
        if held is None or dataset_id(held.product) != name:
            raise NotFound("no such data set is listed here")
        return self.catalogue.get(product_id)

    def _product(self, process: Process) -> DataProduct:
        """Return the product that a negotiation was begun about, as its consumer's request names it."""
        held = self.catalogue.held(str((process.request or {})["document"]["product"]))
        if held is None:
            raise NotFound("the product is not listed here")
        return held.product

    def _shown(self, listing: Listing) -> Document:
        base = self.address.removesuffix(PATH)
        return {**dsp_dataset(listing.product, base=base), PAPER: json.loads(listing.envelope)}

    def _peer(self, process: Process) -> Identity:
        member = self.directory.member(process.peer)
        return Identity(member.spiffe_id, member.kind, member.id)


_: type[Desk] = ExchangeDesk
