"""`hdex audit split`: shares from scores that a log holds, and no shares from others."""

import json
from datetime import UTC, datetime
from pathlib import Path

from tests.node.consortium import hdex, printed

from hdex.federated.shapley import Scores, coalitions
from hdex.ledger.bundle import Evidence, LogEvidence, write_evidence

NOW = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)


def test_a_split_is_recomputed_from_scores_that_a_log_holds(tmp_path: Path) -> None:
    scores = Scores("ab" * 32, (("a",), ("b", "c")), {one: float(len(one)) for one in coalitions(["a", "b"])})
    sealed = json.dumps({"action": "study.approve", "result_digest": scores.digest()}).encode()
    evidence = tmp_path / "evidence.zip"
    log = LogEvidence("exchange", "hdex/exchange/2026", (sealed,))
    write_evidence(evidence, Evidence(NOW, {"chain_id": 1, "contract": "0x" + "11" * 20, "operator": "tests"}, (log,)))
    paper = tmp_path / "scores.json"
    paper.write_text(json.dumps(scores.document()))
    run = hdex("audit", "split", paper, "--amount", "1000", "--evidence", evidence, "--json")
    assert run.returncode == 0, run.stderr
    assert printed(run)["cents"] == {"a": 500, "b": 250, "c": 250}
    paper.write_text(json.dumps(scores.document() | {"study_digest": "cd" * 32}))
    run = hdex("audit", "split", paper, "--amount", "1000", "--evidence", evidence)
    assert run.returncode == 1
    assert run.stdout.startswith("NOT LOGGED")


def test_a_receipt_that_is_not_there_is_a_line_and_no_traceback(tmp_path: Path) -> None:
    run = hdex("audit", "study", tmp_path / "receipt.zip", tmp_path / "none.zip", "--trust", tmp_path / "trust.json")
    assert run.returncode != 0
    assert "Traceback" not in run.stderr
