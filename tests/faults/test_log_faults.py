"""What a log loses when it is killed, starved of disk or damaged: nothing that it acknowledged."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hdex.ledger.errors import LogFailed, StoreCorrupt
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.store_sqlite import SqliteLogStore

pytestmark = pytest.mark.fault

ORIGIN = "hdex/hospital-a/2026"
SIGNER = Signer(ORIGIN, bytes(range(32)))
POINTS = 200 if os.environ.get("HDEX_SOAK") == "1" else 10
FLIPS = 400 if os.environ.get("HDEX_SOAK") == "1" else 40

WRITER = """
import sys, threading
from pathlib import Path
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.store_sqlite import SqliteLogStore
log = Log(SqliteLogStore(Path(sys.argv[1])), "hdex/hospital-a/2026", Signer("hdex/hospital-a/2026", bytes(range(32))))
def work(worker):
    for i in range(100000):
        leaf = f"{sys.argv[2]}-{worker}-{i}"
        receipt = log.append(leaf.encode())
        sys.stdout.write(f"{receipt.index} {leaf}\\n")
        sys.stdout.flush()
for worker in range(4):
    threading.Thread(target=work, args=(worker,)).start()
"""

STARVED = """
import json, resource, sys
from pathlib import Path
from hdex.ledger.errors import LogFailed
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.store_sqlite import SqliteLogStore
log = Log(SqliteLogStore(Path(sys.argv[1])), "hdex/hospital-a/2026", Signer("hdex/hospital-a/2026", bytes(range(32))))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
acknowledged, refusals = [], 0
for i in range(200):
    leaf = f"{i}-".encode() + b"x" * 9000
    try:
        log.append(leaf)
        acknowledged.append(i)
    except LogFailed:
        refusals += 1
read = [int(leaf.split(b"-")[0]) for leaf in log.entries(0, log.size)]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
still_refused = False
try:
    log.append(b"room again, but not verified")
except LogFailed:
    still_refused = True
print(json.dumps({"acknowledged": acknowledged, "refusals": refusals, "read": read, "still_refused": still_refused}))
"""


def open_log(path: Path) -> Log:
    return Log(SqliteLogStore(path), ORIGIN, SIGNER)


def kill_while_writing(path: Path, run: int, after_lines: int) -> dict[int, str]:
    """Start a writer, kill it when it acknowledged some entries, and return what it acknowledged."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(run)], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(after_lines)]
    os.kill(writer.pid, signal.SIGKILL)
    lines += writer.stdout.readlines()
    writer.wait()
    whole = [line.split() for line in lines if line.endswith("\n")]
    return {int(index): leaf for index, leaf in whole}


def test_kill_9_at_any_moment_loses_no_acknowledged_entry(tmp_path: Path) -> None:
    chance, acknowledged = random.Random(9162), dict[int, str]()
    for run in range(POINTS):
        acknowledged |= kill_while_writing(tmp_path / "log.sqlite", run, chance.randrange(1, 60))
        log = open_log(tmp_path / "log.sqlite")
        entries = log.entries(0, log.size)
        lost = [index for index, leaf in acknowledged.items() if entries[index] != leaf.encode()]
        assert lost == []
        assert log.check() >= len(acknowledged)
        log.close()
    assert len(acknowledged) >= POINTS


def test_on_a_full_disk_nothing_is_acknowledged_reading_goes_on_and_reopening_recovers(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    done = subprocess.run([sys.executable, "-c", STARVED, str(path)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["acknowledged"]
    assert found["refusals"] == 200 - len(found["acknowledged"]) > 0
    assert found["read"] == found["acknowledged"]
    assert found["still_refused"]
    log = open_log(path)
    assert [int(leaf.split(b"-")[0]) for leaf in log.entries(0, log.size)][: len(found["read"])] == found["read"]
    assert log.append(b"after recovery").index == log.size - 1


def test_a_log_that_cannot_be_created_says_so(tmp_path: Path) -> None:
    with pytest.raises(LogFailed):
        SqliteLogStore(tmp_path / "no such folder" / "log.sqlite")


def outcome(path: Path) -> list[bytes] | str:
    """Return all entries of a log, or "found" when it says that it is damaged."""
    try:
        log = open_log(path)
        try:
            log.check()
            return log.entries(0, log.size)
        finally:
            log.close()
    except (StoreCorrupt, LogFailed):
        return "found"


def test_a_flipped_bit_never_changes_an_entry_unnoticed(tmp_path: Path) -> None:
    path, chance = tmp_path / "log.sqlite", random.Random(6962)
    log = open_log(path)
    leaves = [b"%d-" % i + b"x" * 300 for i in range(400)]
    for leaf in leaves:
        log.append(leaf)
    log.close()
    found = 0
    for run in range(FLIPS):
        copy = tmp_path / f"{run}.sqlite"
        shutil.copy(path, copy)
        raw = bytearray(copy.read_bytes())
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        copy.write_bytes(raw)
        seen = outcome(copy)
        assert seen in ("found", leaves)
        found += seen == "found"
    assert found > FLIPS // 2


def test_one_flipped_bit_in_one_entry_names_that_entry(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log = open_log(path)
    for i in range(10):
        log.append(b"entry %d of this log" % i)
    log.close()
    raw = path.read_bytes()
    assert raw.count(b"entry 7 of") == 1
    path.write_bytes(raw.replace(b"entry 7 of", b"entry 6 of"))
    damaged = open_log(path)
    with pytest.raises(StoreCorrupt, match="entry 7"):
        damaged.check()
    assert damaged.entries(0, 7) == [b"entry %d of this log" % i for i in range(7)]
