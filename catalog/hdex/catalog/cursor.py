"""Where a page ended, as a text that a client hands back: good for the query it was made for, and no other."""

import base64
import hashlib
import json

import pydantic_core

from hdex.catalog.errors import CursorInvalid
from hdex.catalog.ports import Place, Query

LONGEST = 400
_BINDING = 8  # bytes: enough to notice a mistake; a cursor gives access to nothing


def write_cursor(place: Place, query: Query) -> str:
    """Return the text of a place in the answers to `query`."""
    held = json.dumps([_binding(query), place.score, place.issued_ms, place.id], separators=(",", ":"))
    return base64.urlsafe_b64encode(held.encode()).decode().rstrip("=")


def read_cursor(text: str, query: Query) -> Place:
    """Return the place. Raises CursorInvalid for a text that was not handed out for this query."""
    try:
        if len(text) > LONGEST:
            raise ValueError("longer than any that is handed out")
        held = pydantic_core.from_json(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        binding, score, issued_ms, id = held
    except (ValueError, TypeError) as error:
        raise CursorInvalid("the page token was not handed out here; ask the first page again") from error
    fits = type(score) is int and type(issued_ms) is int and type(id) is str and "\x00" not in id
    if not fits or binding != _binding(query) or not (0 < score < 2**13 and abs(issued_ms) < 2**48):
        raise CursorInvalid("the page token belongs to another query; ask its first page again")
    return Place(score, issued_ms, id)


def _binding(query: Query) -> str:
    asked = json.dumps([query.text, sorted(query.chosen().items())])
    return hashlib.sha256(asked.encode()).hexdigest()[: 2 * _BINDING]
