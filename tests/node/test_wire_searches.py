"""Search and saved searches over gRPC with mutual TLS: what a client asks is what the catalogue answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from tests.catalog.samples import sample_catalogue
from tests.node.market_stage import Market
from tests.node.wire_stage import DOMAIN, tls_of

from hdex.catalog.index import Catalogue
from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.ports import Query
from hdex.node import pki
from hdex.node.authz import CedarAuthorizer
from hdex.node.config import Limits
from hdex.node.errors import RemoteRefused
from hdex.node.exchange.enquiries import Enquiries
from hdex.node.exchange.listings import Listings
from hdex.node.exchange.notices import Outbox
from hdex.node.exchange.searches import Searches
from hdex.node.wire.client import channel
from hdex.node.wire.interceptors import Doorkeeper
from hdex.node.wire.remote_searches import RemoteSearches
from hdex.node.wire.server import serve
from hdex.node.wire.services_exchange import ExchangeServicer
from hdex.node.wire.webhooks import Webhooks
from hdex.proto.v1 import exchange_pb2, exchange_pb2_grpc


@dataclass
class Served:
    """A served exchange: its catalogue, its searches, and how a buyer reaches it."""

    catalogue: Catalogue
    searches: Searches
    line: grpc.Channel


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    authority = pki.init(tmp_path / "ca", DOMAIN, now=datetime.now(UTC) - timedelta(days=1))
    (tmp_path / "denied.txt").write_text("")
    market, catalogue = Market(tmp_path / "market"), Catalogue(MemoryIndex())
    ground = market.exchange
    searches = Searches(
        catalogue, ground.documents, recorder=ground.recorder, outbox=Outbox(ground.documents, market.clock),
        door=Webhooks(frozenset()), key=b"k" * 32, clock=market.clock, base="https://exchange.hdex.test",
    )  # fmt: skip
    listings = Listings(catalogue, market.directory, ground.recorder, listed=searches)
    door = Doorkeeper(
        kind="exchange", participant="exchange", trust_domain=DOMAIN, authorizer=CedarAuthorizer(),
        audit=lambda _: None, denied=pki.DenyList(tmp_path / "denied.txt"), clock=lambda: datetime.now(UTC),
        limits=Limits(),
    )  # fmt: skip
    servicer = ExchangeServicer(listings, searches, Enquiries(listings, market.clock, "https://exchange.hdex.test"))

    def add(server: grpc.Server) -> None:
        exchange_pb2_grpc.add_ExchangeServiceServicer_to_server(servicer, server)

    serving = serve("127.0.0.1:0", [add], tls=tls_of(authority, "exchange/exchange"), door=door)
    buyer = tls_of(authority, "buyer/buyer-heartline")
    try:
        with channel(f"127.0.0.1:{serving.port}", tls=buyer, server="exchange", trust_domain=DOMAIN) as line:
            yield Served(catalogue, searches, line)
    finally:
        serving.stop(0)


def test_pages_follow_one_another_by_token(served: Served) -> None:
    for product in sample_catalogue(12):
        served.catalogue.publish(product.document(), b"{}")
    stub = exchange_pb2_grpc.ExchangeServiceStub(served.line)
    found, token = [], ""
    while True:
        page = stub.Find(exchange_pb2.FindRequest(level=2, page_size=4, page_token=token))
        found += page.products
        token = page.next_page_token
        if not token:
            break
    assert len(found) == len(set(found)) == page.total
    with pytest.raises(RemoteRefused, match="first page"):
        stub.Find(exchange_pb2.FindRequest(page_token="4"))  # no secret
    meant = stub.Find(exchange_pb2.FindRequest(text="hypertensoin"))
    assert (meant.meant, meant.total > 0) == ("hypertension", True)
    narrowed = stub.Find(exchange_pb2.FindRequest(price_basis="free", price_plan="per_round"))
    assert narrowed.total == 1


def test_a_search_is_kept_matched_and_removed(served: Served) -> None:
    remote = RemoteSearches(served.line)
    kept = remote.save(Query(text="carotid", level=2, price="cost_based"), name="stents")
    assert (kept["query"], kept["matches"], kept["waiting"]) == ("carotid level=2 price=cost_based", 0, 0)
    for product in sample_catalogue(4):
        served.searches.expect(product.id)
        served.catalogue.publish(product.document(), b"{}")
        served.searches.listed(product.id)
    assert served.searches.settle() == 1
    assert [row["matches"] for row in remote.list()] == [1]
    with pytest.raises(RemoteRefused) as refused:
        remote.save(Query(text="carotid"), name="x", webhook="https://hooks.buyer.test/")
    assert refused.value.rule == "webhook.host"
    assert "operator" in refused.value.next_step
    remote.remove(kept["id"])
    assert remote.list() == []
