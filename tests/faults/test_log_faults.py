"""What a log loses when it is killed, starved of disk or damaged: nothing that it acknowledged."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hdex.ledger.errors import LogFailed, StoreCorrupt
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.store_sqlite import SqliteLogStore

pytestmark = [pytest.mark.fault, pytest.mark.timeout(7200)]  # ten thousand kills take twenty minutes

ORIGIN = "hdex/hospital-a/2026"
SIGNER = Signer(ORIGIN, bytes(range(32)))
POINTS = 10_000 if os.environ.get("HDEX_SOAK") == "1" else 50
FLIPS = 400 if os.environ.get("HDEX_SOAK") == "1" else 40

# Forks a writer for each line it reads (its number, and after how many acknowledgements it dies), so that a kill costs
# no start of an interpreter. The writer dies by its own parent's SIGKILL; what it wrote to the pipe was acknowledged.
KILLER = """
import os, signal, sys, threading
from pathlib import Path
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.store_sqlite import SqliteLogStore

def write(run, pipe):
    signer = Signer("hdex/hospital-a/2026", bytes(range(32)))
    log = Log(SqliteLogStore(Path(sys.argv[1])), "hdex/hospital-a/2026", signer)
    def work(worker):
        for i in range(100000):
            leaf = f"{run}-{worker}-{i}"
            receipt = log.append(leaf.encode())
            os.write(pipe, f"{receipt.index} {leaf}\\n".encode())
    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

for line in sys.stdin:
    run, lines = map(int, line.split())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        write(run, writing)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        seen = [told.readline() for _ in range(lines)]
        os.kill(child, signal.SIGKILL)
        seen += told.readlines()
    os.waitpid(child, 0)
    whole = [one for one in seen if one.endswith("\\n")]
    sys.stdout.write(f"{len(whole)}\\n" + "".join(whole))
    sys.stdout.flush()
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


def kill_while_writing(killer: "subprocess.Popen[str]", run: int, after_lines: int) -> dict[int, str]:
    """Have a writer killed when it acknowledged some entries, and return what it acknowledged."""
    assert killer.stdin is not None
    assert killer.stdout is not None
    killer.stdin.write(f"{run} {after_lines}\n")
    killer.stdin.flush()
    lines = [killer.stdout.readline().split() for _ in range(int(killer.stdout.readline()))]
    return {int(index): leaf for index, leaf in lines}


def test_kill_9_at_any_moment_loses_no_acknowledged_entry(tmp_path: Path) -> None:
    chance, acknowledged, size = random.Random(9162), 0, 0
    command = [sys.executable, "-c", KILLER, str(tmp_path / "log.sqlite")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killer:
        for run in range(POINTS):
            told = kill_while_writing(killer, run, chance.randrange(1, 30))
            log = open_log(tmp_path / "log.sqlite")
            assert min(told) >= size  # what an earlier writer left stays where it was
            entries = log.entries(min(told), log.size)
            assert [index for index, leaf in told.items() if entries[index - min(told)] != leaf.encode()] == []
            acknowledged, size = acknowledged + len(told), log.size
            log.close()
        assert killer.stdin is not None
        killer.stdin.close()
    log = open_log(tmp_path / "log.sqlite")
    assert log.check() == size >= acknowledged >= POINTS
    log.close()


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
