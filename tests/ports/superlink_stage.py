"""Stock flower-superlink and flower-supernode processes on loopback, with TLS and node authentication."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hdex.federated.apps.gatekeeper import Gatekeeper
from hdex.federated.apps.superlink import Control, Endpoint, installed_bundle
from hdex.federated.channel_memory import Handler
from hdex.federated.grid_superlink import SuperlinkGrid
from hdex.node import pki

GUARD = """import ipaddress, pathlib, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo" and arguments[0]:
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else str(host)
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = host == "localhost"
    if not inside:
        with open({path!r}, "a") as file:
            file.write(f"{{event}} {{host}}\\n")
        raise PermissionError(host)

sys.addaudithook(refuse)
"""
START_S = 240.0  # a bound for a loaded machine, not a wait
TOOLS = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def environment(home: Path) -> dict[str, str]:
    """Return what a stock process gets: no telemetry, no update check, a home of its own, a guard of its sockets."""
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_HOME": str(home)}
    return {
        "PATH": f"{TOOLS}:{os.environ['PATH']}",
        "HOME": str(home),
        "PYTHONPATH": str(home.parent / "guard"),
        **quiet,
    }


@dataclass
class Stock:
    """A running SuperLink with a SuperNode of every site."""

    superlink: Endpoint
    supernodes: dict[str, Endpoint]
    secret: bytes
    nodes: dict[str, int]  # site -> node id
    folder: Path
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def egress(self) -> Path:
        """Where a process that reached beyond loopback has left a line."""
        return self.folder / "egress"

    @contextmanager
    def gatekeepers(self, handlers: Mapping[str, Handler], *, allowed: Sequence[str] | None = None) -> Iterator[None]:
        """Answer for the sites until the block ends."""
        stop = threading.Event()
        keepers = [
            Gatekeeper(self.supernodes[site], self.secret, handle, stop=stop, allowed=allowed, poll_s=0.2)
            for site, handle in handlers.items()
        ]
        threads = [threading.Thread(target=keeper.run, daemon=True) for keeper in keepers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)

    def grid(self, bundle: bytes | None = None) -> SuperlinkGrid:
        """Start a run and return its grid."""
        control = Control(self.superlink)
        control.start_run(installed_bundle() if bundle is None else bundle)
        control.close()
        grid = SuperlinkGrid.join(self.superlink, self.secret, self.nodes)
        pause, until = threading.Event(), time.monotonic() + 60
        while len(list(grid.get_node_ids())) < len(self.nodes) and time.monotonic() < until:
            pause.wait(0.1)  # a SuperNode that listens may not have told the SuperLink yet
        return grid


@contextmanager
def running_stock(sites: Sequence[str], *, isolation: str = "process") -> Iterator[Stock]:
    """Yield a SuperLink to which the SuperNodes of all sites are connected.

    isolation: "process" leaves the apps to gatekeepers; "subprocess" is Flower as it comes, for benchmarks.
    """
    with tempfile.TemporaryDirectory(prefix="hdex-flwr-") as name, ExitStack() as stack:
        folder = Path(name)
        certificate = server_certificate(folder)
        secret = secrets.token_bytes(32)
        (folder / "secret").write_bytes(secret)
        (folder / "guard").mkdir()
        (folder / "guard" / "sitecustomize.py").write_text(GUARD.format(path=str(folder / "egress")))
        port = free_port()
        stock = Stock(Endpoint(f"127.0.0.1:{port}", certificate), {}, secret, {}, folder)
        serve = ["--host", "127.0.0.1", "--ssl-certfile", "server.pem", "--ssl-keyfile", "server.key"]
        serve += ["--ssl-ca-certfile", "ca.pem", "--isolation", isolation, "--superexec-auth-secret-file", "secret"]
        start(stack, stock, "superlink", ["flower-superlink", *serve, "--port", str(port),
              "--enable-supernode-auth", "--disable-runtime-dependency-installation"])  # fmt: skip
        wait_for(stock, "superlink", port)
        control = Control(stock.superlink)
        for site in sites:
            key = ec.generate_private_key(ec.SECP384R1())
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
            (folder / f"{site}.key").write_bytes(pem)
            stock.nodes[site] = control.register(key.public_key())
            own = free_port()
            stock.supernodes[site] = Endpoint(f"127.0.0.1:{own}", certificate)
            start(stack, stock, site, ["flower-supernode", *serve, "--port", str(own), "--superlink",
                  stock.superlink.address, "--root-certificates", "ca.pem",
                  "--auth-supernode-private-key", f"{site}.key"])  # fmt: skip
        control.close()
        for site in sites:
            wait_for(stock, site, int(stock.supernodes[site].address.rpartition(":")[2]))
        yield stock


def start(stack: ExitStack, stock: Stock, name: str, command: list[str]) -> None:
    home = stock.folder / f"home-{name}"
    home.mkdir()
    log = stack.enter_context((stock.folder / f"{name}.log").open("wb"))
    process = subprocess.Popen(command, cwd=stock.folder, env=environment(home), stdout=log, stderr=log)
    stock.processes[name] = process
    stack.callback(end, process)


def end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def wait_for(stock: Stock, name: str, port: int) -> None:
    """Return when a process listens. Raises RuntimeError with its last words when it ended."""
    pause, until = threading.Event(), time.monotonic() + START_S
    while time.monotonic() < until:
        if stock.processes[name].poll() is not None:
            break
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        pause.wait(0.1)
    raise RuntimeError(f"{name} does not listen: {(stock.folder / f'{name}.log').read_text()[-2000:]}")


def server_certificate(folder: Path) -> bytes:
    """Write ca.pem, server.pem and server.key for 127.0.0.1 and return the CA."""
    authority = pki.init(folder / "ca", "hdex.test")
    certificate, key = pki.issue(authority, "exchange/superlink", addresses=("127.0.0.1",))
    for name, data in {"ca.pem": authority.pem, "server.pem": certificate, "server.key": key}.items():
        (folder / name).write_bytes(data)
    return authority.pem
