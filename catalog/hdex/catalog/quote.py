"""What an order would cost, line by line, in English and Chinese: reckoned from the manifest alone.

The unit price of a choice of columns is rounded once, each line once, half to even; so a quote for n units is what an
invoice over n units says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from hdex.catalog.errors import PriceInvalid
from hdex.catalog.money import rate_of, require_minor, rounded, say
from hdex.catalog.price import Price, PricePlan, chosen_columns, for_columns, whole_weight
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.terms import Text

MOST_UNITS = 10**9
THOUSAND = 1000
PLANS: Mapping[PricePlan, Text] = {
    PricePlan.ONE_OFF: Text("licence, one-off", "一次性许可"),
    PricePlan.PER_QUERY: Text("query", "查询"),
    PricePlan.PER_1000_ROWS: Text("1,000 rows", "千行数据"),
    PricePlan.SUBSCRIPTION: Text("month of subscription", "订阅月"),
    PricePlan.PER_ROUND: Text("training round", "训练轮次"),
}

SHARE_DELIVERY = Text(
    "read as a share, each day on which a version is read is one delivery of its rows, however often it is read",
    "以共享方式读取时，同一版本每个读取日计为一次交付，当日多次读取不重复计费",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a buyer takes: a plan that the product offers, and columns; none named means all of them."""

    plan: PricePlan | None = None  # absent: that of the product's first price
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How much of it. rows: of one delivery, absent: those of the product. months: of a subscription."""

    quantity: int = 1  # licences, queries, deliveries, subscriptions or rounds, as the plan says
    rows: int | None = None
    months: int = 1


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what it is for, how many units (a decimal text) of which price, and what they come to, minor units."""

    text: Text
    quantity: str
    unit_cents: int
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Quote:
    """Lines that sum to `subtotal_cents`; tax is on the subtotal. `why` explains what the columns did."""

    product: str
    version: str
    plan: PricePlan
    currency: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    subtotal_cents: int
    tax_cents: int
    total_cents: int
    why: tuple[Text, ...]


def quote(product: DataProduct, order: Order, amounts: Amounts) -> Quote:
    """Return what an order would cost. Raise PriceInvalid where it is not one that the product offers."""
    listed, names = listed_price(product, order.plan), tuple(column.name for column in product.columns)
    price = for_columns(listed, names, order.columns)
    lines = lines_of(price, units_of(price.plan, amounts, records=product.records))
    subtotal = sum(line.amount_cents for line in lines)
    tax = tax_on(price, subtotal)
    return Quote(
        product=product.id,
        version=product.version,
        plan=price.plan,
        currency=price.currency,
        columns=chosen_columns(listed, names, order.columns),
        lines=lines,
        subtotal_cents=subtotal,
        tax_cents=tax,
        total_cents=require_minor(subtotal + tax),
        why=(*explained(listed, price, names, order.columns), *of_shares(product, price)),
    )


def listed_price(product: DataProduct, plan: PricePlan | None) -> Price:
    """Return the product's price of a plan. Raise PriceInvalid naming the plans that it has."""
    offered = (product.price, *(product.plans or ()))
    for price in offered:
        if plan is None or price.plan == plan:
            return price
    raise PriceInvalid(f"plan {plan} is asked; offered: {', '.join(price.plan for price in offered)}")


def ordered_price(product: DataProduct, order: Order) -> Price:
    """Return the price that an agreement about this order states. Raise PriceInvalid."""
    names = tuple(column.name for column in product.columns)
    return for_columns(listed_price(product, order.plan), names, order.columns)


def units_of(plan: PricePlan, amounts: Amounts, *, records: int) -> Fraction:
    """Return how many units of a plan an order takes. Raise PriceInvalid for amounts below 1, or beyond 10^9."""
    rows = records if amounts.rows is None else amounts.rows
    if not 1 <= amounts.quantity <= MOST_UNITS or not 1 <= amounts.months <= MOST_UNITS or not 0 <= rows <= MOST_UNITS:
        raise PriceInvalid(f"quantity and months are 1 to {MOST_UNITS}, rows 0 to {MOST_UNITS}")
    if plan == PricePlan.PER_1000_ROWS:
        return Fraction(rows * amounts.quantity, THOUSAND)  # pro rata: no started thousand
    if plan == PricePlan.SUBSCRIPTION:
        return Fraction(amounts.months * amounts.quantity)
    return Fraction(amounts.quantity)


def lines_of(price: Price, units: Fraction) -> tuple[Line, ...]:
    """Return the line over so many units; none where there is nothing to pay."""
    if not units:
        return ()
    amount = rounded(units * price.amount_cents)
    return (Line(PLANS[price.plan], decimal_text(units), price.amount_cents, amount),)


def tax_on(price: Price, subtotal: int) -> int:
    """Return the tax on an amount, rounded half to even."""
    return rounded(rate_of(price.tax.rate) * subtotal) if price.tax is not None else 0


def decimal_text(units: Fraction) -> str:
    """Return units as an exact decimal text: their denominator is a divisor of 1,000."""
    return f"{(Decimal(units.numerator) / Decimal(units.denominator)).normalize():f}"


def of_shares(product: DataProduct, price: Price) -> tuple[Text, ...]:
    """Return in words what a delivery is where a product is read as a share and paid by its rows."""
    if DeliveryMode.DOWNLOAD not in product.delivery_modes or price.plan != PricePlan.PER_1000_ROWS:
        return ()
    return (SHARE_DELIVERY,)


def explained(listed: Price, price: Price, columns: tuple[str, ...], chosen: tuple[str, ...]) -> tuple[Text, ...]:
    """Return in words what the choice of columns did to the unit price."""
    taken = chosen_columns(listed, columns, chosen)
    said = [Text(f"{len(taken)} of {len(columns)} columns", f"{len(columns)} 个字段中的 {len(taken)} 个字段")]
    if listed.weights is not None and price.weights is None:
        part, whole = whole_weight(listed.weights, taken), whole_weight(listed.weights, columns)
        was, now = ([say(one.amount_cents, one.currency, lang) for lang in ("en", "zh")] for one in (listed, price))
        said.append(
            Text(f"they weigh {part} of {whole}: unit price {now[0]} instead of {was[0]}",
                 f"权重 {part}/{whole}：单价由 {was[1]} 变为 {now[1]}")
        )  # fmt: skip
        added = [name for name in taken if name not in chosen]
        if added:
            said.append(Text(f"always included: {', '.join(added)}", f"必含字段：{'、'.join(added)}"))
    elif chosen:
        said.append(Text("this price does not depend on the columns", "该价格与所选字段无关"))
    return tuple(said)
