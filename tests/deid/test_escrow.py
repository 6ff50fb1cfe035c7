"""Reversible pseudonyms are AES-SIV as RFC 5297 says, come back to their hospital, and open for nobody else."""

import base64
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.errors import InputInvalid, TokenInvalid
from hdex.deid.escrow import VERSION, Escrow, derive_escrow, siv_decrypt, siv_encrypt

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/aes_siv.json").read_text())["cases"]
MASTER = bytes(range(32))


def escrow(master: bytes = MASTER, **changed: str) -> Escrow:
    return derive_escrow(master, **({"recipient": "maker", "project": "stents", "kind": "patient"} | changed))


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_siv_gives_the_vectors_of_rfc_5297(case: dict[str, Any]) -> None:
    key, plain, output = (bytes.fromhex(case[name]) for name in ("key", "plaintext", "output"))
    associated = [bytes.fromhex(part) for part in case["associated"]]
    assert siv_encrypt(key, associated, plain) == output
    assert siv_decrypt(key, associated, output) == plain


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.text(max_size=40), min_size=1, max_size=20))
def test_every_id_comes_back_and_equal_ids_are_equal_tokens(ids: list[str | None]) -> None:
    values = pl.Series("id", ids, dtype=pl.String)
    tokens = escrow().seal(values)
    assert escrow().open(tokens).to_list() == ids
    assert tokens.n_unique() == values.n_unique()
    assert tokens.is_null().to_list() == values.is_null().to_list()


def test_a_token_opens_only_under_its_key_recipient_project_and_column() -> None:
    tokens = escrow().seal(pl.Series(["110101199003070011"]))
    others = [
        escrow(bytes(32)),
        escrow(recipient="insurer"),
        escrow(project="hearts"),
        escrow(kind="encounter"),
        Escrow("insurer", "stents", "patient", escrow().key),  # the same key, other words beside it
    ]
    for other in others:
        with pytest.raises(TokenInvalid, match="altered, or made under another key"):
            other.open(tokens)


def test_a_token_with_any_bit_altered_raises() -> None:
    token = escrow().seal(pl.Series(["P-0001"]))[0]
    sealed = base64.b32decode(token.removeprefix(VERSION).upper() + "=" * (-len(token[2:]) % 8))
    for bit in range(8 * len(sealed)):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        spelled = VERSION + base64.b32encode(bytes(altered)).decode().rstrip("=").lower()
        with pytest.raises(TokenInvalid):
            escrow().open(pl.Series([spelled]))


@pytest.mark.parametrize(
    "spoil", [str.upper, lambda t: t[2:], lambda t: t + "a", lambda t: t[:-1], lambda _: "", lambda _: "e1"]
)
def test_a_token_spelled_otherwise_raises(spoil: Any) -> None:
    token = escrow().seal(pl.Series(["P-0001"]))[0]
    with pytest.raises(TokenInvalid):
        escrow().open(pl.Series([spoil(token)]))


def test_a_tokens_length_tells_only_how_many_blocks_its_id_has() -> None:
    tokens = escrow().seal(pl.Series(["1", "110101199003070"]))
    assert tokens.str.len_chars().n_unique() == 1


def test_no_repr_shows_the_key_and_no_error_an_id() -> None:
    one = escrow()
    assert repr(one) == "Escrow(recipient='maker', project='stents', kind='patient')"
    with pytest.raises(TokenInvalid) as raised:
        one.open(pl.Series(["P-0001"]))
    assert "P-0001" not in str(raised.value)
    with pytest.raises(InputInvalid, match="64 bytes, found 32"):
        Escrow("a", "b", "c", MASTER)
    with pytest.raises(InputInvalid, match="asked are 32"):
        escrow(b"short")
