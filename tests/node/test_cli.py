"""The command line as people and scripts meet it: exit codes 0 1 2 3, one JSON object, never a traceback."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from tests.catalog.samples import sample_product
from tests.ledger.evidence_story import (
    CHAIN,
    NODES,
    log_signer,
    origin,
    rewrite,
    save,
    usual_consortium,
    witness_signer,
)

from hdex.node.cli.main import main, report
from hdex.node.errors import AccessDenied, PeerUnavailable


@dataclass
class Shell:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Shell]


@pytest.fixture
def hdex(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `hdex ...` in this process, as `main` does, and check what holds for every command."""

    def run(*arguments: object) -> Shell:
        monkeypatch.setattr(sys, "argv", ["hdex", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert isinstance(ended.value.code, int)
        return Shell(ended.value.code, out, err)

    return run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with one of everything a verb may read, good and bad."""
    (tmp_path / "pass").write_text("a passphrase\n")
    (tmp_path / "pass").chmod(0o600)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "product.json").write_text(json.dumps(sample_product().document()))
    (tmp_path / "wrong.json").write_text(json.dumps(sample_product().document() | {"level": 5}))
    rows = pl.DataFrame(
        {"age": [30 + n % 40 for n in range(80)], "sex": ["f", "m"] * 40, "y": [n % 3 == 0 for n in range(80)]}
    )
    rows.write_csv(tmp_path / "rows.csv")
    (tmp_path / "config.toml").write_text("nonsense = true\n")
    honest = usual_consortium().evidence()
    save(tmp_path / "evidence.zip", honest)
    save(tmp_path / "forged.zip", rewrite(honest, "hospital-b", lambda entries: entries.__setitem__(3, entries[4])))
    (tmp_path / "garbage.zip").write_bytes(b"PK\x03\x04 and no more")
    trust = {
        "policy": {"witnesses": 2},
        "logs": [{"node": n, "origin": origin(n), "log_key": log_signer(n).public_key.hex()} for n in NODES],
        "witnesses": [{"name": n, "key": witness_signer(n).public_key.hex()} for n in NODES],
        "chain": CHAIN,
    }
    (tmp_path / "trust.json").write_text(json.dumps(trust))
    return tmp_path


VERIFY = ("audit", "verify")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((*VERIFY, "evidence.zip", "--trust", "trust.json"), 0),
        ((*VERIFY, "forged.zip", "--trust", "trust.json"), 1),
        ((*VERIFY, "garbage.zip", "--trust", "trust.json"), 3),
        ((*VERIFY, "absent.zip", "--trust", "trust.json"), 3),
        ((*VERIFY, "evidence.zip", "--trust", "absent.json"), 3),
        ((*VERIFY, "evidence.zip", "--trust", "broken.json"), 3),
        ((*VERIFY, "evidence.zip"), 2),
        ((*VERIFY, "evidence.zip", "--trust", "trust.json", "--what"), 2),
        (("catalog", "check", "product.json"), 0),
        (("catalog", "check", "wrong.json"), 2),
        (("catalog", "check", "broken.json"), 2),
        (("catalog", "check", "list.json"), 2),
        (("catalog", "export", "product.json", "--format", "pdf"), 2),
        (("deid", "verify", "rows.csv", "--quasi", "sex", "--k", "5"), 0),
        (("deid", "verify", "rows.csv", "--quasi", "age,sex", "--k", "50"), 1),
        (("deid", "anonymize", "rows.csv", "--quasi", "absent", "--out", "o.csv"), 2),
        (("deid", "classify", "absent"), 3),
        (("keys", "list", "absent.json", "--passphrase-file", "pass"), 3),
        (("ca", "show", "absent.pem"), 2),
        (("buy", "find", "x", "--config", "config.toml"), 2),
        (("buy", "status", "c", "--config", "absent.toml"), 2),
        (("node", "status", "--config", "config.toml", "--desk", "."), 2),
        (("node", "publish", "d", "1.0.0", "broken.json", "--config", "config.toml", "--desk", "."), 2),
        (("node", "approve", "d", "list.json", "--config", "config.toml", "--desk", "."), 2),
        (("exchange", "serve", "--config", "config.toml"), 2),
        (("keyholder", "serve", "--config", "config.toml"), 2),
        (("chain", "serve", "--config", "config.toml"), 2),
        (("federated", "simulate", "--target", "y", "--features", "age", "--sites", "absent.csv"), 2),
        (("nonsense",), 2),
        (("audit",), 2),
        (("--unknown",), 2),
        (("demo", "--patients", "many"), 2),
        (("--help",), 0),
        (("audit", "verify", "--help"), 0),
    ],
)
def test_every_ending_has_its_exit_code(
    hdex: Run, home: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int
) -> None:
    monkeypatch.chdir(home)
    ended = hdex(*arguments)
    assert ended.code == code, ended.err
    if code > 1:
        assert ended.err.strip()
        assert len(ended.err) < 2000


@pytest.mark.parametrize(
    "arguments",
    [
        (*VERIFY, "evidence.zip", "--trust", "trust.json"),
        (*VERIFY, "forged.zip", "--trust", "trust.json"),
        ("catalog", "check", "product.json"),
        ("deid", "verify", "rows.csv", "--quasi", "sex"),
        ("deid", "classify", "rows.csv"),
        ("deid", "anonymize", "rows.csv", "--quasi", "age,sex", "--out", "out.csv"),
        ("keys", "create", "k.json", "--passphrase-file", "pass"),
        ("ca", "init", "ca"),
    ],
)
def test_json_is_one_object_on_stdout(
    hdex: Run, home: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(home)
    ended = hdex(*arguments, "--json")
    assert isinstance(json.loads(ended.out), dict)


def test_a_refusal_says_the_next_step_and_an_unknown_error_nothing_of_its_inside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert report(AccessDenied("level.5", "ask the federated way", "no file of this leaves")) == 1
    assert capsys.readouterr().err == "hdex: no file of this leaves\nnext step: ask the federated way\n"
    assert report(PeerUnavailable("hospital-a does not answer")) == 3
    assert report(ValueError("Zhang San, 110101199003077715")) == 3
    assert "Zhang" not in capsys.readouterr().err


def test_a_peers_words_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from hdex.node.cli.serving import show, talk

    nasty = "ok\x1b[2J\x1b]0;owned\x07\u202e\n forged line"
    report(AccessDenied("r", nasty, nasty))
    show({"next_step": nasty, "many": [nasty]}, as_json=False)
    talk(nasty, nasty)
    out, err = capsys.readouterr()
    assert not {"\x1b", "\x07", "\u202e"} & set(out + err)
    assert (len(out.splitlines()), len(err.splitlines())) == (2, 3)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("broken.json", "is not JSON: .* at line 1, column [0-9]+; mend it there"),
        ("list.json", "holds no JSON object"),
        ("binary", "is no text in UTF-8"),
        ("deep", "nested deeper than"),
        ("nowhere.json", "cannot be read: No such file"),
        ("large", "is larger than 64 MiB"),
    ],
)
def test_a_file_that_a_person_wrote_is_an_object_or_refused(home: Path, name: str, says: str) -> None:
    from hdex.node.errors import ConfigInvalid
    from hdex.node.json_file import LARGEST, read_object

    assert read_object(home / "product.json")["id"] == sample_product().id
    (home / "binary").write_bytes(b"\xff\xfe\x00")
    (home / "deep").write_text("[" * 100_000)
    with (home / "large").open("wb") as file:
        file.truncate(LARGEST + 1)  # sparse: it takes no disk
    with pytest.raises(ConfigInvalid, match=says):
        read_object(home / name)
