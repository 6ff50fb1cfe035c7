"""`hdex ca` and `hdex keys`, as their users type them."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hdex.node import directory, pki
from hdex.node.cli import ca, keys
from hdex.node.errors import AccessDenied, AlreadyExists, IdentityRefused, KeyUnreadable, NotFound, describe
from hdex.node.keystore import KeyStore


def run(app: typer.Typer, *arguments: object) -> Any:
    """Return what a verb prints as JSON; raise what it raises."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments] + ["--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "pass").write_text("a passphrase\n")
    (tmp_path / "pass").chmod(0o600)
    return tmp_path


def test_a_consortium_is_made_and_joined(home: Path) -> None:
    run(ca.app, "init", home / "ca", "--trust-domain", "care.test")
    run(ca.app, "request", "hospital/h1", "--out", home / "h1", "--trust-domain", "care.test")
    issued = run(ca.app, "issue", home / "ca", "hospital/h1", "--request", home / "h1.csr", "--out", home / "h1")
    assert issued["spiffe_id"] == "spiffe://care.test/hospital/h1"
    assert run(ca.app, "show", home / "h1.pem")["serial"] == issued["serial"]
    assert (home / "h1.key").stat().st_mode & 0o777 == 0o600

    keystore = home / "keys.json"
    run(keys.app, "create", keystore, "--passphrase-file", home / "pass")
    member = ["member", "hospital/h1", "--keystore", keystore, "--passphrase-file", home / "pass"]
    member += ["--storage-country", "CN"]
    run(ca.app, *member, "--organisation", "第一医院", "--out", home / "m.json", "--trust-domain", "care.test")
    run(ca.app, "directory", home / "ca", home / "m.json", "--out", home / "directory.json")
    ca_pem = (home / "ca/ca.pem").read_bytes()
    read = directory.load(home / "directory.json", ca_pem, trust_domain="care.test")
    assert (read.member("h1").organisation, read.member("h1").storage_country) == ("第一医院", "CN")

    run(ca.app, "revoke", home / "ca", "--certificate", home / "h1.pem")
    assert pki.read_denied(home / "ca/denied.txt") == {int(issued["serial"], 16)}


def test_without_a_request_a_key_is_made(home: Path) -> None:
    run(ca.app, "init", home / "ca")
    run(ca.app, "issue", home / "ca", "hospital/h1/data_steward", "--out", home / "steward", "--days", "1")
    assert b"PRIVATE KEY" in (home / "steward.key").read_bytes()
    with pytest.raises(AlreadyExists):
        run(ca.app, "issue", home / "ca", "hospital/h1", "--out", home / "steward")


@pytest.mark.parametrize(
    ("arguments", "error", "exit_code"),
    [
        (["show", "none.pem"], NotFound, 2),
        (["issue", "none", "hospital/h1", "--out", "x"], NotFound, 2),
        (["request", "nobody", "--out", "x"], IdentityRefused, 1),
    ],
)
def test_a_wrong_request_is_a_named_error(
    home: Path, arguments: list[str], error: type[Exception], exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    with pytest.raises(error) as caught:
        run(ca.app, *arguments)
    assert describe(caught.value).exit_code == exit_code


def test_revoke_wants_one_of_two(home: Path) -> None:
    run(ca.app, "init", home / "ca")
    for extra in ([], ["--serial", "xyz"], ["--serial", "1", "--certificate", "a"]):
        assert CliRunner().invoke(ca.app, ["revoke", str(home / "ca"), *extra]).exit_code == 2
    assert run(ca.app, "revoke", home / "ca", "--serial", "ff")["revoked"] == "ff"


def test_keys_are_listed_without_a_secret(home: Path) -> None:
    run(keys.app, "create", home / "k.json", "--passphrase-file", home / "pass")
    listed = run(keys.app, "list", home / "k.json", "--passphrase-file", home / "pass")
    store = KeyStore.open(home / "k.json", b"a passphrase")
    assert set(listed) == set(store.names())
    assert not any(store.secret(name).hex() in json.dumps(listed) for name in listed)
    plain = CliRunner().invoke(keys.app, ["list", str(home / "k.json"), "--passphrase-file", str(home / "pass")])
    assert "sign: ed25519 " + store.public("sign").hex() in plain.stdout


def test_keys_are_rotated_and_shredded(home: Path) -> None:
    (home / "next").write_text("another\n")
    (home / "next").chmod(0o600)
    run(keys.app, "create", home / "k.json", "--passphrase-file", home / "pass")
    run(keys.app, "rotate", home / "k.json", "--passphrase-file", home / "pass", "--new-passphrase-file", home / "next")
    with pytest.raises(KeyUnreadable):
        run(keys.app, "list", home / "k.json", "--passphrase-file", home / "pass")
    with pytest.raises(AccessDenied):
        run(keys.app, "shred", home / "k.json", "mask", "--passphrase-file", home / "next")
    run(keys.app, "shred", home / "k.json", "mask", "--passphrase-file", home / "next", "--yes")
    assert "mask" not in run(keys.app, "list", home / "k.json", "--passphrase-file", home / "next")


def test_a_passphrase_others_can_read_is_refused(home: Path) -> None:
    (home / "pass").chmod(0o644)
    with pytest.raises(KeyUnreadable):
        run(keys.app, "create", home / "k.json", "--passphrase-file", home / "pass")
    assert not (home / "k.json").exists()
