"""The canonical bytes of a JSON document (RFC 8785): what is hashed and signed.

The standard library's encoder, which is C, writes texts, truth values and most numbers as RFC 8785 does, and orders the
names of an object alike unless one holds a character from U+D800 on. Whatever else there is goes to the library that
knows every case and takes ten times as long.
"""

import json
from collections.abc import Mapping
from typing import Any

import rfc8785

LARGEST = 2**53 - 1  # integers are IEEE doubles
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False, sort_keys=True)
_FIXED_FROM, _FIXED_BELOW = 1e-4, 1e16  # between them Python and ECMAScript both write a number without exponent
_SAME = frozenset({str, bool, type(None)})  # written alike as they are
_FIRST_ODD = "\ud800"  # from here on the order of code points is not that of UTF-16


class _Rare(Exception):
    """A value that the two encoders may write differently, or that has no canonical form."""


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the RFC 8785 bytes of a document. Raises rfc8785.CanonicalizationError where it has none."""
    try:
        return _ENCODER.encode(_plain(dict(document))).encode()
    except (_Rare, TypeError, UnicodeEncodeError):
        return rfc8785.dumps(dict(document))


def _plain(value: Any) -> Any:
    """Return a value with its whole floats as integers, as they are written. Raises _Rare, TypeError."""
    kind = type(value)
    if kind is dict:
        names = "".join(value)
        if not names.isascii() and max(names) >= _FIRST_ODD:
            raise _Rare
        return {name: held if type(held) in _SAME else _plain(held) for name, held in value.items()}
    if kind is list or kind is tuple:
        return [held if type(held) in _SAME else _plain(held) for held in value]
    return value if kind in _SAME else _number(value)


def _number(value: object) -> int | float:
    if type(value) is int and -LARGEST <= value <= LARGEST:
        return value
    if type(value) is not float:
        raise _Rare
    if value == 0:
        return 0
    if not _FIXED_FROM <= abs(value) < _FIXED_BELOW:
        raise _Rare
    return int(value) if value.is_integer() else value
