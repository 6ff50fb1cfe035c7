"""What the desk's pages show, as plain values: figures of a report, products with their orders, searched accesses."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from hdex.node.web.auditor_views import LONGEST, day
from hdex.node.web.words import share

PER_PAGE = 50
LONGEST_INDEX = 16  # digits
FIELDS = ("product", "consumer", "purpose", "decision")
DECISIONS = ("allow", "deny")
ORDERS = {"suspend": "suspend", "resume": "resume", "withdraw": "revoke"}  # the page's word -> the lifecycle's arrow
CSV_COLUMNS = (
    *("year", "index", "time", "product", "version", "consumer", "purpose", "action", "decision", "reason"),
    *("state", "contract", "role", "rows", "epsilon"),
)
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AccessSearch:
    """A search as its address states it; what makes no sense in it is left out and said."""

    values: tuple[tuple[str, str], ...] = ()
    since: str = ""  # days
    until: str = ""
    before: int = 0  # the page begins below this entry of the log; 0: at the newest
    is_odd: bool = False

    @classmethod
    def read(cls, asked: Mapping[str, str]) -> "AccessSearch":
        """Return the search of a query string, which a stranger may have written."""
        given = {name: asked.get(name, "").strip() for name in FIELDS}
        kept = {name: text for name, text in given.items() if text and is_known(name, text)}
        (since, odd_since), (until, odd_until) = day(asked.get("since", "")), day(asked.get("until", ""))
        entry = asked.get("before", "0")
        is_number = entry.isascii() and entry.isdecimal() and len(entry) < LONGEST_INDEX
        return cls(
            tuple(kept.items()),
            f"{since:%Y-%m-%d}" if since else "",
            f"{until:%Y-%m-%d}" if until else "",
            int(entry) if is_number else 0,
            odd_since or odd_until or not is_number or len(kept) < sum(map(bool, given.values())),
        )

    @property
    def is_asked(self) -> bool:
        """Return whether anything narrows the search: a page without an answer then says another thing."""
        return bool(self.values or self.since or self.until or self.before or self.is_odd)

    def question(self) -> dict[str, str]:
        """Return what the node is asked; a last day is meant whole."""
        asked = dict(self.values)
        if self.since:
            asked["since"] = f"{self.since}T00:00:00.000Z"
        if self.until:
            after = datetime.strptime(self.until, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
            asked["until"] = f"{after:%Y-%m-%d}T00:00:00.000Z"
        return asked

    def address(self, *, before: int = 0) -> str:
        """Return the query string of this search, or of the page of it that begins below an entry."""
        days = {name: text for name, text in (("since", self.since), ("until", self.until)) if text}
        held: dict[str, Any] = dict(self.values) | days
        return urlencode({**held, "before": before} if before else held)


def is_known(name: str, text: str) -> bool:
    """Return whether a field of a search can be asked for."""
    return len(text) <= LONGEST and (name != "decision" or text in DECISIONS)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a report: a key of the words, its value, and what stands small below it."""

    key: str
    value: str
    note: str = ""
    values: tuple[tuple[str, str], ...] = ()


def figures(report: Document) -> list[Figure]:
    """Return the figures of a version's report that a person looks at first."""
    suppressed = {"before": f"{report['rows_before']:,}", "suppressed": f"{report['suppressed']:,}"}
    found = [Figure("rows", f"{report['rows_after']:,}", "rows_from", tuple(suppressed.items()))]
    before, after = report["risk_before"], report["risk_after"]
    if after is not None:
        found += [
            Figure("k", f"{after['k']:,}", "was", (("value", f"{before['k']:,}"),)),
            Figure("max_risk", share(after["prosecutor_max"]), "was", (("value", share(before["prosecutor_max"])),)),
            Figure(
                "average_risk", share(after["prosecutor_avg"]), "was", (("value", share(before["prosecutor_avg"])),)
            ),
        ]
    tried, left = report["attack_before"], report["attack_after"]
    if tried and left:
        rates = (("before", share(tried["rate"])), ("chance", share(left["by_chance"])))
        found.append(Figure("attack", share(left["rate"]), "by_chance", rates))
    return [*found, Figure("residue", f"{report['residue']:,}"), Figure("loss", share(report["loss"]))]


def is_met(report: Document) -> bool:
    """Return whether every ceiling of the preset holds."""
    return all(bool(ceiling["is_met"]) for ceiling in report["ceilings"])


def told(value: object) -> str:
    """Return a measured or asked value as a table shows it."""
    if isinstance(value, bool) or value is None:
        return {True: "✓", False: "✗", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def orders_of(product: Document) -> list[str]:
    """Return the orders that a version's state allows a person to give."""
    return [order for order, arrow in ORDERS.items() if arrow in product["arrows"]]
