"""Files that are either wholly on disk or not there at all."""

import errno
import os
import secrets
from pathlib import Path

from hdex.node.errors import DiskFull
from hdex.node.failpoint import failpoint

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` by `data`, durable on return; after a crash the old or the new bytes are there, never a mixture.

    Raises DiskFull when there is no space; the old file is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        failpoint("durable.before-rename")
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise refused(error) from error


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: without this a rename may be lost with the power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def refused(error: OSError) -> Exception:
    """Return DiskFull for an error that says so, else the error itself."""
    if error.errno in FULL:
        return DiskFull("no space is left on the disk; nothing was stored")
    return error
