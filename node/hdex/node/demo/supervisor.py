"""The demo's child processes: started with their own log file, restarted once when they die, stopped by pid."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from hdex.node.cli.serving import STOP_ON_EOF
from hdex.node.errors import PeerUnavailable
from hdex.node.failpoint import VARIABLE

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
RESTARTS = 1
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Program:
    """One participant as a process: the arguments after `hdex`, and the port that answers once it is ready."""

    name: str
    arguments: tuple[str, ...]
    port: int
    failpoints: tuple[str, ...] = ()  # for tests: its first start dies at the first, its second at the second, ...

    def restarts(self) -> int:
        """Return how often it may die."""
        return max(RESTARTS, len(self.failpoints))


@dataclass(slots=True)
class Child:
    program: Program
    process: subprocess.Popen[bytes]
    restarts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Supervisor:
    """Owns the children; nobody else signals them. `logs` receives one file per child."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, Child] = {}
        self._stopping = threading.Event()
        self._watching = False
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, programs: list[Program]) -> None:
        """Start all programs side by side and return when each answers on its port."""
        with ThreadPoolExecutor(1) as starter:  # a signal ends the main thread in mid-step: no child is born unknown
            starter.submit(self._bear, programs).result()
        if not self._watching:
            self._watching = True
            threading.Thread(target=self._watch, name="supervisor", daemon=True).start()
        for program in programs:
            self.wait_ready(program.name)

    def _bear(self, programs: list[Program]) -> None:
        for program in programs:
            if not self._stopping.is_set():
                self._children[program.name] = Child(program, self._spawn(program, 0))

    def wait_all(self) -> None:
        """Return when every child answers; raise PeerUnavailable when one has died for good."""
        for name in list(self._children):
            self.wait_ready(name)

    def wait_ready(self, name: str) -> None:
        """Return when the child accepts connections; raise PeerUnavailable when it died or takes too long."""
        child = self._children[name]
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if answers(child.program.port):
                return
            if child.process.poll() is not None and child.restarts >= child.program.restarts():
                break
            time.sleep(POLL_S)
        raise PeerUnavailable(f"{name} did not start: {self.last_words(name)}")

    def pids(self) -> dict[str, int]:
        """Return the pid of every child that runs."""
        return {name: child.process.pid for name, child in self._children.items() if child.process.poll() is None}

    def kill(self, name: str) -> None:
        """End one child by SIGKILL; the watcher starts it again once."""
        os.kill(self._children[name].process.pid, signal.SIGKILL)

    def halt(self, name: str) -> None:
        """End one child and keep it down until `restart`."""
        child = self._children[name]
        with child.lock:
            child.restarts = child.program.restarts()
            child.process.kill()
            child.process.wait()

    def restart(self, name: str) -> None:
        """End one child and start it anew, past its failpoints; return when it answers."""
        child = self._children[name]
        with child.lock:
            child.process.kill()
            child.process.wait()
            child.restarts = len(child.program.failpoints)
            child.process = self._spawn(child.program, child.restarts)
        self.wait_ready(name)

    def arm(self, name: str, *failpoints: str, comes_back: bool = True) -> None:
        """End one child and start it anew with these failpoints before it; it may not answer yet.

        One that does not come back is down after its first death, until `restart`.
        """
        child = self._children[name]
        with child.lock:
            child.process.kill()
            child.process.wait()
            child.program, child.restarts = replace(child.program, failpoints=failpoints), 0
            if not comes_back:
                child.restarts = child.program.restarts()
            child.process = self._spawn(child.program, 0)

    def restarts(self) -> int:
        """Return how many children died and were started again."""
        return sum(map(self.restarts_of, self._children))

    def restarts_of(self, name: str) -> int:
        """Return how often one child died and was started again."""
        return self._children[name].restarts

    def stop(self) -> None:
        """End every child, politely first; return when none is left."""
        self._stopping.set()
        for child in self._children.values():
            with child.lock:
                if child.process.poll() is None:
                    child.process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for child in self._children.values():
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()

    def last_words(self, name: str) -> str:
        """Return the last line a child logged."""
        path = self._logs / f"{name}.log"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        return lines[-1] if lines else "it said nothing"

    def _spawn(self, program: Program, start: int) -> subprocess.Popen[bytes]:
        failpoints = dict(enumerate(program.failpoints))
        with (self._logs / f"{program.name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "hdex.node.cli", *program.arguments],
                stdin=subprocess.PIPE,  # held open as long as this process lives: no child outlives it
                stdout=log,
                stderr=log,
                env={**os.environ, STOP_ON_EOF: "1", VARIABLE: failpoints.get(start, "")},
                start_new_session=True,  # Ctrl-C reaches the demo alone; it ends the children in order
            )

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_S):
            for child in list(self._children.values()):
                with child.lock:
                    dead = child.process.poll() is not None
                    if dead and child.restarts < child.program.restarts() and not self._stopping.is_set():
                        child.restarts += 1
                        child.process = self._spawn(child.program, child.restarts)


def answers(port: int) -> bool:
    """Return whether something accepts connections on this loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """Return loopback ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [int(found.getsockname()[1]) for found in sockets]
    finally:
        for found in sockets:
            found.close()
