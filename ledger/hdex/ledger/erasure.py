"""Erasing the details of events: what is meant, whether its term is over and no hold stands, then the keys.

No leaf moves. Proofs, counts and codes stay valid, because the log never held what is erased.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hdex.ledger.detail import Details, action_of
from hdex.ledger.errors import ErasureRefused
from hdex.ledger.event import format_time, parse_time
from hdex.ledger.ports import DetailRow
from hdex.ledger.retention import Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which details are meant: every given field must hold. Nothing given means everything."""

    actor: str | None = None  # SPIFFE id
    event: str | None = None
    product: str | None = None
    contract: str | None = None
    before: datetime | None = None

    def document(self) -> dict[str, str]:
        """Return the scope as a JSON object without its absent fields."""
        found = {name: getattr(self, name) for name in ("actor", "event", "product", "contract")}
        told = {name: value for name, value in found.items() if value is not None}
        return told if self.before is None else {**told, "before": format_time(self.before)}

    @classmethod
    def from_document(cls, document: object) -> "Scope":
        """Return the scope in a JSON object. Raises ErasureRefused for one that is none."""
        known = {"actor", "event", "product", "contract", "before"}
        if not isinstance(document, dict) or not all(isinstance(one, str) and one for one in document.values()):
            raise ErasureRefused("the scope is not an object of texts", rule="erasure.scope")
        if document.keys() - known:
            raise ErasureRefused(f"a scope has {', '.join(sorted(known))}, nothing else", rule="erasure.scope")
        before = document.get("before")
        return cls(**{**document, "before": None if before is None else parse_time(before)})

    def covers(self, row: DetailRow, tag: bytes | None) -> bool:
        """Return whether a row is meant; `tag` is that of the scope's actor."""
        return (
            (tag is None or row.tag == tag)
            and (self.event is None or row.event_id == self.event)
            and (self.product is None or row.product == self.product)
            and (self.contract is None or row.contract == self.contract)
            and (self.before is None or parse_time(row.time) < self.before)
        )


class Eraser:
    """Erases when it may. `retention` says how long each record class is kept."""

    def __init__(self, details: Details, retention: Retention, clock: Callable[[], datetime]) -> None:
        self._details, self._retention, self._clock = details, retention, clock

    def selected(self, scope: Scope) -> list[DetailRow]:
        """Return what an order would erase. Raises ErasureRefused with the rule and the next step when it may not.

        An order names an actor or an event: nobody erases a product's or a contract's history at one stroke.
        """
        if scope.actor is not None:
            rows = self._details.of_actor(scope.actor)
        elif scope.event is not None:
            row = self._details.row(scope.event)
            rows = [] if row is None else [row]
        else:
            raise ErasureRefused(
                "the order names neither an actor nor an event", rule="erasure.scope", next_step="name one of them"
            )
        tag = None if scope.actor is None else self._details.tag(scope.actor)
        found = [row for row in rows if scope.covers(row, tag)]
        self._require_term(found)
        self._require_no_hold(found)
        return found

    def erase(self, rows: Sequence[DetailRow]) -> None:
        """Destroy the keys of rows that were selected, after the event that says so is durable."""
        self._details.destroy(rows)

    def place_hold(self, name: str, scope: Scope) -> None:
        """Keep everything in this scope until the hold is lifted."""
        self._details.place_hold(name, scope.document())

    def require_hold(self, name: str) -> None:
        """Raise ErasureRefused when no hold of this name stands."""
        names = sorted(dict(self._details.holds()))
        if name not in names:
            stand = ", ".join(names) or "none"
            raise ErasureRefused("no hold of this name stands", rule="hold.unknown", next_step=f"there stand: {stand}")

    def lift_hold(self, name: str) -> None:
        """Lift a hold. Raises ErasureRefused when there is none of this name."""
        self.require_hold(name)
        self._details.lift_hold(name)

    def holds(self) -> dict[str, Scope]:
        """Return the holds that stand, by name."""
        return {name: Scope.from_document(scope) for name, scope in self._details.holds()}

    def _require_term(self, rows: Sequence[DetailRow]) -> None:
        now = self._clock()
        early = [(self._retention.term(action_of(row)), row) for row in rows]
        waiting = [
            (term.ends(parse_time(row.time)), term) for term, row in early if term.ends(parse_time(row.time)) > now
        ]
        if waiting:
            last, term = max(waiting, key=lambda one: one[0])
            raise ErasureRefused(
                f"{len(waiting)} of {len(rows)} details are before the end of their term ({term.months} months)",
                rule=term.rule,
                next_step=f"order it again after {format_time(last)}, or limit it to records before an earlier time",
            )

    def _require_no_hold(self, rows: Sequence[DetailRow]) -> None:
        for name, scope in self.holds().items():
            tag = None if scope.actor is None else self._details.tag(scope.actor)
            held = sum(scope.covers(row, tag) for row in rows)
            if held:
                raise ErasureRefused(
                    f"{held} of {len(rows)} details are under the legal hold {name}",
                    rule="retention.hold",
                    next_step=f"the privacy officer lifts the hold {name} first",
                )
