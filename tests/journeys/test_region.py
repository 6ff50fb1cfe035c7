"""A study over a region, every participant a process: two hospitals dial the region, the region dials the exchange.

Long: seven processes start anew, and again afterwards. tests/node/test_region_desk.py tries the same over real streams.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from tests.journeys.stage import Stage, patiently, silent
from tests.journeys.test_audit import audited
from tests.journeys.test_round import question
from tests.node.consortium import hdex, printed

from hdex.node import config as configs
from hdex.node import directory as directories
from hdex.node.config_studies import RegionSites
from hdex.node.demo import rows
from hdex.node.demo.acts_market import allow
from hdex.node.demo.setting import (
    AUDITOR,
    HOSPITALS,
    TRUST_DOMAIN,
    identity_files,
    new_keystore,
    peer,
    write_certificate,
)
from hdex.node.demo.supervisor import Program, free_ports
from hdex.node.keys import STANDARD

pytestmark = [
    pytest.mark.journey,
    pytest.mark.xdist_group("studies"),
    pytest.mark.soak,
]
REGION, NORTH = "north", HOSPITALS[:2]
CHANGED = ("exchange", "keyholder", *NORTH)


@contextmanager
def region(stage: Stage) -> Iterator[None]:
    """Put a region between the exchange and two hospitals, and take it away again."""
    setting, before = stage.setting, {name: stage.setting.config_file(name).read_text() for name in CHANGED}
    program = enrolled(stage)
    exchange = configs.load(setting.config_file("exchange"), configs.ExchangeConfig)
    keyholder = configs.load(setting.config_file("keyholder"), configs.KeyholderConfig)
    write(stage, "exchange", replace(exchange, regions=(RegionSites(REGION, NORTH),)))
    write(stage, "keyholder", replace(keyholder, regions=(REGION,)))
    for name in NORTH:
        write(stage, name, replace(stage.hospital(name), region=peer(setting, REGION)))
    try:
        stage.supervisor.start([program])
        for name in CHANGED:
            stage.supervisor.restart(name)
        yield
    finally:
        for name in CHANGED:
            setting.config_file(name).write_text(before[name], encoding="utf-8")
            stage.supervisor.restart(name)
        stage.supervisor.halt(REGION)


def enrolled(stage: Stage) -> Program:
    """Give the region keys, a certificate, a place in the directory and a configuration."""
    setting, home = stage.setting, stage.setting.home(REGION)
    home.mkdir(parents=True, mode=0o700)
    setting.keys[REGION] = new_keystore(home, STANDARD)
    write_certificate(setting, home, f"region/{REGION}", "node")
    setting.ports[REGION] = (free_ports(2)[0], 0)
    told = directories.member_of(
        REGION, "region", organisation="Northern network", trust_domain=TRUST_DOMAIN,
        keys=setting.keys[REGION], endpoint=setting.endpoint(REGION),
    )  # fmt: skip
    members = [*rows.directory_of(setting).members, told]
    envelope = directories.publish(setting.authority, members, now=datetime.now(UTC))
    (setting.folder / "directory.json").write_text(json.dumps(envelope), encoding="utf-8")
    config = configs.RegionConfig(
        id=REGION, organisation="Northern network", data_dir=Path("data"), identity=identity_files(setting),
        listen=configs.Listen(*setting.ports[REGION]), exchange=peer(setting, "exchange"), sites=NORTH,
        trust_domain=TRUST_DOMAIN,
    )  # fmt: skip
    write(stage, REGION, config)
    return Program(REGION, ("region", "serve", "--config", str(setting.config_file(REGION))), setting.ports[REGION][0])


def write(stage: Stage, name: str, config: object) -> None:
    stage.setting.config_file(name).write_text(configs.dump(config), encoding="utf-8")


def test_a_study_over_a_region_is_the_pooled_answer_and_an_auditor_replays_it(stage: Stage) -> None:
    memory = stage.reach("federate")
    contracts = {hospital: stage.agree(hospital, "federated", "region") for hospital in HOSPITALS}
    for hospital, contract in contracts.items():
        allow(memory, hospital, contract, "mean")
    asked = question(stage, "study-region", contracts) | {"kind": "mean", "target": ""}
    said: list[str] = []
    with region(stage):
        found = patiently(lambda: memory.cast.buyer.study(asked, lambda step, words: said.append(f"{step}: {words}")))
        sent = stage.actions(REGION, decision="allow").count("round.submit")
    name = memory.features[0]
    pooled = pl.concat([frame.select(pl.col(name).cast(pl.Float64)) for frame in rows.study_rows(memory).values()])
    assert found["sites"] == list(HOSPITALS)
    assert found["columns"][0]["mean"] == pytest.approx(pooled[name].drop_nulls().mean(), rel=1e-6)
    assert sent >= found["rounds"] + 1  # how its hospitals stand, and each round's sum
    files = audited(stage)
    receipt = stage.setting.home("exchange") / "data" / "studies" / "study-region" / "receipt.zip"
    papers = (files / "evidence.zip", "--trust", files / "trust.json", "--json")
    run = hdex("audit", "study", receipt, *papers, "--config", stage.setting.config_file(AUDITOR))
    assert (run.returncode, printed(run)["regions"]) == (0, [REGION]), run.stdout + run.stderr
    assert memory.cast.buyer.study(asked, silent)["columns"] == found["columns"]
