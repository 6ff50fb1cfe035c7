"""Reversible pseudonyms: AES-SIV (RFC 5297), for the hospital that must find its patient again.

An incidental finding, a recall of a device: the recipient names a token, and the hospital alone opens it. Equal ids
have equal tokens, so a token serves as a pseudonym; recipient, project and column are authenticated with it, so a token
that was altered or comes from elsewhere raises. Ids are padded to whole blocks: a token's length says little of its id.

Reversible means: whoever takes the key has every id. Use `pseudonym` where nobody ever needs to go back.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl
from Crypto.Cipher import AES

from hdex.deid.errors import InputInvalid, TokenInvalid
from hdex.deid.pseudonym import framed, hkdf, require_key

VERSION = "e1"  # in front of every token
SIV_KEY_BYTES = 64  # AES-256-SIV: one half authenticates, one encrypts
BLOCK = 16
END = b"\x80"  # ISO/IEC 7816-4 padding: this byte, then zeros


@dataclass(frozen=True, slots=True)
class Escrow:
    """Seals and opens the ids of one recipient, project and kind of column. Holds a key that is never shown."""

    recipient: str
    project: str
    kind: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != SIV_KEY_BYTES:
            raise InputInvalid(f"a key of AES-256-SIV has {SIV_KEY_BYTES} bytes, found {len(self.key)}")

    def seal(self, ids: pl.Series) -> pl.Series:
        """A token per id, equal ids alike: `e1` and base32 of the RFC's output; NULL stays NULL."""
        return by_distinct(ids.cast(pl.String), self._seal)

    def open(self, tokens: pl.Series) -> pl.Series:
        """The ids of tokens. Raises TokenInvalid for one that was altered or made under another key or for others."""
        return by_distinct(tokens.cast(pl.String), self._open)

    def _seal(self, value: str) -> str:
        plain = value.encode() + END
        sealed = siv_encrypt(self.key, self._parts(), plain + bytes(-len(plain) % BLOCK))
        return written(sealed)

    def _open(self, token: str) -> str:
        text = token.removeprefix(VERSION).upper()
        try:
            sealed = base64.b32decode(text + "=" * (-len(text) % 8))
        except (binascii.Error, ValueError):
            sealed = b""
        if written(sealed) != token:  # also a spelling of the same bytes that we never write
            raise TokenInvalid(f"a token is not of version {VERSION} in base32")
        plain = siv_decrypt(self.key, self._parts(), sealed).rstrip(b"\0")
        if not plain.endswith(END):
            raise TokenInvalid("a token holds no padded id")
        return plain[: -len(END)].decode()

    def _parts(self) -> list[bytes]:
        return [framed((self.recipient, self.project, self.kind))]


def derive_escrow(master: bytes, *, recipient: str, project: str, kind: str) -> Escrow:
    """The escrow of one recipient's project and kind of column; its key is HKDF-SHA256 of `master`, 64 bytes."""
    require_key(master)
    info = b"hdex/deid/v1/escrow" + framed((recipient, project, kind))
    return Escrow(recipient, project, kind, hkdf(master, salt=b"", info=info, length=SIV_KEY_BYTES))


def written(sealed: bytes) -> str:
    """A token's text."""
    return VERSION + base64.b32encode(sealed).decode().rstrip("=").lower()


def siv_encrypt(key: bytes, associated: list[bytes], plaintext: bytes) -> bytes:
    """SIV-ENCRYPT of RFC 5297, section 2.6: V || C. associated: the strings before the plaintext, in order."""
    cipher = AES.new(key, AES.MODE_SIV)
    for part in associated:
        cipher.update(part)
    ciphertext, tag = cipher.encrypt_and_digest(plaintext)
    return bytes(tag + ciphertext)


def siv_decrypt(key: bytes, associated: list[bytes], sealed: bytes) -> bytes:
    """SIV-DECRYPT of RFC 5297, section 2.7. Raises TokenInvalid when it does not verify."""
    cipher = AES.new(key, AES.MODE_SIV)
    for part in associated:
        cipher.update(part)
    try:
        return bytes(cipher.decrypt_and_verify(sealed[BLOCK:], sealed[:BLOCK]))
    except ValueError as error:
        raise TokenInvalid(
            "a token does not open: it was altered, or made under another key, recipient, project or column"
        ) from error


def by_distinct(values: pl.Series, function: Callable[[str], str]) -> pl.Series:
    """`function` of every value, called once per distinct one; NULL stays NULL."""
    known = values.drop_nulls().unique()
    if len(known) == 0:
        return values
    results = pl.Series([function(value) for value in known], dtype=pl.String)
    return values.replace_strict(known, results, default=None, return_dtype=pl.String).alias(values.name)
