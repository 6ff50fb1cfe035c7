"""What the exchange has been told of each product, for its public page: versions with their state, and each step with
the place in the log where it is remembered.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from hdex.catalog.lifecycle import ProductState
from hdex.catalog.ports import Listing
from hdex.ledger.log import Receipt
from hdex.node.documents import Document, Documents
from hdex.node.errors import NotFound

KIND = "product_history"
MOST_STEPS = 200  # of one product; the oldest go

Row = Mapping[str, object]


class History(Protocol):
    """Who wants to know of each step that was remembered."""

    def add(self, product: str, version: str, step: tuple[str, str], receipt: Receipt) -> None:
        """Keep one step: (event's name, the state it leads to)."""
        ...


class Histories:
    """Steps of products, durable on return. The log is the record: this is what a page shows of it."""

    def __init__(self, documents: Documents, *, node: str, clock: Any) -> None:
        """clock: returns the present moment, UTC."""
        self._documents = documents
        self._node = node
        self._clock = clock

    def add(self, product: str, version: str, step: tuple[str, str], receipt: Receipt) -> None:
        """Keep one step. Told again, a step changes nothing: a provider may send its word as often as it likes."""
        action, state = step
        steps = self._steps(product)
        if any((one["action"], one["version"], one["state"]) == (action, version, state) for one in steps[-1:]):
            return
        at: datetime = self._clock()
        row: Document = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "version": version,
            "action": action,
            "state": state,
            "index": receipt.index,
        }
        self._documents.put(KIND, product, {"steps": [*steps, row][-MOST_STEPS:]})

    def timeline(self, product: str) -> list[Row]:
        """Return every step, oldest first, as the product's page shows them."""
        return [
            {
                "time": one["time"],
                "action": f"{one['action']} {one['version']}",
                "decision": "allow",
                "node": self._node,
                "index": one["index"],
            }
            for one in self._steps(product)
        ]

    def versions(self, listing: Listing) -> list[Row]:
        """Return every version known of a product, newest first: {version, state, since}."""
        held = listing.product
        found: dict[str, Row] = {}
        if held.provenance is not None and held.provenance.supersedes:
            before = held.provenance.supersedes
            found[before] = {"version": before, "state": ProductState.SUPERSEDED.value, "since": held.issued}
        for one in self._steps(held.id):
            if one["state"] == ProductState.LISTED:
                for version, row in found.items():
                    if row["state"] in (ProductState.LISTED, ProductState.SUSPENDED) and version != one["version"]:
                        found[version] = {**row, "state": ProductState.SUPERSEDED.value, "since": one["time"]}
            found[str(one["version"])] = {"version": one["version"], "state": one["state"], "since": one["time"]}
        since = found.get(held.version, {}).get("since", held.issued)
        found[held.version] = {"version": held.version, "state": listing.state.value, "since": since}
        return sorted(found.values(), key=lambda row: key_of(str(row["version"])), reverse=True)

    def _steps(self, product: str) -> Sequence[Document]:
        try:
            steps = self._documents.get(KIND, product)["steps"]
        except NotFound:
            return []
        return list(steps)


def key_of(version: str) -> tuple[int, ...]:
    """Return what orders versions."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())
