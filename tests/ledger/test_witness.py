"""A witness cosigns growth and refuses everything else with the status the protocol names."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hdex.ledger import merkle
from hdex.ledger.errors import (
    CheckpointConflict,
    KeyUnknown,
    LedgerError,
    MirrorInvalid,
    NoteInvalid,
    OldSizeWrong,
    OriginUnknown,
    ProofInvalid,
    WitnessRefused,
)
from hdex.ledger.fraud import FraudProof, verify_fraud
from hdex.ledger.log import Log
from hdex.ledger.note import (
    SignatureType,
    Signer,
    Verifier,
    format_checkpoint,
    parse_checkpoint,
    sign_note,
    verify_note,
)
from hdex.ledger.store_memory import MemoryLogStore, MemoryWitnessStore
from hdex.ledger.store_sqlite import SqliteWitnessStore
from hdex.ledger.trust import Trust, trust_from_document
from hdex.ledger.witness import Witness

ORIGIN = "hdex/hospital-a/2026"
SIGNER = Signer(ORIGIN, bytes(range(32)))
COSIGNER = Signer("hospital-b", bytes(range(1, 33)))
NOW = datetime(2026, 11, 21, 22, tzinfo=UTC)


def log_of(*leaves: bytes) -> Log:
    log = Log(MemoryLogStore(), ORIGIN, SIGNER)
    for leaf in leaves:
        log.append(leaf)
    return log


def make_witness() -> Witness:
    return Witness(COSIGNER, MemoryWitnessStore(), logs={ORIGIN: SIGNER.public_key}, clock=lambda: NOW)


def submit(witness: Witness, log: Log) -> str:
    old = witness.size(ORIGIN)
    proof = log.consistency(old, log.size) if old else []
    fresh = log.leaf_hashes(witness.mirrored(ORIGIN), log.size)
    return witness.add_checkpoint(old, proof, log.checkpoint(), fresh)


def signed(size: int, root: bytes, signer: Signer = SIGNER, origin: str = ORIGIN) -> str:
    return sign_note(format_checkpoint(origin, size, root), signer)


def test_growth_is_cosigned_step_by_step_and_mirrored() -> None:
    log, witness = log_of(b"a", b"b", b"c"), make_witness()
    for leaf in (b"d", b"e", b"f"):
        line = submit(witness, log)
        found = verify_note(
            log.add_cosignatures(log.checkpoint(), [line]),
            [Verifier(COSIGNER.name, COSIGNER.public_key, SignatureType.COSIGNATURE_V1)],
        )
        assert found[0].time == NOW
        assert witness.mirror(ORIGIN) == log.leaf_hashes(0, log.size)
        log.append(leaf)
    assert witness.size(ORIGIN) == 5
    assert parse_checkpoint(witness.latest(ORIGIN) or "").size == 5


def test_the_same_checkpoint_twice_is_cosigned_twice() -> None:
    log, witness = log_of(b"a"), make_witness()
    submit(witness, log)
    submit(witness, log)
    assert witness.size(ORIGIN) == 1


def test_a_witness_without_leaf_hashes_cosigns_and_catches_up_later() -> None:
    log, witness = log_of(b"a", b"b"), make_witness()
    witness.add_checkpoint(0, [], log.checkpoint())
    assert witness.mirrored(ORIGIN) == 0
    log.append(b"c")
    submit(witness, log)
    assert witness.mirrored(ORIGIN) == 3


OTHER = bytes(32)
REFUSALS: dict[str, tuple[Callable[[Witness, Log], object], type[LedgerError], int]] = {
    "an origin nobody told it of": (
        lambda w, _: w.add_checkpoint(2, [], signed(2, OTHER, Signer("x", OTHER), "x")),
        OriginUnknown,
        404,
    ),
    "a foreign key": (lambda w, _: w.add_checkpoint(2, [], signed(2, OTHER, Signer(ORIGIN, OTHER))), KeyUnknown, 403),
    "an old size behind": (
        lambda w, log: w.add_checkpoint(1, log.consistency(1, 3), log.checkpoint()),
        OldSizeWrong,
        409,
    ),
    "an old size beyond the checkpoint": (
        lambda w, log: w.add_checkpoint(4, [], log.checkpoint()),
        WitnessRefused,
        400,
    ),
    "a checkpoint that shrank": (lambda w, _: w.add_checkpoint(1, [], signed(1, OTHER)), OldSizeWrong, 409),
    "a proof that leads elsewhere": (
        lambda w, log: w.add_checkpoint(2, [OTHER] * len(log.consistency(2, 3)), log.checkpoint()),
        ProofInvalid,
        422,
    ),
    "a proof where none is needed": (
        lambda w, log: w.add_checkpoint(2, [*log.consistency(2, 3), OTHER], log.checkpoint()),
        ProofInvalid,
        422,
    ),
    "another root for the same size": (
        lambda w, _: w.add_checkpoint(2, [], signed(2, OTHER)),
        CheckpointConflict,
        409,
    ),
    "leaf hashes of another root": (
        lambda w, log: w.add_checkpoint(2, log.consistency(2, 3), log.checkpoint(), [OTHER]),
        MirrorInvalid,
        422,
    ),
    "leaf hashes that differ from those before": (
        lambda w, log: w.add_checkpoint(2, log.consistency(2, 3), log.checkpoint(), [OTHER, log.leaf_hashes(2, 3)[0]]),
        MirrorInvalid,
        422,
    ),
    "leaf hashes with a gap": (
        lambda w, log: w.add_checkpoint(2, log.consistency(2, 3), log.checkpoint(), []),
        MirrorInvalid,
        422,
    ),
    "a leaf hash of 31 bytes": (
        lambda w, log: w.add_checkpoint(2, log.consistency(2, 3), log.checkpoint(), [bytes(31)]),
        MirrorInvalid,
        422,
    ),
    "no note": (lambda w, _: w.add_checkpoint(2, [], "nothing"), NoteInvalid, 400),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_witness_refuses_and_stays_where_it_stands(case: str) -> None:
    attempt, error, status = REFUSALS[case]
    log, witness = log_of(b"a", b"b"), make_witness()
    submit(witness, log)
    before = (witness.latest(ORIGIN), witness.mirror(ORIGIN))
    log.append(b"c")
    with pytest.raises(error) as caught:
        attempt(witness, log)
    assert getattr(caught.value, "status", None) == status
    assert (witness.latest(ORIGIN), witness.mirror(ORIGIN)) == before
    submit(witness, log)


def test_a_split_view_hands_over_both_signed_notes() -> None:
    log, forged, witness = log_of(b"a", b"b"), log_of(b"a", b"x"), make_witness()
    submit(witness, log)
    with pytest.raises(CheckpointConflict) as caught:
        witness.add_checkpoint(2, [], forged.checkpoint())
    key = Verifier(ORIGIN, SIGNER.public_key)
    both = [caught.value.known, caught.value.submitted]
    assert all(verify_note(note, [key]) for note in both)
    assert [parse_checkpoint(note).size for note in both] == [2, 2]
    assert parse_checkpoint(both[0]).root != parse_checkpoint(both[1]).root


def test_a_wrong_old_size_says_where_the_witness_stands() -> None:
    log, witness = log_of(b"a", b"b"), make_witness()
    submit(witness, log)
    with pytest.raises(OldSizeWrong) as caught:
        witness.add_checkpoint(0, [], log.checkpoint())
    assert caught.value.size == 2


def test_a_witness_remembers_over_a_restart(tmp_path: Path) -> None:
    log, path = log_of(b"a", b"b"), tmp_path / "witness.sqlite"
    logs = {ORIGIN: SIGNER.public_key}
    submit(Witness(COSIGNER, SqliteWitnessStore(path), logs=logs, clock=lambda: NOW), log)
    again = Witness(COSIGNER, SqliteWitnessStore(path), logs=logs, clock=lambda: NOW)
    assert again.size(ORIGIN) == 2
    log.append(b"c")
    submit(again, log)
    assert again.mirror(ORIGIN) == [merkle.leaf_hash(leaf) for leaf in (b"a", b"b", b"c")]
    with pytest.raises(CheckpointConflict):
        again.add_checkpoint(3, [], log_of(b"a", b"b", b"x").checkpoint())


# what a witness can prove against a log


def accusing() -> tuple[Witness, list[FraudProof]]:
    found: list[FraudProof] = []
    logs = {ORIGIN: SIGNER.public_key}
    return Witness(COSIGNER, MemoryWitnessStore(), logs=logs, clock=lambda: NOW, accuse=found.append), found


def trust() -> Trust:
    log = {"node": "hospital-a", "origin": ORIGIN, "log_key": SIGNER.public_key.hex()}
    return trust_from_document({"policy": {"witnesses": 0}, "logs": [log], "witnesses": []})


@pytest.mark.parametrize("leaves", [(b"a", b"x"), (b"x",), (b"a", b"x", b"c")])
def test_a_log_that_shows_another_past_is_proven_guilty_where_the_witness_knows_that_past(leaves: tuple[bytes]) -> None:
    log, (witness, found) = log_of(b"a", b"b"), accusing()
    submit(witness, log)
    forged = log_of(*leaves)
    old, stands = min(2, forged.size), witness.size(ORIGIN)
    with pytest.raises(LedgerError):
        witness.add_checkpoint(old, [], forged.checkpoint(), forged.leaf_hashes(old, forged.size))
    assert witness.size(ORIGIN) == stands
    if len(leaves) > 2:  # beyond what is known: refused without proof, for nobody saw the leaves
        assert found == []
        return
    (proof,) = found
    assert verify_fraud(proof, trust()).node == "hospital-a"


def test_a_log_that_only_shrank_is_refused_and_not_accused() -> None:
    log, (witness, found) = log_of(b"a", b"b", b"c"), accusing()
    submit(witness, log)
    for size in (0, 1, 2):
        restored = log_of(*(b"a", b"b")[:size])
        with pytest.raises(OldSizeWrong) as refused:
            witness.add_checkpoint(size, [], restored.checkpoint())
        assert refused.value.size == 3
    assert found == []


def test_two_machines_with_one_key_are_found_out_by_the_second_who_comes() -> None:
    """One log restored beside the running one: both sign, both grow, the witness sees two roots of one size."""
    first, second, (witness, found) = log_of(b"a", b"b"), log_of(b"a", b"b"), accusing()
    submit(witness, first)
    submit(witness, second)
    first.append(b"of the first")
    second.append(b"of the second")
    submit(witness, first)
    with pytest.raises(CheckpointConflict):
        submit(witness, second)
    assert verify_fraud(found[0], trust()).sizes == (3, 3)


def test_a_log_with_a_new_key_goes_on_where_it_stood() -> None:
    store, new = MemoryWitnessStore(), Signer(ORIGIN, bytes(range(2, 34)))
    before = Witness(COSIGNER, store, logs={ORIGIN: SIGNER.public_key}, clock=lambda: NOW)
    log = log_of(b"a", b"b")
    submit(before, log)
    after = Witness(COSIGNER, store, logs={ORIGIN: new.public_key}, clock=lambda: NOW)
    log.append(b"c")
    with pytest.raises(KeyUnknown):
        submit(after, log)
    proof = log.consistency(2, 3)
    after.add_checkpoint(2, proof, signed(3, log.root_at(3) or b"", new), log.leaf_hashes(2, 3))
    assert after.size(ORIGIN) == 3
