"""What a node keeps: encrypted, written once, whole or not at all.

One file per item, "HDV1" || header length || header JSON {"product", "name", "salt"} || sealed chunks || sealed footer
{"sha256", "size"} || footer length. Its key is derived from the product's data key: shredding that key ends them all.
"""

import fcntl
import hashlib
import io
import json
import os
import secrets
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cryptography.exceptions import InvalidTag

from hdex.node.durable import refused, sync_folder
from hdex.node.errors import AlreadyExists, NotFound, VaultDamaged
from hdex.node.failpoint import failpoint
from hdex.node.keys import KeyProvider, data_key, data_key_name
from hdex.node.stream import CHUNK_BYTES, TAG_BYTES, ChunkCipher, chunk_count, derive

if TYPE_CHECKING:
    import polars as pl

MAGIC = b"HDV1"
LENGTH = struct.Struct(">I")
HEADER_LIMIT = 64 * 1024
FOOTER = MAGIC + b"/footer"


@dataclass(frozen=True, slots=True)
class Stored:
    """One item of the vault."""

    product: str
    name: str
    size: int  # plaintext bytes
    sha256: str  # of the plaintext, lowercase hex


class Vault:
    """Write-once encrypted store in one folder. Reads verify; nothing half-written is ever seen."""

    def __init__(self, folder: Path, keys: KeyProvider) -> None:
        self._folder = folder
        self._keys = keys
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sweep(folder)

    def __repr__(self) -> str:
        return f"Vault({self._folder})"

    def put(self, product: str, name: str, data: bytes | Iterable[bytes]) -> Stored:
        """Store one item, durable on return. Raises AlreadyExists, DiskFull; then nothing was stored."""
        path = self._path(product, name)
        if path.exists():
            raise AlreadyExists(f"{name} of {product} is stored already; nothing is written twice")
        path.parent.mkdir(exist_ok=True, mode=0o700)
        header = json.dumps({"product": product, "name": name, "salt": secrets.token_hex(32)}).encode()
        try:
            with _temporary(self._folder) as (file, temporary):
                size, digest = _write_item(file, header, self._cipher(header), _pieces(data))
                os.fsync(file.fileno())
                failpoint("vault.before-link")
                _link(temporary, path)
        except OSError as error:
            raise refused(error) from error
        failpoint("vault.after-link")
        return Stored(product, name, size, digest)

    def contains(self, product: str, name: str) -> bool:
        """Return whether the item is stored."""
        return self._path(product, name).exists()

    def stat(self, product: str, name: str) -> Stored:
        """Return size and digest. Raises NotFound, VaultSealed, VaultDamaged."""
        with self._open(product, name) as item:
            return item.stored

    def read(self, product: str, name: str) -> bytes:
        """Return the whole item; its digest has been checked. Raises NotFound, VaultSealed, VaultDamaged."""
        return b"".join(self.chunks(product, name))

    def chunks(self, product: str, name: str) -> Iterator[bytes]:
        """Yield the item in pieces of 1 MiB; each is authentic, the digest of all is checked before the end."""
        digest = hashlib.sha256()
        with self._open(product, name) as item:
            for index in range(item.count):
                piece = item.chunk(index)
                digest.update(piece)
                yield piece
            if digest.hexdigest() != item.stored.sha256:
                raise VaultDamaged(f"{name} of {product} does not have the digest it was stored under")

    def read_range(self, product: str, name: str, start: int, length: int) -> bytes:
        """Return up to `length` bytes from `start`; every chunk that is touched is verified."""
        if start < 0 or length < 0:
            raise NotFound("a range begins and ends inside the item")
        with self._open(product, name) as item:
            stop = min(start + length, item.stored.size)
            if stop <= start:
                return b""
            touched = range(start // CHUNK_BYTES, -(-stop // CHUNK_BYTES))
            joined = b"".join(item.chunk(index) for index in touched)
        offset = touched.start * CHUNK_BYTES
        return joined[start - offset : stop - offset]

    def put_frame(self, product: str, name: str, frame: "pl.DataFrame") -> Stored:
        """Store a frame as Parquet."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        return self.put(product, name, buffer.getvalue())

    def read_frame(self, product: str, name: str) -> "pl.DataFrame":
        """Return a stored frame."""
        import polars

        return polars.read_parquet(io.BytesIO(self.read(product, name)))

    def items(self, product: str | None = None) -> list[Stored]:
        """Return what is stored and can still be read, by product and name."""
        headers = [_read_header(path) for path in sorted(self._folder.glob("*/*.hdv"))]
        wanted = sorted((h["product"], h["name"]) for h in headers if product in {None, h["product"]})
        return [self.stat(owner, name) for owner, name in wanted]

    def shred(self, product: str) -> None:
        """Destroy the product's data key, then its files. Raises NotFound when it never had a key."""
        self._keys.shred(data_key_name(product))
        failpoint("vault.shredded")
        for path in self._path(product, "").parent.glob("*.hdv"):
            path.unlink()

    def remove(self, product: str, name: str) -> None:
        """Delete one item for good, durable on return; one that is not there is no error.

        Its salt is overwritten first: what the disk may keep of the rest has no key any more.
        """
        path = self._path(product, name)
        if not path.exists():
            return
        ending = self._folder / f"{secrets.token_hex(16)}.tmp"  # after a stop it is swept like any other
        try:
            path.rename(ending)
            with ending.open("r+b") as file:
                file.write(bytes(min(HEADER_LIMIT, ending.stat().st_size)))
                file.flush()
                os.fsync(file.fileno())
            ending.unlink()
            sync_folder(path.parent)
            sync_folder(self._folder)
        except OSError as error:
            raise refused(error) from error

    def _path(self, product: str, name: str) -> Path:
        # Names are hashed: no name can leave the folder, and a listing of it says nothing.
        parts = [hashlib.sha256(part.encode()).hexdigest()[:40] for part in (product, f"{product}\n{name}")]
        return self._folder / parts[0] / f"{parts[1]}.hdv"

    def _cipher(self, header: bytes) -> ChunkCipher:
        return _cipher(data_key(self._keys, json.loads(header)["product"]), header)

    @contextmanager
    def _open(self, product: str, name: str) -> "Iterator[_Item]":
        try:
            file = self._path(product, name).open("rb")
        except FileNotFoundError:
            self._keys.secret(data_key_name(product))  # a shredded product says so
            raise NotFound(f"there is no {name} of {product} in the vault") from None
        with file:
            yield _Item(file, self._keys, product, name)


class _Item:
    """One open file: header and footer read and checked."""

    def __init__(self, file: BinaryIO, keys: KeyProvider, product: str, name: str) -> None:
        key = keys.secret(data_key_name(product))
        try:
            header, self._begin = _header(file)
            self._cipher = _cipher(key, header)
            stated = json.loads(header)
            if (stated["product"], stated["name"]) != (product, name):
                raise ValueError("another item's file")
            footer, end = _footer(file, self._cipher)
            self.stored = Stored(product, name, int(footer["size"]), str(footer["sha256"]))
            self.count = chunk_count(self.stored.size)
            if end - self._begin != self.stored.size + self.count * TAG_BYTES:
                raise ValueError("length")
        except (ValueError, KeyError, TypeError, struct.error, InvalidTag, OSError) as error:
            raise VaultDamaged(f"{name} of {product} is damaged: its frame does not verify") from error
        self._file = file

    def chunk(self, index: int) -> bytes:
        self._file.seek(self._begin + index * (CHUNK_BYTES + TAG_BYTES))
        last = index == self.count - 1
        length = self.stored.size - index * CHUNK_BYTES if last else CHUNK_BYTES
        try:
            return self._cipher.open(index, self._file.read(length + TAG_BYTES), last=last)
        except InvalidTag as error:
            raise VaultDamaged(f"{self.stored.name} of {self.stored.product} is damaged in chunk {index}") from error


def _cipher(key: bytes, header: bytes) -> ChunkCipher:
    salt = bytes.fromhex(json.loads(header)["salt"])
    return ChunkCipher(derive(key, salt=salt, info=b"hdex/vault/v1"), hashlib.sha256(header).digest())


def _write_item(file: BinaryIO, header: bytes, cipher: ChunkCipher, pieces: Iterator[bytes]) -> tuple[int, str]:
    """Write one item and return size and digest of its plaintext; holds two chunks at a time."""
    file.write(MAGIC + LENGTH.pack(len(header)) + header)
    digest, size, index = hashlib.sha256(), 0, 0
    held = next(pieces)
    for piece in pieces:
        digest.update(held)
        size += len(held)
        file.write(cipher.seal(index, held, last=False))
        failpoint("vault.half-written")
        held, index = piece, index + 1
    digest.update(held)
    size += len(held)
    file.write(cipher.seal(index, held, last=True))
    footer = json.dumps({"sha256": digest.hexdigest(), "size": size}).encode()
    sealed = cipher.seal(0xFFFFFFFF, FOOTER + footer, last=True)
    file.write(sealed + LENGTH.pack(len(sealed)))
    file.flush()
    return size, digest.hexdigest()


def _pieces(data: bytes | Iterable[bytes]) -> Iterator[bytes]:
    """Yield at least one piece; all but the last have exactly CHUNK_BYTES."""
    waiting = bytearray()
    for part in [data] if isinstance(data, bytes | bytearray | memoryview) else data:
        waiting += part
        offset = 0
        while len(waiting) - offset > CHUNK_BYTES:
            yield bytes(waiting[offset : offset + CHUNK_BYTES])
            offset += CHUNK_BYTES
        del waiting[:offset]
    yield bytes(waiting)


def _header(file: BinaryIO) -> tuple[bytes, int]:
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("magic")
    (length,) = LENGTH.unpack(file.read(LENGTH.size))
    if length > HEADER_LIMIT:
        raise ValueError("header length")
    return file.read(length), len(MAGIC) + LENGTH.size + length


def _footer(file: BinaryIO, cipher: ChunkCipher) -> tuple[dict[str, Any], int]:
    end = file.seek(-LENGTH.size, os.SEEK_END)
    (length,) = LENGTH.unpack(file.read(LENGTH.size))
    start = file.seek(end - length)
    opened = cipher.open(0xFFFFFFFF, file.read(length), last=True)
    if not opened.startswith(FOOTER):
        raise ValueError("footer")
    footer: dict[str, Any] = json.loads(opened[len(FOOTER) :])
    return footer, start


def _read_header(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        try:
            header: dict[str, str] = json.loads(_header(file)[0])
            return {"product": str(header["product"]), "name": str(header["name"])}
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise VaultDamaged(f"the file {path.name} of the vault is damaged") from error


@contextmanager
def _temporary(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a locked temporary file that is gone afterwards: an unlocked one is a dead process's."""
    path = folder / f"{secrets.token_hex(16)}.tmp"
    try:
        with path.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            path.chmod(0o600)
            yield file, path
    finally:
        path.unlink(missing_ok=True)


def _link(temporary: Path, path: Path) -> None:
    """Give the finished file its name; a second writer of the same name loses."""
    try:
        os.link(temporary, path)
    except FileExistsError as error:
        raise AlreadyExists("this item was stored by another writer; nothing is written twice") from error
    sync_folder(path.parent)
    sync_folder(path.parent.parent)


def _sweep(folder: Path) -> None:
    """Remove temporary files of writers that died."""
    for path in folder.glob("*.tmp"):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            path.unlink(missing_ok=True)
