"""How much of a product one contract may use: queries, rows, rounds, bytes, over the contract or in each month."""

from dataclasses import dataclass, fields
from enum import StrEnum

from hdex.catalog.errors import OutsideAgreement, ProductInvalid

MOST = 2**53 - 1


class QuotaPeriod(StrEnum):
    """Over which time uses are added up."""

    CONTRACT = "contract"
    MONTH = "month"  # of the calendar, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The most that may be used in one period; what is absent is not bounded here."""

    queries: int | None = None
    rows: int | None = None
    rounds: int | None = None
    bytes: int | None = None
    period: QuotaPeriod = QuotaPeriod.CONTRACT


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What was used, or what one access would use."""

    queries: int = 0
    rows: int = 0
    rounds: int = 0
    bytes: int = 0


COUNTS = tuple(field.name for field in fields(Used))


def check_quota(quota: Quota) -> None:
    """Raise ProductInvalid for a bound that is none."""
    bounds = [getattr(quota, name) for name in COUNTS]
    if all(bound is None for bound in bounds) or any(bound is not None and not 0 <= bound <= MOST for bound in bounds):
        raise ProductInvalid(f"quota: bounds from 0 are asked, for one or more of {', '.join(COUNTS)}")


def require_quota(quota: Quota, used: Used, asked: Used) -> None:
    """Raise OutsideAgreement with rule `quota.<count>` where an access would pass a bound."""
    for name in COUNTS:
        bound, had, more = getattr(quota, name), getattr(used, name), getattr(asked, name)
        if bound is None or not more or had + more <= bound:
            continue
        monthly = quota.period == QuotaPeriod.MONTH
        raise OutsideAgreement(
            f"{more} {name} are asked, {max(0, bound - had)} of the {bound} agreed "
            f"{'for this month' if monthly else 'for the contract'} are left",
            rule=f"quota.{name}",
            next_step=f"{'wait for the next month, or ' if monthly else ''}ask for a contract with more {name}",
        )
