"""What anybody may read of a running exchange: how it stands, and each product with what the log remembers of it."""

import json
from typing import Any

import pytest
from tests.journeys.stage import Stage, eventually
from tests.journeys.test_saved_search import fetched

from hdex.ledger.note import parse_checkpoint

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("market")]


def status(stage: Stage) -> dict[str, Any]:
    code, body = fetched(stage, "/status.json")
    assert code == 200
    return dict(json.loads(body))


def test_an_exchange_tells_how_it_stands(stage: Stage) -> None:
    stage.reach("publish")
    eventually(lambda: status(stage)["health"] == "serving", "the exchange is well")
    told = status(stage)
    assert parse_checkpoint(told["log"]["checkpoint"]).size == told["log"]["cosigned_size"]
    assert len(told["log"]["cosigned"]) >= 1
    assert told["anchor"]["size"] >= 1
    assert {one["role"]: one["online"] for one in told["members"]}["hospital"] == 3
    assert told["catalogue"]["listed"] >= 1
    assert fetched(stage, "/healthz") == (200, b'{"status":"SERVING"}')
    for path in ("/status", "/zh/status"):
        assert fetched(stage, path)[0] == 200


def test_a_product_s_page_shows_what_the_exchange_s_log_remembers(stage: Stage) -> None:
    stage.reach("publish")
    product = next(iter(stage.memory.products.values()))["product"]
    code, body = fetched(stage, f"/products/{product}")
    assert code == 200
    assert b"catalogue.publish" in body
    assert b"hdex audit export --product" in body
