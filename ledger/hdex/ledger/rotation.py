"""Replacing the key that signs a log: the old key's last statement names the new one. Pure, no I/O.

The statement is an entry of the log, under a checkpoint that the old key signed and witnesses cosigned. Whoever trusted
the old key can so be shown that it was the log's keeper who went on under the new one.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256

from hdex.ledger.errors import EventInvalid, NoteInvalid
from hdex.ledger.event import Action, Event, canonical, format_time, parse
from hdex.ledger.note import parse_checkpoint, verify_note
from hdex.ledger.trust import TrustedLog

REASON = "log.key"
_MARK = f'"{Action.KEY_ROTATE.value}"'.encode()


def statement(node: str, old_key: bytes, new_key: bytes, now: datetime) -> bytes:
    """Return the entry that names the key which signs from now on; keys are public, 32 bytes, told by their SHA-256."""
    return canonical(
        Event(
            event_id=str(uuid.uuid4()),
            time=format_time(now),
            node=node,
            action=Action.KEY_ROTATE,
            reason=REASON,
            request_digest=sha256(old_key).hexdigest(),
            result_digest=sha256(new_key).hexdigest(),
        )
    )


def named_at(entries: Sequence[bytes], notes: Iterable[str], log: TrustedLog) -> int | None:
    """Return the index of the entry that names the log's present key under a key it had before; None without one.

    notes: the log's checkpoints; one signed by an earlier key must cover the entry.
    """
    covered = max((size for note in notes if (size := _size_under_earlier(note, log)) is not None), default=0)
    wanted = sha256(log.verifier.public_key).hexdigest()
    earlier = {sha256(key.verifier.public_key).hexdigest() for key in log.earlier}
    for index in range(min(covered, len(entries)) - 1, -1, -1):
        if _MARK in entries[index] and _names(entries[index], wanted, earlier):
            return index
    return None


def _names(entry: bytes, wanted: str, earlier: set[str]) -> bool:
    try:
        event = parse(entry)
    except EventInvalid:
        return False
    is_one = event.action is Action.KEY_ROTATE and event.reason == REASON
    return is_one and event.result_digest == wanted and event.request_digest in earlier


def _size_under_earlier(note: str, log: TrustedLog) -> int | None:
    try:
        verify_note(note, [key.verifier for key in log.earlier])
        return parse_checkpoint(note).size
    except NoteInvalid:
        return None
