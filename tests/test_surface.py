"""The public surface that outside checks call: it stays. Source: issue 2, "Public surface that stays stable"."""

import inspect
import json
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import get_type_hints

import click
import pytest
import typer
from tests.ledger.evidence_story import CHAIN, NODES, log_signer, origin, save, usual_consortium, witness_signer
from typer.testing import CliRunner

from hdex.ledger import merkle
from hdex.ledger.errors import ProofInvalid
from hdex.node.cli.main import app
from hdex.node.demo.closing import Figures, Refusal

MERKLE = {
    "leaf_hash": ["data"],
    "root": ["leaf_hashes"],
    "inclusion_proof": ["leaf_hashes", "index", "size"],
    "consistency_proof": ["leaf_hashes", "old_size", "new_size"],
    "verify_inclusion": ["leaf_hash", "index", "size", "proof", "root"],
    "verify_consistency": ["old_size", "new_size", "proof", "old_root", "new_root"],
}
FIGURES = {
    **dict.fromkeys(("hospitals", "records", "identifiers_planted", "identifiers_found", "raw_rows_left"), int),
    **dict.fromkeys(("k_before", "k_after", "products", "contracts", "bytes_delivered", "values_altered"), int),
    **dict.fromkeys(("rounds", "events", "anchors", "cosignatures"), int),
    **dict.fromkeys(("attack_before", "attack_after", "attack_chance", "max_coefficient_difference", "seconds"), float),
    **dict.fromkeys(("ledger_verified", "withdrawal_honoured"), bool),
    "columns_by_level": dict[str, int],
    "refusals": list[Refusal],
    "forged_log_found": int | None,
}
GROUPS = ["ca", "chain", "exchange", "keyholder", "node", "buy", "audit"]
GROUPS += ["deid", "federated", "catalog", "keys", "trace", "demo"]
DEID = ["classify", "anonymize", "verify", "redact", "attack", "run", "fhir", "dicom"]


def test_policies_are_asked_by_two_functions_and_two_commands() -> None:
    from hdex.catalog.duo import Advice, precheck
    from hdex.catalog.odrl import Outcome, ask

    assert list(inspect.signature(ask).parameters) == ["policy", "request", "world"]
    assert list(inspect.signature(precheck).parameters) == ["terms", "request", "at"]
    assert {*Outcome} == {"permitted", "prohibited", "undecided"}
    assert {*Advice} == {"approve", "deny", "ask"}
    catalog = typer.main.get_command(app).commands["catalog"]  # type: ignore[attr-defined]  # a group
    assert {"evaluate", "precheck"} <= set(catalog.commands)


@pytest.mark.parametrize("name", MERKLE)
def test_the_merkle_functions_have_their_names_and_arguments(name: str) -> None:
    signature = inspect.signature(getattr(merkle, name))
    assert list(signature.parameters) == MERKLE[name]
    assert all(one.default is inspect.Parameter.empty for one in signature.parameters.values())
    assert {one.kind for one in signature.parameters.values()} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


def test_the_merkle_functions_keep_their_promises() -> None:
    leaves = [merkle.leaf_hash(bytes([n])) for n in range(7)]
    assert merkle.root([]) == sha256(b"").digest()
    proof = merkle.inclusion_proof(leaves, 2, 5)  # size below len(leaf_hashes)
    assert isinstance(proof, list)
    assert all(isinstance(node, bytes) for node in proof)
    merkle.verify_inclusion(leaves[2], 2, 5, proof, merkle.root(leaves[:5]))
    merkle.verify_consistency(
        3, 7, merkle.consistency_proof(leaves, 3, 7), merkle.root(leaves[:3]), merkle.root(leaves)
    )
    assert issubclass(ProofInvalid, ValueError)
    with pytest.raises(ProofInvalid):
        merkle.verify_inclusion(leaves[3], 2, 5, proof, merkle.root(leaves[:5]))
    with pytest.raises(ProofInvalid):
        merkle.verify_consistency(3, 7, [], merkle.root(leaves[:3]), merkle.root(leaves))
    for wrong in ((7, 7), (-1, 5), (0, 8)):
        with pytest.raises(ValueError):
            merkle.inclusion_proof(leaves, *wrong)
    with pytest.raises(ValueError):
        merkle.consistency_proof(leaves, 5, 3)


def test_the_demos_object_has_its_keys_and_kinds() -> None:
    assert get_type_hints(Figures) == FIGURES
    assert [field.name for field in fields(Refusal)] == ["who", "what", "rule"]


def test_the_demos_object_is_one_line_of_json() -> None:
    plain: dict[str, object] = {int: 1, float: 0.5, bool: True}  # type: ignore[dict-item]  # by kind
    values = {name: plain.get(kind) for name, kind in FIGURES.items()}  # type: ignore[call-overload]
    values |= {"columns_by_level": {"1": 2}, "refusals": [Refusal("a", "b", "c")], "forged_log_found": 7}
    text = Figures(**values).to_json()
    assert "\n" not in text
    found = json.loads(text)
    assert list(found) == [field.name for field in fields(Figures)]
    assert found["refusals"] == [{"who": "a", "what": "b", "rule": "c"}]


def commands(group: click.Command) -> list[str]:
    assert isinstance(group, click.Group)
    return list(group.commands)


def test_the_command_line_has_its_groups_and_verbs() -> None:
    top = typer.main.get_command(app)
    assert set(GROUPS) <= set(commands(top))
    assert isinstance(top, click.Group)
    assert set(DEID) <= set(commands(top.commands["deid"]))
    assert {"verify", "export"} <= set(commands(top.commands["audit"]))
    for verb in DEID:
        deid = top.commands["deid"]
        assert isinstance(deid, click.Group)
        assert any("--json" in one.opts for one in deid.commands[verb].params)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    save(tmp_path / "evidence.zip", usual_consortium().evidence())
    trust = {
        "policy": {"witnesses": 2},
        "logs": [{"node": n, "origin": origin(n), "log_key": log_signer(n).public_key.hex()} for n in NODES],
        "witnesses": [{"name": n, "key": witness_signer(n).public_key.hex()} for n in NODES],
        "chain": CHAIN,
    }
    (tmp_path / "trust.json").write_text(json.dumps(trust))
    return tmp_path


def test_audit_verify_tells_four_things(evidence: Path) -> None:
    arguments = ["audit", "verify", str(evidence / "evidence.zip"), "--trust", str(evidence / "trust.json"), "--json"]
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 0
    found = json.loads(ended.stdout)
    assert list(found) == ["verified", "checked", "not_checked", "first_offence"]
    assert found["verified"] is True
    assert found["first_offence"] is None
    assert all(isinstance(line, str) for line in [*found["checked"], *found["not_checked"]])


def test_audit_verify_cannot_read_what_is_not_evidence(evidence: Path) -> None:
    import subprocess
    import sys

    (evidence / "other.zip").write_bytes(b"no zip")
    command = [sys.executable, "-m", "hdex.node.cli", "audit", "verify", str(evidence / "other.zip")]
    ended = subprocess.run(
        [*command, "--trust", str(evidence / "trust.json")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 3, ended.stderr
    assert "Traceback" not in ended.stderr
