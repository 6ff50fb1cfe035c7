"""What a contract of the market is good for besides sealed files: queries, shares, the enclave."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hdex.node.access_proof import AccessProof
from hdex.node.enclave import Bounds
from hdex.node.hospital.enclaves import Chamber, Enclaves
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.products import Products
from hdex.node.hospital.queries import Queries
from hdex.node.hospital.query_register import QueryRegister
from hdex.node.hospital.released import Released
from hdex.node.hospital.shares import Files, Shares
from hdex.node.hospital.staff import Staff
from hdex.node.identity import Identity
from hdex.node.vault import Vault

if TYPE_CHECKING:
    from tests.node.market_stage import Ground, Market

ENCLAVE = Bounds(seconds=20, memory_bytes=1024**3)
ENDPOINT = "https://127.0.0.1:1/delta-sharing"


@dataclass(kw_only=True)
class Modes:
    """One hospital's verbs of use."""

    released: Released
    queries: Queries
    shares: Shares
    enclaves: Enclaves


def modes_of(
    ground: "Ground", vault: Vault, products: Products, negotiations: Negotiations, market: "Market"
) -> dict[str, Any]:
    """Return the verbs of use of one hospital of the market, by name."""
    released = Released(negotiations, products, vault, ground.documents, book=ground.book, clock=market.clock)
    secret = ground.keys.secret("delivery")
    files = Files(released, vault, ground.documents, ground.meter)
    staff = Staff(ground.id, {role: keys.public("sign") for role, keys in market.people.items()})
    return {
        "released": released,
        "queries": Queries(released, QueryRegister(ground.documents), ground.recorder, ground.meter, secret),
        "shares": Shares(
            files, market.directory, ground.recorder, secret=secret, endpoint=ENDPOINT, clock=market.clock
        ),
        "enclaves": Enclaves(
            released, staff, ground.documents, ground.recorder, ground.meter, chamber=Chamber(market.folder, ENCLAVE)
        ),
    }


class ModesDoor:
    """The counters of use as one buyer calls them."""

    _market: "Market"
    _who: Identity
    forge: Callable[[AccessProof], AccessProof]

    def query(self, provider: str, contract_id: str, question: Mapping[str, Any]) -> tuple[bytes, bytes]:
        answered = self._market.hospitals[provider].queries.ask(contract_id, question, self._who)
        return answered.body, self.forge(answered.proof).to_bytes()

    def open_share(self, provider: str, contract_id: str) -> dict[str, Any]:
        return self._market.hospitals[provider].shares.profile(contract_id, self._who)

    def submit_run(self, provider: str, contract_id: str, script: bytes) -> dict[str, Any]:
        return self._market.hospitals[provider].enclaves.submit(contract_id, script, self._who)

    def get_run(self, provider: str, contract_id: str, run_id: str) -> tuple[dict[str, Any], dict[str, bytes]]:
        return self._market.hospitals[provider].enclaves.fetch(contract_id, run_id, self._who)
