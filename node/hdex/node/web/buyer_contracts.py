"""The buyer's pages about contracts: all of them, a new one, one with its way, clauses and delivery; queries."""

from dataclasses import dataclass
from typing import Any

from fastapi.responses import Response

from hdex.catalog.money import say
from hdex.catalog.price import Price
from hdex.catalog.product import Column, DeliveryMode
from hdex.catalog.purposes import purposes
from hdex.node.buyer_desk import BuyerDesk, Standing
from hdex.node.errors import NodeError, Problem, describe
from hdex.node.question import KINDS
from hdex.node.signed import digest
from hdex.node.web.buyer_bargain import view_of
from hdex.node.web.buyer_forms import question
from hdex.node.web.buyer_views import (
    DENIED,
    FINAL,
    OVER,
    TURN,
    US,
    USABLE,
    acts,
    agreed,
    answer_chart,
    answer_columns,
    contract_task,
    limits,
    other_clauses,
    short,
    state_of,
    steps,
    text_columns,
)
from hdex.node.web.desk_door import Visit
from hdex.node.web.desk_frame import HTTP_STATUS, page

LIVE_S = 5  # how often a page that is followed is loaded again: only where a person has asked for it
MOST_LOOKS = 120  # then it stops by itself: a browser that nobody sits before must lie idle and be signed out


@dataclass(frozen=True, slots=True)
class Shown:
    """One contract as a list shows it."""

    one: Standing
    state: str
    task: Any


class ContractPages:
    """Pages that change nothing; a query is one of them: what it costs is counted where it is answered."""

    def __init__(self, desk: BuyerDesk) -> None:
        self._desk = desk

    def all(self, visit: Visit) -> Response:
        """Return every contract that was asked for from here."""
        found = [Shown(one, state_of(one), contract_task(one)) for one in self._desk.contracts()]
        return page("buyer_contracts.html", visit, contracts=found, over=OVER)

    def new(self, visit: Visit) -> Response:
        """Return the form that asks for a contract about a product."""
        product, _ = self._desk.buyer.show(visit.path("product"))
        asked = dict(visit.request.query_params)
        plans = [product.price, *(product.plans or ())]
        return page("buyer_contract_new.html", visit, product=product, purposes=purposes(), asked=asked, plans=plans,
                    say=say, connector=self._connector(product.provider.id))  # fmt: skip

    def _connector(self, provider: str) -> str | None:
        """Return where a provider was last reached over the Dataspace Protocol; None where the desk does not listen."""
        return self._desk.bargains.address(provider) if self._desk.bargains is not None else None

    def one(self, visit: Visit) -> Response:
        """Return one contract; `?live=1` has the browser load it again every few seconds, for ten minutes."""
        found = self._desk.standing(visit.path("contract"))
        state, looks = state_of(found), looked(visit.request.query_params.get("live", ""))
        is_live = 0 < looks < MOST_LOOKS and state not in OVER
        answer = page(
            "buyer_contract.html",
            visit,
            one=found,
            record=found.record,
            state=state,
            steps=steps(found),
            limits=limits(found, self._desk.clock()),
            clauses=other_clauses(found),
            agreed=agreed(found),
            digest=digest(agreed(found)) if agreed(found) else "",
            is_ours=TURN.get(state) == US,
            is_over=state in OVER,
            is_final=state in FINAL,
            word=found.word,
            acts=acts(found),
            denied=DENIED,
            is_usable=state in USABLE,
            offer=view_of(self._desk, found),
            plans=self._plans(found),
            is_live=is_live,
            live_s=LIVE_S,
            mode=str(found.asked["delivery_mode"]),
            purposes=purposes(),
            say=say,
        )
        if is_live:
            answer.headers["refresh"] = f"{LIVE_S}; url={visit.request.url.path}?live={looks + 1}"
        return answer

    def query(self, visit: Visit) -> Response:
        """Return the form of an aggregate question under a contract."""
        found = self._desk.standing(visit.path("contract"))
        return self._query_page(visit, found, {"kind": "count"})

    def answer(self, visit: Visit) -> Response:
        """Return the answer as table and chart, with the form as it was filled in; or why there is none."""
        found = self._desk.standing(visit.path("contract"))
        try:
            asked = question(visit.form)
            told = self._desk.query(found.contract_id, asked)
        except NodeError as error:
            problem = describe(error)
            return self._query_page(visit, found, visit.form, problem=problem)
        return self._query_page(visit, found, visit.form, rows=told["rows"], left=told["left"], by=list(asked.by))

    def _query_page(
        self, visit: Visit, found: Standing, asked: Any, *, problem: Problem | None = None,
        rows: list[dict[str, Any]] | None = None, left: int | None = None, by: list[str] | None = None,
    ) -> Response:  # fmt: skip
        untold = visit.words.say("query.untold")
        return page(
            "buyer_query.html",
            visit,
            status=HTTP_STATUS.get(problem.status, 500) if problem else 200,
            one=found,
            asked=asked,
            kinds=KINDS,
            columns=self._columns(str(found.asked["product"])),
            problem=problem,
            rows=rows,
            left=found.queries_left if left is None else left,
            names=answer_columns(rows or []),
            texts=text_columns(rows or []),
            chart=answer_chart(rows or [], by or [], untold),
            short=short,
            is_mode=found.asked["delivery_mode"] == DeliveryMode.QUERY,
        )

    def _plans(self, found: Standing) -> list[Price]:
        """Return the plans of the product that an offer is about, for a counter; none where it is no longer shown."""
        if state_of(found) != "OFFERED":
            return []
        try:
            product = self._desk.buyer.show(str(found.asked["product"]))[0]
        except NodeError:
            return []
        return [product.price, *(product.plans or ())]

    def _columns(self, product: str) -> tuple[Column, ...]:
        """Return the product's columns, none where it is no longer shown: a contract outlives its listing."""
        try:
            return self._desk.buyer.show(product)[0].columns
        except NodeError:
            return ()


def looked(live: str) -> int:
    """Return how often a page was loaded since a person asked to follow it; 0 where nobody did."""
    return int(live) if live.isascii() and live.isdecimal() and len(live) < 5 else 0
