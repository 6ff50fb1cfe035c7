"""Pages of a list: a token says after which item the next page begins, and is good for the query it was made for.

Items are in the order of their keys, so that a page is the same whatever was added or removed before it.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import pydantic_core
from google.protobuf.message import Message

from hdex.node.errors import RequestInvalid

PAGE, LARGEST_PAGE = 50, 200
LONGEST = 1024
BINDING = 16  # hex digits: enough to notice a mistake; a token gives access to nothing
OF_THE_PAGE = ("page_size", "page_token", "fields")
Item = TypeVar("Item")
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page of which list."""

    size: int
    after: Key | None
    binding: str


def asked_of(request: Message, participant: str) -> Asked:
    """Return the page that a request asks: at most LARGEST_PAGE items, PAGE where it says nothing.

    Raises RequestInvalid for a token that was not handed out, or for another query or another participant.
    """
    binding = binding_of(request, participant)
    said: Any = request
    size = min(said.page_size or PAGE, LARGEST_PAGE)
    return Asked(size, read_token(said.page_token, binding) if said.page_token else None, binding)


def page_of(items: Iterable[Item], key: Callable[[Item], Key], asked: Asked) -> tuple[list[Item], str]:
    """Return the items of a page in the order of their keys, and the token of the next; empty after the last."""
    rest = sorted((item for item in items if asked.after is None or key(item) > asked.after), key=key)
    page = rest[: asked.size]
    return page, write_token(key(page[-1]), asked.binding) if len(rest) > len(page) else ""


def binding_of(request: Message, participant: str) -> str:
    """Return what a token is bound to: the query without its page, and who asks."""
    query = type(request)()
    query.CopyFrom(request)
    for name in OF_THE_PAGE:
        query.ClearField(name)
    asked = "\x00".join((request.DESCRIPTOR.full_name, participant)).encode()
    return hashlib.sha256(asked + b"\x00" + query.SerializeToString(deterministic=True)).hexdigest()[:BINDING]


def write_token(key: Key, binding: str) -> str:
    """Return the place after an item as a text."""
    held = json.dumps([binding, *key], separators=(",", ":"))
    return base64.urlsafe_b64encode(held.encode()).decode().rstrip("=")


def read_token(text: str, binding: str) -> Key:
    """Return the key after which a page begins. Raises RequestInvalid."""
    try:
        if len(text) > LONGEST:
            raise ValueError("longer than any that is handed out")
        held = pydantic_core.from_json(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        bound, *key = held
    except (ValueError, TypeError) as error:
        raise RequestInvalid("the page token was not handed out here; ask the first page again") from error
    if not key or not all(type(part) is str for part in key):
        raise RequestInvalid("the page token was not handed out here; ask the first page again")
    if bound != binding:
        raise RequestInvalid("the page token belongs to another query; ask its first page again")
    return tuple(key)
