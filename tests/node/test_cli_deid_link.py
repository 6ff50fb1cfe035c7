"""`hdex deid agree, sign, link` and `escrow`: two hospitals' names, two people's names, and the log before a value."""

import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from hdex.deid.errors import TokenInvalid
from hdex.deid.linkage import linked
from hdex.ledger.event import Event, parse
from hdex.ledger.store_sqlite import SqliteLogStore
from hdex.node.cli.deid import app
from hdex.node.demo.setting import Setting, build, write_configs
from hdex.node.errors import AccessDenied, KeyUnreadable, RequestInvalid, SignatureInvalid
from hdex.node.hospital.escrow_opening import Question, ask, require_approved
from hdex.node.keys import KeyKind, MemoryKeys
from hdex.node.signed import countersign

A, B, C = "hospital-a", "hospital-b", "hospital-c"
ROLES = ("data_steward", "privacy_officer")
WHOSE = ["--recipient", "buyer", "--project", "stent"]
NOW = datetime(2026, 11, 22, tzinfo=UTC)
runner = CliRunner()


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """Three hospitals with keystores, staff, a signed directory; no process runs."""
    setting = build(tmp_path_factory.mktemp("consortium") / "demo")
    write_configs(setting, "0x" + "11" * 20)
    return setting


def run(*words: object) -> dict[str, Any]:
    """Return the answer of a verb that went well; raise what it raised."""
    made = runner.invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert made.exit_code == 0, made.output
    answer: dict[str, Any] = json.loads(made.stdout)
    return answer


def desk(setting: Setting, hospital: str, role: str) -> list[object]:
    return ["--desk", setting.home(hospital) / "staff" / role, "--as", f"{hospital}/{role}"]


def events(setting: Setting, hospital: str) -> list[Event]:
    store = SqliteLogStore(setting.home(hospital) / "data" / "log.db")
    return [parse(leaf) for leaf in store.read(0, store.size())]


def persons(folder: Path, hospital: str, rows: list[tuple[str, str, str, str]]) -> Path:
    path = folder / f"{hospital}.csv"
    pl.DataFrame(rows, schema=["no", "name", "born", "sex"], orient="row").write_csv(path)
    return path


def agreed(setting: Setting, folder: Path, *, people: tuple[str, ...] = ROLES) -> Path:
    """Return an agreement of A and B, signed by both, and by these people of each."""
    path = folder / "agreement.json"
    run("agree", path, "--project", "stent", "--parties", f"{A},{B}", "--home", setting.home(A))
    for hospital in (A, B):
        run("sign", path, "--home", setting.home(hospital))
        for role in people:
            run("sign", path, *desk(setting, hospital, role))
    return path


def link(setting: Setting, hospital: str, agreement: Path, table: Path) -> dict[str, Any]:
    columns = ["--patient", "no", "--name", "name", "--birth-date", "born", "--sex", "sex"]
    out = table.with_suffix(".tokens.csv")
    return run("link", table, "--agreement", agreement, *columns, "--home", setting.home(hospital), "--out", out)


def test_two_hospitals_link_one_person_and_the_log_says_so(setting: Setting, tmp_path: Path) -> None:
    agreement = agreed(setting, tmp_path)
    mine = persons(tmp_path, A, [("1", "Meier, Ann", "1950-02-03", "F"), ("2", "王秀英", "1948-01-01", "女")])
    theirs = persons(
        tmp_path, B, [("x", "Ann Meier", "1950-02-03", "female"), ("y", "Someone Else", "1960-01-01", "m")]
    )
    assert link(setting, A, agreement, mine) == {
        "project": "stent",
        "parties": [A, B],
        "patients": 2,
        "link_id": 0,
        "link_person": 2,
    }
    link(setting, B, agreement, theirs)
    tokens = [pl.read_csv(tmp_path / f"{one}.tokens.csv", infer_schema=False) for one in (A, B)]
    assert linked(tokens[0], tokens[1]).rows() == [(0, 0)]
    text = agreement.read_text() + (tmp_path / f"{A}.tokens.csv").read_text()
    assert not any(word in text for word in ("Meier", "1950-02", "王"))
    last = events(setting, A)[-1]
    assert (last.action.value, last.decision, last.product, last.rows) == ("export", "allow", "stent", 2)


def test_an_agreement_that_lacks_a_name_links_nobody_and_the_refusal_is_an_event(
    setting: Setting, tmp_path: Path
) -> None:
    agreement = agreed(setting, tmp_path, people=("data_steward",))
    table = persons(tmp_path, A, [("1", "Ann Meier", "1950-02-03", "F")])
    with pytest.raises(AccessDenied, match="lacks 1 of 4 signatures: hospital-a/privacy_officer") as refused:
        link(setting, A, agreement, table)
    assert refused.value.rule == "linkage.unsigned"
    assert "hdex deid sign" in refused.value.next_step
    assert not table.with_suffix(".tokens.csv").exists()
    last = events(setting, A)[-1]
    assert (last.action.value, last.decision, last.reason) == ("export", "deny", "linkage.unsigned")


def test_a_hospital_that_is_no_party_and_words_changed_after_signing_are_refused(
    setting: Setting, tmp_path: Path
) -> None:
    agreement = agreed(setting, tmp_path)
    table = persons(tmp_path, C, [("1", "Ann Meier", "1950-02-03", "F")])
    with pytest.raises(AccessDenied, match="hospital-c is no party"):
        link(setting, C, agreement, table)
    changed = json.loads(agreement.read_text())
    changed["document"]["project"] = "other"
    agreement.write_text(json.dumps(changed))
    with pytest.raises(SignatureInvalid):
        link(setting, A, agreement, persons(tmp_path, A, [("1", "Ann Meier", "1950-02-03", "F")]))
    (tmp_path / "odd.json").write_text("{}")
    with pytest.raises(RequestInvalid, match="no linkage agreement"):
        link(setting, A, tmp_path / "odd.json", table)


def sealed(setting: Setting, folder: Path) -> Path:
    """Return a table whose ids hospital A has sealed."""
    (folder / "ids.csv").write_text("id,note\nP1,a\nP2,b\nP1,c\n")
    out = folder / "sealed.csv"
    where = ["--column", "id", *WHOSE, "--home", setting.home(A)]
    assert run("escrow", "seal", folder / "ids.csv", *where, "--out", out) == {"rows": 3, "sealed": 2}
    return out


def asked(setting: Setting, table: Path, *signers: str) -> Path:
    request = table.with_suffix(".request.json")
    where = ["--column", "id", *WHOSE, "--home", setting.home(A)]
    told = run("escrow", "ask", table, *where, "--reason", "recall of lot 7", "--out", request)
    assert told["tokens"] == 2
    for role in signers:
        run("sign", request, *desk(setting, A, role))
    return request


def opened(setting: Setting, table: Path, *requests: Path, project: str = "stent") -> dict[str, Any]:
    named = [word for request in requests for word in ("--approval", request)]
    whose = ["--recipient", "buyer", "--project", project]
    out = table.with_suffix(".open.csv")
    return run("escrow", "open", table, "--column", "id", *whose, *named, "--home", setting.home(A), "--out", out)


def test_two_people_open_what_one_has_sealed_once_and_the_log_is_first(setting: Setting, tmp_path: Path) -> None:
    table = sealed(setting, tmp_path)
    assert pl.read_csv(table)["note"].to_list() == ["a", "b", "c"]
    assert "P1" not in table.read_text()
    request = asked(setting, table, *ROLES)
    answer = opened(setting, table, request)
    assert answer == {"rows": 3, "opened": 2, "approved_by": [f"{A}/data_steward", f"{A}/privacy_officer"]}
    assert table.with_suffix(".open.csv").read_text() == (tmp_path / "ids.csv").read_text()
    last = events(setting, A)[-1]
    assert (last.action.value, last.decision, last.product, last.rows) == ("key.release", "allow", "stent", 2)
    with pytest.raises(AccessDenied, match="opened under this request") as again:
        opened(setting, table, request)
    assert again.value.rule == "escrow.used"


def test_one_person_or_one_person_twice_opens_nothing(setting: Setting, tmp_path: Path) -> None:
    table = sealed(setting, tmp_path)
    request = asked(setting, table, "privacy_officer")
    for requests in ((request,), (request, request)):
        with pytest.raises(AccessDenied, match="1 people of the staff approved, asked are 2") as refused:
            opened(setting, table, *requests)
        assert "hdex deid sign" in refused.value.next_step
    assert not table.with_suffix(".open.csv").exists()
    last = events(setting, A)[-1]
    assert (last.action.value, last.decision, last.reason) == ("key.release", "deny", "escrow.approval")


def test_an_approval_is_for_these_tokens_of_this_project_only(setting: Setting, tmp_path: Path) -> None:
    table = sealed(setting, tmp_path)
    request = asked(setting, table, *ROLES)
    with pytest.raises(AccessDenied, match="other tokens, recipient or project"):
        opened(setting, table, request, project="elsewhere")
    rows = table.read_text().splitlines()
    (tmp_path / "fewer.csv").write_text("\n".join(rows[:2]) + "\n")
    with pytest.raises(AccessDenied, match="other tokens"):
        opened(setting, tmp_path / "fewer.csv", request)


def test_without_a_node_key_and_staff_come_from_files_and_no_log_is_claimed(setting: Setting, tmp_path: Path) -> None:
    key, staff = tmp_path / "key", setting.home(A) / "staff.json"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    (tmp_path / "ids.csv").write_text("id\nP1\nP2\n")
    where = ["--column", "id", *WHOSE]
    run("escrow", "seal", tmp_path / "ids.csv", *where, "--key", key, "--out", tmp_path / "s.csv")
    request = asked(setting, tmp_path / "s.csv", *ROLES)
    words = ["escrow", "open", tmp_path / "s.csv", *where, "--approval", request, "--key", key, "--staff", staff]
    out = ["--hospital", A, "--out", tmp_path / "o.csv"]
    made = runner.invoke(app, [*map(str, [*words, *out])], catch_exceptions=False)
    assert made.exit_code == 0
    assert "no log remembers this opening" in made.stderr
    assert (tmp_path / "o.csv").read_text() == "id\nP1\nP2\n"
    other = tmp_path / "other"
    other.write_bytes(b"q" * 32)
    other.chmod(0o600)
    words[words.index(key)] = other
    with pytest.raises(TokenInvalid):
        run(*words, *out)
    other.chmod(0o644)
    with pytest.raises(KeyUnreadable, match="chmod 600"):
        run(*words, *out)


def test_a_node_that_runs_keeps_its_log_to_itself(setting: Setting, tmp_path: Path) -> None:
    table = sealed(setting, tmp_path)
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", setting.ports[A][0]))
        door.listen()
        with pytest.raises(AccessDenied, match="hospital-a runs and writes its log") as refused:
            opened(setting, table, asked(setting, table, *ROLES))
    assert "stop the node" in refused.value.next_step


def test_an_approval_ends_and_people_are_counted_by_their_keys() -> None:
    question = Question.of(A, ["e1x", "e1y", "e1x"], recipient="buyer", project="stent", kind="patient")
    assert question.count == 2
    one = MemoryKeys({"sign": KeyKind.ED25519})
    staff = dict.fromkeys(ROLES, one.public("sign"))  # one person in two roles
    request = ask(question, "recall", NOW)
    for role in ROLES:
        request = countersign("decision", request, f"{A}/{role}", one.secret("sign"))
    with pytest.raises(AccessDenied, match="1 people"):
        require_approved([request], question, staff, NOW)
    with pytest.raises(AccessDenied, match="the approvals ended"):
        require_approved([request], question, staff, NOW + timedelta(days=8))
    with pytest.raises(RequestInvalid, match="needs its reason"):
        ask(question, " ", NOW)
