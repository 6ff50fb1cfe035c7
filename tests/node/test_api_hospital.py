"""A hospital's REST door: the same handlers as its gRPC server, asked in process with a shown certificate."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.node.access_stage import declaration
from tests.node.market_stage import BUYER, Market
from tests.node.wire_stage import DOMAIN, tls_of

from hdex.ledger.event import format_time
from hdex.node import pki
from hdex.node.authz import CedarAuthorizer
from hdex.node.config import Limits
from hdex.node.signed import sign
from hdex.node.wire.api_app import Api, api_app, collected
from hdex.node.wire.api_routes import LEDGER, ROUTES
from hdex.node.wire.interceptors import Access, Doorkeeper
from hdex.node.wire.services_access import access_adder, vetting_adder
from hdex.node.wire.services_hospital import hospital_adders
from hdex.node.wire.services_ledger import ledger_adders
from hdex.node.wire.services_settlement import settlement_adders


class Shown:
    """Hands a request on as one whose connection showed this certificate."""

    def __init__(self, app: ASGIApp, der: bytes) -> None:
        self._app = app
        self._der = der

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "state": {"certificate": self._der}}, receive, send)


class Desk:
    """Hospital A's door, asked as whom a certificate names."""

    def __init__(self, folder: Path) -> None:
        self.market = Market(folder / "market", vetted=False)
        self.accesses: list[Access] = []
        self._authority = pki.init(folder / "ca", DOMAIN, now=datetime.now(UTC) - timedelta(days=1))
        (folder / "denied.txt").write_text("")
        door = Doorkeeper(
            kind="hospital", participant="hospital-a", trust_domain=DOMAIN, authorizer=CedarAuthorizer(),
            audit=self.accesses.append, denied=pki.DenyList(folder / "denied.txt"),
            clock=lambda: datetime.now(UTC), limits=Limits(),
        )  # fmt: skip
        side = self.market.hospital
        adders = [access_adder(side.requests, self.market.clock), vetting_adder(side.vettings)]
        self._app = api_app(Api(door, collected(adders), lambda: True, lambda: 0.0))

    def ask(self, who: str, method: str, path: str, **sent: Any) -> tuple[int, Any]:
        pem = tls_of(self._authority, who).certificate
        der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
        with TestClient(Shown(self._app, der)) as client:
            answer = client.request(method, f"/api/v1{path}", **sent)
            return answer.status_code, answer.json()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("hospital"))


def test_every_address_of_a_hospital_leads_to_a_handler_of_its_server() -> None:
    nobody: Any = None  # handlers are only named here
    adders = [*hospital_adders(nobody), *settlement_adders(nobody), access_adder(nobody, nobody), vetting_adder(nobody)]
    methods = collected([*adders, *ledger_adders(nobody, nobody)])
    assert [route.path for route in ROUTES["hospital"] if route.full_name not in methods] == []
    assert {*LEDGER} <= {*ROUTES["keyholder"], *ROUTES["region"]}


def test_an_applicant_and_the_hospitals_people_each_see_their_own(desk: Desk) -> None:
    office = {"organisation": declaration(BUYER), "office": "hospital-a", "at": format_time(desk.market.now)}
    paper = sign("vetting", office, BUYER, desk.market.keys[BUYER].secret("sign"))
    status, applied = desk.ask(f"buyer/{BUYER}", "POST", "/vettings", json=paper)
    assert (status, applied["vetting"]["state"]) == (200, "APPLIED")
    status, listed = desk.ask("hospital/hospital-a/data_steward", "GET", "/vettings?fields=vettings.participant")
    assert (status, listed["vettings"]) == (200, [{"participant": BUYER}])
    assert desk.ask(f"buyer/{BUYER}", "GET", "/access-requests") == (200, {"requests": [], "next_page_token": ""})
    status, problem = desk.ask(f"buyer/{BUYER}", "GET", "/vettings")
    assert (status, problem["rule"]) == (403, "no-rule-permits")
    assert [access.allow for access in desk.accesses] == [True, True, True, False]


def test_a_participant_that_keeps_no_keys_says_so(desk: Desk) -> None:
    sent = {"json": {"document": {}, "signatures": []}, "headers": {"Idempotency-Key": "k"}}
    status, problem = desk.ask(f"buyer/{BUYER}", "POST", "/vettings", **sent)
    assert (status, "without one" in problem["detail"]) == (429, True)
