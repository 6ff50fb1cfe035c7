"""A forked command is to its caller what a started one is."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.forking import COMMAND, Forked, Started
from tests.node.consortium import consortium

WAYS = [Forked, Started]


def finished(way: type, *words: str, **more: object) -> tuple[int, str, str]:
    """Return (exit code, stdout, stderr) of a command."""
    with way([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("words", [("--version",), ("node", "--nope"), ("catalog", "check", "absent.json")])
def test_exit_code_and_streams_are_alike(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "absent.json").write_text("{")  # found by its name alone: the folder counts
    forked, started = (finished(way, *words, cwd=tmp_path) for way in WAYS)
    assert forked == started
    assert forked[0] == {"--version": 0, "node": 2, "catalog": 2}[words[0]]


def test_both_streams_may_be_one() -> None:
    run = [way([*COMMAND, "--nope"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for way in WAYS]
    forked, started = (process.communicate(timeout=60)[0] for process in run)
    assert forked == started
    assert "--nope" in forked


@pytest.mark.parametrize("way", WAYS)
def test_a_server_is_of_a_session_of_its_own_and_dies_by_a_signal(way: type, tmp_path: Path) -> None:
    setting = consortium(tmp_path)
    words = ("chain", "serve", "--config", str(setting.config_file("chain")))
    with way([*COMMAND, *words], stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert any("serving" in line for line in process.stderr)
        assert os.getsid(process.pid) == process.pid
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL
        assert process.poll() == -signal.SIGKILL


def test_another_umask_or_place_of_modules_is_no_fork() -> None:
    for more in ({"umask": 0o077}, {"env": {**os.environ, "PYTHONPATH": "/nowhere"}}):
        with Forked([*COMMAND, "--version"], stdout=subprocess.DEVNULL, **more) as process:
            assert process._status is None
            assert process.wait(timeout=60) == 0
