"""Runs an approved script in an isolated child and returns the files it left: bounded in time, memory and size.

Refused where the kernel offers neither Landlock nor seccomp, unless the operator's configuration waives it. What the
child prints is dropped; why it failed is not told, for a message could carry a value.
"""

import io
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from hdex.node import enclave_child
from hdex.node.errors import AccessDenied

OUTPUT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}\.csv")
MOST_FILES = 8
NAMES = f"write 1 to {MOST_FILES} files, named like table.csv"
LOOK_S = 0.05  # between two looks at a running script


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a run may use. is_unsafe: run where the kernel cannot lock the child in."""

    seconds: int = 60
    memory_bytes: int = 2 * 1024**3
    file_bytes: int = 64 * 1024
    is_unsafe: bool = False


def run(script: bytes, frame: pl.DataFrame, folder: Path, bounds: Bounds) -> dict[str, bytes]:
    """Return {name: bytes} of what the script wrote. folder: where a private one is made, and removed again.

    Raises AccessDenied: enclave.unisolated, enclave.time, enclave.failed, enclave.output.
    """
    rows = io.BytesIO()
    frame.write_parquet(rows)
    with prepared(script, folder) as place:
        child = subprocess.Popen(
            [sys.executable, "-I", "-B", enclave_child.__file__, str(place), str(bounds.seconds),
             str(bounds.memory_bytes), str(bounds.file_bytes), "unsafe" if bounds.is_unsafe else "safe"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={}, cwd=place,
            start_new_session=True,
        )  # fmt: skip
        try:
            await_end(child, rows.getvalue(), place / enclave_child.OUT, bounds)
        finally:
            child.kill()
            child.wait()
        code = child.returncode
        if code in {-signal.SIGXCPU, -signal.SIGKILL}:
            raise AccessDenied("enclave.time", "send a faster script", f"it ran beyond {bounds.seconds} s")
        if code == enclave_child.UNISOLATED:
            raise AccessDenied(
                "enclave.unisolated",
                "run the node on Linux with Landlock (6.2) and seccomp, or set enclave.unsafe_unisolated",
                "this kernel cannot isolate a script",
            )
        if code:
            raise AccessDenied("enclave.failed", "try the script on synthetic rows", "the script did not end well")
        return outputs(place / enclave_child.OUT, bounds)


def await_end(child: "subprocess.Popen[bytes]", rows: bytes, folder: Path, bounds: Bounds) -> None:
    """Return when the child has ended. Raises AccessDenied where it takes too long, or fills the folder meanwhile:
    each file is bounded by the kernel, their number is not.
    """
    ends, given = time.monotonic() + 2 * bounds.seconds + 10, rows or None  # its own limit counts processor time
    while True:
        try:
            child.communicate(given, LOOK_S)
            return
        except subprocess.TimeoutExpired:
            given = None  # what is left of it goes on
        if time.monotonic() >= ends:
            raise AccessDenied("enclave.time", "send a faster script", f"it ran beyond {bounds.seconds} s")
        if len(os.listdir(folder)) > MOST_FILES:
            raise AccessDenied("enclave.output", NAMES, "there are more files")


@contextmanager
def prepared(script: bytes, folder: Path) -> Iterator[Path]:
    """Yield a private folder with the script and an empty `out`; gone afterwards, with what was written."""
    place = Path(tempfile.mkdtemp(prefix="enclave-", dir=folder))
    try:
        (place / enclave_child.SCRIPT).write_bytes(script)
        (place / enclave_child.OUT).mkdir()
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def outputs(folder: Path, bounds: Bounds) -> dict[str, bytes]:
    """Return the files of a run. Raises AccessDenied for names, kinds, numbers and sizes beyond the bounds."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
        if not 1 <= len(names) <= MOST_FILES or not all(OUTPUT_NAME.fullmatch(name) for name in names):
            raise AccessDenied("enclave.output", NAMES, "names are others")
        return {name: plain_file(folder / name, bounds.file_bytes) for name in names}
    except OSError as error:  # a link, or what an unsafe script made unreadable
        raise AccessDenied("enclave.output", "write plain files", "a file cannot be read") from error


def plain_file(path: Path, most: int) -> bytes:
    """Return a file's bytes; a link, a pipe or a long one is refused."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            raise AccessDenied("enclave.output", f"write plain files of at most {most} bytes", "a file is another")
        return file.read(most + 1)
