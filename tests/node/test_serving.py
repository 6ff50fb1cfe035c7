"""How a participant's process ends: told by a signal, or because its starter has gone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hdex.node.cli.serving import STOP_ON_EOF

WAITS = """
import threading
from hdex.node.cli.serving import stop_on_signals
stop = threading.Event()
stop_on_signals(stop)
print("up", flush=True)
stop.wait()
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, STOP_ON_EOF: "1"}
    command = [sys.executable, "-c", WAITS]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"up\n"
        yield started
        started.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_while_its_starter_lives(
    process: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    process.send_signal(number)
    assert process.wait(timeout=30) == 0


def test_it_ends_in_order_when_its_starter_has_gone(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=30) == 0
