"""The body of `add-checkpoint`, as text: what a log sends to a witness over HTTP. Pure, no I/O.

Source: c2sp.org/tlog-witness, "add-checkpoint":

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
    jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=

    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1M...
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hdex.ledger.errors import NoteInvalid, WitnessRefused
from hdex.ledger.merkle import HASH_SIZE
from hdex.ledger.note import MAX_NOTE_BYTES, decode_base64

MAX_PROOF_LINES = 63
MAX_BODY_BYTES = MAX_NOTE_BYTES + 64 * (MAX_PROOF_LINES + 1)
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint offered to a witness, with the proof that it extends what the witness cosigned before."""

    old_size: int
    proof: tuple[bytes, ...]  # hashes of 32 bytes
    checkpoint: str  # a signed note; not verified


def parse_submission(body: bytes) -> Submission:
    """Return what a body says. Raises WitnessRefused (400) where it is not the format's."""
    head, separator, checkpoint = _text(body).partition("\n\n")
    if not separator:
        raise WitnessRefused("the body has no empty line between the proof and the checkpoint")
    old, *lines = head.split("\n")
    found = _OLD.fullmatch(old)
    if found is None:
        raise WitnessRefused('the first line is not "old", a space and a decimal without leading zeroes')
    if len(lines) > MAX_PROOF_LINES:
        raise WitnessRefused(f"the proof has {len(lines)} lines, at most {MAX_PROOF_LINES} are read")
    return Submission(int(found[1]), tuple(_hash(line) for line in lines), checkpoint)


def format_submission(old_size: int, proof: Sequence[bytes], checkpoint: str) -> bytes:
    """Return the body that offers `checkpoint` to a witness."""
    lines = [f"old {old_size}", *(base64.b64encode(value).decode() for value in proof)]
    return ("\n".join(lines) + "\n\n" + checkpoint).encode()


def _text(body: bytes) -> str:
    if len(body) > MAX_BODY_BYTES:
        raise WitnessRefused(f"the body has {len(body)} bytes, at most {MAX_BODY_BYTES} are read")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise WitnessRefused("the body is not UTF-8") from error


def _hash(line: str) -> bytes:
    try:
        value = decode_base64(line)
    except NoteInvalid as error:
        raise WitnessRefused("a proof line is not base64") from error
    if len(value) != HASH_SIZE:
        raise WitnessRefused(f"a proof line holds {len(value)} bytes, a hash has {HASH_SIZE}")
    return value
