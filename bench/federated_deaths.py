"""How soon the exchange knows that a site is gone, over real streams, and how soon a killed study goes on."""

import logging
import os
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from results_file import figure

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.faults.stream_stage import Relay, Streams, streams
from tests.node.study_ground import Ground

from hdex.node.failpoint import VARIABLE

ENDS = {"killed": 5, "stopped": 2, "partitioned": 2}  # how a site goes -> how often it is tried
RESUMES = 3
BARS = {"killed": 1.0, "stopped": 10.0, "partitioned": 10.0, "resumed": 5.0}


def deaths() -> dict[str, Any]:
    """Return seconds until the exchange knows that a site is gone, and until a killed coordinator commits a round."""
    with TemporaryDirectory() as place, streams(Path(place)) as line:
        seconds = {how: [gone(line, Path(place), how) for _ in range(repeats)] for how, repeats in ENDS.items()}
    with TemporaryDirectory() as place:
        seconds["resumed"] = [resumed(Path(place) / str(number)) for number in range(RESUMES)]
    return {how: figure(found, "s") | {"bar_s": BARS[how]} for how, found in seconds.items()}


def gone(line: Streams, folder: Path, how: str) -> float:
    """Return how long a site's process is still thought connected after its end."""
    relay = Relay(line.serving.port)
    with line.process("hospital-b", folder, relay.endpoint) as process:
        began = time.perf_counter()
        if how == "killed":
            process.kill()
        elif how == "stopped":
            os.kill(process.pid, signal.SIGSTOP)
        else:
            relay.swallow()
        line.until(lambda: "hospital-b" not in line.server.sites())
        took = time.perf_counter() - began
    relay.close()
    return took


def resumed(folder: Path) -> float:
    """Return how long it takes from the death of a study's process in round 2 to that round's row in the journal."""
    ground, moments = Ground(folder), dict[str, float]()

    class Death(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            moments["death"] = record.created

    handler = Death()
    logging.getLogger("hdex.node.exchange.study_process").addHandler(handler)
    os.environ[VARIABLE] = "study.sum.received:2"
    try:
        ground.run(lambda number: moments.__setitem__(f"round {number}", time.time()))
    finally:
        del os.environ[VARIABLE]
        logging.getLogger("hdex.node.exchange.study_process").removeHandler(handler)
        ground.lines.channel.close()
    assert set(ground.party.computations().values()) == {2}  # nobody computed again
    return moments["round 2"] - moments["death"]
