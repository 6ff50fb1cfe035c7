"""A saved search over real processes: kept by the command line, told in its feed, gone when it is removed."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest
from tests.journeys.stage import Stage

from hdex.catalog.ports import Query
from hdex.node.config import ExchangeConfig, load
from hdex.node.demo.setting import APPLICANT, BUYER
from hdex.node.errors import RemoteRefused
from hdex.node.wire.remote_searches import RemoteSearches

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("market")]


def buy_search(stage: Stage, *words: str) -> Any:
    """Return what `hdex buy search ...` prints as JSON."""
    config = str(stage.setting.config_file(BUYER))
    command = [sys.executable, "-m", "hdex.node.cli", "buy", "search", *words, "--config", config, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)


def fetched(stage: Stage, path: str) -> tuple[int, bytes]:
    listen = load(stage.setting.config_file("exchange"), ExchangeConfig).listen
    try:
        with urllib.request.urlopen(f"http://{listen.http}{path}", timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def test_a_search_is_kept_told_in_its_feed_and_forgotten(stage: Stage) -> None:
    stage.reach("publish")
    kept = buy_search(stage, "save", "carotid", "--name", "stents & more")
    assert (kept["query"], kept["matches"]) == ("carotid", 0)
    assert "webhook_secret" not in kept
    assert kept["id"] in [row["id"] for row in buy_search(stage, "list")["searches"]]
    assert buy_search(stage, "feed", kept["id"])["feed"] == kept["feed"]
    status, body = fetched(stage, kept["feed"])
    assert status == 200
    assert b"stents &amp; more" in body
    other = RemoteSearches(stage.channels(APPLICANT)("exchange"))
    with pytest.raises(RemoteRefused, match="keeps no search"):
        other.remove(kept["id"])
    with pytest.raises(RemoteRefused) as refused:
        other.save(Query(text="carotid"), name="x", webhook="https://hooks.buyer.test/")
    assert refused.value.rule == "webhook.host"
    buy_search(stage, "remove", kept["id"])
    assert fetched(stage, kept["feed"])[0] == 404
    actions = stage.actions("exchange", decision="allow")
    assert {"search.save", "search.read", "search.remove"} <= set(actions)
