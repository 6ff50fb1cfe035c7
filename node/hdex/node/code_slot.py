"""The slot through which `hdex node desk-code` hands a new code to a running desk: a private folder, digests only.

Whoever can write there can read the person's key beside it, so a code gives nobody anything he had not.
"""

import json
import logging
import os
from datetime import datetime
from pathlib import Path

from hdex.ledger.document import load
from hdex.ledger.errors import EventInvalid
from hdex.ledger.event import format_time, parse_time
from hdex.node.durable import write_atomic
from hdex.node.errors import KeyUnreadable
from hdex.node.identity import Identity
from hdex.node.sessions import CODE_LIFE, Issued, digest_of, new_code, normal

logger = logging.getLogger(__name__)
FOLDER = "codes"
SUFFIX = ".code"
MOST, LARGEST = 16, 1000  # files looked at, bytes of one


def post(desk: Path, now: datetime) -> str:
    """Leave a new code in the slot of a desk folder and return it."""
    slot, code = desk / FOLDER, new_code()
    slot.mkdir(exist_ok=True, mode=0o700)
    require_own(slot)
    for path in slot.glob(f"*{SUFFIX}"):
        if not is_fresh(path, now):
            path.unlink(missing_ok=True)
    digest = digest_of(normal(code)).hex()
    said = {"digest": digest, "expires": format_time(now + CODE_LIFE)}
    write_atomic(slot / f"{digest[:16]}{SUFFIX}", json.dumps(said).encode(), mode=0o600)
    return code


def collect(desk: Path, identity: Identity, now: datetime) -> list[Issued]:
    """Return the codes in the slot that are good now, and empty it: what is taken out is in nobody's hands twice."""
    slot = desk / FOLDER
    if not slot.is_dir():
        return []
    require_own(slot)
    found = []
    for path in sorted(slot.glob(f"*{SUFFIX}"))[:MOST]:
        issued = read(path, identity)
        path.unlink(missing_ok=True)
        if issued is not None and now < issued.expires:
            found.append(issued)
    return found


def read(path: Path, identity: Identity) -> Issued | None:
    """Return one code of the slot, None for a file that is none."""
    try:
        with path.open("rb") as opened:
            said = load(opened.read(LARGEST), max_depth=2)
        if not isinstance(said, dict):
            raise ValueError
        return Issued(bytes.fromhex(said["digest"]), identity, parse_time(said["expires"]))
    except (OSError, ValueError, TypeError, KeyError, EventInvalid):
        logger.warning("a file in the slot is no code")
        return None


def is_fresh(path: Path, now: datetime) -> bool:
    """Return whether a file of the slot is young enough to hold a living code."""
    try:
        return now.timestamp() - path.stat().st_mtime < CODE_LIFE.total_seconds()
    except OSError:
        return False


def require_own(slot: Path) -> None:
    """Raise KeyUnreadable unless the slot is ours alone."""
    found = slot.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise KeyUnreadable(f"{slot} is open to others: it must belong to you, with mode 700")
