"""The report of an audit: one file, two languages, nothing loaded, and nothing said that the audit does not say."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.ledger.evidence_story import (
    CHAIN,
    Consortium,
    origin,
    rewrite,
    save,
    trust,
    trust_document,
    usual_consortium,
)
from typer.testing import CliRunner

from hdex.ledger.audit_report import report_document, state_of, states, subject_of
from hdex.ledger.bundle import Absence, Evidence
from hdex.ledger.bundle_extract import answer, extract
from hdex.ledger.ports import EventQuery
from hdex.ledger.trust import trust_from_document
from hdex.ledger.verify import AuditReport, verify_evidence
from hdex.ledger.verify_full import LogCopy, audit_log
from hdex.node.cli.main import app
from hdex.node.errors import ConfigInvalid
from hdex.node.web.auditor_report import render_report, write_report
from hdex.node.web.auditor_words import LANGUAGES, AuditWords, table

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def change(entries: list[bytes]) -> None:
    entries[9] = entries[9].replace(b'"rows":', b'"rows":9')


def reported(path: Path, evidence: Evidence) -> dict[str, object]:
    found = verify_evidence(save(path / "e.zip", evidence), trust())
    subject = {"file": "<e>.zip", **subject_of(evidence)}
    return report_document(found, trust(), made=NOW, subject=subject, logs=states(evidence, trust()))


def test_the_document_says_subject_trust_logs_and_verdict(tmp_path: Path) -> None:
    found = reported(tmp_path, usual_consortium().evidence())
    assert found["format"] == "hdex-audit-report/1"
    assert [found["verified"], found["first_offence"]] == [True, None]
    assert json.loads(json.dumps(found)) == found
    logs = found["logs"]
    assert isinstance(logs, list)
    assert len(logs) == 3
    assert logs[0] == {
        "node": "hospital-a",
        "origin": "hdex/hospital-a/2026",
        "entries": 17,
        "is_extract": False,
        "checkpoint_size": 17,
        "cosigners": ["hospital-b", "hospital-c"],
        "cosigned": "2026-11-21T22:00:00.000Z",
        "anchored_size": 17,
        "anchored": "2026-11-21T22:01:00.000Z",
        "block": 2,
    }


def test_a_state_counts_authentic_checkpoints_only() -> None:
    evidence = usual_consortium().evidence()
    other = trust_document()
    other["logs"][0]["log_key"] = other["logs"][1]["log_key"]
    strange = trust_from_document(other)
    log = strange.log(origin("hospital-a"))
    assert log is not None
    assert (state_of(evidence.logs[0], log, strange).size, state_of(evidence.logs[0], log, strange).cosigners) == (
        0,
        (),
    )


def test_the_file_loads_nothing_and_holds_both_languages(tmp_path: Path) -> None:
    page = render_report(reported(tmp_path, usual_consortium().evidence()))
    assert not re.search(r"""(src|href|action)=["']?(?!#)|url\(|@import|<script""", page)
    assert "default-src 'none'" in page
    assert "Every check that this evidence allows was made and holds" in page
    assert "凭现有证据可以进行的核验均已完成且全部成立" in page
    assert "&lt;e&gt;.zip" in page  # a file's name is a stranger's text


def test_an_offence_is_named_with_its_entry_and_who_contradicts(tmp_path: Path) -> None:
    page = render_report(reported(tmp_path, rewrite(usual_consortium().evidence(), "hospital-b", change)))
    assert "Not verified" in page
    assert "Entry 9 is not the one under the checkpoint of size 17 that hospital-a, hospital-c cosigned" in page
    assert "第 9 条并非 hospital-a, hospital-c 在大小为 17 的检查点下共同签名的内容" in page


def full(found: Consortium, *, cosigned: Sequence[str] | None = None, chain: bool = True) -> AuditReport:
    log = found.logs["hospital-a"]
    entries = [(entry, None) for entry in log.entries(0, log.size)]
    kept = log.cosigned() if cosigned is None else cosigned
    trusted = trust().log(log.origin)
    assert trusted is not None
    return audit_log(
        trusted, LogCopy(entries, log.checkpoint(), kept, found.anchors["hospital-a"] if chain else None), trust()
    )


def stories(path: Path) -> list[AuditReport]:
    whole = usual_consortium().evidence()
    parts = tuple(answer(log, EventQuery(decision="deny"), whole.witnesses) for log in whole.logs)
    lone = tuple(extract(log, [5], [17]) for log in whole.logs)
    gone = tuple(Absence(part, part, "peer-unavailable") for part in ("log", "witness", "chain"))
    earlier = save(path / "earlier.zip", whole)
    shown = [
        whole,
        replace(whole, witnesses=()),
        replace(whole, logs=whole.logs[:1], absent=gone),
        replace(whole, logs=tuple(replace(log, anchors=()) for log in whole.logs), chain={}),
        replace(whole, logs=(), extracts=parts),
        replace(whole, logs=(), extracts=lone),
        replace(whole, witnesses=tuple(replace(one, mirror=(bytes(32),) * 17) for one in whole.witnesses)),
    ]
    found = [verify_evidence(save(path / "e.zip", one), trust(), earlier=earlier) for one in shown]
    found.append(verify_evidence(save(path / "e.zip", whole), trust(witnesses=0)))
    grown = usual_consortium()
    grown.write("hospital-a", [])
    return [*found, full(grown), full(grown, chain=False), full(Consortium())]


def test_every_sentence_of_a_verifier_is_said_in_chinese(tmp_path: Path) -> None:
    words = AuditWords("zh")
    sentences = {told for report in stories(tmp_path) for told in (*report.checked, *report.not_checked)}
    assert len(sentences) > 40
    assert [claim.text for claim in words.claims(sentences) if not claim.is_translated] == []


def test_words_stand_in_both_languages() -> None:
    sections = {name: held for name, held in table().items() if isinstance(held, dict)}
    assert all(set(word) == set(LANGUAGES) for held in sections.values() for word in held.values())
    assert AuditWords("en").name("action", "something.new") == "something.new"
    assert [AuditWords("en").age(timedelta(seconds=s)) for s in (5, 65, 7300, 172800)] == ["5 s", "1 min", "2 h", "2 d"]


def test_verify_writes_the_report_it_prints(tmp_path: Path) -> None:
    evidence = save(tmp_path / "e.zip", usual_consortium().evidence())
    keys = tmp_path / "trust.json"
    keys.write_text(json.dumps(trust_document()))
    for name in ("out.html", "out.json"):
        run = CliRunner().invoke(
            app, ["audit", "verify", str(evidence), "--trust", str(keys), "--report", str(tmp_path / name), "--json"]
        )
        assert run.exit_code == 0
        assert list(json.loads(run.stdout)) == ["verified", "checked", "not_checked", "first_offence"]
    kept = json.loads((tmp_path / "out.json").read_text())
    assert kept["trust"]["chain"] == CHAIN
    assert len(kept["subject"]["sha256"]) == 64
    assert "<!doctype html>" in (tmp_path / "out.html").read_text()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"\.html or \.json"):
        write_report(tmp_path / "out.pdf", {})
    assert list(tmp_path.iterdir()) == []
