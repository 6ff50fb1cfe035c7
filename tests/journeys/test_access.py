"""Vetting and access requests as people type them: every verb over real processes, errors with their next step."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.stage import Stage

from hdex.node.demo import acts_access
from hdex.node.demo.setting import APPLICANT, BUYER

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("market")]
PROVIDER, NAME = "hospital-c", "typed-1"
# One process imports everything once and forks for each command: imports are most of what a command costs.
DRIVER = """
import json, os, sys, tempfile
import hdex.node.applicant, hdex.node.buyer, hdex.node.config, hdex.node.keystore, hdex.node.reviewer
from hdex.node.cli.main import main
for argv in json.load(sys.stdin):
    out, err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
    child = os.fork()
    if not child:
        os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
        sys.argv = ["hdex", *argv]
        main()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([code, *(file.seek(0) or file.read() for file in (out, err))]), flush=True)
"""


def typed(commands: list[list[str]]) -> list[tuple[int, str, str]]:
    """Return (exit code, stdout, stderr) of each command, typed one after the other in one shell."""
    run = subprocess.run(
        [sys.executable, "-c", DRIVER], input=json.dumps(commands), capture_output=True, text=True, check=True
    )
    return [tuple(json.loads(line)) for line in run.stdout.splitlines() if line.startswith("[")]


def as_buyer(stage: Stage, *words: str) -> list[str]:
    return [*words, "--config", str(stage.setting.config_file(BUYER))]


def as_staff(stage: Stage, role: str, *words: str, home: str = PROVIDER) -> list[str]:
    desk = stage.setting.home(home) / "staff" / role
    return [*words, "--config", str(stage.setting.config_file(home)), "--desk", str(desk), "--as", role]


@pytest.fixture
def files(stage: Stage, tmp_path: Path) -> tuple[Path, Path]:
    """A filled form and an ethics paper."""
    form = acts_access.form(stage.reach("vetting"), "sealed_file")
    said = {name: value for name, value in form.items() if name not in {"access", "delivery_mode"}}
    (tmp_path / "form.json").write_text(json.dumps(said), encoding="utf-8")
    (tmp_path / "ethics.pdf").write_bytes(acts_access.PAPER)
    return tmp_path / "form.json", tmp_path / "ethics.pdf"


def test_a_request_typed_from_draft_to_withdrawal(stage: Stage, files: tuple[Path, Path], tmp_path: Path) -> None:
    memory = stage.reach("vetting")
    product, (form, paper) = str(memory.products[PROVIDER]["product"]), files
    asked = ["--purpose", memory.plot.purpose, "--disease", memory.plot.disease]
    decide, kept = ["node", "requests", "decide", NAME], tmp_path / "e.pdf"
    told = typed([
        as_buyer(stage, "buy", "request", "new", product, NAME, *asked, "--form", str(form)),
        as_buyer(stage, "buy", "request", "submit", NAME, str(paper)),
        as_staff(stage, "data_steward", *decide, "take", "mine"),
        as_staff(stage, "privacy_officer", *decide, "endorse", "too early"),
        as_staff(stage, "data_steward", "node", "requests", "message", NAME, "which contractor?"),
        as_staff(stage, "data_steward", "node", "requests", "list", "--csv", str(tmp_path / "list.csv")),
        as_staff(stage, "data_steward", "node", "requests", "show", NAME, "--document", str(kept), "--json"),
        as_buyer(stage, "buy", "request", "message", NAME, "there is none"),
        as_buyer(stage, "buy", "request", "withdraw", NAME, "--reason", "no need"),
    ])  # fmt: skip
    assert [code for code, *_ in told] == [0, 0, 0, 1, 0, 0, 0, 0, 0], [error for *_, error in told if error]
    assert "state: DRAFT" in told[0][1]
    assert "next: data_steward" in told[1][1]
    assert "access.data_steward" in told[3][2]
    assert "next step: the data_steward signs this step" in told[3][2]
    view: dict[str, Any] = json.loads(told[6][1])
    assert (view["state"], view["form"]["title"]) == ("STEWARD_REVIEW", "Post-market study")
    assert kept.read_bytes() == acts_access.PAPER
    assert NAME in (tmp_path / "list.csv").read_text(encoding="utf-8")
    assert f"{PROVIDER}/data_steward: which contractor?" in told[7][1]
    assert "state: WITHDRAWN" in told[8][1]
    remembered = stage.actions(PROVIDER, request_digest=view["digest"], decision="allow")
    assert [one for one in remembered if one != "access.read"] == [
        "access.submit", "access.take", "access.message", "access.message", "access.withdraw",
    ]  # fmt: skip


def test_a_vetting_typed_at_a_hospital_and_read_at_the_exchange(stage: Stage, tmp_path: Path) -> None:
    stage.reach("vetting")
    config = str(stage.setting.config_file(APPLICANT))
    declared = acts_access.declaration() | {"participant": APPLICANT, "code": "91110000600037341L"}
    (tmp_path / "right.json").write_text(json.dumps(declared), encoding="utf-8")
    (tmp_path / "wrong.json").write_text(json.dumps(declared | {"code": "91110000600037342L"}), encoding="utf-8")
    until = f"{datetime.now(UTC) + timedelta(days=100):%Y-%m-%d}"
    apply = ["buy", "vetting", "apply", "--config", config, "--at", PROVIDER]
    decide = ["node", "vetting", "decide", APPLICANT]
    told = typed([
        [*apply, str(tmp_path / "wrong.json")],
        [*apply, str(tmp_path / "right.json")],
        as_staff(stage, "data_steward", "node", "vetting", "list", "--json"),
        as_staff(stage, "data_steward", *decide, "endorse", "as registered"),
        as_staff(stage, "privacy_officer", *decide, "approve", "good papers", "--until", until),
        ["buy", "vetting", "show", "--config", config, "--at", PROVIDER],
        as_staff(stage, "security_officer", "exchange", "vetting", "show", BUYER, "--json", home="exchange"),
    ])  # fmt: skip
    assert [code for code, *_ in told] == [2, 0, 0, 0, 0, 0, 0], [error for *_, error in told if error]
    assert "check characters" in told[0][2]
    assert "business licence" in told[0][2]
    assert json.loads(told[2][1])["vettings"][-1]["next"] == "data_steward"
    assert "state: VALID" in told[5][1]
    assert "good papers" in told[5][1]
    (view, *_) = json.loads(told[6][1])["vettings"]
    assert (view["state"], view["code"]) == ("VALID", acts_access.CODE)
