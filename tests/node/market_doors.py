"""The doors of the market: how its participants reach each other without a wire."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tests.node.market_modes import ModesDoor

from hdex.catalog.product import DataProduct
from hdex.node.access_proof import AccessProof
from hdex.node.container import Part
from hdex.node.contract_record import ContractRecord
from hdex.node.documents import MemoryDocuments
from hdex.node.errors import AccessDenied
from hdex.node.signed import Envelope

if TYPE_CHECKING:
    from tests.node.market_stage import Market


class ExchangeDoor:
    """The exchange as one hospital calls it."""

    def __init__(self, market: "Market", hospital: str) -> None:
        self._market, self._who = market, market.identity(hospital)

    def publish(self, manifest: Envelope) -> str:
        return self._market.listings.publish(manifest, self._who)

    def amend(self, step: Envelope) -> str:
        return self._market.listings.amend(step, self._who)

    def submit_decision(self, contract_id: str, rule: str, next_step: str) -> ContractRecord:
        return self._market.contracts.decided(contract_id, rule, next_step, self._who)

    def submit_agreement(self, agreement: Envelope) -> ContractRecord:
        return self._market.contracts.agreed(agreement, self._who)

    def require_offers(self, contract_id: str) -> None:
        raise AccessDenied("offer.over_dsp", "", "over the Dataspace Protocol only")

    def submit_offer(self, offer: Envelope) -> ContractRecord:
        raise NotImplementedError

    def revoke(self, contract_id: str, reason: str) -> ContractRecord:
        return self._market.contracts.revoked(contract_id, reason, self._who)


class ProvidersDoor:
    """The hospitals as the exchange calls them. `answer` may be set to lie."""

    def __init__(self, market: "Market") -> None:
        self._market = market
        self.lie: ContractRecord | None = None

    def consider(self, provider: str, request: Envelope) -> ContractRecord:
        return self.lie or self._market.hospitals[provider].negotiations.consider(
            request, self._market.identity("exchange")
        )

    def confirm(self, provider: str, agreement: Envelope) -> ContractRecord:
        return self.lie or self._market.hospitals[provider].negotiations.confirm(
            agreement, self._market.identity("exchange")
        )

    def withdraw(self, provider: str, termination: Envelope) -> ContractRecord:
        return self._market.hospitals[provider].negotiations.withdraw(termination, self._market.identity("exchange"))


class MarketDoor:
    """The exchange as one buyer calls it. `forge` turns what the exchange answers, as a dishonest one would."""

    def __init__(self, market: "Market", buyer: str) -> None:
        self._market, self._who = market, market.identity(buyer)
        self.forged: ContractRecord | None = None
        self.shown: Envelope | None = None
        self.found = MemoryDocuments()
        self.planned: dict[str, Any] = {}

    def find(self, text: str, *, lang: str = "en", mode: str = "", provider: str = "") -> list[DataProduct]:
        from hdex.catalog.ports import Query

        query = Query(text=text, lang=lang, mode=mode or None, provider=provider or None)
        return [hit.product for hit in self._market.listings.find(query, self._who).hits]

    def show(self, product_id: str) -> Envelope:
        import json

        if self.shown is not None:
            return self.shown
        envelope: Envelope = json.loads(self._market.listings.show(product_id, self._who).envelope)
        return envelope

    def request(self, request: Envelope) -> ContractRecord:
        return self.forged or self._market.contracts.request(request, self._who)

    def verify(self, agreement: Envelope) -> ContractRecord:
        return self.forged or self._market.contracts.verified(agreement, self._who)

    def status(self, contract_id: str) -> ContractRecord:
        return self.forged or self._market.contracts.status(contract_id, self._who)

    def withdraw(self, termination: Envelope) -> ContractRecord:
        return self._market.contracts.withdrawn(termination, self._who)

    def plan(self, question: Mapping[str, Any]) -> dict[str, Any]:
        return self.planned

    def start(self, study: Envelope, say: Any) -> dict[str, Any]:
        return {"started": study["document"]["id"]}


class CounterDoor(ModesDoor):
    """The hospitals' delivery counters as one buyer calls them."""

    def __init__(self, market: "Market", buyer: str) -> None:
        self._market, self._who = market, market.identity(buyer)
        self.asked: list[int] = []
        self.forge: Callable[[AccessProof], AccessProof] = lambda proof: proof

    def deliver(self, provider: str, contract_id: str, first_chunk: int) -> Iterator[Part]:
        self.asked.append(first_chunk)
        shipment = self._market.hospitals[provider].delivery.range(contract_id, first_chunk, self._who)
        yield Part(shipment.header, self.forge(shipment.proof).to_bytes())
        for index, chunk in shipment.chunks:
            yield Part(index=index, chunk=chunk)

    def standing(self, provider: str, contract_id: str) -> dict[str, Any]:
        return self._market.standings(provider).read(contract_id, self._who)

    def attest(self, provider: str, attestation: Envelope) -> dict[str, Any]:
        record = self._market.hospitals[provider].negotiations.lives.attest(attestation, self._who)
        return self.standing(provider, record.contract_id)

    def acknowledge(self, provider: str, receipt: Envelope) -> None:
        self._market.hospitals[provider].delivery.acknowledge(receipt, self._who)
