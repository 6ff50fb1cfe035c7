"""The same recipe over partitions on Ray: many processes, many machines, the same bytes as one machine.

One task per partition calls what the local engine calls. A worker that dies is replaced and its partition made again:
half of it lies in the work folder, which never becomes output. Folders and key file are on storage all machines share.

The key travels as the path of its file, not as bytes: arguments of a task are kept by its owner and its node (to run
the task again), go over Ray's own connections, which are not encrypted unless a site sets that up, and may be spilled
to disk. A path is none of the secret. It is read where it is used and in no log, error or name. The recipe does travel
(it holds no key), by the object store; a Ray cluster is part of the hospital's inside.

Ray reports usage to its makers unless told otherwise: it is told before it is imported. A cluster made here listens
on loopback only, without dashboard, and its folder with sockets and logs is removed at the end.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from hdex.deid.errors import ArgumentInvalid, DeidError, InputInvalid
from hdex.deid.partition import Job, Master, Written, apply_partition, read_master
from hdex.deid.partitions import Progress, silent
from hdex.deid.recipe import Recipe

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "POLARS_MAX_THREADS": "1",  # a worker is one core; as many workers as cores
}
os.environ.update({name: value for name, value in SETTINGS.items() if name.startswith("RAY")})

try:
    import ray
except ImportError as error:
    raise ArgumentInvalid("engine ray is not installed here: install the extra `scale`") from error

RETRIES = 3  # of a partition whose worker died
STORE_BYTES = 100 << 20  # the recipe and answers: rows never enter the object store
Task = Callable[[Job, Recipe, bytes], Written]


def on_ray(
    jobs: Sequence[Job],
    recipe: Recipe,
    master: Master,
    progress: Progress = silent,
    *,
    workers: int = 2,
    address: str | None = None,
    task: Task = apply_partition,
) -> list[Written]:
    """Run one task per partition and return what they became, in the order of the partitions.

    address: of a cluster; None starts one of `workers` on this machine. Raises ArgumentInvalid without a key file,
    InputInvalid when a partition's workers died RETRIES times more, and what a task raised.
    """
    if master.path is None:
        raise ArgumentInvalid("engine ray needs a key file: its workers read the key from there")
    with cluster(workers, address):
        return gathered(jobs, recipe, master.path.absolute(), progress, task=task)


def gathered(
    jobs: Sequence[Job], recipe: Recipe, key_file: Path, progress: Progress, *, task: Task = apply_partition
) -> list[Written]:
    """Run the tasks on the cluster there is."""

    def partition(job: Job, document: str, path: str) -> Written:
        return task(job, Recipe.from_json(document), read_master(Path(path)).secret)

    remote = ray.remote(num_cpus=1, max_retries=RETRIES)(partition)
    document = ray.put(recipe.to_json())
    waiting = [remote.remote(job, document, str(key_file)) for job in jobs]
    written: list[Written] = []
    while waiting:
        done, waiting = ray.wait(waiting)
        written += [result(one) for one in done]
        progress("write", len(written), len(jobs))
    return sorted(written, key=lambda one: one.number)


def result(reference: ray.ObjectRef[Written]) -> Written:
    """What a task returned, or its error as our own."""
    try:
        found: Written = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, DeidError | OSError):
            raise error.cause from None
        raise InputInvalid(f"a partition could not be written: {type(error.cause).__name__} in a worker") from None
    except ray.exceptions.RayError as error:
        raise InputInvalid(
            f"a partition could not be written: {type(error).__name__}, tried {RETRIES + 1} times"
        ) from None
    return found


@contextmanager
def cluster(workers: int, address: str | None = None) -> Iterator[Path | None]:
    """A cluster for the block: the one at `address`, or one on loopback whose folder is gone afterwards."""
    if address is not None:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield None
        finally:
            ray.shutdown()
        return
    folder = Path(mkdtemp(prefix="hdex-"))  # short: sockets lie below it
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    try:
        start(workers, folder)
        yield folder
    finally:
        ray.shutdown()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        shutil.rmtree(folder, ignore_errors=True)


def start(workers: int, folder: Path) -> None:
    """Start `workers` on this machine, on loopback."""
    ray.init(
        address="local",
        num_cpus=workers,
        num_gpus=0,
        object_store_memory=STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(folder),
    )
