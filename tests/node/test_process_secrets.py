"""What a real node and its desk leave where others could read it: modes of files, command lines, environments, logs."""

import base64
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.node.consortium import consortium

from hdex.node.cli.serving import STOP_ON_EOF
from hdex.node.config import HospitalConfig, load
from hdex.node.demo.setting import Setting
from hdex.node.keys import STANDARD

HOSPITAL, ROLE, TIMEOUT_S = "hospital-b", "privacy_officer", 60.0


@dataclass
class Running:
    """One process: what it was awaited to print, and what others on the machine see of it."""

    found: re.Match[str]
    shown: bytes  # command line and environment
    printed: list[str] = field(default_factory=list)


@contextmanager
def running(pattern: str, *arguments: str | Path) -> Iterator[Running]:
    """Run `hdex node ...` under an umask that hides nothing, until it has printed a line like the pattern."""
    command = [sys.executable, "-m", "hdex.node.cli", "node", *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, umask=0, env={**os.environ, STOP_ON_EOF: "1"}
    ) as process:
        assert process.stderr is not None
        printed: list[str] = []
        found = None
        while found is None:
            line = process.stderr.readline()
            assert line, printed
            printed.append(line)
            found = re.search(pattern, line)
        proc = Path("/proc") / str(process.pid)
        shown = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes() if proc.exists() else b""
        made = Running(found, shown, printed)
        yield made
        printed += process.communicate(timeout=TIMEOUT_S)[1].splitlines()
    assert process.returncode == 0, printed


def secrets_of(setting: Setting) -> dict[str, bytes]:
    """Return everything secret of a hospital and one person there, in the forms in which it could be written."""
    home = setting.home(HOSPITAL)
    desk = home / "staff" / ROLE
    found = {f"passphrase of {one.name}": (one / "passphrase").read_bytes().strip() for one in (home, desk)}
    for one, name in ((home, "node.key"), (desk, "staff.key")):
        found[name] = (one / name).read_bytes().splitlines()[1]
    for name in STANDARD:
        raw = setting.keys[HOSPITAL].secret(name)
        found |= {f"{name} hex": raw.hex().encode(), f"{name} base64": base64.b64encode(raw).rstrip(b"=")}
    return found


def open_to_others(folder: Path) -> list[str]:
    """Return what in a folder others may read, write or enter."""
    return [
        f"{path.relative_to(folder)} {stat.filemode(path.lstat().st_mode)}"
        for path in folder.rglob("*")
        if path.lstat().st_mode & 0o077
    ]


def test_nothing_secret_lies_where_others_read(tmp_path: Path) -> None:
    setting = consortium(tmp_path / "consortium")
    config = setting.config_file(HOSPITAL)
    data, desk = load(config, HospitalConfig).data_dir, setting.home(HOSPITAL) / "staff" / ROLE
    data.mkdir(mode=0o755)  # by an operator, before the first start
    data.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with running('"message": "serving"', "serve", "--config", config) as node:
        before = {path: path.stat().st_mode for path in desk.rglob("*")}
        with (
            running(
                r"^pages +(http://\S+)$", "desk", "--config", config, "--desk", desk, "--port", port
            ) as pages,  # fmt: skip
            httpx.Client(follow_redirects=True, timeout=TIMEOUT_S) as browser,
        ):
            address = pages.found[1]
            assert browser.get(address).status_code == 200
            assert browser.get(address.partition("?")[0] + "?code=AAAA-BBBB-CCCC-DDDD").status_code == 403
            (token,) = (cookie.value for cookie in browser.cookies.jar)
    assert open_to_others(data) == []
    assert [path for path in desk.rglob("*") if path not in before and path.stat().st_mode & 0o077] == []
    secrets = secrets_of(setting) | {"code": address.partition("code=")[2].encode(), "token": str(token).encode()}
    said = "".join(line for line in (*node.printed, *pages.printed) if not line.startswith("pages ")).encode()
    kept = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    for name, secret in secrets.items():
        for where, text in {"shown": node.shown + pages.shown, "logged": said, "kept": kept}.items():
            assert secret not in text, f"{name} is {where}"
    assert len(secrets) > 2 * len(STANDARD)
    assert b"hdex" in node.shown
