"""How deep a JSON text is nested, counted without recursion, so that no file can crash the process that parses it.

The C scanner of the standard library recurses as far as the recursion limit lets it, and libraries raise that limit.
"""

from __future__ import annotations

import re

MOST = 64  # levels: FHIR and notes need far fewer
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{\]}]')


def require_shallow(text: str) -> str:
    """Return the text; raise RecursionError when its brackets are nested deeper than MOST."""
    if text.count("[") + text.count("{") <= MOST:
        return text
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += (token[0] in "[{") - (token[0] in "]}")
        if depth > MOST:
            raise RecursionError(f"nested deeper than {MOST}")
    return text
