"""`hdex audit convert`: what it writes is valid in the form of others and holds every event that was asked for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from fhir.resources.R4B.bundle import Bundle
from tests.ledger.evidence_story import NODES, save, usual_consortium
from typer.testing import CliRunner

from hdex.ledger.bundle_extract import answers
from hdex.ledger.ports import EventQuery
from hdex.node.cli.main import app

IN_ALL, DENIED = 17 * len(NODES), 2 * len(NODES)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    return save(tmp_path / "evidence.zip", usual_consortium().evidence())


def convert(evidence: Path, form: str, *more: str) -> tuple[int, str]:
    """Return the exit code and what was written."""
    out = evidence.with_name(f"out.{form}")
    done = CliRunner().invoke(app, ["audit", "convert", str(evidence), "--out", str(out), "--format", form, *more])
    return done.exit_code, out.read_text(encoding="utf-8") if out.exists() else ""


def test_all_events_are_one_valid_bundle(evidence: Path) -> None:
    code, written = convert(evidence, "fhir")
    Bundle.model_validate_json(written)
    found = json.loads(written)
    assert (code, found["type"], len(found["entry"])) == (0, "collection", IN_ALL)
    observers = [entry["resource"]["source"]["observer"] for entry in found["entry"]]
    assert {one["identifier"]["value"] for one in observers} == set(NODES)


def test_a_filter_chooses_and_each_line_is_a_valid_audit_event(evidence: Path) -> None:
    code, written = convert(evidence, "fhir-ndjson", "--decision", "deny")
    events = [AuditEvent.model_validate_json(line) for line in written.splitlines()]
    assert (code, len(events), {event.outcome for event in events}) == (0, DENIED, {"8"})


def test_provenance_names_every_activity_once_and_where_products_were_used(evidence: Path) -> None:
    code, written = convert(evidence, "prov")
    found = json.loads(written)
    assert (code, len(found["activity"])) == (0, IN_ALL)
    assert set(found) <= {"prefix", "entity", "activity", "agent", "used", "wasGeneratedBy", "wasAssociatedWith",
                          "wasDerivedFrom"}  # fmt: skip
    ends = [end for kind in ("used", "wasGeneratedBy") for one in found.get(kind, {}).values() for end in one.values()]
    assert ends
    assert all(end in found["activity"] or end in found["entity"] for end in ends)


def test_an_extract_is_converted_as_well(evidence: Path) -> None:
    told = usual_consortium().evidence()
    parts = answers(told.logs, EventQuery(decision="deny"), told.witnesses)
    held = sum(len(part.entries) for part in parts)
    save(evidence, replace(told, logs=(), extracts=tuple(parts)))
    code, written = convert(evidence, "fhir")
    assert (code, len(json.loads(written)["entry"])) == (0, held)


def test_another_form_or_no_evidence_writes_nothing(evidence: Path) -> None:
    assert convert(evidence, "xml") == (2, "")
    evidence.write_bytes(b"no zip")
    assert convert(evidence, "fhir")[1] == ""
