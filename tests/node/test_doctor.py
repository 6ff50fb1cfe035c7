"""`doctor` finds what is wrong and how to mend it, `status` reads what stands, `trace` says whose copy a file is."""

import json
import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.node.consortium import chain, consortium, exchange, hdex, hospital, printed, told, with_identity

from hdex.node import doctor, pki
from hdex.node.compose.checkup import calendar, check_up, status
from hdex.node.config import HospitalConfig
from hdex.node.databases import require_whole
from hdex.node.demo.setting import Setting
from hdex.node.doctor import FAIL, OK, WARN, Finding
from hdex.node.documents import SqliteDocuments
from hdex.node.errors import DatabaseDamaged, NotFound, RequestInvalid
from hdex.node.hospital.tracing import Records, trace

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return consortium(tmp_path_factory.mktemp("consortium"))


@pytest.fixture
def config(setting: Setting) -> HospitalConfig:
    return hospital(setting)


def found(config: HospitalConfig, check: str, state: str) -> list[Finding]:
    return [one for one in check_up(config, "hospital") if (one.check, one.state) == (check, state)]


def test_a_fresh_node_is_well_and_says_what_does_not_run(config: HospitalConfig) -> None:
    findings = check_up(config, "hospital")
    outside = ("egress", "telemetry")  # of a process that the command line has prepared
    assert [one for one in findings if one.state == FAIL and one.check not in outside] == []
    warned = {one.check for one in findings if one.state == WARN}
    warned -= {"calendar"}  # as the year goes: holidays of the next are told late
    assert warned == {"data", "port", "peer", "chain"}
    assert all(one.mend for one in findings if one.state == WARN)


@pytest.mark.parametrize(("settled", "state"), [(range(2020, 2100), OK), ((2020,), WARN)])
def test_years_whose_holidays_are_not_known_are_warned_of_once(
    config: HospitalConfig, tmp_path: Path, settled: Sequence[int], state: str
) -> None:
    shipped = files("hdex.catalog").joinpath("data/access_review.toml").read_text("utf-8")
    own = tmp_path / "own"
    own.mkdir()
    (own / "access_review.toml").write_text(shipped.replace("[2025, 2026]", str(list(settled))), "utf-8")
    (told,) = calendar(replace(config, data_dir=own))
    assert (told.check, told.state) == ("calendar", state)
    assert ("access_review.toml" in told.mend) == (state == WARN)


def test_a_secret_that_others_may_read_fails_and_is_named(config: HospitalConfig, tmp_path: Path) -> None:
    key = tmp_path / "node.key"
    shutil.copy(config.identity.private_key, key)
    key.chmod(0o644)
    (failed,) = found(with_identity(config, private_key=key), "file", FAIL)
    assert "644" in failed.found
    assert "chmod 600" in failed.found


@pytest.mark.parametrize(("age_days", "state"), [(0, OK), (44, OK), (46, WARN), (89, WARN), (90, FAIL), (-1, FAIL)])
def test_a_certificate_is_renewed_at_half_of_its_life(age_days: int, state: str) -> None:
    start = NOW - timedelta(days=age_days)
    assert doctor.life(start, start + timedelta(days=90), NOW, "renew").state == state


def test_a_certificate_of_another_consortium_fails(config: HospitalConfig, tmp_path: Path) -> None:
    foreign = pki.init(tmp_path / "ca", "hdex.test")
    certificate, _ = pki.issue(foreign, "hospital/hospital-a")
    (tmp_path / "node.pem").write_bytes(certificate)
    (failed,) = found(with_identity(config, certificate=tmp_path / "node.pem"), "certificate", FAIL)
    assert "not issued by this consortium's CA" in failed.found


def test_a_certificate_of_another_member_or_key_fails(setting: Setting, config: HospitalConfig) -> None:
    other = setting.home("hospital-b") / "node.pem"
    failed = found(with_identity(config, certificate=other), "certificate", FAIL)
    assert [one.found.split()[0] for one in failed] == ["names", "and"]


def test_a_revoked_certificate_fails(config: HospitalConfig, tmp_path: Path) -> None:
    from cryptography import x509

    serial = x509.load_pem_x509_certificate(config.identity.certificate.read_bytes()).serial_number
    (tmp_path / "denied.txt").write_text(f"{serial:x}\n")
    (failed,) = found(with_identity(config, denied=tmp_path / "denied.txt"), "certificate", FAIL)
    assert "is revoked" in failed.found


def test_keys_that_the_directory_does_not_list_fail(setting: Setting, config: HospitalConfig) -> None:
    home = setting.home("hospital-b")
    swapped = with_identity(config, keystore=home / "keystore.json", passphrase_file=home / "passphrase")
    (failed,) = found(swapped, "keys", FAIL)
    assert "sign_key" in failed.found
    assert "chain_address" in failed.found
    assert "hdex ca member" in failed.mend


def test_a_wrong_passphrase_fails(config: HospitalConfig, tmp_path: Path) -> None:
    wrong = tmp_path / "passphrase"
    wrong.write_text("not this one\n")
    wrong.chmod(0o600)
    (failed,) = found(with_identity(config, passphrase_file=wrong), "keys", FAIL)
    assert "does not open" in failed.found


def test_an_altered_directory_fails(config: HospitalConfig, tmp_path: Path) -> None:
    altered = json.loads(config.identity.directory.read_text())
    altered["document"]["members"][0]["organisation"] = "Somebody Else"
    (tmp_path / "directory.json").write_text(json.dumps(altered))
    assert found(with_identity(config, directory=tmp_path / "directory.json"), "directory", FAIL)


@pytest.fixture
def squatter(config: HospitalConfig) -> Iterator[None]:
    """Somebody else who listens where the node should."""
    with socket.create_server((config.listen.host, config.listen.grpc_port)) as listener:
        listener.settimeout(10)
        yield


@pytest.mark.usefixtures("squatter")
def test_a_port_that_somebody_else_has_fails(config: HospitalConfig) -> None:
    (failed,) = found(config, "port", FAIL)
    assert "taken by another process" in failed.found


def test_a_damaged_database_fails(config: HospitalConfig, tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(os.urandom(8192))
    states = {one.found: one.state for one in doctor.databases(tmp_path)}
    assert list(states.values()) == [FAIL]


def test_a_database_that_its_process_keeps_to_itself_is_in_use(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "chain.db", isolation_level=None)) as owner:
        owner.execute("CREATE TABLE block (number INTEGER)")
        owner.execute("BEGIN EXCLUSIVE")
        assert [(one.state, one.found) for one in doctor.databases(tmp_path)] == [
            (OK, "chain.db: in use by its process")
        ]


def test_the_folder_of_data_is_for_its_user_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert [one.mend for one in doctor.data(tmp_path) if one.state == FAIL] == [f"chmod 700 {tmp_path}"]


def test_egress_that_is_let_through_fails() -> None:
    def refused() -> None:
        raise PermissionError

    def unresolved() -> None:
        raise socket.gaierror

    assert [one.state for one in doctor.egress(refused)] == [OK]
    assert [one.state for one in doctor.egress(unresolved)] == [FAIL]
    assert [one.state for one in doctor.egress(lambda: None)] == [FAIL]


def test_one_check_that_cannot_be_made_does_not_end_the_others(config: HospitalConfig, tmp_path: Path) -> None:
    gone = with_identity(config, certificate=tmp_path / "gone.pem")
    checks = {one.check for one in check_up(gone, "hospital")}
    assert {"certificate", "directory", "keys", "peer", "telemetry"} <= checks
    assert found(gone, "certificate", FAIL)


def test_the_chain_has_checks_of_its_own(setting: Setting) -> None:
    assert {one.check for one in check_up(chain(setting), "chain")} >= {"data", "port"}


PARTICIPANTS = {
    "node": "hospital-a",
    "exchange": "exchange",
    "keyholder": "keyholder",
    "chain": "chain",
    "buy": "buyer-heartline",
    "audit": "auditor",
}


@pytest.mark.parametrize(("word", "name"), PARTICIPANTS.items())
def test_every_participant_has_a_doctor(setting: Setting, word: str, name: str) -> None:
    run = hdex(word, "doctor", "--config", setting.config_file(name), "--json")
    assert run.returncode == 0, run.stdout + run.stderr
    report = printed(run)
    assert report["well"] is True
    assert {"check": "telemetry", "state": "ok", "found": "off", "mend": ""} in report["findings"]


def test_a_doctor_who_finds_something_exits_1(setting: Setting, tmp_path: Path) -> None:
    text = setting.config_file("hospital-a").read_text().replace('id = "hospital-a"', 'id = "hospital-z"', 1)
    config = setting.home("hospital-a") / "other.toml"
    config.write_text(text)
    run = hdex("node", "doctor", "--config", config)
    assert run.returncode == 1
    assert "fail  certificate" in run.stdout


def test_a_status_of_what_never_ran_is_an_error_not_a_new_database(setting: Setting) -> None:
    run = hdex("exchange", "status", "--config", setting.config_file("exchange"))
    assert run.returncode == 2
    assert "documents.db is not there" in told(run)
    assert not (setting.home("exchange") / "data/documents.db").exists()


def test_a_status_counts_what_stands(setting: Setting, tmp_path: Path) -> None:
    from dataclasses import replace

    from hdex.ledger.store_sqlite import SqliteLogStore

    documents = SqliteDocuments(tmp_path / "documents.db")
    documents.put("contract", "one", {"state": "FINALIZED"})
    documents.put("contract", "two", {"state": "REQUESTED"})
    SqliteLogStore(tmp_path / "log.db").append(0, [b"{}"], "hdex/exchange/2026\n1\nroot\n")
    known = status(replace(exchange(setting), data_dir=tmp_path))
    assert (known["events"], known["runs"]) == (1, False)
    assert known["contracts"] == {"FINALIZED": 1, "REQUESTED": 1}


def test_a_lost_database_is_told_while_its_pair_has_records(tmp_path: Path) -> None:
    documents = SqliteDocuments(tmp_path / "documents.db")
    require_whole(tmp_path)  # a first start that was cut short
    documents.put("event_detail", "one", {})
    with pytest.raises(DatabaseDamaged, match=r"log\.db is gone"):
        require_whole(tmp_path)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "documents.db").write_bytes(b"this was a database once" * 400)
    with pytest.raises(DatabaseDamaged, match=r"documents\.db cannot be read"):
        require_whole(tmp_path)


ROWS = pl.DataFrame({"person_id": ["aa", "bb", "cc"], "age": ["40-49"] * 3, "bmi": [21.5, 30.0, None]})
EVENTS = [
    {
        "action": "export",
        "decision": "allow",
        "product": "h.cohort",
        "version": "1.0.0",
        "contract": "c1",
        "time": "T1",
    },
    {
        "action": "export",
        "decision": "allow",
        "product": "h.cohort",
        "version": "1.0.0",
        "contract": "c1",
        "time": "T2",
    },
    {"action": "export", "decision": "deny", "contract": "c2", "time": "T3"},
]
DOCUMENTS: dict[str, list[dict[str, Any]]] = {
    "release": [{"dataset": "cohort", "version": "1.0.0", "bytes": 9, "sha256": "no file has it"}],
    "contract": [{"contract_id": "c1", "revoked": True, "request": {"document": {"consumer": "buyer-x"}}}],
    "delivery": [{"receipt": {"document": {"contract_id": "c1", "received": "T4"}}}],
}
RECORDS = Records(DOCUMENTS.__getitem__, lambda: EVENTS, lambda *_: ROWS, "h", b"\0" * 32)


def test_a_copy_is_known_by_its_rows_in_any_format_and_order(tmp_path: Path) -> None:
    copy = tmp_path / "found.csv"
    copy.write_text("bmi;person_id\n30;bb\n21.50;aa\n")
    (match,) = trace(copy, RECORDS)["matches"]
    assert (match["product"], match["version"], match["how"]) == ("h.cohort", "1.0.0", "same rows")
    assert (match["rows_found"], match["rows_in_file"]) == (2, 2)
    (to,) = match["delivered"]
    assert to == {
        "contract": "c1",
        "consumer": "buyer-x",
        "ranges": 2,
        "last": "T2",
        "acknowledged": "T4",
        "revoked": True,
    }


def test_a_row_that_many_share_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "ages.csv").write_text("age\n40-49\n")
    assert trace(tmp_path / "ages.csv", RECORDS)["ours"] is False


def test_a_file_of_somebody_else_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "theirs.csv").write_text("person_id,bmi\nzz,21.5\n")
    assert trace(tmp_path / "theirs.csv", RECORDS)["matches"] == []


def test_a_file_that_is_no_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"\xff\xfe\x00\x01" * 50)
    with pytest.raises(RequestInvalid):
        trace(tmp_path / "noise", RECORDS)


def test_a_missing_database_is_not_made(tmp_path: Path) -> None:
    from hdex.node.databases import reading

    with pytest.raises(NotFound), reading(tmp_path / "log.db") as opened:
        opened.execute("SELECT 1")
    assert not (tmp_path / "log.db").exists()
    assert sqlite3.sqlite_version_info > (3, 22)  # reads a WAL database without the right to write it
