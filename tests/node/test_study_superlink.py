"""A study that the configuration gives to a stock SuperLink: its process joins it, the hospitals keep the gate.

Long, as every message waits for a SuperNode's next look; tests/ports/test_grid.py runs the grid itself in the gate.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.federated.samples import FEATURES, SITES, consortium, keypair
from tests.node.study_ground import Desk
from tests.ports.superlink_stage import running_stock

from hdex.federated.draft import Question
from hdex.federated.keyholder import KeyHolder
from hdex.federated.paillier import private_key_to_bytes
from hdex.federated.store_memory import MemoryStore
from hdex.node.compose.exchange import superlink_of
from hdex.node.config import ExchangeConfig, dump, load
from hdex.node.config_studies import FlowerApi, Supernode
from hdex.node.errors import ConfigInvalid, KeyUnreadable
from hdex.node.exchange.study_process import StudyProcess, Told
from hdex.node.wire.channel_server import ChannelServer

TEXT = """
id = "exchange"
organisation = "o"
data_dir = "data"
{more}
[identity]
certificate = "a"
private_key = "b"
ca = "c"
directory = "d"
denied = "e"
keystore = "f"
passphrase_file = "g"
[listen]
[chain]
url = "http://127.0.0.1:1"
"""
API = '[superlink]\naddress = "127.0.0.1:9"\nca = "ca.pem"\nsecret_file = "secret"\n'
NODES = '[[supernodes]]\nsite = "hospital-a"\nnode = "18446744073709551615"\n'


def configured(folder: Path, more: str, tables: str = "") -> ExchangeConfig:
    path = folder / "exchange.toml"
    path.write_text(TEXT.format(more=more) + tables)
    return load(path, ExchangeConfig)


def test_the_grid_of_an_exchange_is_chosen_by_its_configuration(tmp_path: Path) -> None:
    assert superlink_of(configured(tmp_path, "")) is None
    assert superlink_of(configured(tmp_path, "", API)) is None  # named, so that SuperNodes can be registered
    chosen = configured(tmp_path, 'grid = "superlink"', API + NODES)
    with pytest.raises(KeyUnreadable):
        superlink_of(chosen)
    (tmp_path / "secret").write_bytes(b"s\n")
    (tmp_path / "secret").chmod(0o600)
    told = superlink_of(chosen)
    assert told == {
        "address": "127.0.0.1:9", "ca": str(tmp_path / "ca.pem"), "secret_file": str(tmp_path / "secret"),
        "nodes": {"hospital-a": "18446744073709551615"},
    }  # fmt: skip
    (tmp_path / "again.toml").write_text(dump(chosen))
    assert load(tmp_path / "again.toml", ExchangeConfig) == chosen


@pytest.mark.parametrize(
    ("more", "tables"),
    [
        ('grid = "pigeon"', ""),
        ('grid = "superlink"', ""),
        ('grid = "superlink"', API),
        ("", API + NODES.replace("18446744073709551615", "-1")),
        ("", API + NODES.replace("18446744073709551615", "1e5")),
        ('grid = "superlink"', API + NODES + '[[regions]]\nid = "north"\nsites = ["hospital-a"]\n'),
    ],
)
def test_a_grid_that_cannot_be_is_refused_when_the_exchange_starts(tmp_path: Path, more: str, tables: str) -> None:
    with pytest.raises(ConfigInvalid):
        configured(tmp_path, more, tables)


@pytest.mark.soak
def test_a_study_of_an_exchange_runs_over_a_stock_superlink(tmp_path: Path) -> None:
    base = consortium(question=Question("", FEATURES[:1], "DUO:0000006", kind="mean"))
    deadline = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    party = replace(base, study=replace(base.study, deadline=deadline))
    store = MemoryStore()
    store.put("key/study-1", private_key_to_bytes(keypair()[1]))
    keyholder = KeyHolder(store, admit=lambda study, envelope: None)
    keyholder.register(party.envelope)
    with running_stock(SITES) as stock, stock.gatekeepers(party.handlers()):
        (tmp_path / "ca.pem").write_bytes(stock.superlink.ca)
        (tmp_path / "secret").write_bytes(stock.secret)
        (tmp_path / "secret").chmod(0o600)
        config = replace(
            configured(tmp_path, ""),
            grid="superlink",
            superlink=FlowerApi(stock.superlink.address, tmp_path / "ca.pem", tmp_path / "secret"),
            supernodes=tuple(Supernode(site, str(node)) for site, node in stock.nodes.items()),
        )
        process = StudyProcess(ChannelServer(), Desk(keyholder), tmp_path / "studies", superlink=superlink_of(config))
        told = Told(lambda number, digest, step: None, lambda words: None)
        found = process.run("study-1", json.loads(party.envelope), told)
        assert not stock.egress.exists()
    values = np.concatenate([site.frame(party.study)[FEATURES[0]] for site in party.sites.values()])
    assert found["sites"] == list(SITES)
    assert found["columns"][0]["mean"] == pytest.approx(values.mean(), rel=1e-6)
