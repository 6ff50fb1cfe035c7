"""Payments in memory: the twin for tests and for whoever tries settlement out."""

from collections.abc import Sequence

from hdex.node.hospital.payments import BankEntry, PaymentOrder, Payments


class MemoryPayments:
    """A bank that says what it was given."""

    def __init__(self, entries: Sequence[BankEntry] = ()) -> None:
        self._entries = list(entries)
        self._orders: dict[str, PaymentOrder] = {}

    def received(self) -> list[BankEntry]:
        return list(self._entries)

    def order(self, order: PaymentOrder) -> None:
        self._orders.setdefault(order.id, order)

    def orders(self) -> list[PaymentOrder]:
        return list(self._orders.values())


_: type[Payments] = MemoryPayments
