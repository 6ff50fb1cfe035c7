"""Guards of every test: nothing leaves loopback, and a missing tool fails where the gate asks for all tools."""

import gc
import ipaddress
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from tests import forking

# Machines are noisy: no test passes or fails by the clock. The gate draws the same examples each time, so that what it
# says of a change is about the change; every other run draws new ones.
settings.register_profile("hdex", deadline=None)
settings.register_profile("gate", deadline=None, derandomize=True)
settings.load_profile("gate" if os.environ.get("HDEX_NO_SKIPS") == "1" else "hdex")
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

if os.environ.get("HDEX_SOAK") != "1" and hasattr(os, "pidfd_open"):  # Linux
    forking.install()

ROOT = Path(__file__).resolve().parents[1]
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only `make soak` runs: it is no skip, nothing is missing."""
    if os.environ.get("HDEX_SOAK") == "1":
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass over what lives as long as the run: it took a tenth of the suite's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


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


@cache
def group_of(path: str) -> str | None:
    """Return the xdist_group that a test module as a whole is marked with."""
    found = re.search(
        r'^pytestmark\b.*\bxdist_group\("(\w+)"\)', (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE
    )
    return found[1] if found else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """Keep the tests of one group on one worker: they share a stage of real processes.

    pytest-xdist 3.8 marks groups by changing node ids, which pytest 9.2 ignores (pytest-xdist issue 1386).
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]  # it has no stubs

    class ByModule(LoadGroupScheduling):  # type: ignore[misc]  # it has no stubs
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid.split("::", maxsplit=1)[0]) or nodeid

    return ByModule(config, log)
