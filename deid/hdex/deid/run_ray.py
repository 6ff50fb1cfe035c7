"""The same recipe over partitions on Ray: many processes, many machines, the same bytes as one machine.

One task per partition calls what the local engine calls. A worker that dies is replaced and its partition made again:
half of it lies in the work folder, which never becomes output. Folders and key file are on storage all machines share.

The key travels as the path of its file, not as bytes: arguments of a task are kept by its owner and its node (to run
the task again), go over Ray's own connections, which are not encrypted unless a site sets that up, and may be spilled
to disk. A path is none of the secret. It is read where it is used and in no log, error or name. The recipe does travel
(it holds no key), by the object store; a Ray cluster is part of the hospital's inside.

Ray reports usage to its makers unless told otherwise: it is told before it is imported. A cluster made here listens
on loopback only, without dashboard, asks for a token, and its folder with sockets and logs is removed at the end.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp

from hdex.deid.errors import ArgumentInvalid, DeidError, InputInvalid
from hdex.deid.partition import Job, Master, Written, apply_partition, read_master
from hdex.deid.partitions import Progress, silent
from hdex.deid.recipe import Recipe

LOOPBACK = "127.0.0.1"
SETTINGS = {  # of a cluster made here, with a token below
    "RAY_AUTH_MODE": "token",  # whoever reaches a cluster's ports may run code on it: nobody without the token
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_agent_register_timeout_ms": "300000",
    "POLARS_MAX_THREADS": "1",  # a worker is one core; as many workers as cores
}
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

try:
    import ray
    from ray._private import ray_constants
    from ray._private.node import Node
    from ray._private.parameter import RayParams
    from ray._raylet import Config  # type: ignore[attr-defined]  # compiled, not in its stub
except ImportError as error:
    raise ArgumentInvalid("engine ray is not installed here: install the extra `scale`") from error

# Ray keeps the first token a process names; unset, it would write one below the home folder.
SETTINGS["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
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
        with connected(address):
            yield None
        return
    folder = Path(mkdtemp(prefix="hdex-"))  # short: sockets lie below it
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    Config.initialize("")  # read the settings again: Ray did when it was imported
    node = None
    try:
        node = started(workers, folder)
        with at_home(), connected(node.gcs_address):
            yield folder
    finally:
        if node is not None:
            node.kill_all_processes(check_alive=False, allow_graceful=True, wait=True)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def at_home() -> Iterator[None]:
    """Loopback stays loopback: Ray would take this machine's outer address in its place, where nobody listens."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def connected(address: str) -> Iterator[None]:
    """This process as a driver of the cluster; nothing that workers print is shown."""
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def started(workers: int, folder: Path) -> Node:
    """A node of `workers` on loopback, whose processes end with this one.

    Not by ray.init: that lets the node's agent choose its ports and gives up after 15 s, which a busy machine
    takes to start it (ray issue 65983). Ports that are given are not waited for, nor the one that says in a file
    what it says without a dashboard: none.
    """
    ports = free_ports(3)
    node_id, session = secrets.token_hex(28), "session"
    (folder / session).mkdir()
    (folder / session / f"dashboard_agent_listen_port_{node_id}").write_text("-1")
    parameters = RayParams(
        node_ip_address=LOOPBACK,
        num_cpus=workers,
        num_gpus=0,
        object_store_memory=STORE_BYTES,
        temp_dir=str(folder),
        include_dashboard=False,
        include_log_monitor=False,  # type: ignore[arg-type]  # used as a truth value
        no_monitor=True,
        min_worker_port=0,
        max_worker_port=0,
        metrics_agent_port=ports[0],
        metrics_export_port=ports[1],
        runtime_env_agent_port=ports[2],
        session_name=session,
        env_vars={"RAY_OVERRIDE_NODE_ID_FOR_TESTING": node_id},
    )
    return Node(parameters, head=True, shutdown_at_exit=True, spawn_reaper=True)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in sockets]
