"""The price as a page shows it: every plan, what columns weigh, and what a choice of them would cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from hdex.catalog.errors import PriceInvalid
from hdex.catalog.money import rate_of, say
from hdex.catalog.price import Price, PricePlan, Weights
from hdex.catalog.product import DataProduct
from hdex.catalog.quota import COUNTS, QuotaPeriod
from hdex.catalog.quote import PLANS, Amounts, Order, Quote, listed_price, quote
from hdex.catalog.web.formats import count, share
from hdex.catalog.web.labels import speaker, word

MOST_QUANTITY = 1_000_000
LONGEST_NUMBER = 7
MOST_COLUMNS = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form asks: a plan, columns, how many units. `is_asked` is false where it was not sent."""

    plan: str = ""
    columns: tuple[str, ...] = ()
    quantity: int = 1
    is_asked: bool = False

    @classmethod
    def read(cls, pairs: Sequence[tuple[str, str]]) -> "Asked":
        """Return what a URL's query names. What cannot be is dropped, never an error."""
        values = dict(pairs)
        columns = tuple(value for name, value in pairs if name == "columns")[:MOST_COLUMNS]
        number = values.get("quantity", "")
        is_number = number.isascii() and number.isdigit() and len(number) <= LONGEST_NUMBER
        quantity = min(max(int(number), 1), MOST_QUANTITY) if is_number else 1
        return cls(values.get("plan", ""), columns, quantity, "plan" in values or bool(columns))


@dataclass(frozen=True, slots=True)
class PlanShown:
    """One price of the product in words."""

    plan: str
    name: str
    amount: str
    facts: tuple[tuple[str, str], ...]
    chosen: bool


@dataclass(frozen=True, slots=True)
class ColumnShown:
    """One column of the form. `weight` is None where no price depends on columns."""

    name: str
    title: str
    weight: int | None
    mandatory: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class LineShown:
    """One line of a quote."""

    text: str
    quantity: str
    unit: str
    amount: str


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A quote in words."""

    lines: tuple[LineShown, ...]
    subtotal: str
    tax: str  # "" where none is added
    total: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PriceShown:
    """The whole section. `base` is what is paid for whichever columns are taken, in weights."""

    plans: tuple[PlanShown, ...]
    columns: tuple[ColumnShown, ...]
    weighed: bool
    base: int
    asked: Asked
    unit: str
    reckoned: Reckoned | None
    problem: str
    limits: tuple[tuple[str, str], ...]


def priced(product: DataProduct, asked: Asked, lang: str) -> PriceShown:
    """Return the section for what the form asks; an order that the product does not offer is told as a problem."""
    offered = (product.price, *(product.plans or ()))
    plan = next((price.plan for price in offered if price.plan.value == asked.plan), product.price.plan)
    listed = listed_price(product, plan)
    reckoned, problem = None, ""
    if asked.is_asked:
        try:
            reckoned = in_words(quote(product, Order(plan=plan, columns=asked.columns), amounts(plan, asked)), lang)
        except PriceInvalid as refused:
            problem = str(refused)
    return PriceShown(
        plans=tuple(plan_shown(price, lang, chosen=price.plan == plan) for price in offered),
        columns=columns_shown(product, listed.weights, asked, lang),
        weighed=listed.weights is not None,
        base=listed.weights.base if listed.weights else 0,
        asked=asked,
        unit=PLANS[plan].say(lang),
        reckoned=reckoned,
        problem=problem,
        limits=limits(product, lang),
    )


def amounts(plan: PricePlan, asked: Asked) -> Amounts:
    """Return how much is asked of a plan: months of a subscription, else so many units."""
    if plan == PricePlan.SUBSCRIPTION:
        return Amounts(months=asked.quantity)
    return Amounts(quantity=asked.quantity)


def plan_shown(price: Price, lang: str, *, chosen: bool) -> PlanShown:
    """Return one price with the ground it stands on."""
    t = speaker(lang)
    facts = [(t("price.basis"), word("basis", price.basis.value, lang))]
    if price.ceiling_cents is not None:
        facts.append((t("price.ceiling"), say(price.ceiling_cents, price.currency, lang)))
    if price.document:
        facts.append((t("price.document"), price.document))
    for cost in price.cost_sheet or ():
        facts.append((f"{t('price.cost')} {cost.item.say(lang)}", say(cost.amount_cents, price.currency, lang)))
    if price.tax is not None:
        facts.append((price.tax.name.say(lang), share(float(rate_of(price.tax.rate)))))
    amount = t("card.free") if price.amount_cents == 0 else say(price.amount_cents, price.currency, lang)
    return PlanShown(price.plan.value, word("plan", price.plan.value, lang), amount, tuple(facts), chosen)


def columns_shown(product: DataProduct, weights: Weights | None, asked: Asked, lang: str) -> tuple[ColumnShown, ...]:
    """Return every column with its weight, ticked where it is taken."""
    named = (weights.columns or {}) if weights else {}
    mandatory = weights.mandatory if weights else ()
    return tuple(
        ColumnShown(
            column.name,
            column.title.say(lang),
            named.get(column.name, 1) if weights else None,
            column.name in mandatory,
            not asked.columns or column.name in asked.columns or column.name in mandatory,
        )
        for column in product.columns
    )


def in_words(made: Quote, lang: str) -> Reckoned:
    """Return a quote as a reader of `lang` sees it."""

    def money(cents: int) -> str:
        return say(cents, made.currency, lang)

    lines = tuple(
        LineShown(line.text.say(lang), line.quantity, money(line.unit_cents), money(line.amount_cents))
        for line in made.lines
    )
    tax = money(made.tax_cents) if made.tax_cents else ""
    why = tuple(text.say(lang) for text in made.why)
    return Reckoned(lines, money(made.subtotal_cents), tax, money(made.total_cents), why)


def limits(product: DataProduct, lang: str) -> tuple[tuple[str, str], ...]:
    """Return what one contract may use at most, and what notice the provider gives."""
    t, found = speaker(lang), []
    if product.quota is not None:
        period = t("price.a_month" if product.quota.period == QuotaPeriod.MONTH else "price.a_contract")
        held = ((name, getattr(product.quota, name)) for name in COUNTS)
        found += [(word("quota", name, lang), f"{count(most)} {period}") for name, most in held if most is not None]
    if product.max_deliveries is not None:
        found.append((t("price.max_deliveries"), count(product.max_deliveries)))
    if product.max_licences is not None:
        found.append((t("price.max_licences"), count(product.max_licences)))
    if product.notice is not None:
        found.append((t("price.listing_days"), f"{product.notice.listing_days} {t('price.days')}"))
        found.append((t("price.supersession_days"), f"{product.notice.supersession_days} {t('price.days')}"))
    return tuple(found)
