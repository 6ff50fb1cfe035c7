"""Hospital A behind both doors: contracts, what they owe, invoices, access requests, over one market."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.node.api_stage import Stage, behind_doors, no_chain
from tests.node.billing_stage import OFFICER, BillingStage, priced
from tests.node.market_stage import BUYER, released
from tests.node.wire_stage import DOMAIN

from hdex.catalog.attestation import Attestation
from hdex.catalog.contract import agreement_digest
from hdex.catalog.product import DataProduct
from hdex.ledger.event import format_time
from hdex.ledger.note import Signer
from hdex.ledger.store_memory import MemoryWitnessStore
from hdex.ledger.witness import Witness
from hdex.node import pki
from hdex.node.answer_rules import Answers
from hdex.node.hospital.desk import Hospital
from hdex.node.hospital.rule_answers import RuleAnswers
from hdex.node.keeper import Keeper
from hdex.node.logbook import Logbook
from hdex.node.signed import Envelope, sign
from hdex.node.wire.services_access import access_adder, vetting_adder
from hdex.node.wire.services_hospital import hospital_adders
from hdex.node.wire.services_ledger import ledger_adders
from hdex.node.wire.services_settlement import settlement_adders


@dataclass
class HospitalStage(Stage):
    """Hospital A as it is served, with its papers about money."""

    billed: BillingStage | None = None

    @property
    def money(self) -> BillingStage:
        assert self.billed is not None
        return self.billed

    def listed(self, name: str) -> DataProduct:
        """List a product of hospital A with a file, and a price to be paid once."""
        return self.market.list_product(replace(priced(), id=f"hospital-a.{name}"), released())

    def asked(self, contract_id: str) -> None:
        """Ask for a contract, so that hospital A has to decide."""
        wish = self.market.wish(self.listed(f"asked-{contract_id}"))
        self.market.buyers[BUYER].request(wish, contract_id=contract_id)

    def invoice(self, contract_id: str) -> str:
        """Agree on a contract, issue its invoice and return the number."""
        self.money.contract(self.listed(f"billed-{contract_id}"), contract_id)
        self.market.buyers[BUYER].fetch(contract_id)
        return self.money.billing.issue_to_date(contract_id, OFFICER).number

    def signed(self, kind: str, paper: dict[str, Any], who: str = BUYER) -> Envelope:
        return sign(kind, paper, who, self.market.keys[who].secret("sign"))

    def attestation(self, contract_id: str) -> Envelope:
        """Return what the buyer signs when it gives a contract back."""
        record = self.market.negotiations.get(contract_id)
        assert record.agreement is not None
        paper = Attestation(
            contract_id=contract_id, agreement_digest=agreement_digest(record.agreement["document"]), consumer=BUYER,
            deleted=("the file",), copies=1, at=format_time(self.market.now), kept=(),
        )  # fmt: skip
        return self.signed("attestation", paper.document())


@contextmanager
def served_hospital(folder: Path) -> Iterator[HospitalStage]:
    """Serve hospital A through both doors until the block ends."""
    authority = pki.init(folder / "ca", DOMAIN, now=datetime.now(UTC) - timedelta(days=1))
    billed = BillingStage(folder / "market")
    stage = HospitalStage(billed.market, folder, authority, kind="hospital", participant="hospital-a", billed=billed)
    stage.keys = stage.key_book()
    with behind_doors(stage, hospital_services(stage)):
        yield stage


def hospital_services(stage: HospitalStage) -> list[Any]:
    """Return the services of hospital A; the verbs that no case here reaches have nothing behind them."""
    market, side, ground = stage.market, stage.market.hospital, stage.market.hospital.ground
    made: dict[str, Any] = {one.name: None for one in fields(Hospital)}
    names = made.keys() & {one.name for one in fields(side)}
    made |= {name: getattr(side, name) for name in names}
    made |= {"settlement": stage.money.settlement, "statements": stage.money.statements}
    none: Any = None  # nothing stands behind rules of which there are none
    made["answers"] = RuleAnswers(
        Answers(), side.negotiations, none, side.products, me=none, directory=market.directory, clock=market.clock
    )
    hospital = Hospital(**made | {"id": "hospital-a", "standings": market.standings("hospital-a"), "log": ground.log})
    keeper = Keeper(ground.log, [], anchoring=no_chain, flush=lambda: None, meter=ground.meter, period_s=1)
    witness = Witness(Signer("hospital-a", b"w" * 32), MemoryWitnessStore(), logs={}, clock=market.clock)
    return [
        *hospital_adders(hospital),
        *settlement_adders(hospital),
        access_adder(side.requests, market.clock),
        vetting_adder(side.vettings),
        *ledger_adders(witness, Logbook(ground.log, keeper, ground.recorder, ground.meter)),
    ]
