"""A stage for each xdist group of journeys, market and studies: raised at its first test, ended after its last."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.conftest import group_of
from tests.journeys.stage import DEATHS, Stage, raised

STAGES: dict[str, tuple[Stage, ExitStack]] = {}


def group(item: pytest.Item | pytest.Collector) -> str:
    """Return the xdist group of a test's module."""
    return group_of(item.nodeid.split("::", maxsplit=1)[0]) or ""


def end(name: str) -> None:
    """End a stage's processes, if it was raised."""
    _, stack = STAGES.pop(name, (None, ExitStack()))
    stack.close()


@pytest.fixture(scope="session")
def curtain() -> Iterator[None]:
    """End what an interrupted run has left."""
    yield
    for name in list(STAGES):
        end(name)


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, curtain: None) -> Stage:
    """The stage of the test's group."""
    name = group(request.node)
    if name not in STAGES:
        stack = ExitStack()
        STAGES[name] = stack.enter_context(raised(tmp_path_factory.mktemp(name), DEATHS[name])), stack
    return STAGES[name][0]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End a stage with its group, which one worker runs in one go: it costs the rest of the tests nothing."""
    if nextitem is None or group(nextitem) != group(item):
        end(group(item))
