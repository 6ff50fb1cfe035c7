"""C2SP signed notes, checkpoints and witness cosignatures, Ed25519, byte for byte. Pure, no I/O.

Sources: c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature (cosignature/v1).
A cosigned checkpoint:

    hdex/hospital-a/2026
    17
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — hdex/hospital-a/2026 Az3grlgtzPIC...
    — hospital-b jWbPPwAAAABkGFDL...
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hdex.ledger.errors import NoteInvalid

MAX_SIGNATURES = 64
MAX_NOTE_BYTES = 1 << 16
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_BAD_IN_NAME = re.compile(r"[\s+]")
_DASH = "\u2014 "


class SignatureType(IntEnum):
    """The assigned identifier bytes we read and write."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line; `signature` is what follows the key id."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """Return the line with its final newline."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note: nothing in it may be believed before verify_note."""

    text: str  # with its final newline
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(signature.line() for signature in self.signatures)}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree head that a log signs."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verifier:
    """A trusted public key under its name, for one type of signature."""

    name: str
    public_key: bytes  # 32 bytes
    type: SignatureType = SignatureType.ED25519

    def __post_init__(self) -> None:
        _require_name(self.name)
        if len(self.public_key) != 32:
            raise NoteInvalid(f"the public key has {len(self.public_key)} bytes, 32 are needed")

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name || newline || type || public key)."""
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public_key).digest()[:4]

    @property
    def vkey(self) -> str:
        """The key in the `name+hash+base64` form."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.type]) + self.public_key).decode()}"

    @classmethod
    def from_vkey(cls, vkey: str) -> "Verifier":
        """Return the key of a `name+hash+base64` verifier key. Raises NoteInvalid when its parts disagree."""
        name, _, rest = vkey.partition("+")
        hexadecimal, _, encoded = rest.partition("+")
        raw = decode_base64(encoded)
        if not raw or raw[0] not in list(SignatureType):
            raise NoteInvalid("the verifier key is of an unknown type")
        found = cls(name, raw[1:], SignatureType(raw[0]))
        if found.key_id.hex() != hexadecimal:
            raise NoteInvalid("the verifier key's hash is not that of its key")
        return found


@dataclass(frozen=True, slots=True)
class Signer:
    """A named Ed25519 key. A log's name is its origin, a witness's name is its participant id."""

    name: str
    seed: bytes = field(repr=False)  # 32 bytes
    public_key: bytes = field(init=False, compare=False)  # the 32 bytes of RFC 8032
    _key: Ed25519PrivateKey = field(init=False, repr=False, compare=False)  # loaded once: that costs as much as signing

    def __post_init__(self) -> None:
        _require_name(self.name)
        if len(self.seed) != 32:
            raise NoteInvalid(f"the key seed has {len(self.seed)} bytes, 32 are needed")
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "public_key", key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of RFC 8032."""
        return self._key.sign(message)


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that holds: by whom, and for a cosignature when."""

    verifier: Verifier
    time: datetime | None = None


def parse_note(note: str) -> Note:
    """Return text and signatures of a note without believing either. Raises NoteInvalid."""
    _require_utf8(note)
    if _CONTROL.search(note):
        raise NoteInvalid("the note holds a control character other than newline")
    text, separator, tail = note.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise NoteInvalid("the note has no blank line before its signatures, or does not end in a newline")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteInvalid(f"the note has {len(lines)} signatures, at most {MAX_SIGNATURES} are read")
    return Note(text + "\n", tuple(_parse_signature(line) for line in lines))


def sign_note(text: str, signer: Signer) -> str:
    """Return `text` (which ends in a newline) as a note with one signature."""
    if not text.endswith("\n") or _CONTROL.search(text):
        raise NoteInvalid("a note's text ends in a newline and holds no other control character")
    key_id = Verifier(signer.name, signer.public_key).key_id
    return str(Note(text, (NoteSignature(signer.name, key_id, signer.sign(text.encode())),)))


def verify_note(note: str, verifiers: Iterable[Verifier]) -> list[Verified]:
    """Return the signatures of known keys, each key once, in the order of the note.

    Signatures of unknown keys are ignored, as signed-note demands. Raises NoteInvalid when the note is malformed, when
    a known key's signature does not hold, or when no known key signed.
    """
    parsed = parse_note(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    found: dict[Verifier, Verified] = {}
    for signature in parsed.signatures:
        verifier = known.get((signature.name, signature.key_id))
        if verifier is not None:
            found.setdefault(verifier, _verify(parsed.text, signature, verifier))
    if not found:
        raise NoteInvalid("no known key signed the note")
    return list(found.values())


def add_signatures(note: str, lines: Iterable[str]) -> str:
    """Return the note with further signature lines, each at most once. Raises NoteInvalid on a malformed line."""
    parsed = parse_note(note)
    added = [_parse_signature(line.removesuffix("\n")) for line in lines]
    return str(Note(parsed.text, tuple(dict.fromkeys((*parsed.signatures, *added)))))


def format_checkpoint(origin: str, size: int, root: bytes, extensions: Sequence[str] = ()) -> str:
    """Return the text of a checkpoint, not yet signed."""
    if not origin or "\n" in origin or size < 0 or len(root) != 32:
        raise NoteInvalid("a checkpoint needs a one-line origin, a size from 0 and a root of 32 bytes")
    return "".join(f"{line}\n" for line in (origin, size, base64.b64encode(root).decode(), *extensions))


def parse_checkpoint(note: str) -> Checkpoint:
    """Return the tree head of a checkpoint, signed or not; signatures are not looked at. Raises NoteInvalid."""
    _require_utf8(note)
    lines = note.partition("\n\n")[0].removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise NoteInvalid(f"the checkpoint has {len(lines)} lines, 3 with content are needed")
    if not _DECIMAL.fullmatch(lines[1]):
        raise NoteInvalid("the checkpoint's size is not a decimal without leading zeroes")
    root = decode_base64(lines[2])
    if len(root) != 32:
        raise NoteInvalid(f"the checkpoint's root has {len(root)} bytes, 32 are needed")
    return Checkpoint(lines[0], int(lines[1]), root, tuple(lines[3:]))


def cosign(note: str, signer: Signer, time: datetime) -> str:
    """Return the cosignature/v1 line of a witness over a checkpoint's text. Source: tlog-cosignature, Ed25519."""
    text = parse_note(note).text
    parse_checkpoint(text)
    seconds = int(time.timestamp())
    signature = seconds.to_bytes(8, "big") + signer.sign(_cosigned_message(text, seconds))
    key_id = Verifier(signer.name, signer.public_key, SignatureType.COSIGNATURE_V1).key_id
    return NoteSignature(signer.name, key_id, signature).line()


def note_hash(note: str) -> bytes:
    """Return SHA-256 of the signed text: the same before and after cosignatures were added."""
    return sha256(parse_note(note).text.encode()).digest()


def _verify(text: str, signature: NoteSignature, verifier: Verifier) -> Verified:
    message, raw, time = text.encode(), signature.signature, None
    if verifier.type is SignatureType.COSIGNATURE_V1:
        seconds, raw = int.from_bytes(raw[:8], "big"), raw[8:]
        message, time = _cosigned_message(text, seconds), _posix(seconds)
    try:
        Ed25519PublicKey.from_public_bytes(verifier.public_key).verify(raw, message)
    except (InvalidSignature, ValueError) as error:
        raise NoteInvalid(f"the signature of the known key {verifier.name} does not hold") from error
    return Verified(verifier, time)


def _cosigned_message(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _posix(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise NoteInvalid("the cosignature's time is beyond the calendar") from error


def _parse_signature(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH):
        raise NoteInvalid("a signature line does not begin with an em dash")
    _require_name(name)
    raw = decode_base64(encoded)
    if len(raw) < 5:
        raise NoteInvalid(f"a signature has {len(raw)} bytes, at least 5 are needed")
    return NoteSignature(name, raw[:4], raw[4:])


def _require_utf8(note: str) -> None:
    try:
        length = len(note.encode())
    except UnicodeEncodeError as error:
        raise NoteInvalid("the note is not valid UTF-8") from error
    if length > MAX_NOTE_BYTES:
        raise NoteInvalid(f"the note has {length} bytes, at most {MAX_NOTE_BYTES} are read")


def _require_name(name: str) -> None:
    if not name or _BAD_IN_NAME.search(name):
        raise NoteInvalid("a key name is empty or holds a space or a plus")


def decode_base64(text: str) -> bytes:
    """Return the bytes of canonical standard base64: any other spelling of the same bytes is refused."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteInvalid("a base64 field is malformed") from error
    if base64.b64encode(raw).decode() != text:
        raise NoteInvalid("a base64 field is not canonical")
    return raw
