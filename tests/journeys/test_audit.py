"""An audit over what really ran: everything verifies, a rewritten log does not, and a silent chain only delays."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.journeys.stage import Stage, eventually, patiently

from hdex.ledger.bundle import read_evidence
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.trust import read_trust
from hdex.ledger.verify import verify_evidence
from hdex.node.demo import acts_proof, rows
from hdex.node.demo.forgery import forge
from hdex.node.demo.setting import AUDITOR, HOSPITALS, LOGGED
from hdex.node.errors import RemoteRefused
from hdex.node.hospital.datasets import VIEW

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("market")]
PROVIDER = "hospital-c"


def audited(stage: Stage) -> Path:
    """Return the folder with evidence and trust of everything up to now."""
    patiently(lambda: acts_proof.audit(stage.memory))
    return stage.setting.home(AUDITOR)


def test_the_evidence_of_everything_that_ran_verifies(stage: Stage) -> None:
    stage.reach("deliver")
    folder = audited(stage)
    report = verify_evidence(folder / "evidence.zip", read_trust(folder / "trust.json"))
    assert report.first_offence is None
    assert report.verified
    evidence = read_evidence(folder / "evidence.zip")
    assert {log.node for log in evidence.logs} == set(LOGGED)
    assert all(log.anchors for log in evidence.logs)


def test_every_release_was_decided_before_it_happened(stage: Stage) -> None:
    stage.reach("deliver")
    for node in LOGGED:
        events = stage.events(node)
        assert [event for event in events if event["decision"] not in {"allow", "deny"}] == []
        assert [event for event in events if event["decision"] == "deny" and not event.get("reason")] == []
    provider = HOSPITALS[0]
    contract_id = stage.memory.contracts["delivery"]
    about = stage.actions(provider, contract=contract_id, decision="allow")
    assert about.index("grant.issue") < about.index("export") < about.index("delivery.acknowledge")


def test_no_event_names_a_person_or_holds_a_value(stage: Stage) -> None:
    stage.reach("deliver")
    for node in HOSPITALS:
        log = "\n".join(json.dumps(event, ensure_ascii=False) for event in stage.events(node))
        persons = rows.raw(stage.setting, node, VIEW)
        for name in ("record_number", "resident_id", "phone", "name"):
            assert not [value for value in persons[name].drop_nulls().to_list() if value in log], name
        assert "spiffe://" not in log


@pytest.mark.parametrize("node", [HOSPITALS[0], "exchange"])
def test_a_rewritten_log_is_found_at_its_first_wrong_entry(stage: Stage, node: str, tmp_path: Path) -> None:
    stage.reach("deliver")
    folder = audited(stage)
    forged = tmp_path / "forged.zip"
    index = forge(folder / "evidence.zip", forged, node=node, log_key=stage.setting.keys[node].secret("log"))
    report = verify_evidence(forged, read_trust(folder / "trust.json"))
    assert not report.verified
    offence = report.first_offence or {}
    assert offence.get("index") == index
    named = str(offence.get("contradicted_by"))
    assert [name for name in LOGGED if name != node and name in named]
    assert node not in named.split(", ")


def test_while_the_chain_is_down_the_rules_stand_and_the_events_wait(stage: Stage) -> None:
    stage.reach("publish")
    anchored = anchored_size(stage, PROVIDER)
    stage.supervisor.halt("chain")
    try:
        contract_id = stage.agree(PROVIDER, "sealed_file", "chain-down")
        buyer = stage.memory.cast.buyer
        assert buyer.fetch(contract_id).complete
        refused = [event for event in stage.events(PROVIDER) if event["decision"] == "deny"]
        size = stage.steward(PROVIDER).desk.status()["log_size"]
        assert isinstance(size, int)
        assert size > anchored
        shown = stage.logs().read(PROVIDER)  # an auditor reads the log without the chain
        entries = list(shown.entries)
        assert parse_checkpoint(shown.checkpoints[-1]).size == len(entries)
        assert list(stage.logs().read(PROVIDER, start=3, end=6).entries) == entries[3:6]
        with pytest.raises(RemoteRefused, match="there is no log of 1999"):
            stage.logs().read(PROVIDER, year=1999)
    finally:
        stage.supervisor.restart("chain")
    eventually(lambda: anchored_size(stage, PROVIDER) >= size, "the events of the outage anchored")
    grant = buyer.status(contract_id).grant_id
    eventually(lambda: stage.chain().is_granted(grant, datetime.now(UTC)), "the grant of the outage on the chain")
    assert len([event for event in stage.events(PROVIDER) if event["decision"] == "deny"]) == len(refused)


def anchored_size(stage: Stage, node: str) -> int:
    return max((anchor.size for anchor in stage.chain().anchors(node)), default=0)
