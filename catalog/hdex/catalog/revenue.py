"""Who gets what of an amount: a platform's fee first, the rest among hospitals by fixed shares, rows or Shapley values.

Every split is exact: whole minor units that sum to the amount, the same on every machine.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from hdex.catalog.errors import PriceInvalid
from hdex.catalog.money import apportion, rounded

WHOLE = 10_000  # basis points
_PARTY = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}", re.ASCII)


class SplitRule(StrEnum):
    """By what hospitals share."""

    FIXED = "fixed"  # the shares that the rule names
    ROWS = "rows"  # the rows that each brought
    SHAPLEY = "shapley"  # the Shapley values of the study's coalition scores; a value below 0 counts as 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Revenue:
    """How the money for a product is split. fee_basis_points: hundredths of a per cent for the platform.

    shares: hospital -> weight, of the rule `fixed`. Without them all stays with the provider.
    """

    rule: SplitRule = SplitRule.FIXED
    fee_basis_points: int = 0
    platform: str | None = None
    shares: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """An amount in its parts: fee + sum of the parts = amount."""

    amount: int
    fee: int
    platform: str
    parts: Mapping[str, int]


def check_revenue(revenue: Revenue) -> None:
    """Raise PriceInvalid for a rule that cannot be carried out."""
    _require(0 <= revenue.fee_basis_points <= WHOLE, f"revenue.fee_basis_points is 0 to {WHOLE}")
    _require(revenue.fee_basis_points == 0 or bool(revenue.platform), "revenue: a fee names the platform it goes to")
    named = (*(revenue.shares or {}), *([revenue.platform] if revenue.platform else []))
    _require(all(_PARTY.fullmatch(name) for name in named), "revenue names a party that is no participant's id")
    if revenue.shares is not None:
        _require(revenue.rule == SplitRule.FIXED, "revenue.shares belong to the rule fixed")
        _require(revenue.platform not in revenue.shares, "revenue: the platform has its fee and no share beside it")
        _require(all(0 <= share <= 2**53 - 1 for share in revenue.shares.values()) and any(revenue.shares.values()),
                 "revenue.shares are weights from 0, one of them above 0")  # fmt: skip


def split_revenue(amount: int, revenue: Revenue, weights: Mapping[str, int | float]) -> Split:
    """Return the parts of an amount in minor units, from 0.

    weights: hospital -> share, rows or Shapley value, as the rule says; a weight that is no finite number is refused.
    """
    check_revenue(revenue)
    if not all(math.isfinite(weight) for weight in weights.values()):
        raise PriceInvalid("a weight of the split is not a finite number")
    fee = rounded(Fraction(amount * revenue.fee_basis_points, WHOLE))
    exact = {name: max(Fraction(0), Fraction(weight)) for name, weight in weights.items()}
    return Split(amount, fee, revenue.platform or "", apportion(amount - fee, exact))


@dataclass(frozen=True, slots=True)
class Transfer:
    """What one hospital, or the platform, is to get from another."""

    payer: str
    payee: str
    amount: int


@dataclass(frozen=True, slots=True)
class Pool:
    """What hospitals earned together, split anew, and the transfers that make it so."""

    earned: Mapping[str, int]
    split: Split
    transfers: tuple[Transfer, ...]


def pool(earned: Mapping[str, int], revenue: Revenue, weights: Mapping[str, int | float]) -> Pool:
    """Return how hospitals that each billed their part share the whole, and who pays whom.

    earned: hospital -> minor units it billed, from 0. weights as in `split_revenue`, of these hospitals or of more.
    Raise PriceInvalid where a hospital that earned has no weight, not even 0.
    """
    if any(amount < 0 for amount in earned.values()):
        raise PriceInvalid("what a hospital earned is below 0")
    if without := sorted(earned.keys() - weights.keys()):
        raise PriceInvalid(f"{', '.join(without)} earned and has no weight in the split")
    split = split_revenue(sum(earned.values()), revenue, weights)
    due = dict(split.parts) | ({split.platform: split.fee} if split.fee else {})
    return Pool(dict(sorted(earned.items())), split, cleared(earned, due))


def cleared(held: Mapping[str, int], due: Mapping[str, int]) -> tuple[Transfer, ...]:
    """Return transfers after which everybody holds what is due; both sum to the same. Payers and payees by name."""
    over = {name: held.get(name, 0) - due.get(name, 0) for name in sorted({*held, *due})}
    wanting = {name: -left for name, left in over.items() if left < 0}
    found: list[Transfer] = []
    for payer, spare in over.items():
        for payee, wanted in wanting.items():
            given = sum(one.amount for one in found if one.payer == payer)
            got = sum(one.amount for one in found if one.payee == payee)
            amount = min(spare - given, wanted - got)
            if amount > 0:
                found.append(Transfer(payer, payee, amount))
    return tuple(found)


def own_split(amount: int, revenue: Revenue | None, provider: str) -> Split:
    """Return the split of what one provider earned: by the fixed shares that its product names, else all is its own.

    Rows and Shapley values are known only when a study has ended: until then the provider holds the amount.
    """
    rule = revenue or Revenue()
    return split_revenue(amount, rule, dict(rule.shares or {provider: 1}))


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise PriceInvalid(problem)
