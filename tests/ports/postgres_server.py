"""A PostgreSQL server of the tests' own: a fresh cluster on a unix socket, without any network, gone at the end."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ACCOUNTS = ("postgres", "nobody")  # the server refuses to run as root


@cache
def binaries() -> Path | None:
    """Return the folder with initdb and pg_ctl: on the path, or where Debian puts them; the newest version first."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: float(one.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").exists() and (folder / "initdb").exists()), None)


def account() -> str | None:
    """Return who runs the server; None: whoever runs the tests."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ACCOUNTS if name in names), None)


@dataclass(frozen=True, slots=True)
class Server:
    """One cluster in `folder`, which also holds its socket."""

    folder: Path

    @property
    def url(self) -> str:
        return f"postgresql:///postgres?host={self.folder}&user=hdex"

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c shared_buffers=16MB"
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop without shutting down: what a crash leaves."""
        self._run("pg_ctl", "-m", mode, "stop")

    def create(self) -> None:
        self._run("initdb", "-A", "trust", "-U", "hdex", "--no-locale", "-E", "UTF8", "--no-sync")

    def _run(self, tool: str, *arguments: str) -> None:
        folder = binaries()
        assert folder is not None
        command = [str(folder / tool), "-D", str(self.folder / "data"), *arguments]
        subprocess.run(command, check=True, user=account(), stdout=subprocess.DEVNULL, cwd="/", timeout=120)


@contextmanager
def running_server() -> Iterator[Server]:
    """Yield a server that answers."""
    folder = Path(tempfile.mkdtemp(prefix="hdex-pg-", dir="/tmp"))  # short: a socket's path has 107 bytes at most
    if (name := account()) is not None:
        shutil.chown(folder, user=name)
    server = Server(folder)
    try:
        server.create()
        server.start()
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder)
