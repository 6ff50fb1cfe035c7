"""Participants killed at named instants, starved of disk: the step told again ends where it would have ended."""

import resource
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.journeys.stage import Stage, eventually, patiently, refusal, silent

from hdex.node.buyer import Delivered
from hdex.node.demo import acts_proof, rows
from hdex.node.demo.setting import HOSPITALS
from hdex.node.errors import NodeError, PeerUnavailable, RemoteRefused
from hdex.node.hospital.datasets import VIEW
from hdex.node.hospital.released import release_name

pytestmark = [pytest.mark.fault, pytest.mark.xdist_group("market")]
FIRST, SECOND = HOSPITALS[:2]
SEALED = "sealed_file"


def test_a_story_with_nine_deaths_ends_where_it_would_have_ended(stage: Stage) -> None:
    memory = stage.reach("federate")
    assert memory.difference <= 1e-9
    assert memory.values_altered == 0
    assert [product["version"] for product in memory.products.values()] == ["1.0.0"] * len(HOSPITALS)
    listed = memory.cast.buyer.find("hypertension")
    assert sorted(product.id for product in listed) == sorted(p["product"] for p in memory.products.values())
    for hospital in HOSPITALS:
        kept = rows.vault(stage.setting, hospital)
        assert kept.contains("cohort", release_name("1.0.0"))
        assert not kept.contains("cohort", release_name("1.1.0"))
        assert rows.raw(stage.setting, hospital, VIEW).height == memory.ingested[hospital]["patients"]


def test_after_the_deaths_every_contract_has_one_state_and_one_grant(stage: Stage) -> None:
    memory = stage.reach("federate")
    for name, contract_id in memory.contracts.items():
        hospital = name if name in HOSPITALS else FIRST
        record = memory.cast.buyer.status(contract_id)
        assert (record.state, states(stage, hospital)[contract_id]) == ("FINALIZED", "ACTIVE")
        grant = record.grant_id
        eventually(lambda grant=grant: stage.chain().is_granted(grant, datetime.now(UTC)), "the grant on the chain")  # type: ignore[misc]  # bound now


def test_a_full_disk_refuses_and_acknowledges_nothing(stage: Stage) -> None:
    stage.reach("publish")
    contract_id = stage.agree(SECOND, SEALED, "full-disk")
    before = stage.events(SECOND)
    pid = stage.supervisor.pids()[SECOND]
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, unlimited[1]))  # every write fails as on a full disk
    try:
        for ask in (
            lambda: stage.memory.cast.buyer.first_range(contract_id),
            lambda: stage.steward(SECOND).ingest("late", stage.memory.folders[SECOND], "hypertension", silent),
            lambda: stage.officer(SECOND).desk.revoke(contract_id, "no"),
        ):
            assert isinstance(failure(ask), PeerUnavailable | RemoteRefused)
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    stage.supervisor.restart(SECOND)  # a writer that failed once is opened anew, never retried
    after = patiently(lambda: stage.events(SECOND))
    assert after[: len(before)] == before
    added = Counter(event["action"] for event in after[len(before) :] if event["decision"] == "allow")
    assert not {"export", "ingest.run", "grant.revoke"} & set(added)
    assert patiently(lambda: delivered(stage, contract_id)).complete


def test_after_everything_all_logs_verify(stage: Stage) -> None:
    stage.reach("federate")
    patiently(lambda: acts_proof.audit(stage.memory))
    assert stage.memory.audit["first_offence"] is None
    assert stage.memory.audit["verified"]
    assert stage.memory.audit["without_decision"] == 0


def delivered(stage: Stage, contract_id: str) -> Delivered:
    """Fetch and compare a delivery whatever happens on the way."""
    buyer = stage.memory.cast.buyer
    provider = str(buyer.status(contract_id).asked["provider"])
    done = patiently(lambda: buyer.fetch(contract_id))
    released = rows.released_frame(stage.setting, provider, stage.memory.released[provider])
    assert rows.altered(buyer.open(contract_id), released) == 0
    return done


def states(stage: Stage, hospital: str) -> dict[str, str]:
    """Return {contract: state of its life} as a hospital tells it."""
    contracts = stage.steward(hospital).desk.status()["contracts"]
    assert isinstance(contracts, dict)
    return contracts


def failure(ask: Any) -> NodeError:
    try:
        return refusal(ask)
    except PeerUnavailable as error:
        return error
