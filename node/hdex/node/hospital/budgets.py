"""How much epsilon is left of each contract on each data set: folded from the log's own events, so nothing can drift.

A charge is the `epsilon` of an allowed `round.join`. The event is durable before the round is answered: after a crash
in between the charge stands, and the same question again costs nothing more.
"""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

from hdex.ledger.event import Action, Decision, parse
from hdex.ledger.log import Log
from hdex.node.errors import AccessDenied
from hdex.node.hospital.log_fold import LogFold

CLAUSE = "epsilon"  # of an agreement: what all studies under it may spend together
LIMIT_WITHOUT_CLAUSE = 1.0
Key = tuple[str, str]  # contract, product


@dataclass(frozen=True, slots=True)
class Charge:
    """What one round of one study costs. A question is charged once, however often it is asked."""

    contract: str
    product: str
    study_digest: str
    question_digest: str
    epsilon: float
    whole: float  # what the study will cost when all its rounds have run

    def __post_init__(self) -> None:
        for value in (self.epsilon, self.whole):
            if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
                raise AccessDenied(
                    "budget.invalid", "ask with a finite epsilon from 0", "epsilon is not a number from 0"
                )


class EpsilonBudget:
    """The budget of one node over its log of all years. Safe between threads; one process writes the log."""

    def __init__(self, log: Log, past: Callable[[], Sequence[Log]]) -> None:
        """past: opens the finished shards of the log; they are closed once they are read."""
        self._spent: dict[Key, dict[Key, Fraction]] = {}  # (contract, product) -> (study, question) -> epsilon
        self._fold = LogFold(log, past, clear=self._spent.clear, take=self._take)
        self._charging = threading.Lock()  # between the look and the event nobody else may charge

    def spent(self, contract: str, product: str) -> float:
        """Return what was charged so far."""
        with self._charging:
            self._fold.read()
            return float(sum(self._spent.get((contract, product), {}).values()))

    @contextmanager
    def charge(self, charge: Charge, limit: float) -> Iterator[float]:
        """Yield what the body must write as epsilon into its event; nobody else is charged meanwhile.

        Raises AccessDenied where the round, or the whole study at its first round, would pass `limit`.
        """
        with self._charging:
            self._fold.read()
            charged = self._spent.get((charge.contract, charge.product), {})
            if (charge.study_digest, charge.question_digest) in charged:
                yield 0.0
                return
            begun = any(study == charge.study_digest for study, _ in charged)
            asked = charge.epsilon if begun else max(charge.epsilon, charge.whole)
            if sum(charged.values()) + Fraction(asked) > Fraction(limit):
                raise AccessDenied("budget.spent", "agree on more epsilon, or ask less", "too little epsilon is left")
            yield float(charge.epsilon)

    def _take(self, leaf: bytes, _origin: str, _index: int) -> None:
        event = parse(leaf)
        if event.action is not Action.ROUND_JOIN or event.decision is not Decision.ALLOW or not event.epsilon:
            return
        charged = self._spent.setdefault((str(event.contract), str(event.product)), {})
        question = (str(event.policy_digest), str(event.request_digest))
        charged[question] = charged.get(question, Fraction(0)) + Fraction(event.epsilon)


def limit_of(clause: object) -> float:
    """Return how much an agreement's clause allows; what is no number from 0 allows nothing."""
    if clause is None:
        return LIMIT_WITHOUT_CLAUSE
    if isinstance(clause, bool) or not isinstance(clause, int | float) or not math.isfinite(clause):
        return 0.0
    return max(0.0, float(clause))
