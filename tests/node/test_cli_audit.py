"""`hdex audit`: what the verbs print and how they end, over files and without a network."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from tests.ledger.evidence_story import NODES, log_signer, make_event, origin, save, trust_document, usual_consortium
from tests.node.auditor_stage import Hall
from typer.testing import CliRunner

from hdex.ledger.bundle import Absence
from hdex.ledger.event import Action, canonical
from hdex.ledger.log import Log
from hdex.ledger.ports import EventQuery
from hdex.ledger.store_sqlite import SqliteLogStore
from hdex.node.cli.audit_filters import between, query_of
from hdex.node.cli.main import app

NODE = NODES[0]


@pytest.fixture
def trust_file(tmp_path: Path) -> Path:
    path = tmp_path / "trust.json"
    path.write_text(json.dumps(trust_document(witnesses=0)))
    return path


@pytest.fixture
def log_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    log = Log(SqliteLogStore(folder / "log.db"), origin(NODE), log_signer(NODE))
    for number in range(3):
        log.append(canonical(make_event(NODE, number, Action.AUDIT_READ)))
    log.close()
    return folder


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["audit", *map(str, arguments)])
    return result.exit_code, result.stdout


def test_full_audits_a_folder_and_its_json_keeps_its_keys(log_folder: Path, trust_file: Path) -> None:
    code, said = run("full", log_folder, "--trust", trust_file, "--json")
    assert code == 0
    report = json.loads(said)
    assert list(report) == ["verified", "checked", "not_checked", "first_offence"]
    assert report["verified"]
    assert "hospital-a: the chain was not asked for the anchors of this log" in report["not_checked"]


def test_full_of_a_log_that_is_not_its_own_ends_with_1(log_folder: Path, trust_file: Path) -> None:
    asked = trust_document(witnesses=0)
    asked["logs"][0]["log_key"] = asked["logs"][1]["log_key"]
    trust_file.write_text(json.dumps(asked))
    code, said = run("full", log_folder, "--trust", trust_file)
    assert code == 1
    assert said.startswith("NOT VERIFIED")


def test_full_without_a_folder_says_what_it_needs(tmp_path: Path, trust_file: Path) -> None:
    assert run("full", "hospital-z", "--trust", trust_file)[0] == 2


def test_an_extract_with_somebody_away_is_verified_by_the_same_verb(tmp_path: Path, trust_file: Path) -> None:
    evidence = replace(usual_consortium().evidence(), absent=(Absence("exchange", "log", "peer-unavailable"),))
    code, said = run("verify", save(tmp_path / "e.zip", evidence), "--trust", trust_file, "--json")
    assert code == 0
    assert any(told.startswith("exchange: its log could not be read") for told in json.loads(said)["not_checked"])


def test_a_search_reads_every_log_in_the_order_of_time() -> None:
    hall = Hall()
    hall.logs.away = {"hospital-c"}
    found, absent = hall.auditor().search(EventQuery(decision="deny"), limit=1)
    assert [(one["log"], one["index"], one["event"]["action"]) for one in found] == [
        ("hospital-a", 14, "export"),
        ("hospital-b", 14, "export"),
    ]
    assert [one.participant for one in absent] == ["hospital-c"]


def test_no_filter_asks_for_whole_logs() -> None:
    assert query_of(time=None, actor=None, product=None) is None


def test_filters_become_one_query() -> None:
    found = query_of(time="2026-11-01..2026-11-02", actor=["ab"], product="p", action="export", decision=None)
    assert found == EventQuery(
        product="p",
        action="export",
        actor=("ab",),
        since=datetime(2026, 11, 1, tzinfo=UTC),
        until=datetime(2026, 11, 3, tzinfo=UTC),
    )


@pytest.mark.parametrize("name", ["action", "decision"])
def test_a_filter_that_no_event_can_meet_is_a_mistake(name: str) -> None:
    with pytest.raises(typer.BadParameter, match="no event has"):
        query_of(time=None, actor=None, **{name: "exporting"})


def test_half_open_and_exact_times_are_understood() -> None:
    assert between("..2026-11-01T10:00:00+02:00") == (None, datetime(2026, 11, 1, 8, tzinfo=UTC))
    assert between("2026-11-01T10:00..") == (datetime(2026, 11, 1, 10, tzinfo=UTC), None)


@pytest.mark.parametrize("span", ["2026-11-01", "..", "yesterday..", "2026-11-02..2026-11-01"])
def test_times_that_make_no_sense_are_mistakes(span: str) -> None:
    with pytest.raises(typer.BadParameter):
        between(span)
