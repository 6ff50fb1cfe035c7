"""Run under LD_PRELOAD: one call fails, at each place in turn; prints what was acknowledged and what was kept."""

import ctypes
import json
import shutil
import sys
from pathlib import Path

from hdex.ledger.errors import LogFailed
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.store_sqlite import SqliteLogStore

ORIGIN = "hdex/hospital-a/2026"
APPENDS = 30
disk = ctypes.CDLL(None)


def open_log(path: Path) -> Log:
    return Log(SqliteLogStore(path), ORIGIN, Signer(ORIGIN, bytes(range(32))))


def leaf(number: int) -> bytes:
    return b"%d-" % number + b"x" * (number * 97 % 3000)


def point(folder: Path, call: int, mode: int) -> dict[str, object]:
    """Fail one call, then open a copy as after a crash, and the file itself as after an orderly end."""
    folder.mkdir()
    log = open_log(folder / "log.db")
    acknowledged = [number for number in range(3) if log.append(leaf(number)).index == number]
    disk.arm(call, mode)
    for number in range(3, APPENDS):
        try:
            log.append(leaf(number))
            acknowledged.append(number)
        except LogFailed:
            break
    struck = not disk.armed()
    disk.arm(0, 0)
    refused = not log.failed
    if log.failed:
        try:
            log.append(b"after the failure")
        except LogFailed:
            refused = True
    readable = log.entries(0, log.size) == [leaf(number) for number in acknowledged]
    (folder / "crash").mkdir()
    for path in folder.glob("log.db*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, folder / "crash" / path.name)
    log.close()
    kept = [after(folder / "crash" / "log.db", acknowledged), after(folder / "log.db", acknowledged)]
    return {"struck": struck, "failed": log.failed, "refused": refused, "readable": readable, "kept": kept}


def after(path: Path, acknowledged: list[int]) -> bool:
    """Return whether a log opens, holds what was acknowledged, and goes on."""
    log = open_log(path)
    held = log.entries(0, log.size)
    whole = held == [leaf(number) for number in range(len(held))] and len(held) >= len(acknowledged)
    goes_on = log.append(b"goes on").index == len(held)
    log.close()
    return whole and goes_on and log.failed is False


if __name__ == "__main__":
    base, calls = Path(sys.argv[1]), int(sys.argv[2])
    modes = [(call, mode) for mode in range(4) for call in range(1, calls + 1)]
    print(json.dumps([point(base / f"{mode}-{call}", call, mode) for call, mode in modes]))
