"""The desk over real processes: an officer signs in, reads what waits, and approves a study through the page."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.journeys.stage import Stage, refusal, silent
from tests.journeys.test_round import market, question, signed
from tests.node.consortium import hdex, printed
from tests.node.desk_stage import forms_of, said

from hdex.node.cli.serving import STOP_ON_EOF
from hdex.node.demo.setting import HOSPITALS

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("stage")]
SITE = HOSPITALS[0]
BROWSER_S = 60.0  # a bound for a loaded machine, not a wait


def staff(stage: Stage, role: str) -> tuple[str | Path, ...]:
    return "--config", stage.setting.config_file(SITE), "--desk", stage.setting.home(SITE) / "staff" / role


@contextmanager
def desk(stage: Stage, role: str) -> Iterator[str]:
    """Run the desk of one person and yield the address that it printed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "hdex.node.cli",
        "node",
        "desk",
        *map(str, staff(stage, role)),
        "--port",
        str(port),
    ]
    environment = {**os.environ, STOP_ON_EOF: "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        found = (re.match(r"pages +(http://\S+)$", line) for line in process.stderr)
        yield next(one[1] for one in found if one)
        process.send_signal(signal.SIGTERM)
        said_last = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said_last
    assert "sign-in?code" not in said_last


def browser(address: str) -> httpx.Client:
    """Return a signed-in browser at a desk."""
    base = httpx.URL(address).copy_with(path="/", query=None)
    made = httpx.Client(base_url=base, follow_redirects=True, timeout=BROWSER_S)
    answer = made.get(address)
    assert answer.status_code == 200
    assert "code" not in str(answer.url)
    return made


def send(person: httpx.Client, path: str, **typed: str) -> str:
    """Send the one form of a page that is not signing out."""
    (action, hidden), *_ = (one for one in forms_of(person.get(path).text) if not one[0].endswith("/sign-out"))
    origin = str(person.base_url).rstrip("/")
    return said(person.post(action, data=hidden | typed, headers={"origin": origin}).text)


def waiting_study(stage: Stage, name: str) -> tuple[dict[str, Any], str]:
    """Return the plan of a study that no rule lets pass at one hospital, and its digest there."""
    memory = stage.reach("federate")
    contracts = {hospital: memory.contracts[hospital] for hospital in HOSPITALS}
    contracts[SITE] = stage.agree(SITE, "federated", name)
    assert hdex("federated", "deny", contracts[SITE], "--contract", *staff(stage, "privacy_officer")).returncode == 0
    plan = market(stage).plan(question(stage, f"study-{name}", contracts))
    assert refusal(lambda: market(stage).start(signed(stage, plan), silent)).rule == "approval.missing"
    listed = printed(hdex("federated", "list", *staff(stage, "privacy_officer"), "--json"))["studies"]
    (digest,) = (row["digest"] for row in listed if row["study"] == f"study-{name}")
    return plan, str(digest)


def test_an_officer_approves_a_waiting_study_through_the_page(stage: Stage) -> None:
    plan, digest = waiting_study(stage, "at-desk")
    with desk(stage, "privacy_officer") as address, closing(browser(address)) as officer:
        overview = said(officer.get("/").text)
        assert "Signed in as privacy officer" in overview
        assert "Decide on the study study-at-desk" in overview
        assert "批准" in unescape(officer.get(f"/zh/studies/{digest}/approve").text)
        assert "Approved: your signature is kept." in send(officer, f"/studies/{digest}/approve")
        assert market(stage).start(signed(stage, plan), silent)["sites"] == list(HOSPITALS)

        reads = said(officer.get("/accesses?decision=allow").text)
        assert "round submitted" in reads
        assert officer.get("/accesses.csv").text.count("\r\n") > 3
        for path in ("/datasets", "/products", "/zh/datasets", "/zh/products"):
            assert officer.get(path).status_code == 200
        (version, *_) = re.findall(r'href="(/datasets/[^"]+/versions/[^"]+)"', officer.get("/datasets").text)
        assert "Every ceiling of the preset holds" in said(officer.get(unescape(version)).text)

        code = hdex("node", "desk-code", "--desk", stage.setting.home(SITE) / "staff" / "privacy_officer")
        another = address.partition("?")[0] + f"?code={code.stdout.strip()}"
        with closing(browser(another)) as second:
            assert second.get("/", follow_redirects=False).status_code == 200
        assert httpx.get(another, timeout=BROWSER_S).status_code == 403  # it was good once
        assert httpx.get(address, timeout=BROWSER_S).status_code == 403


def test_a_steward_may_not_read_who_read_what(stage: Stage) -> None:
    stage.reach("publish")
    with desk(stage, "data_steward") as address, closing(browser(address)) as steward:
        answer = steward.get("/accesses")
        assert answer.status_code == 403
        assert "no-rule-permits" in said(answer.text)


def test_a_desk_needs_a_person_s_folder(stage: Stage, tmp_path: Path) -> None:
    config = stage.setting.config_file(SITE)
    run = hdex("node", "desk", "--config", config, "--desk", tmp_path)
    assert run.returncode == 2
    assert "staff.pem cannot be read" in run.stderr
    assert hdex("node", "desk-code", "--desk", tmp_path).returncode == 2
