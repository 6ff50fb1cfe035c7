"""The desk in the story: a study waits for the officer, who approves it through the page, and it runs."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.stage import Stage, eventually
from tests.journeys.test_round import market, question, signed
from tests.node.consortium import hdex
from tests.node.desk_stage import forms_of, said
from tests.node.test_desk_process import browser, desk

from hdex.federated.study import Study
from hdex.node.demo.setting import HOSPITALS

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("market")]
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
    return plan, Study.from_document(plan).digest()


def test_an_officer_approves_a_waiting_study_through_the_page(stage: Stage) -> None:
    plan, digest = waiting_study(stage)
    path = f"/studies/{digest}/approve"
    told = list[str]()
    with (
        ThreadPoolExecutor(1) as runner,
        desk(stage.setting, "privacy_officer") as address,
        closing(browser(address)) as officer,
    ):
        running = runner.submit(market(stage).start, signed(stage, plan), lambda step, words: told.append(words))
        awaited = f"the people of {SITE} (approval.missing) have not decided yet"
        eventually(lambda: awaited in told, awaited)
        shown = said(officer.get("/").text)
        form = dict(forms_of(officer.get(path).text))[path]
        answer = officer.post(path, data=form, headers={"origin": address.partition("/sign-in")[0]})
        assert "Approved: your signature is kept." in said(answer.text)
        assert "Decide on the study study-desk" in shown
        assert running.result()["sites"] == list(HOSPITALS)
        assert "round submitted" in said(officer.get("/accesses?decision=allow").text)
