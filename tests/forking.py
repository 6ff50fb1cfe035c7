"""Commands of `hdex` as processes that are forked, not started: Python and its libraries are loaded once a worker.

`python -m hdex.node.cli ...` loads for one to two seconds what each command needs, and the tests run some hundreds of
them. Once `install` was called, a command started by `subprocess` is forked by `tests.zygote` instead: a process of its
own all the same, with its streams, environment, folder and session, that is waited for and killed alike. What asks for
more, or for an environment that libraries might read differently, is started as ever; so is the demo, and all that it
starts. HDEX_SOAK=1 starts everything.
"""

import array
import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "hdex.node.cli"]
# Read when they are used, not while a library loads.
FREE = ("PYTEST_", "HDEX_", "FLWR_", "HF_", "GRPC_", "RAY_", "TRANSFORMERS_", "DO_NOT_TRACK")
STATUS = 4  # bytes
Started = subprocess.Popen


class Zygote:
    """The process that forks, made for the first command."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._environ: dict[str, str] = {}

    def fits(self, environ: Mapping[str, str]) -> bool:
        """Return whether a process forked here would be as one that is started with this environment."""
        with self._lock:
            if self._socket is None:
                self._start()
        return settled(environ) == settled(self._environ)

    def fork(self, command: Mapping[str, object], streams: list[int]) -> tuple[int, int]:
        """Return (pid, descriptor that tells the exit status)."""
        reading, writing = os.pipe()
        with self._lock:
            assert self._socket is not None
            socket.send_fds(self._socket, [json.dumps(command).encode()], [*streams, writing])
            os.close(writing)
            pid = int(self._socket.recv(32))
        return pid, reading

    def _start(self) -> None:
        self._environ = dict(os.environ)
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, str(Path(__file__).with_name("zygote.py")), str(other.fileno())]
        self._process = Started(command, pass_fds=[other.fileno()], stdin=subprocess.DEVNULL)  # ends with our socket
        other.close()


def settled(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what libraries may read of an environment while they load."""
    return {name: value for name, value in environ.items() if not name.startswith(FREE)}


ZYGOTE = Zygote()


class Forked(subprocess.Popen[Any]):
    """`subprocess.Popen`, which forks the commands of `hdex`."""

    _status: int | None = None
    _waitpid_lock: threading.Lock  # CPython's
    _handle_exitstatus: Callable[[int], None]

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, *rest: Any) -> None:
        pass_fds, cwd, env, _, _, shell, *pipes = rest
        p2cread, _, _, c2pwrite, _, errwrite, _, gid, gids, uid, umask, new_session, group = pipes
        plain = isinstance(args, list) and args[:3] == COMMAND and executable is None and not shell
        usual = preexec_fn is None and not pass_fds and (gid, gids, uid, umask, group) == (None, None, None, -1, -1)
        environ = {
            os.fsdecode(name): os.fsdecode(value) for name, value in (os.environ if env is None else env).items()
        }
        if not (plain and usual and ZYGOTE.fits(environ)):
            super()._execute_child(args, executable, preexec_fn, close_fds, *rest)  # type: ignore[misc]  # CPython's
            return
        command = {"argv": list(map(str, args[3:])), "environ": environ, "cwd": os.fspath(cwd or os.getcwd())}
        streams = [own if own != -1 else number for number, own in enumerate((p2cread, c2pwrite, errwrite))]
        self.pid, self._status = ZYGOTE.fork({**command, "new_session": bool(new_session)}, streams)
        self._child_created = True
        self._close_pipe_fds(*pipes[:6])  # type: ignore[attr-defined]  # CPython's

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """Return (pid, status) once the process has ended; (0, 0) where it has not and WNOHANG is asked."""
        if self._status is None:
            return super()._try_wait(wait_flags)  # type: ignore[misc,no-any-return]  # CPython's
        ready = select.poll()
        ready.register(self._status, select.POLLIN)
        if not ready.poll(0 if wait_flags & os.WNOHANG else None):
            return 0, 0
        told = os.read(self._status, STATUS)
        os.close(self._status)
        return self.pid, array.array("i", told)[0] if told else 0

    def _internal_poll(self, _deadstate: int | None = None, **own: Any) -> int | None:
        if self._status is None:
            return super()._internal_poll(_deadstate=_deadstate, **own)  # type: ignore[misc,no-any-return]  # CPython's
        if self.returncode is None and self._waitpid_lock.acquire(False):
            try:
                pid, status = (0, 0) if self.returncode is not None else self._try_wait(os.WNOHANG)
                if pid:
                    self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


def install() -> None:
    """Fork commands of `hdex` from now on instead of starting them."""
    subprocess.Popen = Forked  # type: ignore[misc]
