"""Canonical bytes: the numbers of RFC 8785, appendix B, and whatever else there is, as the library has it."""

import struct
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hdex.catalog.canonical import canonical

APPENDIX_B = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)
DOCUMENTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=5)


@pytest.mark.parametrize(("bits", "written"), APPENDIX_B.items())
def test_numbers_are_written_as_the_rfc_says(bits: str, written: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical({"n": number}).decode() == f'{{"n":{written}}}'


@given(DOCUMENTS)
@example({"\ue000": 1, "\U00010000": 2})  # UTF-16 puts the second first
@example({"汉": 1.5, "a": [True, 1e16, 1e-5, -0.0, 2**53, '\x1f\x7f\u2028"\\/']})
@example({"half": "\ud800"})
@example({"\ud800": "half"})
@example({"far": float("inf")})
@settings(max_examples=300, deadline=None)
def test_every_document_has_the_bytes_of_the_library(document: dict[str, Any]) -> None:
    assert outcome(canonical, document) == outcome(rfc8785.dumps, document)


@pytest.mark.parametrize("document", [{1: 2}, {"a": {2: 3}}, {"a": b"bytes"}, {"a": {1}}, {"a": object()}])
def test_what_is_no_json_has_no_canonical_form(document: dict[Any, Any]) -> None:
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical(document)


def outcome(encode: Any, document: dict[str, Any]) -> bytes | str:
    """Return the bytes, or the kind of the error."""
    try:
        found: bytes = encode(document)
    except ValueError as error:
        return type(error).__name__
    return found
