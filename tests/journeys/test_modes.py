"""Contracts for queries and the enclave over real processes: gRPC, mutual TLS, logs that auditors read."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.journeys.stage import Stage, refusal

from hdex.node.client import Exchange
from hdex.node.demo.setting import APPLICANT, BUYER
from hdex.node.question import Question
from hdex.node.wire.remote import RemoteHospitals

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("market")]
PROVIDER = "hospital-b"


def entries(stage: Stage, contract: str, action: str) -> list[dict[str, Any]]:
    return [one for one in stage.events(PROVIDER) if (one.get("contract"), one["action"]) == (contract, action)]


def test_a_question_is_answered_logged_and_refused_to_others(stage: Stage) -> None:
    contract = stage.agree(PROVIDER, "query", "query")
    exchange = Exchange(stage.memory.cast.buyer)
    frame = exchange.query(contract, Question(kind="count"))
    released = stage.memory.released[PROVIDER]
    assert frame["n"].to_list() == [int(str(released["records"]))]
    (event,) = entries(stage, contract, "query.run")
    assert (event["decision"], event["fields"]) == ("allow", 1)
    counter = RemoteHospitals(stage.channels(APPLICANT))
    question = Question(kind="count").document()
    assert refusal(lambda: counter.query(PROVIDER, contract, question)).rule == "contract.foreign"
    assert refusal(lambda: exchange.query(contract, {"kind": "count", "by": ["no_such"]})).rule == "query.columns"
    stage.officer(PROVIDER).desk.revoke(contract, "ended")
    assert refusal(lambda: exchange.query(contract, Question(kind="count"))).rule == "contract.revoked"


def test_a_script_runs_after_one_signature_and_its_table_leaves_after_two(stage: Stage, tmp_path: Path) -> None:
    contract = stage.agree(PROVIDER, "enclave", "enclave")
    exchange, officer = Exchange(stage.memory.cast.buyer), stage.officer(PROVIDER)
    script = tmp_path / "count.py"
    script.write_text("import polars\nframe.select(polars.len().alias('n')).write_csv('all.csv')\n")
    run = str(exchange.submit(contract, script)["run"])
    assert officer.review(run, approve=True)["state"] == "CHECKED"
    assert exchange.output(contract, run)[1] == {}
    assert officer.review(run, approve=True)["state"] == "RELEASED"
    document, tables = exchange.output(contract, run)
    assert document["state"] == "RELEASED"
    assert tables["all.csv"].equals(pl.DataFrame({"n": [int(str(stage.memory.released[PROVIDER]["records"]))]}))
    ran, left = entries(stage, contract, "query.run"), entries(stage, contract, "export")
    assert [one["decision"] for one in ran + left] == ["allow", "allow"]
    assert ran[0]["request_digest"] == document["script_digest"]


def test_no_share_is_opened_for_a_level_that_does_not_permit_it(stage: Stage) -> None:
    contract = stage.agree(PROVIDER, "query", "share")
    counter = RemoteHospitals(stage.channels(BUYER))
    error = refusal(lambda: counter.open_share(PROVIDER, contract))
    assert error.rule not in {"", "internal"}
    assert entries(stage, contract, "key.release")[-1]["decision"] == "deny"
