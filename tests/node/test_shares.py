"""Delta Sharing: the protocol's own words, one share per contract, each read an event, revoked within the next request.

Requests and answers as delta-io/delta-sharing's PROTOCOL.md prints them (REST API, reader version 1), and as its Python
client 1.4.2 was seen to ask: it looks at a file, reads ranges, and opens it again for each pass.
"""

import asyncio
import io
import json
import ssl
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import polars as pl
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tests.catalog.samples import sample_product
from tests.node.market_stage import BUYER, DOMAIN, OFFICER, OTHER, Market, person, released

from hdex.catalog.product import DeliveryMode
from hdex.ledger.errors import LogFailed
from hdex.node import pki
from hdex.node.config import IdentityFiles
from hdex.node.errors import AccessDenied, IdentityRefused
from hdex.node.hospital import shares as engine
from hdex.node.hospital.shares import digest_of, plain_name, spark_schema
from hdex.node.wire import http_sharing
from hdex.node.wire.http_limits import Rate
from hdex.node.wire.http_server import serve_https
from hdex.node.wire.http_sharing import MOST_BODY, sharing_routes, wanted_of

TABLE = "/delta-sharing/shares/c-1/schemas/release/tables/carotid-stents"


@pytest.fixture
def market(tmp_path: Path) -> Market:
    market = Market(tmp_path)
    terms = replace(sample_product().terms, recipients=(BUYER,))
    product = sample_product(terms=terms, delivery_modes=(DeliveryMode.DOWNLOAD, DeliveryMode.QUERY))
    market.finalized(market.list_product(product, released()), "download")
    return market


@pytest.fixture
def token(market: Market) -> str:
    return str(market.hospital.shares.profile("c-1", person(BUYER))["bearerToken"])


@pytest.fixture
def web(market: Market) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=sharing_routes(market.hospital.shares, lambda: 0.0))) as client:
        yield client


def get(web: TestClient, path: str, token: str) -> Any:
    return web.get(path, headers={"Authorization": f"Bearer {token}"})


def parts_of(there: str) -> tuple[str, str]:
    """Return until and signature of an address."""
    given = parse_qs(urlsplit(there).query)
    return given["until"][0], given["signature"][0]


def lines(answer: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


def address(web: TestClient, token: str) -> str:
    answer = web.post(f"{TABLE}/query", json={"limitHint": 10}, headers={"Authorization": f"Bearer {token}"})
    url = urlsplit(lines(answer)[2]["file"]["url"])
    return f"{url.path}?{url.query}"


def test_the_profile_is_the_protocols_and_bound_to_the_contract(market: Market, tmp_path: Path) -> None:
    path = market.buyers[BUYER].share("c-1", tmp_path / "contract.share")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    profile = json.loads(path.read_text())
    assert set(profile) == {"shareCredentialsVersion", "endpoint", "bearerToken", "expirationTime"}
    assert profile["shareCredentialsVersion"] == 1
    (event,) = [one for one in market.hospital.ground.events() if one.action == "key.release"]
    assert (event.contract, event.decision) == ("c-1", "allow")
    kept = json.dumps(market.hospital.ground.documents.all("share_token"))
    assert profile["bearerToken"] not in kept


def test_a_reader_finds_share_schema_and_table(web: TestClient, token: str) -> None:
    assert get(web, "/delta-sharing/shares", token).json() == {"items": [{"name": "c-1", "id": "c-1"}]}
    assert get(web, "/delta-sharing/shares/c-1", token).json() == {"share": {"name": "c-1", "id": "c-1"}}
    assert get(web, "/delta-sharing/shares/c-1/schemas", token).json() == {
        "items": [{"name": "release", "share": "c-1"}]
    }
    for path in ("/delta-sharing/shares/c-1/schemas/release/tables", "/delta-sharing/shares/c-1/all-tables"):
        (item,) = get(web, path, token).json()["items"]
        assert (item["share"], item["schema"], item["name"]) == ("c-1", "release", "carotid-stents")
    assert get(web, f"{TABLE}/version", token).headers["delta-table-version"] == "0"


def test_metadata_and_query_are_lines_of_json(web: TestClient, token: str) -> None:
    answer = get(web, f"{TABLE}/metadata", token)
    assert answer.headers["content-type"] == "application/x-ndjson; charset=utf-8"
    protocol, described = lines(answer)
    assert protocol == {"protocol": {"minReaderVersion": 1}}
    schema = json.loads(described["metaData"]["schemaString"])
    assert [(one["name"], one["type"]) for one in schema["fields"]] == [("age_band", "string"), ("systolic", "long")]
    assert described["metaData"]["format"] == {"provider": "parquet"}
    answer = web.post(f"{TABLE}/query", json={}, headers={"Authorization": f"Bearer {token}"})
    (one,) = [line["file"] for line in lines(answer) if "file" in line]
    assert {"url", "id", "partitionValues", "size"} <= set(one)
    assert json.loads(one["stats"])["numRecords"] == 400


def test_the_file_is_the_release_and_its_read_an_event_before_it(market: Market, web: TestClient, token: str) -> None:
    answer = web.get(address(web, token))
    assert pl.read_parquet(io.BytesIO(answer.content)).equals(released())
    (event,) = [one for one in market.hospital.ground.events() if one.action == "share.read"]
    assert (event.contract, event.rows, event.decision) == ("c-1", 400, "allow")
    assert market.hospital.ground.meter.totals()["shared file"]["bytes"] == len(answer.content)
    there = address(web, token)
    market.hospital.ground.store.fails = True
    assert web.get(there).status_code == 500
    with pytest.raises(LogFailed):
        market.hospital.shares.read("c-1", *parts_of(there))


def test_a_revoked_licence_ends_with_the_next_request_and_on_the_way(
    market: Market, web: TestClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PIECE", 512)
    there = address(web, token)
    pieces = market.hospital.shares.read("c-1", *parts_of(there)).pieces
    assert len(next(pieces)) == 512
    market.negotiations.revoke("c-1", "ended", OFFICER)
    with pytest.raises(AccessDenied, match="revoked"):
        next(pieces)
    assert web.get(there).status_code == 403
    answer = get(web, f"{TABLE}/metadata", token)
    assert (answer.status_code, answer.json()["errorCode"]) == (403, "PERMISSION_DENIED")


def test_addresses_are_short_lived_and_signed(market: Market, web: TestClient, token: str) -> None:
    there = address(web, token)
    assert web.get(there[:-1] + ("0" if there[-1] != "0" else "1")).status_code == 401
    assert web.get(there.replace("/c-1?", "/c-2?")).status_code == 401
    assert web.get("/delta-sharing/files/c-1").status_code == 400
    for until in ("٣", "9" * 16, "", "-1"):
        assert web.get(f"/delta-sharing/files/c-1?until={until}&signature=x").status_code == 400
    assert web.head(there.replace("/c-1?", "/c-2?")).status_code == 401
    market.later(seconds=engine.ADDRESS_S)
    assert web.get(there).status_code == 401


def test_tokens_end_with_time_and_with_the_next_profile(market: Market, web: TestClient, token: str) -> None:
    assert get(web, "/delta-sharing/shares", "x").status_code == 401
    assert web.get("/delta-sharing/shares").status_code == 401
    newer = str(market.hospital.shares.profile("c-1", person(BUYER))["bearerToken"])
    assert get(web, "/delta-sharing/shares", token).status_code == 401
    assert get(web, "/delta-sharing/shares", newer).status_code == 200
    market.later(days=engine.TOKEN_DAYS)
    with pytest.raises(IdentityRefused, match="ended"):
        market.hospital.shares.known(newer)


def test_a_token_opens_its_own_contract_only(market: Market, web: TestClient, token: str) -> None:
    for path in ("/delta-sharing/shares/c-2", TABLE.replace("carotid-stents", "other") + "/metadata"):
        answer = get(web, path, token)
        assert (answer.status_code, answer.json()["errorCode"]) == (404, "RESOURCE_NOT_FOUND")
    with pytest.raises(AccessDenied) as foreign:
        market.hospital.shares.profile("c-1", person(OTHER))
    assert foreign.value.rule == "contract.foreign"
    assert ("key.release", "contract.foreign") in market.hospital.ground.refusals()


def test_a_share_is_delivered_once_a_day_however_often_it_is_read(tmp_path: Path) -> None:
    market = Market(tmp_path)
    terms = replace(sample_product().terms, recipients=(BUYER,))
    product = sample_product(terms=terms, delivery_modes=(DeliveryMode.DOWNLOAD,), max_deliveries=2)
    market.finalized(market.list_product(product, released()), "download")
    shares, book = market.hospital.shares, market.hospital.ground.book

    def read() -> int:
        table = shares.table(str(shares.profile("c-1", person(BUYER))["bearerToken"]))
        until, _, signature = shares.address(table, "c-1")[0].partition("until=")[2].partition("&signature=")
        return len(b"".join(shares.read("c-1", until, signature).pieces))

    sizes = [read() for _ in range(12)]
    used = book.spent("c-1")
    assert (used["deliveries"], used["rows"], used["bytes"]) == (1, 400, sum(sizes))
    market.later(days=1)
    read()
    assert book.spent("c-1")["deliveries"] == 2
    market.later(days=1)
    with pytest.raises(AccessDenied) as refused:
        read()
    assert refused.value.rule == "agreement.deliveries"
    assert market.hospital.ground.refusals()[-1] == ("share.read", "agreement.deliveries")


def test_a_share_may_be_read_every_day_of_its_term_unless_the_product_says_less(market: Market) -> None:
    record = market.negotiations.get("c-1")
    assert record.agreement is not None
    assert record.agreement["document"]["max_deliveries"] == 366


def test_ranges_are_those_of_http_and_each_its_own_event(market: Market, web: TestClient, token: str) -> None:
    there = address(web, token)
    whole = web.get(there)
    size = len(whole.content)
    looked = web.head(there)
    assert (looked.status_code, looked.content) == (200, b"")
    assert {"content-length": str(size), "accept-ranges": "bytes"}.items() <= dict(looked.headers).items()
    for asked, start, stop in (
        ("bytes=0-3", 0, 4), ("bytes=4-", 4, size), (f"bytes=4-{size * 9}", 4, size), ("bytes=-8", size - 8, size),
        (f"bytes=-{size * 9}", 0, size),
    ):  # fmt: skip
        answer = web.get(there, headers={"Range": asked})
        assert (answer.status_code, answer.content) == (206, whole.content[start:stop]), asked
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert answer.headers["content-length"] == str(stop - start)
    for asked in (f"bytes={size}-", "bytes=9-3"):
        answer = web.get(there, headers={"Range": asked})
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}")
    reads = [one.bytes for one in market.hospital.ground.events() if one.action == "share.read"]
    assert reads == [size, 4, size - 4, size - 4, 8, size]


NO_RANGES = ["", "bytes=", "bytes=-", "bytes=-0", "bytes=0-1,4-5", "rows=0-1", "bytes=a-b", "bytes=٣-"]


@pytest.mark.parametrize("asked", NO_RANGES)
def test_a_range_that_is_none_is_left_unheeded(asked: str) -> None:
    assert wanted_of(asked) is None


def test_a_file_is_read_as_the_official_client_reads_it(market: Market, web: TestClient, token: str) -> None:
    """A look and the end, then a read whose answer is dropped, a look and the columns: for each of its two passes."""
    there = address(web, token)
    size = int(web.head(there).headers["content-length"])
    for _ in range(2):
        tail = web.get(there, headers={"Range": f"bytes={max(0, size - 65536)}-{size - 1}"})
        assert tail.content.endswith(b"PAR1")
        with web.stream("GET", there) as dropped:
            assert dropped.status_code == 200
        assert web.head(there).status_code == 200
        body = web.get(there, headers={"Range": f"bytes=0-{size - 1}"})
        assert pl.read_parquet(io.BytesIO(body.content)).equals(released())


def test_a_licence_that_ended_ends_looks_and_ranges(market: Market, web: TestClient, token: str) -> None:
    there = address(web, token)
    market.negotiations.revoke("c-1", "ended", OFFICER)
    assert web.head(there).status_code == 403
    assert web.get(there, headers={"Range": "bytes=0-3"}).status_code == 403


def test_who_asks_too_often_waits(market: Market, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hdex.node.wire import http_sharing

    monkeypatch.setattr(http_sharing, "REQUESTS", Rate(per_s=0.001, burst=2))
    with TestClient(Starlette(routes=sharing_routes(market.hospital.shares, lambda: 0.0))) as web:
        found = [get(web, "/delta-sharing/shares", token).status_code for _ in range(3)]
    assert found == [200, 200, 429]


def test_a_stranger_s_body_is_read_no_further_than_its_bound(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was read whole before it was measured: who has no token could fill the node's memory."""
    app = Starlette(routes=sharing_routes(market.hospital.shares, lambda: 0.0))
    sent = [{"type": "http.request", "body": part, "more_body": True} for part in [bytes(MOST_BODY)] * 100]
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return sent.pop()

    async def silent() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("an event that nobody sets")

    async def send(message: Any) -> None:
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": f"{TABLE}/query", "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))
    assert len(sent) == 98  # two parts: the second went beyond
    monkeypatch.setattr(http_sharing, "BODY_TIMEOUT_S", 0.05)
    asyncio.run(app(scope, silent, send))
    assert [one["status"] for one in said if "status" in one] == [400, 400]


def test_a_reader_gets_the_file_over_https_of_the_node(market: Market, token: str, tmp_path: Path) -> None:
    certificate, key = pki.issue(pki.init(tmp_path / "ca", DOMAIN), "hospital/hospital-a")
    (tmp_path / "node.pem").write_bytes(certificate)
    (tmp_path / "node.key").write_bytes(key)
    absent = tmp_path / "absent"
    identity = IdentityFiles(tmp_path / "node.pem", tmp_path / "node.key", tmp_path / "ca/ca.pem", *[absent] * 4)
    serving = serve_https(
        Starlette(routes=sharing_routes(market.hospital.shares, time.monotonic)), ("127.0.0.1", 0), identity
    )
    trusted = ssl.create_default_context(cafile=str(identity.ca))
    try:
        with httpx.Client(base_url=f"https://127.0.0.1:{serving.port}", verify=trusted, trust_env=False) as reader:
            told = reader.post(f"{TABLE}/query", json={}, headers={"Authorization": f"Bearer {token}"})
            found = reader.get(lines(told)[2]["file"]["url"])
    finally:
        serving.stop()
    assert pl.read_parquet(io.BytesIO(found.content)).equals(released())


def test_names_and_types_are_those_that_readers_understand() -> None:
    assert plain_name("hospital-a.x:1") == "hospital-a_x_1"
    assert json.loads(spark_schema(pl.Schema({"day": pl.Date}))).get("type") == "struct"
    assert len(digest_of("\ud800")) == 64
