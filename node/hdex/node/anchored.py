"""Releases only while the chain keeps up, for participants that ask for it (`chain.fail_closed_after_s`)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Unpack

from hdex.ledger.detail import Details
from hdex.ledger.errors import ChainUnavailable
from hdex.ledger.event import RELEASES, Action
from hdex.ledger.log import Log, Receipt
from hdex.node.errors import AccessDenied
from hdex.node.identity import Identity
from hdex.node.recorder import Facts, Recorder

RULE = "anchor.too_old"
Age = Callable[[], timedelta]  # of the oldest entry that the chain does not cover; raises ChainUnavailable


class AnchoredRecorder(Recorder):
    """A recorder that remembers no release while the oldest entry without anchor is older than `limit`.

    Everything that does not let data out goes on: refusals, revocations and audits above all.
    """

    def __init__(
        self, log: Log, details: Details, *, node: str, organisation: str, clock: Callable[[], datetime],
        age: Age, limit: timedelta,
    ) -> None:  # fmt: skip
        super().__init__(log, details, node=node, organisation=organisation, clock=clock)
        self._age = age
        self._limit = limit

    def allow(self, action: str, actor: Identity, **facts: Unpack[Facts]) -> Receipt:
        """Remember that this was allowed. Raises AccessDenied for a release while anchors are too old."""
        self._require_anchored(action)
        return super().allow(action, actor, **facts)

    @contextmanager
    def release(
        self, action: str, actor: Identity, *, rule: str | None = None, **facts: Unpack[Facts]
    ) -> Iterator[Receipt]:
        """Remember first, then run the body. Raises AccessDenied for a release while anchors are too old."""
        self._require_anchored(action)
        with super().release(action, actor, rule=rule, **facts) as receipt:
            yield receipt

    def _require_anchored(self, action: str) -> None:
        if Action(action) not in RELEASES:
            return
        try:
            waited = self._age()
        except ChainUnavailable as error:
            raise refusal("no chain can be reached") from error
        if waited > self._limit:
            raise refusal(f"an entry has waited {waited.total_seconds():.0f} s for its anchor")


def refusal(why: str) -> AccessDenied:
    """Return the refusal of a release."""
    return AccessDenied(RULE, "ask the provider's operator to bring the chain back", f"nothing is released: {why}")
