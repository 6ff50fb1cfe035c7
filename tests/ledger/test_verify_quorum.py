"""Groups of witnesses and replaced keys count in every audit as they count in the trust file."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.ledger.evidence_story import NODES, START, log_signer, save, seed, trust_document, usual_consortium

from hdex.ledger.audit_report import states
from hdex.ledger.bundle import Evidence
from hdex.ledger.bundle_extract import answer
from hdex.ledger.ports import EventQuery
from hdex.ledger.trust import Trust, trust_from_document
from hdex.ledger.verify import verify_evidence
from hdex.ledger.verify_full import LogCopy, audit_log


def grouped(*groups: tuple[int, list[str]]) -> Trust:
    """Return the trust of a policy in which each group must reach its number."""
    found: dict[str, Any] = trust_document()
    named = [{"name": f"group-{n}", "threshold": count, "members": held} for n, (count, held) in enumerate(groups)]
    top = {"name": "quorum", "threshold": "all", "members": [one["name"] for one in named]}
    found["policy"] = {"groups": [*named, top], "quorum": "quorum"}
    return trust_from_document(found)


def extracts(evidence: Evidence) -> Evidence:
    parts = tuple(answer(log, EventQuery(decision="deny"), evidence.witnesses) for log in evidence.logs)
    return replace(evidence, logs=(), extracts=parts)


MET = grouped((2, ["hospital-a", "hospital-b", "hospital-c"]))
UNMET = grouped((1, ["hospital-a"]), (1, ["hospital-b", "hospital-c"]))  # nobody vouches for its own log


@pytest.mark.parametrize("part", [lambda evidence: evidence, extracts])
def test_a_quorum_of_groups_decides_for_whole_logs_and_extracts(tmp_path: Path, part: Any) -> None:
    path = save(tmp_path / "e.zip", part(usual_consortium().evidence()))
    offence = verify_evidence(path, UNMET).first_offence or {}
    assert offence["log"] == "hospital-a"
    assert "are needed" in str(offence["why"])
    assert [one for one in verify_evidence(path, MET).checked if "is cosigned by hospital-b, hospital-c" in one]


def full(trust: Trust) -> str:
    told = usual_consortium()
    log = told.logs["hospital-a"]
    copy = LogCopy([(entry, None) for entry in log.entries(0, 17)], log.checkpoint(), log.cosigned())
    return str((audit_log(trust.logs[0], copy, trust).first_offence or {}).get("why", ""))


def test_a_quorum_of_groups_decides_for_a_full_audit() -> None:
    assert full(MET) == ""
    assert "no checkpoint is cosigned by" in full(UNMET)


def test_a_replaced_log_key_counts_for_what_was_cosigned_in_its_time(tmp_path: Path) -> None:
    found: dict[str, Any] = trust_document()
    old = found["logs"][0]["log_key"]
    found["logs"][0]["log_key"] = replace(log_signer(NODES[0]), seed=seed("new")).public_key.hex()
    path = save(tmp_path / "e.zip", usual_consortium().evidence())
    assert not verify_evidence(path, trust_from_document(found)).verified
    found["logs"][0]["earlier"] = [{"key": old, "until": (START + timedelta(hours=1)).isoformat()}]
    trust = trust_from_document(found)
    report = verify_evidence(path, trust)
    assert report.verified, report.first_offence
    assert states(usual_consortium().evidence(), trust)[0].cosigners == ("hospital-b", "hospital-c")
    found["logs"][0]["earlier"][0]["until"] = (START - timedelta(hours=1)).isoformat()
    assert not verify_evidence(path, trust_from_document(found)).verified
