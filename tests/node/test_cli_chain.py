"""`hdex chain deploy`, `enroll`, `rotate` by URL, as an operator types them."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.node.consortium import consortium, hospital
from typer.testing import CliRunner

from hdex.ledger.chain_web3 import Web3Chain
from hdex.ledger.errors import ChainRefused, ChainWrong
from hdex.ledger.evm import EmbeddedChain
from hdex.node import directory as directories
from hdex.node.cli.main import app
from hdex.node.config import dump
from hdex.node.demo.setting import CHAIN_ID, Setting, new_keystore, write_configs
from hdex.node.keys import KeyKind, chain_address
from hdex.node.wire.chain_rpc import ChainServer

NODE = "hospital-a"


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    found = consortium(tmp_path_factory.mktemp("consortium"))
    chain = EmbeddedChain(found.folder / "chain.db", [], lambda: datetime.now(UTC), chain_id=CHAIN_ID)
    with ChainServer(chain.respond, port=found.chain_port):
        told = run("deploy", "--url", found.chain_url, "--operator", "1 operator: test", *signing(found, "chain"))
        write_configs(found, str(told["contract"]))
        yield found
    chain.close()


def signing(setting: Setting, who: str) -> list[object]:
    home = setting.home(who)
    return ["--keystore", home / "keystore.json", "--passphrase-file", home / "passphrase"]


def run(verb: str, *arguments: object) -> dict[str, object]:
    result = CliRunner().invoke(app, ["chain", verb, *map(str, arguments), "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    told: dict[str, object] = json.loads(result.stdout)
    return told


def contract_of(setting: Setting) -> Web3Chain:
    return Web3Chain(setting.chain_url, setting.contract, None, CHAIN_ID)


def test_a_participant_is_bound_once_and_to_its_new_keys_later(setting: Setting, tmp_path: Path) -> None:
    config = setting.config_file(NODE)
    enrolled = run("enroll", "--config", config, *signing(setting, "chain"))
    assert enrolled["node"] == NODE
    assert run("enroll", "--config", config, *signing(setting, "chain")) == enrolled

    fresh = new_keystore(tmp_path, {"chain": KeyKind.SECP256K1, "log": KeyKind.ED25519})
    moved = with_new_keys(setting, tmp_path, chain_address(fresh.public("chain")), fresh.public("log"))
    with pytest.raises(ChainRefused) as refused:
        run("rotate", "--config", moved, *signing(setting, "hospital-b"))
    assert refused.value.rule == "NotTheNodesKey"
    told = run("rotate", "--config", moved, *signing(setting, NODE))  # with the old key, by the node itself
    assert told["account"] == chain_address(fresh.public("chain"))
    (record,) = contract_of(setting).records("NodeKeyRotated")
    assert record.fields["logKeyHash"] == hashlib.sha256(fresh.public("log")).hexdigest()
    run("rotate", "--config", config, *signing(setting, "chain"))  # and back, by the operator
    assert len(contract_of(setting).records("NodeKeyRotated")) == 2


def with_new_keys(setting: Setting, folder: Path, address: str, log_key: bytes) -> Path:
    """Return a configuration of the hospital whose directory names other keys of it."""
    ca = hospital(setting).identity.ca
    listed = directories.load(
        setting.folder / "directory.json", ca.read_bytes(), trust_domain=setting.authority.trust_domain
    )
    members = [
        replace(member, chain_address=address, log_key=log_key) if member.id == NODE else member
        for member in listed.members
    ]
    envelope = directories.publish(setting.authority, members, now=datetime.now(UTC))
    (folder / "directory.json").write_text(json.dumps(envelope), encoding="utf-8")
    config = hospital(setting)
    moved = replace(config, identity=replace(config.identity, directory=folder / "directory.json"))
    (folder / "config.toml").write_text(dump(moved), encoding="utf-8")
    return folder / "config.toml"


def test_a_chain_of_another_id_is_refused(setting: Setting) -> None:
    with pytest.raises(ChainWrong, match=f"found chain {CHAIN_ID}, asked for 7"):
        run(
            "deploy", "--url", setting.chain_url, "--operator", "x", "--chain-id", 7, *signing(setting, "chain")
        )  # fmt: skip
