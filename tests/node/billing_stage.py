"""A market whose hospitals bill: the same objects as in a node, wired without a wire."""

from pathlib import Path
from typing import Any

from tests.catalog.samples import sample_product
from tests.node.market_stage import BUYER, OFFICER, OTHER, Market, person, released

from hdex.catalog.price import Price, PriceBasis, PricePlan, Tax
from hdex.catalog.product import DataProduct
from hdex.catalog.terms import Text
from hdex.ledger.bundle import Evidence, LogEvidence
from hdex.node.customer import Customer
from hdex.node.hospital.billing import Billing
from hdex.node.hospital.invoice_shelf import InvoiceShelf, KeptInvoice
from hdex.node.hospital.payments import BankEntry
from hdex.node.hospital.payments_memory import MemoryPayments
from hdex.node.hospital.settlement import Settlement
from hdex.node.hospital.signatory import Signatory
from hdex.node.hospital.statements import Statements
from hdex.node.invoice_file import InvoiceFile
from hdex.node.signed import Envelope

VAT = Tax(Text("VAT", "增值税"), "0.06")
CENTS = 4_800_000


def priced(plan: str = "one_off", amount: int = CENTS, **given: Any) -> DataProduct:
    """Return a product of hospital A at a market price of a plan."""
    price = Price(
        basis=PriceBasis.MARKET, amount_cents=amount, currency="CNY", plan=PricePlan(plan),
        tax=VAT, document="Price bureau 2026 no. 17",
    )  # fmt: skip
    return sample_product(**({"price": price} | given))


class Till:
    """Hospital A about money, as one buyer calls it. `forge` turns what it gives out."""

    def __init__(self, stage: "BillingStage", who: str) -> None:
        self._stage, self._who = stage, who

    def invoices(self, provider: str) -> list[InvoiceFile]:
        if provider != "hospital-a":
            return []
        return [self._stage.file(kept) for kept in self._stage.billing.of_consumer(person(self._who))]

    def dispute(self, provider: str, paper: Envelope) -> InvoiceFile:
        return self._stage.file(self._stage.billing.dispute(paper, person(self._who)))


class BillingStage:
    """Hospital A bills, BUYER pays."""

    def __init__(self, folder: Path, *, vetted: bool = True) -> None:
        self.folder = folder
        self.market = Market(folder, vetted=vetted)
        self.entries: list[BankEntry] = []
        self.bank = MemoryPayments()
        self.open()

    def open(self) -> None:
        """Make the parts anew over the same disk, as after a restart."""
        ground = self.market.hospital.ground
        ground.__dict__.pop("book", None)  # what is folded from the log is not kept
        me = Signatory("hospital-a", ground.keys.secret("sign"), self.market.clock)
        self.billing = Billing(
            me,
            InvoiceShelf("hospital-a", ground.documents),
            self.market.negotiations,
            book=ground.book,
            directory=self.market.directory,
            recorder=ground.recorder,
        )
        self.settlement = Settlement(self.billing, ground.recorder, self._at_bank, self._product)
        self.statements = Statements("hospital-a", self.billing, self.settlement, ground.book)

    def _at_bank(self, statement: bytes) -> MemoryPayments:
        self.bank._entries = list(self.entries) if statement else []
        return self.bank

    def _product(self, name: str, version: str) -> DataProduct:
        return self.market.hospital.products.get(name, version).product

    def customer(self, who: str = BUYER) -> Customer:
        return Customer(
            who,
            self.market.keys[who],
            self.market.directory,
            till=Till(self, who),
            status=self.market.buyers[who].status,
            received=self.folder / "received" / who,
            clock=self.market.clock,
        )

    def file(self, kept: KeptInvoice) -> InvoiceFile:
        """Return a paper as the wire brings it."""
        paid, credited = self.billing.money(kept)
        proof = self.billing.proof(kept)
        return InvoiceFile(
            kept.envelope, proof, state=kept.state.value, paid_cents=paid, credited_cents=credited, said=kept.said
        )

    def contract(self, product: DataProduct | None = None, contract_id: str = "c-1", **given: Any) -> str:
        """Agree on a product's file and return the contract id."""
        listed = product or priced(**given)
        if listed.release is None or listed.release.sha256 == "2e" * 32:
            listed = self.market.list_product(listed, released())
        self.market.finalized(listed, contract_id=contract_id)
        return contract_id

    def delivered(self, contract_id: str = "c-1") -> None:
        """Fetch a contract's file, cut and resumed."""
        buyer = self.market.buyers[BUYER]
        buyer.fetch(contract_id, stop_after=2)
        assert buyer.fetch(contract_id).complete

    def pays(self, number: str, amount: int, entry: str = "e-1", **given: str) -> list[tuple[str, str]]:
        """Read a statement with one receipt in, and return (outcome, invoice) of its entries."""
        said = {"currency": "CNY", "reference": f"your {number} / thanks"} | given
        self.entries = [BankEntry(entry, "2026-12-01", amount, said["currency"], "Heartline", said["reference"])]
        return [(one.outcome.value, one.number) for one in self.settlement.read(entry.encode(), OFFICER)]

    def evidence(self) -> Evidence:
        """Return what an auditor collects of hospital A."""
        ground = self.market.hospital.ground
        entries = tuple(ground.log.entries(0, ground.log.size))
        log = LogEvidence("hospital-a", ground.log.origin, entries, (ground.log.checkpoint(),))
        return Evidence(self.market.clock(), {"chain_id": 1, "contract": "0x" + "11" * 20, "operator": "t"}, (log,))


__all__ = ["BUYER", "CENTS", "OFFICER", "OTHER", "BillingStage", "priced"]
