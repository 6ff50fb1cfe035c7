"""Rounds of three sites, ours and stock Flower's: seconds from commit to commit, CPU of a hospital's processes."""

import hashlib
import io
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import results_file

sys.path.insert(0, str(results_file.ROOT))
from tests.ports.superlink_stage import Stock, running_stock

from hdex.federated.apps.superlink import Control
from hdex.node.demo import acts_access, acts_data, acts_market, cast, rows
from hdex.node.demo.memory import Memory
from hdex.node.demo.setting import HOSPITALS, build
from hdex.node.demo.supervisor import Supervisor
from hdex.node.synthetic import generate

PATIENTS, SEED = 300, 7
TICK = os.sysconf("SC_CLK_TCK")
WEIGHTS = 14
PATIENCE_S = 900.0
PROJECT = """[project]
name = "bench"
version = "1.0.0"
description = "FedAvg over fourteen coefficients"
license = "Apache-2.0"

[tool.flwr.app]
publisher = "bench"

[tool.flwr.app.components]
serverapp = "bench_app:server"
clientapp = "bench_app:client"
"""
CODE = """import pathlib, time
import numpy as np
from flwr.app import ArrayRecord, MetricRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

server, client = ServerApp(), ClientApp()

class Marked(FedAvg):
    def aggregate_train(self, server_round, replies):
        found = super().aggregate_train(server_round, replies)
        with open({marks!r}, "a") as file:
            file.write(f"{{time.time()}}\\\\n")
        return found

@server.main()
def main(grid, context):
    with open({marks!r}, "a") as file:
        file.write(f"{{time.time()}}\\\\n")
    start = ArrayRecord([np.zeros({weights})])
    strategy = Marked(fraction_evaluate=0.0, min_train_nodes=3, min_available_nodes=3)
    strategy.start(grid=grid, initial_arrays=start, num_rounds={rounds})
    pathlib.Path({marks!r} + ".end").touch()

@client.train()
def train(message, context):
    random = np.random.default_rng(7)
    x, w = random.normal(size=(200, {weights})), message.content["arrays"].to_numpy_ndarrays()[0]
    y = random.random(200) < 0.5
    w = w - 0.1 * x.T @ (1 / (1 + np.exp(-x @ w)) - y) / 200
    content = {{"arrays": ArrayRecord([w]), "metrics": MetricRecord({{"num-examples": 200}})}}
    return Message(RecordDict(content), reply_to=message)
"""


def our_rounds(*, studies: int) -> tuple[list[float], float]:
    """Return (seconds of each round after a study's first, CPU seconds per hospital and round) of the demo's processes.

    The first round is left out on our side as on theirs: it pays for the start of a process.
    """
    with tempfile.TemporaryDirectory(prefix="hdex-bench-") as name, story(Path(name)) as (memory, supervisor):
        frames = rows.study_rows(memory)
        memory.target, memory.features, memory.left_out = rows.affordable(memory, frames)
        seconds: list[float] = []
        rounds, before = 0, cpu_of(supervisor)
        for number in range(studies):
            marks: list[float] = []
            question = {
                "id": f"bench-{number}", "target": memory.target, "features": memory.features,
                "purpose": memory.plot.purpose, "standardize": "global", "max_rounds": acts_market.ROUNDS,
                "contracts": {hospital: memory.contracts[hospital] for hospital in HOSPITALS},
            }  # fmt: skip

            def mark(step: str, _words: str, marks: list[float] = marks) -> None:
                if step == "round":
                    marks.append(time.perf_counter())

            done = memory.cast.buyer.study(question, mark)
            assert done["rounds"] == len(marks)
            rounds += len(marks)
            seconds += [after - one for one, after in pairwise(marks)]
        return seconds, (cpu_of(supervisor) - before) / rounds / len(HOSPITALS)


def cpu_of(supervisor: Supervisor) -> float:
    pids = supervisor.pids()
    return sum(cpu_seconds(pids[hospital]) for hospital in HOSPITALS)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


@contextmanager
def story(folder: Path) -> Iterator[tuple[Memory, Supervisor]]:
    """Yield the demo's consortium, its contracts finalized."""
    setting, supervisor = build(folder), Supervisor(folder / "logs")
    try:
        supervisor.start([cast.chain_program(setting)])
        cast.deploy_contract(setting)
        with ThreadPoolExecutor(2) as runners:
            enrolled = runners.submit(cast.enrol_all, setting)
            exports = runners.submit(generate, folder / "exports", seed=SEED, patients=PATIENTS)
            supervisor.start(cast.programs(setting))
            enrolled.result()
            exports.result()
        pages = f"http://127.0.0.1:{setting.ports['exchange'][1]}/"
        folders = {name: folder / "exports" / name for name in HOSPITALS}
        gathered = cast.gather(setting)
        memory = Memory(setting, gathered, lambda step, text: None, folders=folders, truth=None, pages=pages)
        for act in (acts_data.ingest, acts_data.classify, acts_data.deidentify, acts_data.publish, acts_access.vet):
            act(memory)
        acts_market.contract(memory)
        yield memory, supervisor
    finally:
        supervisor.stop()


def stock_rounds(count: int) -> tuple[list[float], float]:
    """Return (seconds of each round after the first, CPU seconds per SuperNode and round) of stock Flower as it is."""
    with running_stock(HOSPITALS, isolation="subprocess") as stock:
        marks = stock.folder / "marks"
        wait_until(lambda: online(stock))
        before = node_cpu(stock)
        control = Control(stock.superlink)
        control.start_run(bundle(marks, count + 1))
        control.close()
        wait_until((stock.folder / "marks.end").exists)
        times = [float(line) for line in marks.read_text().split()]
        assert len(times) == count + 2
        used = node_cpu(stock) - before
    rounds = [after - one for one, after in pairwise(times)]
    return rounds[1:], used / (count + 1) / len(HOSPITALS)


def online(stock: Stock) -> bool:
    logs = [(stock.folder / f"{name}.log").read_text() for name in HOSPITALS]
    return all("SuperNode ID" in log for log in logs)


def wait_until(holds: object) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():  # type: ignore[operator]
        if time.monotonic() > end:
            raise TimeoutError("stock Flower did not come so far")
        time.sleep(0.1)


def node_cpu(stock: Stock) -> float:
    """Return the CPU seconds of all SuperNodes with everything that they have started."""
    homes = {str(stock.folder / f"home-{name}") for name in HOSPITALS}
    total = 0.0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                said = (entry / "environ").read_bytes().split(b"\0")
                if any(one.startswith(b"FLWR_HOME=") and one[10:].decode() in homes for one in said):
                    total += cpu_seconds(int(entry.name))
            except OSError:
                continue
    return total


def bundle(marks: Path, rounds: int) -> bytes:
    """Return a bundle (FAB) of the app above."""
    files = {
        "bench_app.py": CODE.format(marks=str(marks), weights=WEIGHTS, rounds=rounds).replace("\\\\n", "\\n").encode(),
        "pyproject.toml": PROJECT.encode(),
    }
    listed = [f"{name},{hashlib.sha256(data).hexdigest()},{8 * len(data)}\n" for name, data in files.items()]
    files[".info/CONTENT"] = "".join(listed).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()
