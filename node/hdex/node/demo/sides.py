"""The same work at every hospital at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hdex.node.demo.setting import HOSPITALS

T = TypeVar("T")


def side_by_side(work: Callable[[str], T]) -> dict[str, T]:
    """Return {hospital: result}; the first error is raised after all have ended."""
    with ThreadPoolExecutor(len(HOSPITALS)) as runners:
        futures = {hospital: runners.submit(work, hospital) for hospital in HOSPITALS}
    return {hospital: future.result() for hospital, future in futures.items()}
