"""One entry's proof as text that stands alone: index, inclusion hashes, cosigned checkpoint. Pure, no I/O.

Source: c2sp.org/tlog-proof. Under 2 kB at 10^6 entries with four cosignatures.

    c2sp.org/tlog-proof@v1
    index 73894
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
    ...

    hdex/hospital-a/2026
    109482
    sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

    — hdex/hospital-a/2026 hI2DJw...
    — hospital-b mJirIk...
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hdex.ledger.errors import NoteInvalid, ProofInvalid
from hdex.ledger.merkle import HASH_SIZE, verify_inclusion
from hdex.ledger.note import MAX_NOTE_BYTES, decode_base64, parse_checkpoint, parse_note
from hdex.ledger.testimony import authenticate
from hdex.ledger.trust import Trust

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63
MAX_EXTRA_BYTES = 1 << 16
MAX_PROOF_CHARACTERS = MAX_NOTE_BYTES + 2 * MAX_EXTRA_BYTES + 64 * MAX_HASHES
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogProof:
    """A parsed proof: nothing in it may be believed before verify_proof; `extra` never may."""

    index: int
    hashes: tuple[bytes, ...]  # lowest sibling first
    checkpoint: str  # a signed note
    extra: bytes | None = None


@dataclass(frozen=True, slots=True)
class Included:
    """What a proof shows: the entry at `index` of the log `origin`, under a checkpoint these witnesses cosigned."""

    origin: str
    index: int
    size: int
    cosigners: tuple[str, ...]


def format_proof(index: int, hashes: Sequence[bytes], checkpoint: str, *, extra: bytes | None = None) -> str:
    """Return the proof's text. Raises NoteInvalid when `checkpoint` is no signed note."""
    parse_checkpoint(parse_note(checkpoint).text)
    lines = [HEADER, *([] if extra is None else [f"extra {_encode(extra)}"]), f"index {index}", *map(_encode, hashes)]
    return "\n".join(lines) + "\n\n" + checkpoint


def parse_proof(text: str) -> LogProof:
    """Return what the text says. Raises ProofInvalid where it is not the format's, NoteInvalid for its checkpoint."""
    if len(text) > MAX_PROOF_CHARACTERS:
        raise ProofInvalid(f"the proof has {len(text)} characters, at most {MAX_PROOF_CHARACTERS} are read")
    head, separator, checkpoint = text.partition("\n\n")
    header, *lines = head.split("\n")
    if header != HEADER or not separator:
        raise ProofInvalid(f"the text does not begin with {HEADER}, or has no empty line before the checkpoint")
    extra = _bytes(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else None
    found = _INDEX.fullmatch(lines[0]) if lines else None
    if found is None:
        raise ProofInvalid('no line is "index", a space and a decimal without leading zeroes')
    hashes = tuple(_bytes(line) for line in lines[1:])
    if len(hashes) > MAX_HASHES or any(len(value) != HASH_SIZE for value in hashes):
        raise ProofInvalid(f"the proof has {len(hashes)} hashes: at most {MAX_HASHES} of {HASH_SIZE} bytes are read")
    parse_checkpoint(parse_note(checkpoint).text)
    return LogProof(int(found[1]), hashes, checkpoint, extra)


def verify_proof(text: str, leaf_hash: bytes, trust: Trust) -> Included:
    """Return what the text proves of the entry with this leaf hash, with no network.

    Raises NoteInvalid unless the checkpoint is of a trusted log under its key and its witnesses are enough,
    ProofInvalid unless the hashes lead from the entry to the checkpoint's root.
    """
    proof = parse_proof(text)
    head = parse_checkpoint(parse_note(proof.checkpoint).text)
    log = trust.log(head.origin)
    if log is None:
        raise NoteInvalid("the trust file knows no log of this origin")
    testimony = authenticate(proof.checkpoint, log, trust)  # 1 signed by the log
    if not trust.is_witnessed_by(testimony.cosigners):  # 2 and seen by enough others
        raise NoteInvalid(f"{len(testimony.cosigners)} trusted witnesses cosigned: the policy's quorum is not met")
    verify_inclusion(leaf_hash, proof.index, head.size, proof.hashes, head.root)  # 3 and the entry is under it
    return Included(head.origin, proof.index, head.size, testimony.cosigners)


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(line: str) -> bytes:
    try:
        return decode_base64(line)
    except NoteInvalid as error:
        raise ProofInvalid("a line of the proof is not base64") from error
