"""Ray writes the bytes that one machine writes, survives a worker's death, and never sees the key."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hdex.deid.errors import ArgumentInvalid, InputInvalid
from hdex.deid.partition import Job, Master, Written, apply_partition, read_master
from hdex.deid.partitions import Progress, in_turn, run
from hdex.deid.recipe import Recipe, Request

pytest.importorskip("ray", reason="ray is not installed: it is the extra `scale`")

import ray

from hdex.deid import run_ray

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.timeout(300)]

SECRET = "a-secret-that-must-never-be-seen-0123456789"
REQUEST = Request(("age", "sex"), k=3, patient="pid", shift=("seen",))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray") / "in"
    folder.mkdir()
    draw = np.random.default_rng(5)
    for number in range(4):
        frame = pl.DataFrame(
            {
                "pid": [f"P{one:03}" for one in draw.integers(0, 150, 200)],
                "age": draw.integers(30, 80, 200),
                "sex": draw.choice(["F", "M"], 200),
                "seen": pl.Series(draw.integers(19_000, 19_900, 200), dtype=pl.Int32).cast(pl.Date),
            }
        )
        frame.write_parquet(folder / f"{number}.parquet")
    (folder.parent / "key").write_text(SECRET)
    return folder


def digests(out: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(out.iterdir())}


def holding(folder: Path, needles: list[bytes]) -> list[str]:
    """Files below a folder, or their names, that hold one of the needles."""
    found = []
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() and not path.is_socket() else b""
        found += [path.name for needle in needles if needle in content or needle in os.fsencode(path)]
    return found


def test_two_workers_write_what_one_machine_writes_though_one_dies(source: Path, tmp_path: Path) -> None:
    master = read_master(source.parent / "key")
    run(source, REQUEST, out=tmp_path / "local", master=master, engine=in_turn)
    marker = tmp_path / "died"
    needles = [SECRET.encode(), SECRET.encode().hex().encode()]

    def mortal(job: Job, recipe: Recipe, secret: bytes) -> Written:
        """Die once, in the middle of the second partition, with half a file written."""
        if job.number == 1 and not marker.exists():
            marker.touch()
            (job.work / "half").write_bytes(b"PAR1 half")
            os._exit(9)
        return apply_partition(job, recipe, secret)

    def breaking(job: Job, recipe: Recipe, secret: bytes) -> Written:
        raise InputInvalid("column age of partition 0.parquet is odd")

    def two_workers(jobs: Sequence[Job], recipe: Recipe, master: Master, progress: Progress) -> list[Written]:
        assert master.path is not None
        with run_ray.cluster(2) as folder:
            assert folder is not None
            assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}  # type: ignore[no-untyped-call]  # it has no types
            with pytest.raises(InputInvalid, match="is odd"):
                run_ray.gathered(jobs[:1], recipe, master.path, progress, task=breaking)
            written = run_ray.gathered(jobs, recipe, master.path, progress, task=mortal)
            assert list(folder.rglob("*.log")) or list(folder.rglob("*.out"))
            assert holding(folder, needles) == []
        assert not folder.exists()
        return written

    run(source, REQUEST, out=tmp_path / "ray", master=master, engine=two_workers)
    assert marker.exists()
    assert digests(tmp_path / "ray") == digests(tmp_path / "local")
    assert {entry.name for entry in tmp_path.iterdir()} == {"died", "local", "ray"}
    assert not ray.is_initialized()


def test_usage_is_not_reported_and_the_key_needs_a_file(source: Path) -> None:
    from ray._common.usage import usage_lib

    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert not usage_lib.usage_stats_enabled()
    with pytest.raises(ArgumentInvalid, match="needs a key file"):
        run_ray.on_ray([], None, Master(SECRET.encode()))  # type: ignore[arg-type]  # refused before the recipe is read
