"""A study without a key holder over real processes: its hospitals open the sums, one false, one dead at the opening."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.federated.samples import safe_primes
from tests.journeys.stage import Stage, patiently
from tests.journeys.test_audit import audited
from tests.journeys.test_round import market, question, signed
from tests.node.consortium import hdex, printed

from hdex.federated.dealing import _sealed, signed_bytes
from hdex.federated.keyholder import KeyHolder
from hdex.federated.opened import join_parts, split_parts
from hdex.federated.paillier import Share, deal, key_id
from hdex.federated.receipts import Receipt
from hdex.federated.store_sqlite import SqliteStore
from hdex.federated.study import Study
from hdex.node.compose.keyholder import signer
from hdex.node.demo import rows
from hdex.node.demo.acts_market import allow
from hdex.node.demo.setting import AUDITOR, HOSPITALS
from hdex.node.hospital.study_approvals import Said
from hdex.node.keys import data_key, read_passphrase
from hdex.node.keystore import KeyStore
from hdex.node.sealing import Sealing

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("studies")]
FIRST, FALSE, LAST = HOSPITALS  # FIRST and FALSE are asked for their parts; LAST where one of them gives none
NEEDED = 2


def predealt(stage: Stage, study_id: str, *, false: str = "") -> None:
    """Deal a study's key in the key holder's own store, from published safe primes: drawing some takes a minute.

    false: the hospital whose share is not the one that its check stands for.
    """
    home = stage.setting.home("keyholder")
    keys = KeyStore.open(home / "keystore.json", read_passphrase(home / "passphrase"))
    sealing = Sealing(data_key(keys, "studies"))
    store = SqliteStore(home / "data" / "studies.db", seal=sealing.seal, unseal=sealing.unseal)
    directory = rows.directory_of(stage.setting)
    members = {name: directory.member(name).mask_key for name in HOSPITALS}
    holder = KeyHolder(store, admit=lambda study, envelope: None, bits=2048, sign=signer(keys), randbits=safe_primes())
    honest = holder.deal_key(study_id, members, NEEDED)
    if not false:
        return
    at, (key, shares) = HOSPITALS.index(false), deal(2048, parties=3, threshold=NEEDED, randbits=safe_primes())
    other = Share(at + 1, shares[at].exponent)  # of another deal over the same modulus
    sealed = [*honest.dealt.shares]
    sealed[at] = _sealed(other, members[false], key_id(key.public_key), false).hex()
    dealt = replace(honest.dealt, shares=tuple(sealed))
    message = signed_bytes(study_id, honest.public_key, HOSPITALS, NEEDED, dealt)
    dealt = replace(dealt, signature=signer(keys)(message).hex())
    kept = json.loads(store.get(f"dealt/{study_id}") or b"")
    store.put(f"dealt/{study_id}", json.dumps(kept | {"dealt": asdict(dealt)}).encode())


def planned(stage: Stage, study_id: str, **more: Any) -> dict[str, Any]:
    """Return the plan of the story's question under new contracts, its sums opened by two of three hospitals."""
    contracts = {hospital: stage.agree(hospital, "federated", study_id) for hospital in HOSPITALS}
    for hospital, contract in contracts.items():
        allow(stage.memory, hospital, contract, str(more.get("kind", "logistic")))
    shared = {"threshold": {"parties": list(HOSPITALS), "needed": NEEDED}}
    return market(stage).plan(question(stage, study_id, contracts) | shared | more)


def receipt_of(stage: Stage, study_id: str) -> Path:
    return stage.setting.home("exchange") / "data" / "studies" / study_id / "receipt.zip"


def openers(receipt: Path) -> list[set[str]]:
    """Return whose parts opened each round."""
    rounds = Receipt.from_bytes(receipt.read_bytes()).rounds
    return [{HOSPITALS[part[5] - 1] for part in split_parts(one.proof)} for one in rounds]


def test_two_hospitals_open_the_pooled_fit_and_a_false_share_is_named(stage: Stage, tmp_path: Path) -> None:
    memory = stage.reach("federate")
    predealt(stage, "study-shares", false=FALSE)
    plan, said = planned(stage, "study-shares"), list[str]()
    officer, digest = stage.officer(FIRST), Study.from_document(plan).digest()
    officer.sign("decision", "study-shares", Said("approve", study_digest=digest).document())
    found = market(stage).start(signed(stage, plan), lambda step, words: said.append(f"{step}: {words}"))
    estimates = np.array([row["estimate"] for row in found["coefficients"]])
    assert memory.pooled is not None
    assert np.abs(estimates - memory.pooled.estimates).max() <= 1e-9
    receipt = receipt_of(stage, "study-shares")
    assert openers(receipt) == [{FIRST, LAST}] * found["rounds"]
    assert f"share: round 1: {FALSE} gives no part of the sum: the proof of party 2 does not hold" in said
    denied = [event for event in stage.events("exchange") if event.get("reason") == "share.unproven"]
    assert {event["request_digest"] for event in denied} == {digest}
    assert len(denied) == found["rounds"]
    assert audit(stage, receipt) == (0, {"proven": found["rounds"], "of": found["rounds"]}, [])
    assert audit(stage, tampered(receipt, tmp_path))[2] == [
        f"round 1: the proof of the sum does not hold: the part of {LAST} does not prove itself",
        "round 1: a share holder has not logged its part",
    ]


def audit(stage: Stage, receipt: Path) -> tuple[int, dict[str, int], list[str]]:
    """Return what `hdex audit study` says of a receipt: exit code, sums proven, offences."""
    files = audited(stage)
    papers = (files / "evidence.zip", "--trust", files / "trust.json", "--json")
    run = hdex("audit", "study", receipt, *papers, "--config", stage.setting.config_file(AUDITOR))
    told = printed(run)
    return run.returncode, told["sums"], told["offences"]


def tampered(receipt: Path, folder: Path) -> Path:
    """Return a copy of a receipt with one bit of the last part of its first round turned."""
    whole = Receipt.from_bytes(receipt.read_bytes())
    parts = split_parts(whole.rounds[0].proof)
    parts[-1] = parts[-1][:-1] + bytes([parts[-1][-1] ^ 1])
    rounds = (replace(whole.rounds[0], proof=join_parts(parts)), *whole.rounds[1:])
    path = folder / "tampered.zip"
    path.write_bytes(Receipt(whole.envelope, rounds).to_bytes())
    return path


def test_a_hospital_that_dies_at_the_opening_is_replaced_and_the_study_goes_on(stage: Stage) -> None:
    stage.reach("federate")
    predealt(stage, "study-share-lost")
    plan = planned(stage, "study-share-lost", kind="count", target="")
    stage.supervisor.arm(FIRST, "site.round.kept:2", comes_back=False)  # the first it keeps is its contribution
    found = patiently(lambda: market(stage).start(signed(stage, plan), lambda step, words: None))
    assert found["sites"] == list(HOSPITALS)
    assert openers(receipt_of(stage, "study-share-lost")) == [{FALSE, LAST}]
    assert FIRST not in stage.supervisor.pids()
    stage.supervisor.restart(FIRST)
