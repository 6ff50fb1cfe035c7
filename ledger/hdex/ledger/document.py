"""JSON from strangers: read only after its nesting was counted without recursion.

The C scanner of the standard library recurses; a library that raises the recursion limit (py-evm does) turns a deeply
nested file into a crash of the whole process instead of an error.
"""

import json
import re

MAX_DEPTH = 16
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{\]}]')


def load(raw: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Return the value of a JSON text in UTF-8. Raises ValueError when it is none or nested too deep."""
    if raw.count(b"[") + raw.count(b"{") <= max_depth:  # cannot be nested deeper than it opens
        return json.loads(raw.decode())
    depth = 0
    for token in _TOKEN.finditer(raw):
        byte = raw[token.start()]
        depth += (byte in b"[{") - (byte in b"]}")
        if depth > max_depth:
            raise ValueError(f"the JSON text is nested deeper than {max_depth}")
    return json.loads(raw.decode())
