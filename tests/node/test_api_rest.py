"""The REST door itself: visitors, strangers, problems, bounds, and what a body may not hold."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.catalog.samples import complete_product, sample_product
from tests.node.api_stage import BUYER, OTHER, RestDoor, Stage, served
from tests.node.wire_stage import odd_tls, tls_of

from hdex.node import pki
from hdex.node.identity import Identity
from hdex.node.wire.api_app import VISITOR_BYTES
from hdex.node.wire.http_limits import Rate, RateLimit
from hdex.node.wire.interceptors import caller, visitor

API = "/api/v1"
PRODUCT = f"{API}/products/{sample_product().id}"
PROBLEM = {"type", "title", "status", "detail", "reason", "rule", "next_step"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with served(tmp_path_factory.mktemp("rest")) as made:
        yield made


@pytest.fixture
def door(stage: Stage) -> RestDoor:
    return RestDoor(stage)


def test_a_visitor_reads_the_public_catalogue_and_leaves_no_event(stage: Stage, door: RestDoor) -> None:
    before = len(stage.events())
    status, page = door.send("", "GET", f"{API}/products?text=carotid&page_size=5")
    assert (status, page["total"]) == (200, 1)
    assert door.send("", "GET", PRODUCT)[0] == 200
    access = {"purpose": "DUO:0000007", "disease": "I65.2"}
    assert door.send("", "POST", f"{PRODUCT}/precheck", access)[1]["advice"] in {"approve", "deny", "ask"}
    assert door.send("", "GET", f"{PRODUCT}/cohort?where=sex=female")[0] == 404  # it tells no counts
    assert door.send("", "GET", f"{API}/log/checkpoint")[0] == 200
    assert len(stage.events()) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/contracts"),
        ("GET", "/contracts/c-1"),
        ("GET", "/searches"),
        ("GET", "/vettings"),
        ("POST", "/products"),
    ],
)
def test_a_visitor_is_told_to_show_a_certificate_and_that_is_remembered(
    stage: Stage, door: RestDoor, method: str, path: str
) -> None:
    seen = len(stage.accesses)
    status, problem = door.send("", method, API + path, {} if method == "POST" else None)
    assert (status, problem["rule"], set(problem)) == (401, "identity-refused", PROBLEM)
    (access,) = stage.accesses[seen:]
    assert (access.caller, access.allow, access.rule) == (None, False, "identity-refused")


def test_a_revoked_or_foreign_certificate_is_no_visitors_pass(stage: Stage, door: RestDoor) -> None:
    stage.papers["evil"] = odd_tls(stage.authority, "spiffe://evil.test/buyer/buyer-heartline")
    assert door.send("evil", "GET", f"{API}/products")[1]["rule"] == "identity-refused"
    stage.papers["revoked"] = revoked = tls_of(stage.authority, BUYER)
    assert door.send("revoked", "GET", f"{API}/products")[0] == 200
    serial = x509.load_pem_x509_certificate(revoked.certificate).serial_number
    (stage.folder / "denied.txt").write_text(f"{serial:x}\n")
    try:
        status, problem = door.send("revoked", "GET", f"{API}/contracts")
    finally:
        (stage.folder / "denied.txt").write_text("")
    assert (status, problem["reason"]) == (401, "IDENTITY_REFUSED")


def test_another_authoritys_certificate_does_not_get_through_tls(stage: Stage, door: RestDoor, tmp_path: Path) -> None:
    other = pki.init(tmp_path / "ca", "hdex.test", now=datetime.now(UTC) - timedelta(days=1))
    stage.papers["other"] = tls_of(other, BUYER)
    with pytest.raises(OSError):
        door.send("other", "GET", f"{API}/products")


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/searches", b"{", "no JSON"),
        ("/searches", b'{"name": NaN}', "no JSON"),
        ("/searches", b'{"name": "\\ud800"}', "no JSON"),
        ("/searches", b"[" * 100 + b"]" * 100, "no JSON"),
        ("/searches", b"[]", "JSON object"),
        ("/searches", b'{"name": 7}', "name is a text"),
        ("/searches", b'{"query": {"level": -1}}', "query.level is 0 to"),
        ("/searches", b'{"query": {"level": "2"}}', "query.level is a whole number"),
        ("/searches", b'{"query": {"level": true}}', "query.level is a whole number"),
        ("/searches", b'{"query": {"levle": 2}}', "query.levle"),
        ("/searches", b'{"query": {"fields": "text"}}', "address"),
        ("/contracts", b"7", "request is a JSON object"),
        ("/contracts/c-1/revocation", b'{"contract_id": "c-2", "reason": "x"}', "stands in the address"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_its_place(
    stage: Stage, door: RestDoor, path: str, body: bytes, said: str
) -> None:
    who = "hospital/hospital-a" if path.endswith("revocation") else BUYER
    before = len(stage.events())
    status, problem = door.send(who, "POST", API + path, body)
    assert (status, problem["rule"], set(problem)) == (400, "request-invalid", PROBLEM)
    assert said in problem["detail"]
    assert len(stage.events()) == before


@pytest.mark.parametrize(
    "query",
    [
        "page_size=x",
        "page_size=-1",
        "page_size=1&page_size=2",
        "levle=2",
        "fields=",
        "level=99999999999",
        "product_id=x",
    ],
)
def test_a_query_that_does_not_fit_is_refused(door: RestDoor, query: str) -> None:
    status, problem = door.send("", "GET", f"{API}/products?{query}")
    assert (status, problem["status"], problem["rule"]) == (400, 400, "request-invalid")


def test_a_body_is_said_to_be_json_and_is_bounded(stage: Stage, door: RestDoor) -> None:
    status, problem = door.send(BUYER, "POST", f"{API}/searches", b"{}", {"Content-Type": "text/plain"})
    assert (status, "application/json" in problem["detail"]) == (400, True)
    status, problem = door.send(BUYER, "POST", f"{API}/searches", b" " * (4 * 2**20 + 1))
    assert (status, problem["rule"]) == (413, "too-long")
    status, problem = door.send("", "POST", f"{PRODUCT}/precheck", b" " * (VISITOR_BYTES + 1))
    assert (status, problem["rule"]) == (413, "too-long")
    assert door.send("", "GET", f"{API}/products", b"{}")[1]["detail"] == "no body is asked here"


def test_unknown_addresses_and_methods_are_problems_too(door: RestDoor) -> None:
    status, problem = door.send("", "GET", f"{API}/nowhere")
    assert (status, problem["rule"], set(problem)) == (404, "not-found", PROBLEM)
    with door.line("") as line:
        line.request("DELETE", f"{API}/contracts")
        answer = line.getresponse()
        assert (answer.status, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD", "POST"})
        assert json.loads(answer.read())["rule"] == "method-not-allowed"


def test_a_product_that_is_not_there_is_not_found_and_a_withdrawn_one_is_gone(stage: Stage, door: RestDoor) -> None:
    assert door.send("", "GET", f"{API}/products/none")[0] == 404
    gone = stage.market.list_product(replace(sample_product(), id="hospital-a.gone"))
    stage.market.listings._catalogue.withdraw(gone.id)
    assert door.send("", "GET", f"{API}/products/{gone.id}")[0] == 410


def test_a_page_of_a_product_in_every_form(stage: Stage, door: RestDoor) -> None:
    kinds, whole = {}, stage.market.list_product(complete_product(replace(sample_product(), id="hospital-a.whole")))
    for form in ("dcat", "healthdcat", "dsp", "croissant", "sheet"):
        with door.line("") as line:
            line.request("GET", f"{API}/products/{whole.id}/renderings/{form}?lang=zh")
            answer = line.getresponse()
            assert answer.status == 200
            assert answer.headers["x-content-type-options"] == "nosniff"
            kinds[form] = answer.headers["content-type"].partition(";")[0]
            assert answer.read()
    assert kinds == {
        "dcat": "application/ld+json",
        "healthdcat": "application/ld+json",
        "dsp": "application/json",
        "croissant": "application/ld+json",
        "sheet": "text/html",
    }
    missing = door.send("", "GET", f"{PRODUCT}/renderings/healthdcat")
    assert (missing[0], missing[1]["rule"]) == (400, "product-invalid")
    assert "croissant" in door.send("", "GET", f"{PRODUCT}/renderings/pdf")[1]["detail"]


def test_the_door_says_what_it_answers_and_whether_it_does(stage: Stage, door: RestDoor) -> None:
    committed = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
    assert door.send("", "GET", f"{API}/openapi.json") == (200, json.loads(committed.read_text(encoding="utf-8")))
    assert door.send("", "GET", "/healthz") == (200, {"status": "SERVING"})
    stage.up = False
    try:
        with door.line("") as line:
            line.request("GET", "/healthz")
            answer = line.getresponse()
            assert (answer.status, json.loads(answer.read())) == (503, {"status": "NOT_SERVING"})
    finally:
        stage.up = True


def test_when_the_log_fails_nothing_is_done_and_the_caller_may_try_again(stage: Stage, door: RestDoor) -> None:
    body = {"query": {"text": "x"}, "name": "kept or not", "webhook": ""}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage.market.exchange.store, "fails", True)
        with door.line(OTHER) as line:
            line.request("POST", f"{API}/searches", json.dumps(body), {"Content-Type": "application/json"})
            answer = line.getresponse()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert json.loads(answer.read())["rule"] == "log-failed"
    assert stage.searches is not None
    assert not [one for one in stage.searches._of("buyer-other") if one.name == "kept or not"]


def test_who_asks_too_often_waits() -> None:
    limit = RateLimit(Rate(per_s=1, burst=2), lambda: 0.0)
    assert [limit.admit("a") for _ in range(3)] == [True, True, False]


def test_a_visitors_call_has_no_caller() -> None:
    from hdex.node.errors import IdentityRefused
    from hdex.node.wire.admission import admitted

    class Call:
        pass

    known, unknown = Call(), Call()
    admitted(known, None)
    assert visitor(known) is None
    for call in (known, unknown):
        with pytest.raises(IdentityRefused):
            caller(call)
    admitted(known, Identity("spiffe://hdex.test/buyer/x", "buyer", "x"))
    held: Any = caller(known)
    assert held.participant == "x"
