"""Two real processes: a hospital's node and one person's desk before it, over mutual TLS, and a browser's requests."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from tests.node.consortium import consortium, hdex, hospital
from tests.node.desk_stage import DIGEST, STUDY, forms_of, said

from hdex.node.cli.serving import STOP_ON_EOF
from hdex.node.demo.setting import Setting
from hdex.node.documents import SqliteDocuments
from hdex.node.hospital.study_approvals import WAITING

TIMEOUT_S = 60.0  # a bound for a loaded machine, not a wait


@contextmanager
def running(
    word: str, pattern: str, *arguments: str | Path, group: str = "node"
) -> Iterator[tuple[re.Match[str], list[str]]]:
    """Run `hdex <group> <word>` and yield (the line of stderr it is awaited to print, what it printed until then).

    It stops when its standard input ends, as the demo's processes do.
    """
    command = [sys.executable, "-m", "hdex.node.cli", group, word, *map(str, arguments)]
    environment = {**os.environ, STOP_ON_EOF: "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        printed: list[str] = []
        for line in process.stderr:
            printed.append(line)
            if found := re.search(pattern, line):
                break
        else:
            pytest.fail(f"{word} ended: {printed}")
        yield found, printed
        printed += process.communicate(timeout=TIMEOUT_S)[1].splitlines()
    assert process.returncode == 0, printed


def staff(setting: Setting, role: str) -> tuple[str | Path, ...]:
    return "--config", setting.config_file("hospital-a"), "--desk", setting.home("hospital-a") / "staff" / role


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


@contextmanager
def desk(setting: Setting, role: str) -> Iterator[str]:
    """Run one person's desk and yield the address that it printed."""
    with running("desk", r"^pages +(http://\S+)$", *staff(setting, role), "--port", free_port()) as (found, printed):
        yield found[1]
    code = found[1].partition("code=")[2]
    assert not any(code in line for line in printed[:-1] if "pages" not in line)  # once, where a person sees it


def browser(address: str) -> httpx.Client:
    """Return a signed-in browser at a desk."""
    base = httpx.URL(address).copy_with(path="/", query=None)
    made = httpx.Client(base_url=base, follow_redirects=True, timeout=TIMEOUT_S)
    answer = made.get(address)
    assert answer.status_code == 200
    assert "code" not in str(answer.url)
    return made


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return consortium(tmp_path_factory.mktemp("consortium"))


def test_an_officer_approves_a_study_through_the_page_and_a_steward_may_not(setting: Setting) -> None:
    config = setting.config_file("hospital-a")
    with running("serve", '"message": "serving"', "--config", config):
        documents = SqliteDocuments(hospital(setting).data_dir / "documents.db")
        documents.put(WAITING, DIGEST, STUDY)  # as if it had asked once
        documents.close()
        with desk(setting, "privacy_officer") as address, closing(browser(address)) as officer:
            assert "Decide on the study restenosis-2026" in said(officer.get("/").text)
            forms = dict(forms_of(officer.get(f"/studies/{DIGEST}/approve").text))
            path, origin = f"/studies/{DIGEST}/approve", address.partition("/sign-in")[0]
            assert officer.post(path, data=forms[path]).status_code == 403  # no origin
            answer = officer.post(path, data=forms[path], headers={"origin": origin})
            assert "Approved: your signature is kept." in said(answer.text)
            market = ("/organisations", "/requests", "/contracts", "/runs", "/queries", "/zh/revenue", "/requests.csv")
            for page in ("/datasets", "/products", "/zh/accesses", "/accesses.csv", "/zh/studies", *market):
                assert officer.get(page).status_code == 200, page
            code = hdex("node", "desk-code", "--desk", staff(setting, "privacy_officer")[3]).stdout.strip()
            another = f"{origin}/sign-in?code={code}"
            browser(another).close()
            assert [httpx.get(one, timeout=TIMEOUT_S).status_code for one in (another, address)] == [403, 403]
        with desk(setting, "data_steward") as address, closing(browser(address)) as steward:
            refused = steward.get("/accesses")
            assert refused.status_code == 403
            assert "no-rule-permits" in said(refused.text)
            assert "Nothing waits for you" in said(steward.get("/").text)


def test_the_exchange_s_people_vet_at_a_desk_of_their_own(setting: Setting) -> None:
    config = setting.config_file("exchange")
    folder = setting.home("exchange") / "staff" / "exchange_operator"
    with running("serve", '"message": "serving"', "--config", config, group="exchange"):
        given = ("--config", config, "--desk", folder, "--port", free_port())
        with running("desk", r"^pages +(http://\S+)$", *given, group="exchange") as (found, _):
            with closing(browser(found[1])) as operator:
                assert "No organisation has applied" in said(operator.get("/").text)
                assert "平台审核工作台" in said(operator.get("/zh/organisations").text)
                assert operator.get("/organisations/nobody").status_code == 404
            code = hdex("exchange", "desk-code", "--desk", folder).stdout.strip()
            browser(f"{found[1].partition('?')[0]}?code={code}").close()


def test_a_desk_needs_a_person_s_folder(setting: Setting, tmp_path: Path) -> None:
    run = hdex("node", "desk", "--config", setting.config_file("hospital-a"), "--desk", tmp_path)
    assert run.returncode == 2
    assert "staff.pem cannot be read" in run.stderr
    assert hdex("node", "desk-code", "--desk", tmp_path).returncode == 2
