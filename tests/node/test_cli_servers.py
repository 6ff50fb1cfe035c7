"""A server that cannot start says so in one line, with the right exit code, and ends."""

import shutil
import socket
from pathlib import Path

import pytest
from tests.node.consortium import chain, consortium, exchange, hdex, hospital, told

from hdex.node.compose.standing import STRANGER, Standing
from hdex.node.config import HospitalConfig, load
from hdex.node.demo.setting import Setting
from hdex.node.documents import SqliteDocuments
from hdex.node.errors import DatabaseDamaged

SERVERS = [("node", "hospital-a"), ("exchange", "exchange"), ("keyholder", "keyholder"), ("chain", "chain")]


@pytest.fixture
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return made(tmp_path_factory)


MADE: list[Setting] = []


def made(factory: pytest.TempPathFactory) -> Setting:
    """Return one consortium for the module: each test leaves it as it was."""
    if not MADE:
        MADE.append(consortium(factory.mktemp("consortium")))
    return MADE[0]


def one_line(text: str, *words: str) -> None:
    assert len(text.splitlines()) == 1, text
    assert text.startswith("hdex: ")
    for word in words:
        assert word in text


@pytest.mark.parametrize(("word", "name"), SERVERS)
def test_an_unknown_key_is_named_with_the_nearest_known_one(setting: Setting, word: str, name: str) -> None:
    config = setting.home(name) / "unknown.toml"
    config.write_text('dta_dir = "data"\n' + setting.config_file(name).read_text())
    run = hdex(word, "serve", "--config", config)
    assert run.returncode == 2
    one_line(told(run), "unknown key dta_dir", "did you mean data_dir?")


@pytest.mark.parametrize(("word", "name"), SERVERS)
def test_a_missing_configuration_is_named(setting: Setting, word: str, name: str) -> None:
    run = hdex(word, "serve", "--config", setting.home(name) / "absent.toml")
    assert run.returncode == 2
    one_line(told(run), "absent.toml cannot be read")


def test_a_taken_port_is_named(setting: Setting) -> None:
    listen = hospital(setting).listen
    with socket.create_server((listen.host, listen.grpc_port)):
        run = hdex("node", "serve", "--config", setting.config_file("hospital-a"))
    assert run.returncode == 3
    one_line(told(run), listen.grpc, "another process")


def test_a_taken_port_of_the_pages_is_named(setting: Setting) -> None:
    listen = exchange(setting).listen
    with socket.create_server((listen.host, listen.http_port)):
        run = hdex("exchange", "serve", "--config", setting.config_file("exchange"))
    assert run.returncode == 3
    one_line(told(run), listen.http, "another process")


def test_a_taken_port_of_the_chain_is_named(setting: Setting) -> None:
    listen = chain(setting).listen
    with socket.create_server((listen.host, listen.http_port)):
        run = hdex("chain", "serve", "--config", setting.config_file("chain"))
    assert run.returncode == 3
    one_line(told(run), listen.http, "another process")


def test_a_wrong_passphrase_is_told(setting: Setting) -> None:
    passphrase = setting.home("hospital-a") / "passphrase"
    right = passphrase.read_bytes()
    passphrase.write_bytes(b"not this one\n")
    try:
        run = hdex("node", "serve", "--config", setting.config_file("hospital-a"))
    finally:
        passphrase.write_bytes(right)
    assert run.returncode == 3
    one_line(told(run), "the passphrase does not open this keystore")


def test_a_passphrase_that_others_may_read_is_told(setting: Setting) -> None:
    passphrase = setting.home("hospital-a") / "passphrase"
    passphrase.chmod(0o644)
    try:
        run = hdex("node", "serve", "--config", setting.config_file("hospital-a"))
    finally:
        passphrase.chmod(0o600)
    assert run.returncode == 3
    one_line(told(run), "mode 644", "chmod 600")


@pytest.fixture
def data(setting: Setting) -> Path:
    """An empty data folder of the first hospital."""
    folder = setting.home("hospital-a") / "data"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def test_a_lost_log_is_not_made_anew(setting: Setting, data: Path) -> None:
    SqliteDocuments(data / "documents.db").put("event_detail", "one", {"actor": "somebody"})
    run = hdex("node", "serve", "--config", setting.config_file("hospital-a"))
    assert run.returncode == 3
    one_line(told(run), "log.db is gone", "restore the last backup")
    assert not (data / "log.db").exists()


def test_lost_details_are_not_made_anew(setting: Setting, data: Path) -> None:
    config = load(setting.config_file("hospital-a"), HospitalConfig)
    ground = Standing(config)
    ground.recorder.allow("ingest.run", STRANGER)
    ground.log.close()
    ground.details.close()
    for path in data.glob("details.db*"):
        path.unlink()
    with pytest.raises(DatabaseDamaged, match="is gone while log"):
        _ = Standing(config).recorder
    assert not (data / "details.db").exists()


@pytest.mark.parametrize("name", ["documents.db", "log.db", "witness.db", "consents.db"])
def test_a_file_that_is_no_database_is_told(setting: Setting, data: Path, name: str) -> None:
    damaged = b"this was a database once" * 400
    (data / name).write_bytes(damaged)
    run = hdex("node", "serve", "--config", setting.config_file("hospital-a"))
    assert run.returncode == 3
    one_line(told(run), f"{name} cannot be read")
    assert (data / name).read_bytes() == damaged
