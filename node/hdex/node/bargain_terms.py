"""The terms that are bargained over, as plain values: of a request, an offer or a counter, and where two differ.

What they are read from may be another's paper: what has not the form it should have is as if it was not said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hdex.catalog.price import Price

Document = Mapping[str, Any]
TERMS = ("price", "plan", "columns", "rounds", "until")  # in the order in which a page compares them


@dataclass(frozen=True, slots=True)
class Difference:
    """One term before and after, as `told_terms` tells it."""

    term: str
    before: Any
    after: Any

    @property
    def is_changed(self) -> bool:
        """Whether the two say different things. A price that is not known on one side says nothing."""
        if self.term == "price" and (self.before is None or self.after is None):
            return False
        if self.term == "columns":
            return sorted(self.before) != sorted(self.after)
        return bool(self.before != self.after)


def told_terms(said: Document, price: Price | None = None) -> dict[str, Any]:
    """Return the terms of a request or an offer: {"price", "plan", "columns", "rounds", "until"}.

    price: {"amount_cents", "currency", "plan"} as the offer says it, else of `price`, else None. No columns are all of
    them, an empty plan is the product's first, an empty until is the product's term.
    """
    order = said.get("order") if isinstance(said.get("order"), dict) else {}
    columns, rounds = (order or {}).get("columns"), said.get("max_rounds")
    return {
        "price": priced(said.get("price")) or (one_price(price) if price is not None else None),
        "plan": str((order or {}).get("plan") or ""),
        "columns": [str(one) for one in columns] if isinstance(columns, list | tuple) else [],
        "rounds": rounds if type(rounds) is int else 0,
        "until": str(said.get("until") or ""),
    }


def priced(found: object) -> dict[str, Any] | None:
    """Return a price as a paper says it, None where it says none."""
    if not isinstance(found, Mapping) or type(found.get("amount_cents")) is not int:
        return None
    return {"amount_cents": found["amount_cents"], **{name: str(found.get(name, "")) for name in ("currency", "plan")}}


def one_price(price: Price) -> dict[str, Any]:
    """Return a price as plain values."""
    return {"amount_cents": price.amount_cents, "currency": price.currency, "plan": price.plan.value}


def compared(before: Document, after: Document) -> list[Difference]:
    """Return each term of two sayings, whether it differs or not."""
    return [Difference(name, before.get(name), after.get(name)) for name in TERMS]


def with_changes(bargain: Sequence[Document]) -> list[tuple[Document, list[Difference]]]:
    """Return each word of a bargaining with the terms in which it differs from the word before."""
    found: list[tuple[Document, list[Difference]]] = []
    last: Document | None = None
    for one in bargain:
        terms = one.get("terms")
        changes = [] if not terms or last is None else [d for d in compared(last, terms) if d.is_changed]
        found.append((one, changes))
        last = terms or last
    return found
