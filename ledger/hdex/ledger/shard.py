"""One log a year: what a shard is called, and how its first entry continues the one before. Pure, no I/O.

The first entry of a shard carries the last signed head of the shard before it. Whoever cosigns or anchors the new shard
so vouches for the end of the old one: nothing is added to it and nothing taken away afterwards.
"""

import re
import uuid
from collections.abc import Sequence
from datetime import datetime

from hdex.ledger.errors import EventInvalid, NoteInvalid, StoreCorrupt
from hdex.ledger.event import Action, Event, canonical, format_time, parse
from hdex.ledger.note import Verifier, parse_checkpoint, verify_note

_ORIGIN = re.compile(r"hdex/([^/]+)/([0-9]{4})", re.ASCII)


def origin_of(node: str, year: int) -> str:
    """Return the origin of a participant's log in one year."""
    return f"hdex/{node}/{year}"


def parse_origin(origin: str) -> tuple[str, int]:
    """Return (node, year). Raises NoteInvalid for an origin of another form."""
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        raise NoteInvalid("the origin is not hdex/<node>/<year>")
    return found[1], int(found[2])


def link_to(head: str, now: datetime) -> bytes:
    """Return the first entry of the shard that follows the one with this last head."""
    node, _ = parse_origin(parse_checkpoint(head).origin)
    return canonical(
        Event(event_id=str(uuid.uuid4()), time=format_time(now), node=node, action=Action.SHARD_OPEN, checkpoint=head)
    )


def linked_head(leaf: bytes) -> str | None:
    """Return the head of the shard before, which a first entry carries; None when it carries none."""
    try:
        event = parse(leaf)
    except EventInvalid:
        return None
    return event.checkpoint if event.action is Action.SHARD_OPEN else None


def require_continued(head: str, next_leaf: bytes, *log_keys: bytes) -> None:
    """Raise StoreCorrupt unless `next_leaf`, the first entry of a shard, continues the shard with this last head.

    log_keys: the 32-byte public keys under which the log is or was signed.
    """
    linked = linked_head(next_leaf)
    if linked is None:
        raise StoreCorrupt("the first entry of a shard does not name the shard before it")
    ended, named = parse_checkpoint(head), parse_checkpoint(linked)
    try:
        verify_note(linked, [Verifier(named.origin, key) for key in log_keys])
    except NoteInvalid as error:
        raise StoreCorrupt("the head that a shard continues is not signed by the log's key") from error
    if (ended.origin, ended.size, ended.root) != (named.origin, named.size, named.root):
        raise StoreCorrupt(
            f"{ended.origin} ends at {ended.size} entries, the next shard continues {named.origin} at {named.size}"
        )


def in_order(origins: Sequence[str]) -> list[str]:
    """Return the origins of one participant's shards, oldest first."""
    return sorted(origins, key=lambda origin: parse_origin(origin)[1])
