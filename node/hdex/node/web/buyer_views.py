"""What the buyer's pages show, as plain values: what waits and for whom, a contract's way, what is left of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from hdex.catalog.web.charts import BarChart, bar_chart
from hdex.node.buyer_desk import Asked, Standing
from hdex.node.contract_word import Used, Word
from hdex.node.web.words import count

US, PROVIDER = "us", "provider"
TURN = {"REQUESTED": PROVIDER, "OFFERED": US, "ACCEPTED": PROVIDER, "AGREED": US, "VERIFIED": PROVIDER}
BARGAINED = ("OFFERED", "ACCEPTED")  # between request and agreement, where there was bargaining
WAY = ("REQUESTED", "AGREED", "VERIFIED", "FINALIZED")
COUNTED = {  # clauses that the provider counts down -> the limit's name
    "queries": "questions",
    "enclave_runs": "enclave_runs",
    "epsilon": "epsilon",
    "max_queries": "queries",
    "max_rows": "rows",
    "max_bytes": "bytes",
}
QUOTAS = ("queries", "rows", "rounds", "bytes")
ENDED = ("REVOKED", "EXPIRED", "COMPLETED", "OBLIGATIONS_OPEN", "CLOSED")  # states of a life that is over
OVER = ("TERMINATED", *ENDED)
FINAL = ("TERMINATED", "CLOSED")  # states that nothing follows
USABLE = ("FINALIZED", "ACTIVE")
WITHDRAWABLE = ("REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED")
DENIED = ("TERMINATED", "SUSPENDED", "REVOKED", "EXPIRED", "OBLIGATIONS_OPEN")  # steps that a page marks
MOST_BARS = 24
MEASURES = ("value", "mean", "sum", "n")  # of an answer's row, the one that a chart shows first
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that waits: what (a key of the words), for whom, where it is done, by when (RFC 3339, or empty).

    who: "us", or the id of another participant; role: whose turn it is there, empty where it has one answer for all.
    """

    key: str
    who: str
    path: str
    values: Mapping[str, str] = field(default_factory=dict)
    role: str = ""
    due: str = ""
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a contract's way. source: how the time is known, a key of the words: "signed" (a signed paper says
    it), "told" (the provider's own word, with who and why) or "seen" (first seen from here then).
    """

    key: str
    time: str = ""
    source: str = "seen"
    is_reached: bool = False
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """One clause that is counted: what was agreed, what is used and left of it as far as it is known here.

    share: used, in whole per cent; None where the provider has not told.
    """

    key: str
    agreed: str
    left: str = ""
    used: str = ""
    share: int | None = None


def waiting(vettings: Sequence[Document], requests: Iterable[Asked], contracts: Iterable[Standing]) -> list[Waiting]:
    """Return everything that waits, ours first, and of each what is due soonest."""
    standings = list(contracts)
    found = [one for one in [vetting_task(vettings)] if one]
    found += [task for one in requests if (task := request_task(one)) and not is_used(one, standings)]
    found += [task for one in standings if (task := contract_task(one))]
    return sorted(found, key=lambda one: (one.who != US, one.due or "9"))


def vetting_task(vettings: Sequence[Document]) -> Waiting | None:
    """Return what is to be done about the vetting; None while one is in force and no other waits."""
    newest = vettings[0] if vettings else None
    if newest is None:
        return Waiting("vetting_none", US, "/vetting")
    if newest["next"]:
        return Waiting("vetting_waits", "office", "/vetting", role=str(newest["next"]))
    is_valid = any(one["state"] == "VALID" for one in vettings)
    return None if is_valid else Waiting("vetting_again", US, "/vetting", {"state": str(newest["state"])})


def request_task(asked: Asked) -> Waiting | None:
    """Return whose turn it is in an access request; None where it has ended or nobody could be asked."""
    state = str(asked.status.get("state", ""))
    said = {"name": asked.name, "title": str(asked.form.get("title", "")) or asked.name}
    due, late = str(asked.status.get("due", "")), bool(asked.status.get("overdue", False))
    path = request_path(asked.name)
    if state in ("DRAFT", "RETURNED", "APPROVED"):
        return Waiting(f"request_{state.lower()}", US, path, said, due=due, is_late=late)
    if not asked.status.get("next"):
        return None
    provider = str(asked.form.get("provider", ""))
    return Waiting("request_waits", provider, path, said, str(asked.status["next"]), due, late)


def is_used(asked: Asked, contracts: Iterable[Standing]) -> bool:
    """Return whether a contract that has not ended stands on an approved request, or was asked for the same."""
    if asked.status.get("state") != "APPROVED":
        return False
    same = tuple(str(asked.form.get(name, "")) for name in ("product", "version", "delivery_mode"))
    return any(
        state_of(one) not in OVER
        and tuple(str(one.asked.get(name, "")) for name in ("product", "version", "delivery_mode")) == same
        for one in contracts
    )


def contract_task(one: Standing) -> Waiting | None:
    """Return whose turn it is in a contract; None where it has ended or nothing is to be done."""
    if one.record is None:
        return None
    said, state = {"product": str(one.asked.get("product", ""))}, state_of(one)
    path, provider = contract_path(one.contract_id), str(one.asked.get("provider", ""))
    if state == "OBLIGATIONS_OPEN" and one.word is not None:
        return Waiting("contract_attest", US, path, said, due=one.word.due, is_late=one.word.overdue)
    if state == "SUSPENDED":
        return Waiting("contract_suspended", provider, path, said)
    if TURN.get(state) == US:
        return Waiting("contract_answer" if state == "OFFERED" else "contract_sign", US, path, said)
    if TURN.get(state) == PROVIDER:
        return Waiting("contract_waits", provider, path, said)
    is_file = one.asked.get("delivery_mode") == "sealed_file" and not one.arrived.is_whole
    if state in USABLE and is_file:
        return Waiting("contract_fetch", US, path, said, due=ends(one))
    return None


def acts(one: Standing) -> list[str]:
    """Return what a person may do about a contract as it stands; whoever is asked has the last word."""
    if one.record is None:
        return []
    if one.record.state in WITHDRAWABLE:
        return ["withdraw"]
    life = one.word.life.value if one.word else ""
    renewable = ["renew"] if life == "ACTIVE" else []
    return [*renewable, *(["attest"] if life in ("ACTIVE", "SUSPENDED", "OBLIGATIONS_OPEN") else [])]


def ends(one: Standing) -> str:
    """Return when a contract ends, empty before it is agreed."""
    return str(agreed(one).get("expires", ""))


def agreed(one: Standing) -> Document:
    """Return the agreement's document, empty before there is one."""
    found: Document = one.record.agreement["document"] if one.record and one.record.agreement else {}
    return found


def state_of(one: Standing) -> str:
    """Return a contract's state as a page names it: in its own life where the provider has told it."""
    return one.word.life.value if one.word else negotiated(one)


def negotiated(one: Standing) -> str:
    """Return a contract's state as the exchange knows it."""
    if one.record is None:
        return "UNKNOWN"
    return "REVOKED" if one.record.revoked else str(one.record.state)


def steps(one: Standing) -> list[Step]:
    """Return a contract's way: what signed papers say of times, when this desk first saw the others, and its life."""
    state = negotiated(one)
    over = state in OVER
    reached = WAY.index(state) if state in WAY else len(WAY) - 1 if one.record and one.record.grant_id else 0
    signed = {"REQUESTED": str(one.asked.get("access", {}).get("at", "")), "AGREED": str(agreed(one).get("issued", ""))}
    found = []
    for place, name in enumerate(WAY):
        is_reached = place <= reached or bool(signed.get(name)) or name in one.seen
        if over and not is_reached:
            continue
        source = "signed" if signed.get(name) else "seen"
        found.append(Step(name, signed.get(name) or first_seen(one, name), source, is_reached))
        if name == "REQUESTED":
            found += [Step(said, one.seen[said], is_reached=True) for said in BARGAINED if said in one.seen]
    return [*found, *later_steps(one, state)]


def later_steps(one: Standing, state: str) -> list[Step]:
    """Return what came after a contract was final, or ended it before; in the order of time where one is known."""
    found = list[Step]()
    if one.arrived.is_whole:
        source = "signed" if one.arrived.receipt else "seen"
        found.append(Step("RECEIVED", one.arrived.receipt, source, is_reached=True))
    if one.word is not None:
        life = [
            Step(step.to, step.at, "told", is_reached=True, by=step.by, reason=step.reason) for step in one.word.steps
        ]
        return sorted([*found, *life], key=lambda step: step.time)
    return [*found, Step(state, one.seen.get(state, ""), is_reached=True)] if state in OVER else found


def first_seen(one: Standing, name: str) -> str:
    """Return when it was first seen from here that a contract had come so far; a later state tells it too."""
    return min((one.seen[later] for later in WAY[WAY.index(name) :] if later in one.seen), default="")


def limits(one: Standing, now: datetime) -> list[Limit]:
    """Return every clause that is counted, with what is left where this desk knows it."""
    paper = agreed(one)
    return list(_limits(one, paper, now)) if paper else []


def _limits(one: Standing, paper: Document, now: datetime) -> Iterator[Limit]:
    left = datetime.fromisoformat(str(paper["expires"])) - now
    days = 0 if state_of(one) in ENDED else max(0, -(-left // timedelta(days=1)))
    yield Limit("until", str(paper["expires"])[:10], str(days))
    yield from (_told(one.word) if one.word else _known(one, paper))
    if one.word and one.word.quota:
        yield from map(told_limit, one.word.quota)
        return
    quota = paper.get("quota") or {}
    for name in QUOTAS:
        if quota.get(name) is not None:
            yield Limit(f"quota_{name}_{quota.get('period', 'contract')}", count(quota[name]))


def _told(word: Word) -> Iterator[Limit]:
    """Yield every limit as the provider counts it, but for what is neither agreed nor used."""
    for used in word.limits:
        if used.agreed or used.used:
            yield told_limit(used)


def told_limit(used: Used) -> Limit:
    """Return a limit as the provider counts it."""
    return Limit(used.name, amount(used.agreed), amount(used.left), amount(used.used), used.share)


def _known(one: Standing, paper: Document) -> Iterator[Limit]:
    """Yield what this desk knows of the clauses that a provider counts."""
    if "sealed_file" in paper["delivery_modes"]:
        most = int(paper["max_deliveries"])
        yield Limit("deliveries", count(most), count(max(0, most - one.arrived.is_whole)))
    if paper["max_rounds"]:
        yield Limit("rounds", count(paper["max_rounds"]))
    clauses = paper.get("clauses", {})
    for name, limit in COUNTED.items():
        if name in clauses:
            known = one.queries_left if name == "queries" else None
            yield Limit(limit, short(clauses[name]), "" if known is None else count(known))


def amount(number: float) -> str:
    """Return a count with its thousands apart, a fraction with the digits that matter."""
    return count(int(number)) if number == int(number) else f"{number:,.4g}"


def other_clauses(one: Standing) -> list[tuple[str, str]]:
    """Return the clauses that are not counted, as they are agreed."""
    found = agreed(one).get("clauses", {})
    return [(name, str(value)) for name, value in found.items() if name not in COUNTED]


def answer_columns(rows: Sequence[Document]) -> list[str]:
    """Return the columns of an answer, in the order in which its rows name them."""
    return list(dict.fromkeys(name for row in rows for name in row))


def text_columns(rows: Sequence[Document]) -> set[str]:
    """Return the columns of an answer that hold a text, those that a table does not set to the right."""
    return {name for row in rows for name, value in row.items() if isinstance(value, str | bool)}


def answer_chart(rows: Sequence[Document], by: Sequence[str], untold: str) -> BarChart | None:
    """Return an answer's first measure as bars, where there are several cells, each measure is 0 or more, and few."""
    measure = next((name for name in (*MEASURES, *answer_columns(rows)) if is_measure(rows, name, by)), "")
    if not measure or not 1 < len(rows) <= MOST_BARS:
        return None
    levels = by or ("from", "to")
    items = []
    for row in rows:
        label = " · ".join(short(row.get(name)) for name in levels if name in row)
        value = row.get(measure)
        items.append((label, float(value or 0), untold if value is None else short(value), "plain"))
    return bar_chart(items)


def is_measure(rows: Sequence[Document], name: str, by: Sequence[str]) -> bool:
    """Return whether a column of an answer can be drawn from 0."""
    values = [row.get(name) for row in rows]
    numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    fits = len(numbers) + values.count(None) == len(values) and all(one >= 0 for one in numbers)
    return bool(numbers) and fits and name not in by and name not in ("from", "to")


def short(value: object) -> str:
    """Return a cell of an answer as it is shown."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return count(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)[:60]


def request_path(name: str) -> str:
    """Return the address of an access request, below a language's root."""
    return f"/requests/{quote(name, safe='')}"


def contract_path(contract_id: str) -> str:
    """Return the address of a contract."""
    return f"/contracts/{quote(contract_id, safe='')}"


def product_path(product: str) -> str:
    """Return the address of a product."""
    return f"/products/{quote(product, safe='')}"
