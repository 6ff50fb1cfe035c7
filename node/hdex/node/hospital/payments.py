"""What a hospital needs of its bank: what came in, and orders of what shall go out. The port, and its values.

There is no payment provider behind it: people carry files between the bank and the node (`payments_csv`).
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BankEntry:
    """One receipt on a bank statement. amount_cents: minor units of `currency`; below 0 it went out."""

    id: str
    booked: str  # date, 2026-12-01
    amount_cents: int
    currency: str
    payer: str
    reference: str
    line: int = field(default=0, compare=False)  # of the file it was read from


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """What shall be paid to a participant. The id says for what: an order with the same id is the same order."""

    id: str
    payee: str
    amount_cents: int
    currency: str
    reference: str


class Payments(Protocol):
    """A bank as files or memory."""

    def received(self) -> list[BankEntry]:
        """Return the entries of the statement, in its order. Raises PaymentsInvalid, naming the line."""
        ...

    def order(self, order: PaymentOrder) -> None:
        """Hand over an order, durably on return; the same id again changes nothing."""
        ...

    def orders(self) -> list[PaymentOrder]:
        """Return the orders handed over so far, oldest first."""
        ...
