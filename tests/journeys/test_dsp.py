"""The Dataspace Protocol over real processes: a kit drives one connector in both roles, two connectors talk."""

import http.client
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.journeys.dsp_kit import CASES, Broken, Kit, Schemas, ask, kit
from tests.journeys.dsp_stage import Running, quick, running

from hdex.catalog.dsp import CONTEXT
from hdex.ledger.event import parse
from hdex.ledger.store_sqlite import SqliteLogStore

pytestmark = pytest.mark.xdist_group("dsp")
PATIENCE_S = 120.0  # a bound for a loaded machine, not a wait
TIMES = 3 if os.environ.get("HDEX_SOAK") == "1" else 1
ASKED = {"@context": [CONTEXT], "@type": "CatalogRequestMessage", "filter": []}


@pytest.fixture(scope="module")
def connector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("dsp")
    with running(quick(folder), folder / "one") as found:
        yield found


@pytest.fixture(scope="module")
def played(connector: Running) -> dict[tuple[str, str], str]:
    """Every sequence, played side by side: what broke in each, empty where nothing did."""
    with kit(connector.address) as driver, ThreadPoolExecutor(8) as pool:
        runs = [list(pool.map(lambda case: outcome(driver, *case), CASES)) for _ in range(TIMES)]
        rounds = [dict(zip(CASES, run, strict=True)) for run in runs]
    return {case: "; ".join(one[case] for one in rounds if one[case]) for case in CASES}


def outcome(driver: Kit, prefix: str, number: str) -> str:
    try:
        driver.play(prefix, number)
    except Broken as broken:
        return str(broken)
    return ""


@pytest.mark.parametrize(("prefix", "number"), CASES)
def test_the_connector_plays_every_sequence_of_the_kit(
    played: dict[tuple[str, str], str], prefix: str, number: str
) -> None:
    assert played[prefix, number] == ""


def test_the_versions_are_told_to_everybody(connector: Running) -> None:
    status, answer, _ = ask("GET", f"{connector.address}/.well-known/dspace-version")
    assert status == 200
    assert {"version": "2025-1", "path": "/dsp", "binding": "HTTPS"}.items() <= answer["protocolVersions"][0].items()


def test_the_catalogue_shows_what_the_profile_offers_and_nothing_else(connector: Running) -> None:
    schemas = Schemas()
    status, answer, _ = ask("POST", f"{connector.address}/dsp//catalog/request/", ASKED)
    assert status == 200
    schemas.require(answer)
    assert {"CAT0101", "ACN0101"} <= {one["@id"] for one in answer["dataset"]}
    status, answer, _ = ask("GET", f"{connector.address}/dsp/catalog/datasets/CAT0102")
    assert (status, answer["@id"]) == (200, "CAT0102")
    schemas.require(answer)
    status, answer, _ = ask("GET", f"{connector.address}/dsp/catalog/datasets/CAT0103")
    assert (status, answer["@type"], answer["code"]) == (404, "CatalogError", "not-found")
    schemas.require(answer)


def test_a_start_that_cannot_be_is_refused_in_the_protocols_words(connector: Running) -> None:
    told = {"datasetId": "d", "offerId": "o", "connectorAddress": "http://localhost:1"}
    for change, expected in (
        ({"connectorAddress": "http://elsewhere.test"}, (400, "address.plain")),
        ({"connectorAddress": "http://localhost:1/\u00e9"}, (400, "address.form")),
        ({"offerId": ""}, (400, "request-invalid")),
        ({"note": "x" * 300_000}, (413, "too-long")),
    ):
        status, answer, _ = ask("POST", f"{connector.address}/conformance/negotiations", {**told, **change})
        assert (status, answer["code"], answer["@type"]) == (*expected, "ContractNegotiationError")


def test_a_kit_may_ask_as_often_as_it_likes(connector: Running) -> None:
    """Everybody on this machine is one peer: what a hospital grants one participant is too little for a whole kit."""
    place = urlsplit(connector.address)
    line = http.client.HTTPConnection(place.hostname or "", place.port, timeout=PATIENCE_S)
    for _ in range(1500):
        line.request("GET", "/dsp/negotiations/unknown")
        with line.getresponse() as answer:
            answer.read()
        assert answer.status == 404
    line.close()


CONSUMER = """
delay_s = 0.05
[reactions.consumer.d]
OFFERED = ["accept"]
AGREED = ["verify"]
"""
PROVIDER = """
delay_s = 0.05
[datasets]
d = ["o"]
[reactions.provider.d]
REQUESTED = ["offer"]
ACCEPTED = ["agree"]
VERIFIED = ["finalize"]
"""
STEPS = ["request", "offer", "accept", "agree", "verify", "finalize"]


def profile(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def remembered(data: Path) -> list[str]:
    """Return what the log of a stopped connector holds of contracts."""
    store = SqliteLogStore(data / "log.db")
    actions = [parse(leaf).action.value for leaf in store.read(0, store.size())]
    store.close()
    return [action for action in actions if action.startswith("contract.")]


def test_two_connectors_finish_their_contract_although_both_die_on_the_way(tmp_path: Path) -> None:
    """The provider dies before it answers the first request, the consumer before its acceptance has left."""
    asking, offering = profile(tmp_path, "asking", CONSUMER), profile(tmp_path, "offering", PROVIDER)
    mine, theirs = tmp_path / "consumer", tmp_path / "provider"
    with (
        running(offering, theirs, failpoint="dsp.request.kept") as first,
        running(asking, mine, failpoint="dsp.message.queued") as dying,
    ):
        what = {"datasetId": "d", "offerId": "o", "connectorAddress": f"{first.address}/dsp"}
        status, answer, _ = ask("POST", f"{dying.address}/conformance/negotiations", what)
        assert status == 200
        assert first.wait() == -9
        ports = [int(one.address.rpartition(":")[2]) for one in (first, dying)]
        with running(offering, theirs, port=ports[0]) as provider:
            assert dying.wait() == -9  # its acceptance is stored and not sent
            with running(asking, mine, port=ports[1]) as consumer:
                path = f"{consumer.address}/dsp/negotiations/{answer['consumerPid']}"
                state = shown(path, "FINALIZED")
                assert shown(f"{provider.address}/dsp/negotiations/{state['providerPid']}", "FINALIZED")
                assert consumer.stop() == provider.stop() == 0
    assert [one for one in remembered(mine) if one != "contract.read"] == [f"contract.{step}" for step in STEPS]
    assert [one for one in remembered(theirs) if one != "contract.read"] == [f"contract.{step}" for step in STEPS]


def shown(path: str, state: str) -> dict[str, Any]:
    """Return a process as soon as it shows this state."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        status, answer, _ = ask("GET", path)
        if status == 200 and answer["state"] == state:
            return answer
        threading.Event().wait(0.05)
    raise AssertionError(f"{state} was not reached: {answer}")
