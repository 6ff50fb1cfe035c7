"""A child of the demo does not outlive whoever started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STARTER = """
import sys
from pathlib import Path
from hdex.node.demo.setting import build
from hdex.node.demo.supervisor import Program, Supervisor

setting = build(Path(sys.argv[1]))
supervisor = Supervisor(Path(sys.argv[1]) / "logs")
arguments = ("chain", "serve", "--config", str(setting.config_file("chain")))
supervisor.start([Program("chain", arguments, setting.chain_port)])
print(supervisor.pids()["chain"], flush=True)
sys.stdin.read()
"""
PATIENCE_S = 30.0


def test_a_child_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    deadline = time.monotonic() + PATIENCE_S
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    """Return whether a process of this pid runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
