"""A process that has loaded the libraries of `hdex` and forks one process for each command it is told to run.

`python tests/zygote.py FD`: FD is a socket on which `tests.forking` sends {argv, environ, cwd, new_session} as JSON,
with four descriptors: standard input, output and error, and a pipe that gets the exit status. The answer is the pid.
Only what a participant may load before it has set itself up is loaded here: no gRPC (hdex.node.handshakes says why).
"""

import array
import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

VENDORS = ("numpy", "polars", "web3", "eth", "fastapi", "uvicorn", "jinja2", "presidio_analyzer", "sqlalchemy")
ROOMS = ("hdex.catalog", "hdex.ledger", "hdex.deid")
HEAVY = ("grpc", "flwr", "ray", "torch")  # set up by the process itself, or rarely needed
MODULES = ("hdex.node.config", "hdex.node.cli.main", "hdex.node.keystore", "hdex.federated.study")
FIELDS = 4


def load() -> None:
    """Import what most commands need; what a room keeps apart because it is heavy stays apart."""
    from hdex.node.egress import QUIET

    os.environ.update(QUIET)
    for name in HEAVY:
        sys.modules[name] = None  # type: ignore[assignment]  # an import of it fails, and with it the module that asks
    names = [*VENDORS, *MODULES]
    for room in ROOMS:
        package = importlib.import_module(room)
        names += [found.name for found in pkgutil.iter_modules(package.__path__, f"{room}.")]
    for name in names:
        with suppress(Exception):  # whatever it says then, it says again to the command that needs it
            importlib.import_module(name)
    for name in HEAVY:
        del sys.modules[name]


def serve(commands: socket.socket) -> list[str]:
    """Fork for each command; return its words in the process that is to run it. Ends with the other side."""
    watched: dict[int, tuple[int, int]] = {}  # pidfd -> (pid, pipe of its status)
    poll = select.poll()
    poll.register(commands, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready != commands.fileno():
                poll.unregister(ready)
                pid, status = watched.pop(ready)
                ended = os.waitpid(pid, 0)[1]
                with suppress(BrokenPipeError):  # whoever would wait has gone
                    os.write(status, array.array("i", [ended]).tobytes())
                os.close(status)
                os.close(ready)
                continue
            said, held, _, _ = socket.recv_fds(commands, 1 << 20, FIELDS)
            if not said:
                sys.exit()
            *streams, status = held
            pid = os.fork()
            if not pid:
                for mine in (*watched, *(pipe for _, pipe in watched.values()), status, commands.detach()):
                    os.close(mine)
                return become(json.loads(said), streams)
            for stream in streams:
                os.close(stream)
            watched[pidfd := os.pidfd_open(pid)] = (pid, status)
            poll.register(pidfd, select.POLLIN)
            commands.send(str(pid).encode())


def become(command: dict[str, Any], streams: list[int]) -> list[str]:
    """Take on the streams, the environment and the folder of a command; return its words."""
    if command["new_session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(command["environ"])
    os.chdir(command["cwd"])
    from hdex.node import cli

    return [str(Path(cli.__file__).with_name("__main__.py")), *command["argv"]]


def leave(code: object) -> NoReturn:
    """End as Python does, but for taking every module apart, which takes longer than most commands."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder is no place of modules
    load()
    gc.collect()
    gc.freeze()
    sys.argv = serve(socket.socket(fileno=int(sys.argv[1])))
    __package__ = "hdex.node.cli"  # as `python -m` says it; help names the program by it
    from hdex.node.cli.main import main

    try:
        main()
    except SystemExit as ended:
        leave(ended.code)
