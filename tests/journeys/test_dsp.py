"""The Dataspace Protocol over real processes: a kit drives one connector in both roles, two connectors talk."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.journeys.dsp_kit import CASES, Broken, Kit, Schemas, ask, kit
from tests.journeys.dsp_stage import Running, quick, running

from hdex.catalog.dsp import CONTEXT

pytestmark = pytest.mark.xdist_group("dsp")
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
        runs = [pool.map(lambda case: outcome(driver, *case), CASES) for _ in range(TIMES)]
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
