"""Writes that fail, are torn or are lost: nothing acknowledged goes, nothing is tried again, nothing wrong is shown."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hdex.ledger.detail import Detail, Details
from hdex.ledger.detail_sqlite import SqliteDetailStore
from hdex.ledger.errors import DetailErased, LogFailed, StoreCorrupt
from hdex.ledger.event import Action, Event
from hdex.ledger.log import Log
from hdex.ledger.note import Signer
from hdex.ledger.store_sqlite import SqliteLogStore

pytestmark = [pytest.mark.fault, pytest.mark.timeout(3600)]  # the long form takes long

HERE = Path(__file__).parent
SOAK = os.environ.get("HDEX_SOAK") == "1"
CALLS, CUTS, FLIPS = (150, 2000, 2000) if SOAK else (12, 60, 60)
ORIGIN = "hdex/hospital-a/2026"
SIGNER = Signer(ORIGIN, bytes(range(32)))


@pytest.fixture(scope="module")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("a C compiler on Linux makes the failing disk")
    made = tmp_path_factory.mktemp("disk") / "failing_disk.so"
    source = str(HERE / "failing_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(made), source, "-ldl"], check=True)
    return made


def test_one_failed_or_torn_call_loses_nothing_that_was_acknowledged(tmp_path: Path, failing_disk: Path) -> None:
    command = [sys.executable, str(HERE / "failing_disk.py"), str(tmp_path), str(CALLS)]
    done = subprocess.run(
        command, env={**os.environ, "LD_PRELOAD": str(failing_disk)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    points = json.loads(done.stdout)
    assert len(points) == 4 * CALLS
    assert sum(point["failed"] for point in points) > len(points) // 4  # the disk did strike
    for point in points:
        assert point["refused"], point
        assert point["readable"], point
        assert point["kept"] == [True, True], point


def open_log(path: Path) -> Log:
    return Log(SqliteLogStore(path), ORIGIN, SIGNER)


def held(path: Path) -> list[bytes] | None:
    """Return all entries, None when the log says that it is damaged."""
    try:
        log = open_log(path)
        try:
            log.check()
            return log.entries(0, log.size)
        finally:
            log.close()
    except (StoreCorrupt, LogFailed):
        return None


def test_a_write_ahead_log_that_is_cut_or_torn_leaves_a_signed_prefix(tmp_path: Path) -> None:
    """What a disk does that lied about a flush: the tail is gone or a sector of it. Others' cosignatures then tell."""
    chance, leaves = random.Random(512), [b"%d-" % number + b"y" * 200 for number in range(300)]
    log = open_log(tmp_path / "log.db")
    for leaf in leaves:
        log.append(leaf)
    raw = (tmp_path / "log.db-wal").read_bytes()
    assert len(raw) > 100_000
    shorter = 0
    for run in range(CUTS):
        folder = tmp_path / str(run)
        folder.mkdir()
        shutil.copy(tmp_path / "log.db", folder / "log.db")
        where = chance.randrange(32, len(raw))
        torn = raw[:where] if run % 2 else raw[: where & ~511] + bytes(512) + raw[(where & ~511) + 512 :]
        (folder / "log.db-wal").write_bytes(torn)
        found = held(folder / "log.db")
        assert found is None or found == leaves[: len(found)]
        shorter += found is not None and len(found) < len(leaves)
        shutil.rmtree(folder)
    assert shorter > CUTS // 2
    log.close()


def test_a_flipped_bit_never_names_another_person(tmp_path: Path) -> None:
    chance, path = random.Random(7), tmp_path / "details.db"
    details = Details(SqliteDetailStore(path), bytes(32))
    actors = {f"e{number}": f"spiffe://hdex.test/person/{number}" for number in range(60)}
    for name, actor in actors.items():
        event = Event(event_id=name, time="2026-11-21T22:00:00.000Z", node="a", action=Action.EXPORT)
        details.remember(event, Detail(actor, bytes(16)))
    details.close()
    raw, found = path.read_bytes(), 0
    for run in range(FLIPS):
        copy = tmp_path / f"{run}.db"
        changed = bytearray(raw)
        changed[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        copy.write_bytes(changed)
        found += not all(opened(copy, name) in (None, actor) for name, actor in actors.items())
        copy.unlink()
    assert found == 0


def opened(path: Path, event_id: str) -> str | None:
    """Return who stands behind an event, None when the file says that it cannot tell."""
    try:
        details = Details(SqliteDetailStore(path), bytes(32))
        try:
            return details.open(event_id).actor
        finally:
            details.close()
    except (StoreCorrupt, LogFailed, DetailErased):
        return None
