"""`hdex demo` as anybody runs it: its stable JSON, its traces, and one of its processes killed at any moment."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.stage import eventually

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("demo"), pytest.mark.timeout(400)]
MARK = "HDEX_TEST_STORY"
PATIENTS = 600  # fewer and the disclosure floor leaves no covariate
SHAPE: dict[str, type] = {
    "hospitals": int, "records": int, "columns_by_level": dict, "attack_before": float, "attack_after": float,
    "attack_chance": float, "identifiers_planted": int, "identifiers_found": int, "raw_rows_left": int,
    "k_before": int, "k_after": int, "products": int, "contracts": int, "refusals": list, "bytes_delivered": int,
    "values_altered": int, "rounds": int, "max_coefficient_difference": float, "events": int, "anchors": int,
    "cosignatures": int, "ledger_verified": bool, "forged_log_found": int, "withdrawal_honoured": bool,
    "seconds": float,
}  # fmt: skip
SAME = ("hospitals", "records", "columns_by_level", "attack_before", "identifiers_planted", "identifiers_found",
        "raw_rows_left", "k_before", "k_after", "products", "contracts", "refusals", "values_altered", "rounds",
        "ledger_verified", "withdrawal_honoured")  # fmt: skip
SHARES = ("attack_before", "attack_after", "attack_chance")
CHILDREN = ("chain", "exchange", "keyholder", "hospital-a", "hospital-b", "hospital-c")
MOMENTS = ("setting", "refused", "ingest", "classify", "de-identify", "publish", "browse", "contract", "deliver",
           "invoice", "federate", "withdraw")  # fmt: skip
LONG = os.environ.get("HDEX_SOAK") == "1"
SOAK_KILLS, LATEST_S = 30, 3.0
GATE_KILL = ("exchange", "invoice", 2.0)  # in the middle of the first study: it must go on where its journal ends


@dataclass
class Demo:
    """One run of the demo with every place it could leave a trace in: its folder, the user's home, the working one."""

    root: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    heard: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        for name in ("tmp", "home", "cwd"):
            (self.root / name).mkdir()
        environment = {**os.environ, MARK: self.mark, "TMPDIR": str(self.root / "tmp"), "HOME": str(self.root / "home")}
        command = [sys.executable, "-m", "hdex.node.cli", "demo", "--json", "--patients", str(PATIENTS)]
        self.process = subprocess.Popen(
            command, env=environment, cwd=self.root / "cwd", text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def listen(self) -> Iterator[str]:
        """Yield the name of each step as it is said."""
        assert self.process is not None
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.heard.append(line)
            if found := re.match(r"\s*[\d.]+ s  (\S+)", line):
                yield found[1]

    def end(self) -> dict[str, Any]:
        """Wait for the end and return the JSON object; fail with what was said when there is none."""
        assert self.process is not None
        for _ in self.listen():
            pass
        out, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, "".join(self.heard[-25:])
        assert len(out.splitlines()) == 1
        figures: dict[str, Any] = json.loads(out)
        return figures

    def pids(self) -> dict[int, str]:
        """Return {pid: command line} of every process of this run that is alive."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and self.mark.encode() in quietly(folder / "environ"):
                found[int(folder.name)] = quietly(folder / "cmdline").replace(b"\0", b" ").decode()
        return found

    def kill(self, child: str) -> bool:
        """End one participant by SIGKILL; False when it does not run yet."""
        for pid, command in self.pids().items():
            if f"/{child}/config.toml" in command:
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def live_through(self, child: str, moment: str, seconds: float) -> None:
        """Kill a participant so many seconds after a step is told; the story goes on."""
        for step in self.listen():
            if step == moment:
                threading.Event().wait(seconds)  # the moment of the blow, not a wait for anything
                assert self.kill(child)
                return

    def stop(self) -> None:
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)


def quietly(path: Path) -> bytes:
    """Return a file of /proc, nothing when the process has gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, dict[str, Any]]]:
    """Yield a demo that lived through a death, and its figures; in the long form others die, and it is undisturbed."""
    made = Demo(tmp_path_factory.mktemp("played"))
    made.start()
    try:
        if not LONG:
            made.live_through(*GATE_KILL)
        yield made, made.end()
    finally:
        made.stop()


def test_the_json_object_is_complete_and_every_claim_holds(played: tuple[Demo, dict[str, Any]]) -> None:
    _, figures = played
    assert {name: type(value) for name, value in figures.items()} == SHAPE
    assert set(figures["columns_by_level"]) == {"1", "2", "3", "4", "5"}
    assert all(type(count) is int for count in figures["columns_by_level"].values())
    assert all(set(refusal) == {"who", "what", "rule"} for refusal in figures["refusals"])
    assert all(0 <= figures[name] <= 1 for name in SHARES)
    assert (figures["hospitals"], figures["records"]) == (3, PATIENTS)
    assert figures["attack_after"] < figures["attack_before"]
    assert figures["k_after"] >= 5 > figures["k_before"]
    assert (figures["identifiers_found"], figures["raw_rows_left"], figures["values_altered"]) == (0, 0, 0)
    assert figures["max_coefficient_difference"] <= 1e-9
    assert figures["ledger_verified"]
    assert figures["withdrawal_honoured"]
    assert figures["cosignatures"] > figures["anchors"] > 0
    assert len({refusal["rule"] for refusal in figures["refusals"]}) >= 4


def test_it_leaves_the_report_and_nothing_else(played: tuple[Demo, dict[str, Any]]) -> None:
    run, _ = played
    assert run.pids() == {}
    left = [path.relative_to(run.root) for path in run.root.rglob("*") if path.is_file()]
    assert left == [Path("cwd/report.html")]
    assert [path.name for path in (run.root / "tmp").iterdir()] == []


def kills() -> list[tuple[str, str, float]]:
    """Return (child, moment, seconds after it) by chance."""
    dice = random.Random(os.environ.get("HDEX_SEED") or None)
    return [
        (dice.choice(CHILDREN), dice.choice(MOMENTS), round(dice.uniform(0, LATEST_S), 2)) for _ in range(SOAK_KILLS)
    ]


@pytest.mark.soak
@pytest.mark.parametrize(("child", "moment", "seconds"), kills())
def test_a_participant_killed_at_any_moment_changes_nothing(
    demo: Demo, played: tuple[Demo, dict[str, Any]], child: str, moment: str, seconds: float
) -> None:
    demo.live_through(child, moment, seconds)
    figures = demo.end()
    assert {name: figures[name] for name in SAME} == {name: played[1][name] for name in SAME}
    assert figures["max_coefficient_difference"] <= 1e-9
    assert figures["forged_log_found"] >= 0
    assert demo.pids() == {}


@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_early_leaves_no_process(demo: Demo, blow: signal.Signals) -> None:
    assert demo.process is not None
    eventually(lambda: len(demo.pids()) >= 4, "participants that have started")
    demo.process.send_signal(blow)
    assert demo.process.wait(timeout=30) != 0
    eventually(lambda: demo.pids() == {}, "every participant ended")
    if blow != signal.SIGKILL:
        assert list((demo.root / "tmp").iterdir()) == []
