"""An auditor collects what there is, says who was away, and may ask one question instead of for everything."""

from pathlib import Path

import pytest
from tests.ledger.evidence_story import NODES
from tests.node.auditor_stage import Hall

from hdex.ledger.bundle import Absence, read_evidence
from hdex.ledger.ports import EventQuery
from hdex.ledger.trust import trust_from_document
from hdex.ledger.verify import verify_evidence
from hdex.node.errors import PeerUnavailable


def test_everything_that_there_is_verifies(tmp_path: Path) -> None:
    hall, path = Hall(), tmp_path / "evidence.zip"
    evidence = hall.auditor().export(path)
    assert (len(evidence.logs), evidence.format) == (3, "hdex-evidence/1")
    report = verify_evidence(path, trust_from_document(hall.auditor().trust(2)))
    assert report.verified, report.first_offence
    assert "hospital-a: 2 anchors, the newest of size 17 in block 3, are prefixes of the log" in report.checked


def test_witnesses_are_asked_before_any_log_is_read() -> None:
    hall = Hall()
    hall.auditor().collect()
    assert hall.logs.asked[-3:] == list(NODES)


@pytest.mark.parametrize("gone", NODES)
def test_one_participant_away_is_named_and_the_rest_is_verified(tmp_path: Path, gone: str) -> None:
    hall, path = Hall(), tmp_path / "evidence.zip"
    hall.logs.away = {gone}
    evidence = hall.auditor().export(path)
    assert set(evidence.absent) == {Absence(gone, part, "peer-unavailable") for part in ("witness", "log")}
    assert hall.logs.asked.count(gone) == 2  # as a witness and as a log: not once for every log
    report = verify_evidence(path, trust_from_document(hall.auditor().trust(2)))
    assert report.verified, report.first_offence
    assert len([told for told in report.not_checked if told.startswith(f"{gone}: ")]) == 3
    assert f"{gone}: its log could not be read when the evidence was collected (peer-unavailable)" in report.not_checked


def test_a_chain_that_is_away_is_named_and_the_logs_are_verified(tmp_path: Path) -> None:
    hall, path = Hall(), tmp_path / "evidence.zip"
    trust = trust_from_document(hall.auditor().trust(2))
    hall.ledger.up = False
    evidence = hall.auditor().export(path)
    assert [(one.part, one.why) for one in evidence.absent] == [("chain", "chain-unavailable")]
    report = verify_evidence(path, trust)
    assert report.verified, report.first_offence
    assert (
        "chain: the chain could not be asked for its anchors when the evidence was collected (chain-unavailable)"
        in (report.not_checked)
    )


def test_when_nobody_answers_there_is_no_file(tmp_path: Path) -> None:
    hall = Hall()
    hall.logs.away = set(NODES)
    with pytest.raises(PeerUnavailable, match=r"none of the 3 logs could be read: [a-z-]+"):
        hall.auditor().export(tmp_path / "evidence.zip")
    assert list(tmp_path.iterdir()) == []


def test_one_question_is_answered_with_proofs_and_no_more(tmp_path: Path) -> None:
    hall, path = Hall(), tmp_path / "evidence.zip"
    hall.auditor().export(path, EventQuery(action="catalogue.publish", product="stents"))
    evidence = read_evidence(path)
    assert evidence.logs == ()
    assert [len(part.entries) for part in evidence.extracts] == [1, 1, 1]
    assert all(one.mirror == () for one in evidence.witnesses)
    report = verify_evidence(path, trust_from_document(hall.auditor().trust(2)))
    assert report.verified, report.first_offence
