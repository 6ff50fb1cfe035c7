"""An auditor's questions to processes that run: extracts, full audits of a live folder, search, alerts, the desk."""

import json
import socket
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.journeys.stage import Stage, patiently

from hdex.ledger.anomaly_rules import default_rules
from hdex.ledger.ports import EventQuery
from hdex.ledger.trust import trust_from_document
from hdex.ledger.verify import verify_evidence
from hdex.node.auditor_desk import Desk
from hdex.node.auditor_full import audit_folder, audit_node
from hdex.node.demo.setting import AUDITOR, HOSPITALS, LOGGED
from hdex.node.errors import PeerUnavailable

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("market")]
PROVIDER = HOSPITALS[0]


def test_one_contract_is_answered_without_the_rest_of_any_log(stage: Stage, tmp_path: Path) -> None:
    contract = stage.reach("deliver").contracts["delivery"]
    auditor = stage.memory.cast.auditor
    path = tmp_path / "contract.zip"
    evidence = patiently(lambda: auditor.export(path, EventQuery(contract=contract)))
    trust = trust_from_document(auditor.trust(1))
    report = verify_evidence(path, trust)
    assert report.verified, report.first_offence
    shown = [json.loads(one.entry) for part in evidence.extracts for one in part.entries]
    assert {"contract.request", "contract.agree", "grant.issue", "export"} <= {event["action"] for event in shown}
    assert {event["contract"] for event in shown} == {contract}
    assert len(shown) < sum(len(stage.events(node)) for node in LOGGED)


def test_a_running_node_s_folder_and_its_answer_are_audited_in_full(stage: Stage) -> None:
    stage.reach("deliver")
    auditor = stage.memory.cast.auditor
    patiently(auditor.collect)  # has heads cosigned and anchored
    trust = trust_from_document(auditor.trust(1))
    for report in (
        audit_folder(
            stage.setting.home(PROVIDER) / "data", trust, anchors=stage.chain().anchors, say=lambda done: None
        ),
        audit_node(auditor, PROVIDER, trust, say=lambda done: None),
    ):
        assert report.verified, report.first_offence
        assert [told for told in report.checked if "anchors, as the chain itself holds them" in told]


def test_a_desk_over_running_nodes_finds_events_and_proves_each(stage: Stage, tmp_path: Path) -> None:
    stage.reach("deliver")
    auditor = stage.memory.cast.auditor
    desk = Desk(
        auditor,
        trust_from_document(auditor.trust(1)),
        default_rules(),
        folder=tmp_path / "desk",
        clock=lambda: datetime.now(UTC),
    )
    reading = patiently(desk.read)
    assert reading.report["verified"], reading.report["first_offence"]
    assert set(reading.logs) == set(LOGGED)
    place = next(reading.find(EventQuery(action="export"), PROVIDER)[1])
    kept = tmp_path / "proof.zip"
    kept.write_bytes(desk.proof_file(PROVIDER, place.index))
    assert verify_evidence(kept, desk.trust).verified
    assert len(kept.read_bytes()) < 20_000


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def answer(port: int, path: str) -> str:
    """Return a page. Raises PeerUnavailable while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as found:
            return str(found.read().decode())
    except OSError as error:
        raise PeerUnavailable("the pages are not there yet") from error


def test_the_pages_are_served_over_running_nodes_and_end_when_told_to(stage: Stage, tmp_path: Path) -> None:
    stage.reach("deliver")
    trust, port = tmp_path / "trust.json", free_port()
    trust.write_text(json.dumps(stage.memory.cast.auditor.trust(1)))
    command = ["audit", "serve", "--config", str(stage.setting.config_file(AUDITOR)), "--trust", str(trust)]
    process = subprocess.Popen([sys.executable, "-m", "hdex.node.cli", *command, "--port", str(port)])
    try:
        page = patiently(lambda: answer(port, "/"))
        assert all(node in page for node in LOGGED)
        assert "Everything that was read verifies" in page
        assert "导出" in answer(port, "/zh/events?action=export")
    finally:
        process.terminate()
        assert process.wait(30) == 0
