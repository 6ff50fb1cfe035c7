"""The rows that a contract opens: its licence live, its mode agreed, its version served. Asked at every access."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Unpack

import polars as pl

from hdex.catalog.contract import Agreement
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.product import DeliveryMode, Role
from hdex.node.contract_record import ContractRecord
from hdex.node.documents import Documents
from hdex.node.errors import AccessDenied, NotFound, VaultSealed
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.products import Held, Products
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.recorder import Facts
from hdex.node.vault import Vault

WITHDRAWAL = "consent_withdrawal"  # hospital.datasets writes it
RELEASE = "release"  # name of the released file in the vault, with its version


@dataclass(frozen=True, slots=True)
class Opened:
    """A contract that may be used now, and the version it names."""

    record: ContractRecord
    agreement: Agreement
    held: Held

    def facts(self, **more: Unpack[Facts]) -> Facts:
        """Return what an event of its use says, with what this one says beside it."""
        said = Facts(
            product=self.agreement.product,
            version=self.agreement.version,
            contract=self.record.contract_id,
            grant=self.record.grant_id,
            purpose=self.agreement.purpose,
        )
        said.update(more)
        return said

    def columns(self) -> tuple[str, ...]:
        """Return the columns that this contract may touch; never free text."""
        listed = [one.name for one in self.held.product.columns if one.role not in (Role.FREE_TEXT, Role.DIRECT)]
        return tuple(name for name in listed if not self.agreement.columns or name in self.agreement.columns)


class Released:
    """Opens contracts of this hospital and reads what they name."""

    def __init__(
        self, negotiations: Negotiations, products: Products, vault: Vault, documents: Documents, *,
        book: UsageBook, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._negotiations = negotiations
        self._products = products
        self._vault = vault
        self._documents = documents
        self._book = book
        self._clock = clock

    def open(
        self, contract_id: str, mode: DeliveryMode, consumer: str, takes: Mapping[str, int] | None = None
    ) -> Opened:
        """Return the contract, or raise: revoked, suspended, ended, used up, another mode, withdrawn product, no rows.

        takes: how much this access takes of each limit of the contract, by its name.
        """
        record, agreement = self._negotiations.require_live(contract_id, mode, consumer, takes)
        held = self._products.serving(agreement.product, agreement.manifest_digest, self._clock())
        require_consent(self._documents, held)
        if not held.product.allows(mode) or held.product.release is None:
            raise AccessDenied(
                f"level.{held.product.level}.no_{mode}", "use the federated way", "no rows of this serve"
            )
        return Opened(record, agreement, held)

    def require_takes(self, opened: Opened, mode: DeliveryMode, takes: Mapping[str, int | float]) -> None:
        """Raise AccessDenied where an access, whose size is known only now, passes a limit of the contract."""
        self._negotiations.require_takes(opened.record, opened.agreement, mode, takes)

    @property
    def book(self) -> UsageBook:
        """What the log says was used."""
        return self._book

    def querying(self, opened: Opened, *, rows: int) -> AbstractContextManager[None]:
        """Run a body that writes the event of one query, unless the contract's quota is used up."""
        return self._book.querying(opened.record.contract_id, opened.agreement.quota, rows=rows)

    def delivering(self, opened: Opened, *, rows: int, size: int) -> AbstractContextManager[None]:
        """Run a body that writes the event of a file of `size` bytes, unless the contract's quota is used up."""
        return self._book.delivering(opened.record.contract_id, opened.agreement.quota, rows=rows, size=size)

    def frame(self, opened: Opened) -> pl.DataFrame:
        """Return the released rows with the contract's columns."""
        frame = self._vault.read_frame(opened.held.dataset, release_name(opened.held.product.version))
        return frame.select(name for name in opened.columns() if name in frame.columns)

    def rows_of(self, opened: Opened, version: str) -> pl.DataFrame:
        """Return the rows of another version of a contract's product: to compare answers with, never to tell.

        Raises AccessDenied where they are gone.
        """
        try:
            return self._vault.read_frame(opened.held.dataset, release_name(version))
        except (NotFound, VaultSealed) as gone:
            raise AccessDenied(
                "query.version_gone",
                "ask what was asked of that version already, or ask the hospital",
                "answers over an earlier version cannot be compared: its rows are gone",
            ) from gone


def require_consent(documents: Documents, held: Held) -> None:
    """Raise AccessDenied where a superseded file may hold somebody who withdrew since: its notice is not theirs."""
    if held.state != ProductState.SUPERSEDED:
        return
    try:
        withdrawn = str(documents.get(WITHDRAWAL, held.dataset)["at"])
    except NotFound:
        return
    made = documents.get("release", f"{held.dataset}/{held.product.version}").get("made")
    if withdrawn >= str(made or held.product.issued):
        raise AccessDenied(
            "product.consent_withdrawn",
            "agree on the newest version",
            f"patients withdrew since version {held.product.version} was made, and a newer one is listed",
        )


def release_name(version: str) -> str:
    """Return the name under which the vault keeps the released file of a version."""
    return f"{RELEASE}-{version}.parquet"
