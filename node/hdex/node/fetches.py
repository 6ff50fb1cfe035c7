"""Deliveries that run while somebody looks at a page: one thread a contract, its end kept until it is begun again."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from hdex.node.errors import Problem, describe

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fetch:
    """How one delivery stands: running, or ended; problem: why it broke off, None where it did not."""

    is_running: bool
    problem: Problem | None = None


class Fetches:
    """The deliveries of one desk. `receive` brings a contract's file, or goes on where it stopped."""

    def __init__(self, receive: Callable[[str], object]) -> None:
        self._receive = receive
        self._lock = threading.Lock()
        self._known: dict[str, Fetch] = {}
        self._threads: dict[str, threading.Thread] = {}

    def begin(self, contract_id: str) -> None:
        """Begin to receive, unless that runs already: one file has one writer."""
        with self._lock:
            known = self._known.get(contract_id)
            if known is not None and known.is_running:
                return
            self._known[contract_id] = Fetch(is_running=True)
            thread = threading.Thread(target=self._run, args=(contract_id,), name="fetch", daemon=True)
            self._threads[contract_id] = thread
        thread.start()

    def of(self, contract_id: str) -> Fetch | None:
        """Return how a contract's delivery stands; None where none was begun from here."""
        with self._lock:
            return self._known.get(contract_id)

    def join(self, contract_id: str, timeout_s: float) -> None:
        """Wait until a delivery that was begun has ended."""
        thread = self._threads.get(contract_id)
        if thread is not None:
            thread.join(timeout_s)

    def _run(self, contract_id: str) -> None:
        problem = None
        try:
            self._receive(contract_id)
        except Exception as error:
            problem = describe(error)
            logger.warning("a delivery broke off", extra={"contract": contract_id, "rule": problem.rule})
        with self._lock:
            self._known[contract_id] = Fetch(is_running=False, problem=problem)
