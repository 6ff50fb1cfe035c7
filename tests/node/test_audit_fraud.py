"""The verbs that need a file, a trust file and nothing else; and where a witness keeps what it found."""

import errno
import json
import os
from pathlib import Path

import pytest
from tests.ledger.evidence_story import log_signer, origin, trust, usual_consortium, witness_signer
from tests.ledger.test_fraud import checkpoint, leaves
from typer.testing import CliRunner

from hdex.ledger.fraud import format_fraud, inconsistency, parse_fraud, split_view, verify_fraud
from hdex.ledger.policy import format_policy
from hdex.ledger.proof_text import format_proof
from hdex.ledger.trust import policy_of
from hdex.node import docket
from hdex.node.cli.main import app
from hdex.node.docket import Docket

NODE = "hospital-a"


@pytest.fixture
def trust_file(tmp_path: Path) -> Path:
    path = tmp_path / "trust.json"
    logs = [{"node": NODE, "origin": origin(NODE), "log_key": log_signer(NODE).public_key.hex()}]
    witnesses = [{"name": name, "key": witness_signer(name).public_key.hex()} for name in ("hospital-b", "hospital-c")]
    path.write_text(json.dumps({"policy": {"witnesses": 2}, "logs": logs, "witnesses": witnesses}))
    return path


def run(*arguments: object) -> tuple[int, dict[str, object]]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout else {}


def test_a_fraud_proof_is_checked_offline(tmp_path: Path, trust_file: Path) -> None:
    path = tmp_path / "fraud.json"
    path.write_text(format_fraud(inconsistency(checkpoint(5), checkpoint(9, 2), leaves(9, 2))))
    code, told = run("audit", "fraud", path, "--trust", trust_file)
    assert (code, told["proven"], told["node"], told["sizes"]) == (0, True, NODE, [5, 9])
    path.write_text(path.read_text().replace("inconsistent", "split-view"))
    code, told = run("audit", "fraud", path, "--trust", trust_file)
    assert (code, told["proven"]) == (1, False)
    policy = tmp_path / "trust.policy"
    policy.write_text(format_policy(policy_of(trust())))
    path.write_text(format_fraud(split_view(checkpoint(5), checkpoint(5, 2))))
    assert run("audit", "fraud", path, "--trust", policy)[0] == 0


def test_an_entrys_proof_is_checked_offline(tmp_path: Path, trust_file: Path) -> None:
    log = usual_consortium().logs[NODE]
    proof, entry = tmp_path / "entry.tlog-proof", tmp_path / "entry.json"
    proof.write_text(format_proof(4, log.inclusion(4, log.size), log.cosigned()[-1]))
    entry.write_bytes(log.entries(4, 5)[0])
    code, told = run("audit", "proof", proof, "--entry", entry, "--trust", trust_file)
    assert (code, told["index"], told["cosigners"]) == (0, 4, ["hospital-b", "hospital-c"])
    entry.write_bytes(log.entries(5, 6)[0])
    code, told = run("audit", "proof", proof, "--entry", entry, "--trust", trust_file)
    assert (code, told["proven"]) == (1, False)


def test_a_witness_keeps_each_proof_once(tmp_path: Path) -> None:
    book = Docket(tmp_path / "fraud")
    assert book.proofs() == []
    proof = split_view(checkpoint(5), checkpoint(5, 2))
    again = split_view(checkpoint(5, 2, by=("hospital-b",)), checkpoint(5))  # the same heads, seen otherwise
    assert book.accuse(proof) == book.accuse(again) == book.proofs()[0]
    assert len(book.proofs()) == 1
    assert verify_fraud(parse_fraud(book.proofs()[0].read_bytes()), trust()).node == NODE


def test_a_log_that_lies_endlessly_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docket, "KEPT", 3)
    book = Docket(tmp_path)
    for index in range(5):
        book.accuse(split_view(checkpoint(5), checkpoint(5, index)))
    assert len(book.proofs()) == 3


def test_a_full_disk_does_not_stop_the_witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    assert Docket(tmp_path).accuse(split_view(checkpoint(5), checkpoint(5, 1))) is None
