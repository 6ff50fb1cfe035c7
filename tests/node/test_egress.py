"""A participant reaches what its configuration names, and no library reaches anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hdex.node.egress import is_loopback, quiet, require_allowed

CHILD = """
import socket, sys
from hdex.node.egress import allow, permit, refuse_egress, require_allowed
from hdex.node.errors import AccessDenied
refuse_egress({"198.51.100.7"})
refuse_egress()
allow(["198.51.100.8"])
ok = socket.create_server(("127.0.0.1", 0))
socket.create_connection(ok.getsockname()).close()
socket.getaddrinfo("localhost", 80)
require_allowed("127.0.0.1:1"); require_allowed("[::1]:1"); require_allowed("198.51.100.7:443")
require_allowed("198.51.100.8:443")
refused = []
def attempt(name, action):
    try:
        action()
    except (PermissionError, AccessDenied):
        refused.append(name)
    except OSError:
        pass
attempt("connect", lambda: socket.socket().connect(("203.0.113.1", 9)))
attempt("connect6", lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 9)))
attempt("name", lambda: socket.getaddrinfo("example.org", 80))
attempt("gethostbyname", lambda: socket.gethostbyname("example.org"))
attempt("sendto", lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("203.0.113.1", 53)))
attempt("permit", lambda: permit("example.org", "203.0.113.1"))
permit("198.51.100.7", "203.0.113.2"); require_allowed("203.0.113.2:443")
attempt("grpc", lambda: require_allowed("203.0.113.1:443"))
print(" ".join(refused))
"""


def test_a_process_is_held_to_loopback_and_the_named_hosts() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["connect", "connect6", "name", "gethostbyname", "sendto", "permit", "grpc"], (
        done.stderr
    )


def test_telemetry_is_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FLWR_TELEMETRY_ENABLED", "HF_HUB_OFFLINE", "FLWR_HOME"):
        monkeypatch.setenv(name, "before")
    for name in ("FLWR_DISABLE_UPDATE_CHECK", "RAY_USAGE_STATS_ENABLED", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, os.environ.get(name, "before"))
    for name in ("DO_NOT_TRACK", "GRPC_ENABLE_FORK_SUPPORT"):
        monkeypatch.setenv(name, "before")
    quiet(tmp_path)
    assert os.environ["FLWR_TELEMETRY_ENABLED"] == "0"
    assert os.environ["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert os.environ["FLWR_HOME"] == str(tmp_path / "flwr")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::1%lo"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "example.org", "localhost.example.org", "127.0.0.1.example"])
def test_other_machines_are_not(host: str) -> None:
    assert not is_loopback(host)


def test_without_a_guard_there_is_no_question() -> None:
    require_allowed("203.0.113.1:443")


VENDORS = """
import os, sys
from pathlib import Path
from hdex.node.egress import quiet, refuse_egress
quiet(Path(sys.argv[1]))
refuse_egress()
reached = []
sys.addaudithook(lambda event, arguments: reached.append(event) if event in {
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"} else None)
from hdex.deid.detector_presidio import PresidioDetector
from hdex.federated import grid_stream, strategy
from hdex.federated.apps import coordinator, site
from hdex.federated.paillier import generate_keypair
from hdex.ledger import chain_web3, evm
from hdex.catalog.web import app
from hdex.node.compose import client, exchange, hospital, keyholder
from hdex.node.demo import story
PresidioDetector().find("Call Jane Doe at jane.doe@example.org or +1 617 555 0123", "en")
vendors = {"flwr", "web3", "presidio_analyzer", "eth", "phe"}
print(vendors <= {name.split(".")[0] for name in sys.modules}, sorted(set(reached)),
      os.environ["FLWR_TELEMETRY_ENABLED"], os.environ["RAY_USAGE_STATS_ENABLED"])
"""


def test_no_vendor_reaches_out_when_it_is_imported_or_used(tmp_path: Path) -> None:
    """Presidio's mail rule looks up a list, Flower and Ray tell their makers: none does here."""
    done = subprocess.run([sys.executable, "-c", VENDORS, tmp_path], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[-2] == "True [] 0 0", done.stdout + done.stderr[-2000:]
