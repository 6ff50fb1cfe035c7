"""The desk in the story: a study waits for the officer, who approves it through the page, and it runs."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.stage import Stage, refusal, silent
from tests.journeys.test_round import market, question, signed
from tests.node.consortium import hdex, printed
from tests.node.desk_stage import forms_of, said
from tests.node.test_desk_process import browser, desk

from hdex.node.demo.setting import HOSPITALS

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("stage")]
SITE = HOSPITALS[0]


def waiting_study(stage: Stage) -> tuple[dict[str, Any], str]:
    """Return the plan of a study that no rule lets pass at one hospital, and its digest there."""
    memory = stage.reach("federate")
    contracts = {hospital: memory.contracts[hospital] for hospital in HOSPITALS}
    contracts[SITE] = stage.agree(SITE, "federated", "desk")
    officer: tuple[str | Path, ...] = ("--config", stage.setting.config_file(SITE))
    officer = (*officer, "--desk", stage.setting.home(SITE) / "staff" / "privacy_officer")
    assert hdex("federated", "deny", contracts[SITE], "--contract", *officer).returncode == 0
    plan = market(stage).plan(question(stage, "study-desk", contracts))
    assert refusal(lambda: market(stage).start(signed(stage, plan), silent)).rule == "approval.missing"
    listed = printed(hdex("federated", "list", *officer, "--json"))["studies"]
    (digest,) = (row["digest"] for row in listed if row["study"] == "study-desk")
    return plan, str(digest)


def test_an_officer_approves_a_waiting_study_through_the_page(stage: Stage) -> None:
    plan, digest = waiting_study(stage)
    path = f"/studies/{digest}/approve"
    with desk(stage.setting, "privacy_officer") as address, closing(browser(address)) as officer:
        assert "Decide on the study study-desk" in said(officer.get("/").text)
        form = dict(forms_of(officer.get(path).text))[path]
        answer = officer.post(path, data=form, headers={"origin": address.partition("/sign-in")[0]})
        assert "Approved: your signature is kept." in said(answer.text)
        assert market(stage).start(signed(stage, plan), silent)["sites"] == list(HOSPITALS)
        assert "round submitted" in said(officer.get("/accesses?decision=allow").text)
