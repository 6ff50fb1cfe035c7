"""Named instants at which a test may kill the process, so that recovery is tried and not assumed."""

import os
import re
import signal
from importlib.resources import files
from threading import Lock

VARIABLE = "HDEX_FAILPOINT"  # "name" or "name:n": die at the n-th pass, from 1

_CALL = re.compile(r"""\bfailpoint\(["']([a-z0-9_.-]+)["']\)""")
_lock = Lock()
_passes: dict[str, int] = {}


def failpoint(name: str) -> None:
    """Die by SIGKILL when the environment names this instant and it is passed for the n-th time."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    chosen, _, count = wanted.partition(":")
    if chosen != name:
        return
    with _lock:  # streams pass the same instant from several threads
        _passes[name] = _passes.get(name, 0) + 1
        if _passes[name] == int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)


def names() -> set[str]:
    """Return every name the node's source passes to `failpoint`, so that a test can try them all."""
    found: set[str] = set()
    pending = [files("hdex.node")]
    while pending:
        for entry in pending.pop().iterdir():
            if entry.is_dir() and entry.name != "__pycache__":
                pending.append(entry)
            elif entry.name.endswith(".py"):
                found.update(_CALL.findall(entry.read_text(encoding="utf-8")))
    return found
