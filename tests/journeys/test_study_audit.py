"""An auditor replays a study from its receipt and the logs: every aggregate digest comes out the same."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.journeys.stage import Stage
from tests.journeys.test_audit import audited
from tests.node.consortium import hdex, printed

from hdex.federated.receipts import Receipt
from hdex.node.demo.setting import AUDITOR, BUYER
from hdex.node.signed import canonical

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("studies")]


def test_an_auditor_recomputes_every_aggregate_of_the_study(stage: Stage, tmp_path: Path) -> None:
    memory = stage.reach("federate")
    files = audited(stage)
    kept = stage.setting.home("exchange") / "data" / "studies" / "study-1" / "receipt.zip"
    config = ("--config", stage.setting.config_file(AUDITOR))
    papers = (files / "evidence.zip", "--trust", files / "trust.json", "--json", *config)
    run = hdex("audit", "study", kept, *papers)
    assert run.returncode == 0, run.stdout + run.stderr
    found = printed(run)
    assert found["aggregate_digests"] == {"recomputed": memory.study["rounds"], "of": memory.study["rounds"]}
    assert found["sums"] == {"proven": memory.study["rounds"], "of": memory.study["rounds"]}
    assert found["verified"]
    assert found["signed_by"] == sorted([BUYER, "exchange"])
    receipt = Receipt.from_bytes(kept.read_bytes())
    unproven = replace(receipt.rounds[0], proof=receipt.rounds[1].proof)
    for rounds in (receipt.rounds[1:], (unproven, *receipt.rounds[1:])):
        forged = tmp_path / "forged.zip"
        forged.write_bytes(Receipt(receipt.envelope, rounds).to_bytes())
        run = hdex("audit", "study", forged, *papers)
        assert run.returncode == 1
        assert not printed(run)["verified"]
    envelope = json.loads(receipt.envelope)
    envelope["signatures"][0]["signature"] = envelope["signatures"][1]["signature"]
    forged.write_bytes(Receipt(canonical(envelope), receipt.rounds).to_bytes())
    run = hdex("audit", "study", forged, *papers)
    assert run.returncode != 0
    assert "signature" in run.stderr
