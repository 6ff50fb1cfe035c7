"""A buyer's negotiations over the Dataspace Protocol with any provider, while its line is open: the verbs of a desk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from hdex.node.bargain import Bargain
from hdex.node.buyer import Buyer, Counter, Wish
from hdex.node.contract_record import ContractRecord
from hdex.node.dataspace_market import BuyerDesk, DataspaceMarket
from hdex.node.directory import Directory
from hdex.node.dsp.connector import Connector, new_pid
from hdex.node.dsp.messages import PATH
from hdex.node.dsp.ports import Courier
from hdex.node.dsp.process import Kind, Process
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid
from hdex.node.holder import Custodian, Holder
from hdex.node.keys import KeyProvider

LONGEST_ADDRESS = 300


class Provider(Counter, Custodian, Protocol):
    """The hospitals, called by their gRPC ports."""


@dataclass(frozen=True, slots=True)
class OpenLine:
    """A connector that listens. live: its processes that have not ended; wait_s: how long a verb waits for a word."""

    connector: Connector
    desk: BuyerDesk
    courier: Courier
    live: Callable[[], Sequence[Process]]
    wait_s: float = 5.0

    def market(self, provider: str, address: str) -> DataspaceMarket:
        """Return a provider as a market."""
        return DataspaceMarket(
            provider, address, self.connector, self.desk, self.courier, wait_s=self.wait_s, answer_s=self.wait_s
        )


class Bargains:
    """One organisation's. folder: where its papers lie."""

    def __init__(
        self, me: str, keys: KeyProvider, directory: Directory, line: OpenLine, *,
        counter: Provider, folder: Path, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._me = me
        self._keys = keys
        self._directory = directory
        self._line = line
        self._counter = counter
        self._folder = folder
        self._clock = clock

    def knows(self, contract_id: str) -> bool:
        """Return whether a contract was negotiated over this line."""
        try:
            return self._line.connector.process(contract_id).kind is Kind.NEGOTIATION
        except NotFound:
            return False

    def address(self, provider: str) -> str:
        """Return where a provider was last reached in a negotiation that is open, empty where none is."""
        same = [one for one in self._line.live() if one.peer == provider and one.kind is Kind.NEGOTIATION]
        return same[-1].address if same else ""

    def request(self, wish: Wish, provider: str, address: str) -> ContractRecord:
        """Ask a provider at its connector. Raises AccessDenied where it refuses, RequestInvalid for an odd address."""
        self._directory.require(provider, "hospital")
        where = read_address(address)
        return self._buyer(self._line.market(provider, where)).request(wish, contract_id=new_pid())

    def accept(self, contract_id: str) -> ContractRecord:
        """Accept the provider's offer as it is."""
        return self._bargain(contract_id).accept(contract_id)

    def counter(self, contract_id: str, terms: Mapping[str, Any]) -> ContractRecord:
        """Counter the provider's offer: order, max_rounds and until; what is absent is as it was asked."""
        return self._bargain(contract_id).counter(contract_id, terms)

    def sign(self, contract_id: str) -> ContractRecord:
        """Check the agreement against what was asked and sign it."""
        return self._buyer(self._market(contract_id)).accept(contract_id)

    def withdraw(self, contract_id: str, reason: str) -> ContractRecord:
        """End a negotiation that is not final; the provider is told."""
        market = self._market(contract_id)
        holder = Holder(
            self._buyer(market), self._keys, custodian=self._counter, ending=market, folder=self._folder,
            clock=self._clock,
        )  # fmt: skip
        return holder.withdraw(contract_id, reason)

    def _bargain(self, contract_id: str) -> Bargain:
        market = self._market(contract_id)
        return Bargain(self._buyer(market), self._keys, self._directory, table=market, folder=self._folder)

    def _market(self, contract_id: str) -> DataspaceMarket:
        process = self._line.connector.process(contract_id)
        return self._line.market(process.peer, process.address)

    def _buyer(self, market: DataspaceMarket) -> Buyer:
        return Buyer(
            self._me, self._keys, self._directory, market=market, counter=self._counter, folder=self._folder,
            clock=self._clock,
        )  # fmt: skip


def read_address(typed: str) -> str:
    """Return a connector's address as a person typed it. Raises RequestInvalid; which hosts may be reached is the
    courier's to say.
    """
    found = typed.strip().rstrip("/")
    try:
        parts = urlsplit(found)
        plain = (parts.scheme, parts.path, parts.query, parts.fragment) == ("https", PATH, "", "")
        is_read = plain and bool(parts.hostname) and "@" not in parts.netloc and (parts.port or 1) > 0
    except ValueError:
        is_read = False
    if not is_read or len(found) > LONGEST_ADDRESS:
        raise RequestInvalid(f"a connector's address is https://host[:port]{PATH}")
    return found


def require_line(bargains: Bargains | None) -> Bargains:
    """Return a desk's negotiations. Raises AccessDenied where it does not listen."""
    if bargains is None:
        says = "this desk does not listen to the Dataspace Protocol"
        raise AccessDenied(
            "dsp.closed", "add a table [dsp] to the configuration (docs/dsp.md), or hdex buy negotiate", says
        )
    return bargains
