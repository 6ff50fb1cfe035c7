"""A delivery container on the buyer's disk: received with resumption, opened as bytes or as a frame.

What is on disk is the sealed container; plaintext exists in memory only.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hdex.node.container import Header, Opener, prologue_length
from hdex.node.durable import refused, sync_folder
from hdex.node.errors import AlreadyExists, ContainerInvalid, NotFound
from hdex.node.failpoint import failpoint

if TYPE_CHECKING:
    import polars as pl

BESIDE_FROM = 256 * 1024  # bytes: below that a thread costs more than it saves


class Receiver:
    """Writes a delivery as it comes, keeps only verified chunks, and knows where to go on after a break.

    Its file is `<path>.part` until `finish`; a new Receiver over the same path verifies what is there and asks for
    the rest. One Receiver per path at a time.
    """

    def __init__(self, path: Path, *, hpke_private: bytes, provider_public: bytes) -> None:
        if path.exists():
            raise AlreadyExists(f"{path} is there already")
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._keys = {"hpke_private": hpke_private, "provider_public": provider_public}
        self._opener: Opener | None = None
        self._digest = Digest()  # of the plaintext of every chunk before `next_index`
        self.next_index = 0  # the chunk to ask for
        self._recover()

    @property
    def header(self) -> Header:
        """The verified header. Raises ContainerInvalid before `begin`."""
        return self._ready().header

    @property
    def complete(self) -> bool:
        """Whether every chunk is here."""
        return self._opener is not None and self.next_index == self._opener.header.chunks

    def begin(self, prologue: bytes, *, contract: str) -> None:
        """Take the first message of a range: a new delivery, or the one that is being resumed.

        Raises ContainerInvalid when it is not for `contract`, or not the delivery that was begun.
        """
        offered = Opener(prologue, **self._keys)
        if offered.header.contract != contract:
            raise ContainerInvalid("the delivery is under another contract")
        if self._opener is None:
            self._append(prologue)
            self._opener = offered
        elif self._opener.header != offered.header:
            raise ContainerInvalid("the delivery that is resumed has changed")

    def accept(self, index: int, sealed: bytes) -> None:
        """Verify the next chunk and keep it. Raises ContainerInvalid, DiskFull; then it is not kept."""
        if index != self.next_index:
            raise ContainerInvalid(f"chunk {index} came, {self.next_index} was asked")
        plain = self._ready().open_chunk(index, sealed)
        self._append(sealed)
        self._digest.update(plain)
        self.next_index += 1
        failpoint("container.chunk-kept")

    def finish(self, *, sha256: str = "") -> Path:
        """Verify the root and, where given, the plaintext's SHA-256; make the file durable and give it its name.

        Raises ContainerInvalid when it is another file than the digest says; it does not get its name then.
        """
        self._ready().finish()
        if sha256 and self._digest.hexdigest() != sha256:
            raise ContainerInvalid("what was delivered is not the file that the product's manifest names")
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        failpoint("container.before-rename")
        self._part.rename(self._path)
        sync_folder(self._path.parent)
        return self._path

    def _ready(self) -> Opener:
        if self._opener is None:
            raise ContainerInvalid("the delivery has not begun")
        return self._opener

    def _append(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._part.open("ab") as file:
                before = file.tell()
                try:
                    file.write(data)
                    file.flush()
                except OSError:
                    os.truncate(self._part, before)
                    raise
        except OSError as error:
            raise refused(error) from error

    def _recover(self) -> None:
        """Take up a broken-off delivery: verify every chunk again, cut what is not whole."""
        if not self._part.exists():
            return
        with self._part.open("rb") as file:
            try:
                self._opener = _read_prologue(file, self._keys)
                good = file.tell()
                for index in range(self._opener.header.chunks):
                    plain = self._opener.open_chunk(index, file.read(self._opener.header.sealed_length(index)))
                    self._digest.update(plain)
                    good, self.next_index = file.tell(), index + 1
            except ContainerInvalid:
                good = 0 if self._opener is None else good
        os.truncate(self._part, good)
        if self._opener is None:
            self._part.unlink()


class Digest:
    """SHA-256 of pieces in their order; large ones are hashed beside whatever the caller does next."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="digest")
        self._last: Future[None] | None = None

    def update(self, piece: bytes) -> None:
        """Take the next piece. At most one is waiting: none is kept in memory for longer than another takes."""
        self._wait()
        if len(piece) < BESIDE_FROM:
            self._hash.update(piece)
        else:
            self._last = self._thread.submit(self._hash.update, piece)

    def hexdigest(self) -> str:
        """Return the digest of what was taken so far."""
        self._wait()
        return self._hash.hexdigest()

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()
            self._last = None


def open_container(path: Path, hpke_private: bytes, provider_public: bytes) -> bytes:
    """Return the plaintext of a delivered file; every chunk and the root have been verified."""
    return b"".join(plaintext(path, hpke_private, provider_public))


def open_frame(path: Path, hpke_private: bytes, provider_public: bytes) -> "pl.DataFrame":
    """Return a delivered product as a frame."""
    import polars

    return polars.read_parquet(io.BytesIO(open_container(path, hpke_private, provider_public)))


def open_header(path: Path, hpke_private: bytes, provider_public: bytes) -> Header:
    """Return the verified header of a delivered file."""
    with _open(path) as file:
        return _read_prologue(file, {"hpke_private": hpke_private, "provider_public": provider_public}).header


def plaintext(path: Path, hpke_private: bytes, provider_public: bytes) -> Iterator[bytes]:
    """Yield the verified chunks of a delivered file; the root is checked before the last one is given."""
    with _open(path) as file:
        opener = _read_prologue(file, {"hpke_private": hpke_private, "provider_public": provider_public})
        for index in range(opener.header.chunks):
            piece = opener.open_chunk(index, file.read(opener.header.sealed_length(index)))
            if index == opener.header.chunks - 1:
                opener.finish()
                if file.read(1):
                    raise ContainerInvalid("there are bytes after the last chunk")
            yield piece


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise NotFound(f"the container {path} cannot be read: {error.strerror}") from error


def _read_prologue(file: BinaryIO, keys: dict[str, bytes]) -> Opener:
    head = file.read(8)
    rest = file.read(prologue_length(head) - len(head))
    return Opener(head + rest, hpke_private=keys["hpke_private"], provider_public=keys["provider_public"])
