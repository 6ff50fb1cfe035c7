"""Guards of every test: nothing leaves loopback, and a missing tool fails where the gate asks for all tools."""

import ipaddress
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

LOCAL_NAMES = {"localhost", "ip6-localhost", "", None}
MAY_SKIP = "shared/data is absent"


def is_loopback(host: object) -> bool:
    """Return whether `host` can only be this machine."""
    if host in LOCAL_NAMES:
        return True
    name = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name in LOCAL_NAMES


def refuse_egress(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: a look-up or connection beyond loopback raises where it is attempted."""
    if event == "socket.getaddrinfo" and not is_loopback(arguments[0]):
        raise PermissionError(f"a test looked up the host {arguments[0]!r}: tests stay on loopback")
    if event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
        host = arguments[1][0]
        if not is_loopback(host):
            raise PermissionError(f"a test reached for {host!r}: tests stay on loopback")


sys.addaudithook(refuse_egress)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Under HDEX_NO_SKIPS=1 a skip for a missing tool fails; absent shared inputs may skip."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("HDEX_NO_SKIPS") == "1" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if MAY_SKIP not in reason:
            report.outcome = "failed"
            report.longrepr = f"skipped although HDEX_NO_SKIPS=1: {reason}"
