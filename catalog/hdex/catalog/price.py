"""What a product costs: the ground a price stands on, the plan it is for, and what it counts columns as.

A price is whole minor units of its currency (`amount_cents`: fen, cents; of a currency without decimals its units).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction

from hdex.catalog.errors import PriceInvalid
from hdex.catalog.metadata import PublisherFacts, PublisherType
from hdex.catalog.money import minor_digits, rate_of, require_minor, rounded
from hdex.catalog.terms import Text

HEAVIEST = 1_000_000  # weight of one column
SHOWN = 5  # wrong columns that a refusal names
LONGEST = 200  # characters of a document's number, or of a line of a cost sheet


class PriceBasis(StrEnum):
    """On which ground a price stands."""

    FREE = "free"
    COST_BASED = "cost_based"
    GOVERNMENT_GUIDED = "government_guided"
    MARKET = "market"


class PricePlan(StrEnum):
    """What one payment is for."""

    ONE_OFF = "one_off"
    PER_QUERY = "per_query"
    PER_1000_ROWS = "per_1000_rows"
    SUBSCRIPTION = "subscription"  # a month of the licence
    PER_ROUND = "per_round"


@dataclass(frozen=True, slots=True)
class Cost:
    """One line of a cost sheet: what one unit of the plan costs the provider."""

    item: Text
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax that is added, by its name; rate is a decimal text, 0.06 for 6 %."""

    name: Text
    rate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What the parts of a product weigh in its price. A column that is not named weighs 1.

    base: what is paid for whichever columns are taken; mandatory: columns that cannot be dropped.
    """

    base: int = 0
    columns: Mapping[str, int] | None = None
    mandatory: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What it costs, in the smallest unit of its currency; `document` allows the price where one must."""

    basis: PriceBasis
    amount_cents: int
    currency: str
    plan: PricePlan
    ceiling_cents: int | None = None  # of a government-guided price
    document: str | None = None
    cost_sheet: tuple[Cost, ...] | None = None  # of a cost-based price
    tax: Tax | None = None
    weights: Weights | None = None  # absent: fewer columns cost the same


def check_price(price: Price, publisher: PublisherFacts | None, columns: tuple[str, ...]) -> None:
    """Raise PriceInvalid where a price breaks the rule of its basis; `columns` are those of the product."""
    minor_digits(price.currency)
    require_minor(price.amount_cents)
    _require(price.amount_cents >= 0, "price.amount_cents is below 0")
    _require((price.basis == PriceBasis.FREE) == (price.amount_cents == 0), "price: free and 0 go together")
    _require(len(price.document or "") <= LONGEST, f"price.document has {LONGEST} characters at most")
    if price.basis == PriceBasis.COST_BASED:
        _check_costs(price)
    if price.basis == PriceBasis.GOVERNMENT_GUIDED:
        within = price.ceiling_cents is not None and price.amount_cents <= price.ceiling_cents
        _require(within and bool(price.document), "price: a guided price names its document and keeps to its ceiling")
    if publisher is not None and publisher.type == PublisherType.PUBLIC_HOSPITAL and price.basis == PriceBasis.MARKET:
        _require(bool(price.document), "price: a public hospital names the document that allows market prices")
    if price.tax is not None:
        rate_of(price.tax.rate)
    if price.weights is not None:
        _check_weights(price.weights, columns)


def whole_weight(weights: Weights, columns: tuple[str, ...]) -> int:
    """Return what base and all these columns weigh together."""
    named = weights.columns or {}
    return weights.base + sum(named.get(column, 1) for column in columns)


def for_columns(price: Price, columns: tuple[str, ...], chosen: tuple[str, ...]) -> Price:
    """Return the price of a choice of columns: its unit price, rounded half to even; no choice is the whole.

    Raise PriceInvalid for a column that the product does not have. Mandatory columns are in it, named or not.
    """
    if not chosen:
        return price
    if beyond := set(chosen) - set(columns):
        asked = ", ".join(sorted(repr(name[:40]) for name in beyond)[:SHOWN])  # the asker's own words
        raise PriceInvalid(f"{asked}: not among the {len(columns)} columns of the product")
    if price.weights is None:
        return price
    taken = chosen_columns(price, columns, chosen)
    share = Fraction(whole_weight(price.weights, taken), whole_weight(price.weights, columns))
    return replace(price, amount_cents=rounded(share * price.amount_cents), weights=None)


def chosen_columns(price: Price, columns: tuple[str, ...], chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of a choice in the product's order, the mandatory ones included; no choice is all."""
    if not chosen:
        return columns
    mandatory = price.weights.mandatory if price.weights is not None else ()
    return tuple(column for column in columns if column in chosen or column in mandatory)


def _check_costs(price: Price) -> None:
    sheet = price.cost_sheet or ()
    _require(bool(sheet), "price: a cost-based price names its costs (cost_sheet)")
    for cost in sheet:
        _require(require_minor(cost.amount_cents) >= 0, "price.cost_sheet: a cost is below 0")
        _require(all(0 < len(words) <= LONGEST for words in (cost.item.en, cost.item.zh)),
                 f"price.cost_sheet: an item has 1 to {LONGEST} characters in English and Chinese")  # fmt: skip
    costs = sum(cost.amount_cents for cost in sheet)
    _require(price.amount_cents <= costs, f"price: {price.amount_cents} is asked, the cost sheet says {costs}")


def _check_weights(weights: Weights, columns: tuple[str, ...]) -> None:
    held = (weights.base, *(weights.columns or {}).values())
    _require(all(0 <= weight <= HEAVIEST for weight in held), f"price.weights: a weight is 0 to {HEAVIEST}")
    named = {*(weights.columns or {}), *weights.mandatory}
    _require(named <= set(columns), "price.weights names a column that the product does not have")
    _require(whole_weight(weights, columns) > 0, "price.weights: nothing weighs anything")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise PriceInvalid(problem)
