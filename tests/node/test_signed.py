"""Signed documents: what is signed is what comes out, and nothing else verifies."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.node.errors import SignatureInvalid
from hdex.node.signed import canonical, countersign, digest, key_id, public_key, sign, signers, verify

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/signed.json").read_text())
A, B = bytes(32), bytes([1]) * 32
KEYS = {"hospital-a": public_key(A), "buyer-heartline": public_key(B)}
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.text(max_size=6), values, max_size=4)


@pytest.mark.parametrize("vector", VECTORS["canonical"], ids=lambda v: v["name"])
def test_canonical_bytes_are_those_of_rfc_8785(vector: dict[str, Any]) -> None:
    assert canonical(vector["input"]).hex() == vector["output_hex"]


@pytest.mark.parametrize("vector", VECTORS["ed25519"], ids=lambda v: v["name"])
def test_public_keys_are_those_of_rfc_8032(vector: dict[str, str]) -> None:
    assert public_key(bytes.fromhex(vector["secret"])).hex() == vector["public"]


@given(documents)
def test_what_was_signed_comes_out(document: dict[str, Any]) -> None:
    envelope = json.loads(json.dumps(sign("manifest", document, "hospital-a", A)))
    assert verify("manifest", envelope, {"hospital-a": KEYS["hospital-a"]}) == document


@given(documents, st.text(min_size=1, max_size=5))
def test_one_more_word_breaks_the_signature(document: dict[str, Any], extra: str) -> None:
    envelope = sign("request", document, "hospital-a", A)
    envelope["document"] = {**document, extra: "changed"}
    if envelope["document"] != document:
        with pytest.raises(SignatureInvalid):
            verify("request", envelope, {"hospital-a": KEYS["hospital-a"]})


def test_a_signature_over_one_kind_is_none_over_another() -> None:
    envelope = sign("request", {"a": 1}, "hospital-a", A)
    with pytest.raises(SignatureInvalid):
        verify("agreement", envelope, {"hospital-a": KEYS["hospital-a"]})


def test_both_must_sign_when_both_are_asked() -> None:
    envelope = sign("agreement", {"id": "c1"}, "hospital-a", A)
    with pytest.raises(SignatureInvalid, match="not signed by buyer-heartline"):
        verify("agreement", envelope, KEYS)
    both = countersign("agreement", envelope, "buyer-heartline", B)
    assert verify("agreement", both, KEYS) == {"id": "c1"}
    assert signers(both) == ["hospital-a", "buyer-heartline"]


def test_signing_again_replaces_ones_own_signature() -> None:
    envelope = sign("agreement", {"id": "c1"}, "hospital-a", A)
    assert countersign("agreement", envelope, "hospital-a", A) == envelope


def test_a_wrong_signature_of_a_known_signer_is_refused_even_where_it_is_not_needed() -> None:
    envelope = countersign("agreement", sign("agreement", {"id": "c1"}, "hospital-a", A), "buyer-heartline", A)
    with pytest.raises(SignatureInvalid, match="another suite or key"):
        verify("agreement", envelope, KEYS, required=["hospital-a"])


def test_signatures_of_strangers_say_nothing() -> None:
    envelope = countersign("agreement", sign("agreement", {"id": "c1"}, "hospital-a", A), "stranger", B)
    assert verify("agreement", envelope, {"hospital-a": KEYS["hospital-a"]}) == {"id": "c1"}


@pytest.mark.parametrize("keys", [{}, {"stranger": key_id}])
def test_no_known_signer_is_a_refusal(keys: dict[str, Any]) -> None:
    envelope = sign("manifest", {}, "hospital-a", A)
    with pytest.raises(SignatureInvalid):
        verify("manifest", envelope, {name: public_key(B) for name in keys})


def change(envelope: dict[str, Any], path: list[Any], value: Any) -> Any:
    target: Any = envelope
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return envelope


MALFORMED: list[tuple[list[Any], Any]] = [
    (["signatures"], []),
    (["signatures"], None),
    (["signatures", 0], "x"),
    (["signatures", 0, "signer"], 7),
    (["signatures", 0, "suite"], "none"),
    (["signatures", 0, "signature"], "!!"),
    (["signatures", 0, "signature"], ""),
    (["signatures", 0, "key_id"], "00000000"),
    (["document"], [1]),
    (["extra"], 1),
]


@pytest.mark.parametrize(("path", "value"), MALFORMED)
def test_malformed_envelopes_are_refused(path: list[Any], value: Any) -> None:
    envelope = change(copy.deepcopy(sign("manifest", {"a": 1}, "hospital-a", A)), path, value)
    with pytest.raises(SignatureInvalid):
        verify("manifest", envelope, {"hospital-a": KEYS["hospital-a"]})


def test_a_signer_who_signs_twice_is_refused() -> None:
    envelope = sign("manifest", {"a": 1}, "hospital-a", A)
    envelope["signatures"] *= 2
    with pytest.raises(SignatureInvalid, match="twice"):
        verify("manifest", envelope, {"hospital-a": KEYS["hospital-a"]})


def test_an_unknown_kind_is_not_signed() -> None:
    with pytest.raises(SignatureInvalid, match="not a kind"):
        sign("letter", {}, "hospital-a", A)


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
