"""Nothing leaves unasked: a process reaches loopback and the hosts it is configured for; no library phones home."""

import ipaddress
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hdex.node.errors import AccessDenied

LOCAL_NAMES = frozenset({"localhost", "ip6-localhost", ""})
LOOK_UPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
REACHES = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}

_allowed: set[str] = set()
_state = {"installed": False}


def quiet(home: Path) -> None:
    """Switch off every telemetry and update check of the libraries we use; call before importing them."""
    os.environ.update({"FLWR_HOME": str(home / "flwr"), "GRPC_ENABLE_FORK_SUPPORT": "0", **QUIET})


def refuse_egress(hosts: Collection[str] = ()) -> None:
    """Raise PermissionError in this process wherever Python reaches beyond loopback and `hosts`; it cannot be undone.

    The C core of gRPC does not pass here: `require_allowed` guards its endpoints.
    """
    _allowed.update(hosts)
    if not _state["installed"]:
        _state["installed"] = True
        sys.addaudithook(_guard)


def permit(address: str) -> None:
    """Let this process reach one more address: that of a host which the configuration names, once it is looked up."""
    _allowed.add(address)


def require_allowed(endpoint: str) -> None:
    """Raise AccessDenied unless the host of "host:port" may be reached by this process; no guard, no question."""
    host = endpoint.rpartition(":")[0].strip("[]")
    if _state["installed"] and not _may_reach(host):
        raise AccessDenied(
            "egress", "name the host in the configuration", "this host is not named in the configuration"
        )


def is_loopback(host: str) -> bool:
    """Return whether `host` can only be this machine."""
    if host in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _may_reach(host: object) -> bool:
    if host is None:
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)
    return is_loopback(name) or name in _allowed


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event in LOOK_UPS and not _may_reach(arguments[0]):
        raise PermissionError("a look-up of a host that the configuration does not name was refused")
    if event in REACHES and isinstance(arguments[1], tuple) and not _may_reach(arguments[1][0]):
        raise PermissionError("a connection to a host that the configuration does not name was refused")
