"""JSON from strangers: read only after its nesting was counted without recursion.

The C scanner of the standard library recurses; a library that raises the recursion limit (py-evm does) turns a deeply
nested file into a crash of the whole process instead of an error.
"""

import json
import re

MAX_DEPTH = 16
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{\]}]')


def load(raw: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Return the value of a JSON text in UTF-8. Raises ValueError when it is none, is nested too deep, or holds half a
    character: no answer, signature or file could carry that.
    """
    if raw.count(b"[") + raw.count(b"{") <= max_depth:  # cannot be nested deeper than it opens
        return _whole(raw)
    depth = 0
    for token in _TOKEN.finditer(raw):
        byte = raw[token.start()]
        depth += (byte in b"[{") - (byte in b"]}")
        if depth > max_depth:
            raise ValueError(f"the JSON text is nested deeper than {max_depth}")
    return _whole(raw)


def _whole(raw: bytes) -> object:
    value: object = json.loads(raw.decode())
    if _SURROGATE.search(raw):
        json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    return value
