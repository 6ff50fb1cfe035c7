"""Two checkpoints that cannot both be true, in one file that a third party checks with the log's key alone."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.evidence_story import log_signer, origin, trust, witness_signer

from hdex.ledger.errors import EvidenceUnreadable, NoteInvalid, ProofInvalid
from hdex.ledger.fraud import (
    FraudKind,
    FraudProof,
    contradiction,
    format_fraud,
    inconsistency,
    parse_fraud,
    split_view,
    verify_fraud,
)
from hdex.ledger.merkle import Tree, leaf_hash
from hdex.ledger.note import Signer, add_signatures, cosign, format_checkpoint, sign_note
from hdex.ledger.trust import Trust, trust_from_document

NODE = "hospital-a"
ORIGIN = origin(NODE)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def leaves(size: int, rewritten: int | None = None) -> list[bytes]:
    return [leaf_hash(b"x%d" % n if n == rewritten else b"%d" % n) for n in range(size)]


def checkpoint(
    size: int, rewritten: int | None = None, *, signer: Signer | None = None, by: tuple[str, ...] = ()
) -> str:
    text = format_checkpoint(ORIGIN, size, Tree(leaves(size, rewritten)).root())
    note = sign_note(text, signer or log_signer(NODE))
    return add_signatures(note, [cosign(note, witness_signer(name), NOW) for name in by])


def test_two_roots_for_one_size_are_proven_by_the_two_notes() -> None:
    shown, other = checkpoint(7, by=("hospital-b",)), checkpoint(7, 3, by=("hospital-c",))
    proof = parse_fraud(format_fraud(split_view(shown, other)).encode())
    fraud = verify_fraud(proof, trust())
    assert (fraud.node, fraud.kind, fraud.sizes) == (NODE, FraudKind.SPLIT_VIEW, (7, 7))
    assert fraud.cosigners == (("hospital-b",), ("hospital-c",))
    assert fraud.sentence() == "hospital-a signed two roots for size 7 (cosigned by hospital-b and hospital-c)"


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_every_rewriting_below_a_signed_size_is_proven_and_nothing_else(
    old: int, more: int, data: st.DataObject
) -> None:
    new = old + more
    rewritten = data.draw(st.integers(0, new - 1))
    before, after = checkpoint(old), checkpoint(new, rewritten)
    if rewritten >= old:
        with pytest.raises(ProofInvalid, match="prefix"):
            inconsistency(before, after, leaves(new, rewritten))
        return
    proof = parse_fraud(format_fraud(inconsistency(before, after, leaves(new, rewritten))).encode())
    assert verify_fraud(proof, trust()).sizes == (old, new)
    assert "rewrites what it signed" in verify_fraud(proof, trust()).sentence()


def test_the_file_is_small_however_long_the_log() -> None:
    by = ("hospital-b", "hospital-c")
    proof = inconsistency(checkpoint(900, by=by), checkpoint(5_000, 17, by=by), leaves(5_000, 17))
    assert len(format_fraud(proof).encode()) < 3_000


def rotated() -> Trust:
    found = {
        "policy": {"witnesses": 0},
        "logs": [
            {
                "node": NODE, "origin": ORIGIN, "log_key": "11" * 32,
                "earlier": [{"key": log_signer(NODE).public_key.hex(), "until": "2020-01-01T00:00:00Z"}],
            }
        ],
        "witnesses": [],
    }  # fmt: skip
    return trust_from_document(found)


def test_a_key_that_was_replaced_does_not_excuse_what_it_signed() -> None:
    assert verify_fraud(split_view(checkpoint(7), checkpoint(7, 3)), rotated()).node == NODE


def honest() -> FraudProof:
    """Return a claim against a log that did nothing wrong: an ordinary consistency proof."""
    tree = Tree(leaves(9))
    path = tuple(tree.consistency_proof(5, 9))
    return FraudProof(FraudKind.INCONSISTENT, (checkpoint(5), checkpoint(9)), tree.root(5), path)


def guilty() -> FraudProof:
    return inconsistency(checkpoint(5), checkpoint(9, 2), leaves(9, 2))


SAME = checkpoint(7)
STRANGER = Signer(ORIGIN, bytes(32))
CLAIMS: dict[str, tuple[FraudProof, type[Exception]]] = {
    "one checkpoint twice": (FraudProof(FraudKind.SPLIT_VIEW, (SAME, SAME)), ProofInvalid),
    "the same head with another cosignature": (
        FraudProof(FraudKind.SPLIT_VIEW, (SAME, checkpoint(7, by=("hospital-b",)))), ProofInvalid,
    ),
    "two sizes": (FraudProof(FraudKind.SPLIT_VIEW, (SAME, checkpoint(8, 3))), ProofInvalid),
    "growth": (honest(), ProofInvalid),
    "another root that leads nowhere": (replace(honest(), root=bytes(32)), ProofInvalid),
    "no path": (replace(guilty(), path=()), ProofInvalid),
    "a longer path": (replace(guilty(), path=(*guilty().path, bytes(32))), ProofInvalid),
    "a short hash": (replace(guilty(), root=b"short"), ProofInvalid),
    "sizes the wrong way round": (replace(guilty(), checkpoints=guilty().checkpoints[::-1]), ProofInvalid),
    "a forged second signature": (
        FraudProof(FraudKind.SPLIT_VIEW, (SAME, checkpoint(7, 3, signer=STRANGER))), NoteInvalid,
    ),
    "the witnesses' signatures alone": (
        FraudProof(FraudKind.SPLIT_VIEW, (SAME, checkpoint(7, 3, signer=STRANGER, by=("hospital-b", "hospital-c")))),
        NoteInvalid,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CLAIMS)
def test_an_honest_log_cannot_be_accused(case: str) -> None:
    proof, error = CLAIMS[case]
    with pytest.raises(error):
        verify_fraud(proof, trust())


def test_a_log_that_nobody_trusts_is_nobodys_fraud() -> None:
    nobody = trust_from_document({"policy": {"witnesses": 0}, "logs": [], "witnesses": []})
    with pytest.raises(NoteInvalid):
        verify_fraud(guilty(), nobody)


def test_a_contradiction_is_found_in_either_order_and_not_invented() -> None:
    found = contradiction(checkpoint(9, 2), checkpoint(5), leaves(9, 2))
    assert found == guilty()
    assert contradiction(checkpoint(7), checkpoint(7, 1), []) is not None
    assert contradiction(checkpoint(5), checkpoint(9), leaves(9)) is None
    assert contradiction(checkpoint(5), checkpoint(9, 2), leaves(6)) is None  # not enough is known


def broken() -> list[bytes]:
    text = format_fraud(guilty())
    document = json.loads(text)
    changed = [
        {key: value for key, value in document.items() if key != "root"},
        document | {"more": 1},
        document | {"format": "hdex-fraud/2"},
        document | {"kind": "other"},
        document | {"checkpoints": document["checkpoints"][:1]},
        document | {"checkpoints": [1, 2]},
        document | {"path": ["?"]},
        document | {"path": 3},
        document | {"root": None},
    ]
    return [b"", b"{", b"[]", b"[" * 5_000, b"\xff", b" " * 300_000, *(json.dumps(one).encode() for one in changed)]


@pytest.mark.parametrize("raw", broken())
def test_a_file_of_another_form_is_refused(raw: bytes) -> None:
    with pytest.raises(EvidenceUnreadable):
        parse_fraud(raw)
