"""Failpoints kill exactly where and when they are told to."""

import signal
import subprocess
import sys

import pytest

from hdex.node.failpoint import VARIABLE, failpoint, names

LOOP = """
from hdex.node.failpoint import failpoint
for n in range(3):
    print(n, flush=True)
    failpoint('here')
    failpoint('other')
"""


@pytest.mark.parametrize(
    ("setting", "passes", "code"), [("here", 1, -9), ("here:3", 3, -9), ("here:4", 3, 0), ("there", 3, 0), ("", 3, 0)]
)
def test_the_process_dies_at_the_named_pass(setting: str, passes: int, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", LOOP], env={VARIABLE: setting}, capture_output=True, check=False)
    assert len(done.stdout.split()) == passes
    assert done.returncode == code
    assert code in {0, -signal.SIGKILL}


def test_without_the_variable_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    failpoint("durable.before-rename")


def test_the_names_in_the_source_are_listed() -> None:
    assert "durable.before-rename" in names()
