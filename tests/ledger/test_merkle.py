"""The Merkle tree against published vectors, another implementation and its own laws."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from hdex.ledger import merkle
from hdex.ledger.errors import LedgerError, ProofInvalid

TESTS = Path(__file__).resolve().parents[1]
CLASSIC = json.loads((TESTS / "vectors/rfc6962_eight_leaves.json").read_text())
LEAVES = [merkle.leaf_hash(bytes.fromhex(text)) for text in CLASSIC["leaves"]]
ROOTS = [bytes.fromhex(text) for text in CLASSIC["roots"]]


def shared(name: str) -> Path:
    path = TESTS.parents[1] / "shared/data" / name
    if not path.exists():
        pytest.skip("../shared/data is absent")
    return path


def hashes(count: int) -> list[bytes]:
    return [merkle.leaf_hash(bytes([i])) for i in range(count)]


@pytest.mark.parametrize("size", range(9))
def test_the_classic_tree_has_its_published_roots(size: int) -> None:
    assert merkle.root(LEAVES[:size]) == ROOTS[size]


@pytest.mark.parametrize("case", CLASSIC["inclusion"], ids=lambda case: f"{case['index']}of{case['size']}")
def test_the_classic_tree_has_its_published_inclusion_proofs(case: dict[str, object]) -> None:
    index, size = int(str(case["index"])), int(str(case["size"]))
    proof = merkle.inclusion_proof(LEAVES, index, size)
    assert [node.hex() for node in proof] == case["proof"]
    merkle.verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])


@pytest.mark.parametrize("case", CLASSIC["consistency"], ids=lambda case: f"{case['old']}to{case['new']}")
def test_the_classic_tree_has_its_published_consistency_proofs(case: dict[str, object]) -> None:
    old, new = int(str(case["old"])), int(str(case["new"]))
    proof = merkle.consistency_proof(LEAVES, old, new)
    assert [node.hex() for node in proof] == case["proof"]
    merkle.verify_consistency(old, new, proof, ROOTS[old], ROOTS[new])


def test_every_root_and_proof_up_to_130_leaves_equals_the_published_expansion() -> None:
    published = json.loads(shared("rfc9162_expanded_130.json").read_text())
    tree = merkle.Tree(hashes(130))
    for size in range(131):
        inclusion = b"".join(b"%d:" % i + b"".join(tree.inclusion_proof(i, size)) for i in range(size))
        consistency = b"".join(b"%d:" % old + b"".join(tree.consistency_proof(old, size)) for old in range(1, size + 1))
        assert tree.root(size).hex() == published["roots"][size]
        assert hashlib.sha256(inclusion).hexdigest() == published["inclusion_sha256_per_size"][size]
        assert hashlib.sha256(consistency).hexdigest() == published["consistency_sha256_per_size"][size]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 33])
def test_another_implementation_gives_the_same_roots_and_proofs(size: int) -> None:
    leaves = [bytes([i]) * (i + 1) for i in range(size)]
    theirs, ours = InmemoryTree(), [merkle.leaf_hash(leaf) for leaf in leaves]
    for leaf in leaves:
        theirs.append_entry(leaf)
    assert merkle.root(ours) == theirs.get_root()
    for index in range(size):
        path = merkle.inclusion_proof(ours, index, size)
        assert set(path) | {ours[index]} == set(theirs.prove_inclusion(index + 1).path)
    for old in range(1, size):
        proof = merkle.consistency_proof(ours, old, size)
        merkle.verify_consistency(old, size, proof, theirs.get_root(old), theirs.get_root())


@given(st.integers(1, 300), st.data())
@settings(max_examples=60, deadline=None)
def test_every_leaf_of_every_size_is_provable_and_a_changed_hash_is_not(count: int, data: st.DataObject) -> None:
    tree = merkle.Tree(merkle.leaf_hash(i.to_bytes(2, "big")) for i in range(count))
    size = data.draw(st.integers(1, count))
    index = data.draw(st.integers(0, size - 1))
    proof, top = tree.inclusion_proof(index, size), tree.root(size)
    merkle.verify_inclusion(tree.leaf(index), index, size, proof, top)
    assert len(proof) <= (size - 1).bit_length()
    for wrong in ([*proof, top], proof[:-1] if proof else [top], [*proof[:-1], bytes(32)]):
        with pytest.raises(ProofInvalid):
            merkle.verify_inclusion(tree.leaf(index), index, size, wrong, top)
    with pytest.raises(ProofInvalid):
        merkle.verify_inclusion(merkle.leaf_hash(b"another"), index, size, proof, top)


@given(st.integers(1, 300), st.data())
@settings(max_examples=60, deadline=None)
def test_every_prefix_is_provable_and_a_changed_one_is_not(count: int, data: st.DataObject) -> None:
    tree = merkle.Tree(merkle.leaf_hash(i.to_bytes(2, "big")) for i in range(count))
    new = data.draw(st.integers(1, count))
    old = data.draw(st.integers(1, new))
    proof, before, after = tree.consistency_proof(old, new), tree.root(old), tree.root(new)
    merkle.verify_consistency(old, new, proof, before, after)
    for wrong in ([*proof, after], proof[:-1] if proof else [before], [bytes(32), *proof[1:]]):
        with pytest.raises(ProofInvalid):
            merkle.verify_consistency(old, new, wrong, before, after)
    with pytest.raises(ProofInvalid):
        merkle.verify_consistency(old, new, proof, bytes(32), after)
    with pytest.raises(ProofInvalid):
        merkle.verify_consistency(old, new, proof, before, bytes(32))


@given(st.integers(0, 200), st.integers(0, 200))
@settings(max_examples=40, deadline=None)
def test_a_truncated_tree_is_the_tree_of_fewer_leaves(count: int, kept: int) -> None:
    leaves = [merkle.leaf_hash(i.to_bytes(2, "big")) for i in range(count)]
    tree = merkle.Tree(leaves)
    tree.truncate(kept)
    assert tree.root() == merkle.root(leaves[:kept])
    for leaf in leaves[kept:]:
        tree.append(leaf)
    assert tree.root() == merkle.root(leaves)


def test_the_root_of_nothing_is_sha256_of_nothing() -> None:
    assert merkle.root([]) == hashlib.sha256(b"").digest()


def test_a_size_below_the_leaves_given_is_enough() -> None:
    merkle.verify_inclusion(LEAVES[2], 2, 5, merkle.inclusion_proof(LEAVES, 2, 5), ROOTS[5])


def test_an_old_size_of_zero_is_an_error_for_maker_and_verifier() -> None:
    with pytest.raises(ValueError, match="old size 0"):
        merkle.consistency_proof(LEAVES, 0, 8)
    with pytest.raises(ProofInvalid, match="old size 0"):
        merkle.verify_consistency(0, 8, [], ROOTS[0], ROOTS[8])


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_hash_that_is_not_32_bytes_is_refused(length: int) -> None:
    bad = bytes(length)
    proof = merkle.inclusion_proof(LEAVES, 0, 8)
    for leaf, path, top in ((bad, proof, ROOTS[8]), (LEAVES[0], [bad, *proof[1:]], ROOTS[8]), (LEAVES[0], proof, bad)):
        with pytest.raises(ProofInvalid, match="32 are needed"):
            merkle.verify_inclusion(leaf, 0, 8, path, top)
    with pytest.raises(ProofInvalid, match="32 are needed"):
        merkle.verify_consistency(1, 8, [bad], ROOTS[1], ROOTS[8])
    with pytest.raises(ValueError, match="32 are needed"):
        merkle.root([bad])


@pytest.mark.parametrize(("index", "size"), [(-1, 8), (8, 8), (0, 9), (0, -1), (0, 0)])
def test_an_index_or_size_out_of_range_is_refused(index: int, size: int) -> None:
    with pytest.raises(ValueError):
        merkle.inclusion_proof(LEAVES, index, size)
    if size <= 8:
        with pytest.raises(ProofInvalid):
            merkle.verify_inclusion(LEAVES[0], index, size, [], ROOTS[8])


def test_a_consistency_proof_between_falling_or_unknown_sizes_is_refused() -> None:
    for old, new in ((5, 4), (1, 9), (-1, 4)):
        with pytest.raises(ValueError):
            merkle.consistency_proof(LEAVES, old, new)
    with pytest.raises(ProofInvalid):
        merkle.verify_consistency(5, 4, [], ROOTS[5], ROOTS[4])
    with pytest.raises(ProofInvalid):
        merkle.verify_consistency(5, 5, [ROOTS[5]], ROOTS[5], ROOTS[5])
    with pytest.raises(ProofInvalid):
        merkle.verify_consistency(5, 5, [], ROOTS[5], ROOTS[4])


def test_an_invalid_proof_is_a_value_error_of_this_room() -> None:
    assert issubclass(ProofInvalid, ValueError)
    assert issubclass(ProofInvalid, LedgerError)
