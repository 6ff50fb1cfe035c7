"""Real connector processes under a conformance profile."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hdex.node.demo.supervisor import free_ports

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ROOT / "deploy" / "dsp" / "conformance.toml"
END_S = 30


@dataclass
class Running:
    """One connector process."""

    process: subprocess.Popen[bytes]
    address: str  # scheme, host, port
    said: Path
    before: int  # bytes that earlier processes said

    def wait(self) -> int:
        return self.process.wait(END_S)

    def stop(self) -> int:
        """End it as whoever started it does, by closing its standard input, and return its exit code."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        return self.wait()


@contextmanager
def running(profile: Path, data: Path, *, port: int = 0, failpoint: str = "") -> Iterator[Running]:
    """Start a connector and yield it once it listens; it is gone at the end."""
    port = port or free_ports(1)[0]
    command = [sys.executable, "-m", "hdex.node.cli", "node", "dsp", "--conformance", str(profile)]
    command += ["--port", str(port), "--data", str(data)]
    said = data.with_suffix(".log")
    before = said.stat().st_size if said.exists() else 0
    with said.open("ab") as log:
        environment = {**os.environ, "HDEX_FAILPOINT": failpoint, "HDEX_STOP_ON_EOF": "1"}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment)
    try:
        found = Running(process, f"http://127.0.0.1:{port}", said, before)
        require_listening(found)
        yield found
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(END_S)
        if process.stdin is not None:
            process.stdin.close()


def require_listening(found: Running) -> None:
    """Return when it says that it serves; raise with what it said when it ended instead."""
    while b"serving" not in found.said.read_bytes()[found.before :]:
        try:
            found.process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(found.said.read_text(encoding="utf-8")[-2000:])


def quick(folder: Path, delay_s: float = 0.05) -> Path:
    """Return the example profile with a shorter delay."""
    path = folder / "conformance.toml"
    text = PROFILE.read_text(encoding="utf-8").replace("delay_s = 0.4", f"delay_s = {delay_s}")
    path.write_text(text, encoding="utf-8")
    return path
