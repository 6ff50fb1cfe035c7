"""One table of use cases through both doors of a hospital, gRPC and REST: contracts, what they owe, invoices."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.node.api_hospital_stage import HospitalStage, served_hospital
from tests.node.api_stage import BUYER, DOORS, OTHER, Door
from tests.node.market_stage import OTHER as STRANGER

from hdex.node.access_proof import AccessProof
from hdex.node.errors import RemoteRefused
from hdex.node.hospital.negotiation import WITHDRAWN
from hdex.node.signed import verify
from hdex.node.wire.messages import dump


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HospitalStage]:
    with served_hospital(tmp_path_factory.mktemp("hospital")) as stage:
        yield stage


@pytest.fixture(params=DOORS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def door(shared: HospitalStage, name: str) -> Door:
    return DOORS[name](shared)


def refused(door: Door, who: str, call: str, /, **fields: Any) -> RemoteRefused:
    with pytest.raises(RemoteRefused) as caught:
        door.ask(who, call, **fields)
    return caught.value


STANDING, ATTEST = "HospitalService/GetStanding", "HospitalService/AttestDeletion"
WITHDRAW = "HospitalService/WithdrawRequest"
CONSIDER, CONFIRM = "HospitalService/ConsiderRequest", "HospitalService/ConfirmAgreement"
PAGE, DISPUTE = "InvoiceService/ListInvoicePage", "InvoiceService/DisputeInvoice"


def test_a_contract_shows_how_it_stands_until_deletion_is_attested(
    shared: HospitalStage, door: Door, name: str
) -> None:
    contract = shared.money.contract(shared.listed(f"held-{name}"), f"h-{name}")
    stands = door.ask(BUYER, STANDING, contract_id=contract)["document"]
    assert (stands["contract"], stands["life"], stands["transfer"]) == (contract, "ACTIVE", "")
    assert {"used", "limits", "steps", "expires"} <= {*stands}
    assert shared.events()[-1] == ("contract.read", "allow", contract)
    for who, call in ((OTHER, STANDING), ("hospital/hospital-b", STANDING)):
        assert refused(door, who, call, contract_id=contract).status == "PERMISSION_DENIED"
    assert refused(door, OTHER, STANDING, contract_id=contract).rule == "contract.foreign"
    paper = shared.attestation(contract)
    forged = shared.signed("attestation", paper["document"], STRANGER)
    assert refused(door, BUYER, ATTEST, attestation=forged).status in {"PERMISSION_DENIED", "UNAUTHENTICATED"}
    closed = door.ask(BUYER, ATTEST, attestation=paper, key=f"close-{name}")["document"]
    assert (closed["contract"], closed["life"]) == (contract, "CLOSED")
    assert door.ask(BUYER, ATTEST, attestation=paper, key=f"close-{name}")["document"] == closed
    assert refused(door, BUYER, STANDING, contract_id="h-none").status == "NOT_FOUND"


def test_a_request_is_considered_and_an_agreement_signed_by_both_is_final(
    shared: HospitalStage, door: Door, name: str
) -> None:
    product = shared.listed(f"considered-{name}")
    paper = shared.market.request_paper(product, contract_id=f"r-{name}")
    said = door.ask(BUYER, CONSIDER, request=paper)
    assert (said["contract_id"], said["state"], said["rule"]) == (f"r-{name}", "REQUESTED", "approval.pending")
    assert door.ask(BUYER, CONSIDER, request=paper) == said
    assert refused(door, "hospital/hospital-b", CONSIDER, request=paper).rule == "no-rule-permits"
    agreed = shared.market.negotiations.get(shared.money.contract(product, f"f-{name}")).agreement
    assert agreed is not None
    assert door.ask(BUYER, CONFIRM, agreement=agreed)["state"] == "FINALIZED"
    half = {**agreed, "signatures": agreed["signatures"][:1]}
    assert refused(door, BUYER, CONFIRM, agreement=half).status in {"PERMISSION_DENIED", "UNAUTHENTICATED"}


def test_a_request_is_withdrawn_by_its_consumers_signed_word(shared: HospitalStage, door: Door, name: str) -> None:
    contract = f"w-{name}"
    shared.asked(contract)
    said = {"contract_id": contract, "reason": "the study has no money", "at": "2026-11-21T22:00:00.000Z"}
    forged = shared.signed("termination", said, STRANGER)
    assert refused(door, OTHER, WITHDRAW, termination=forged).status in {"PERMISSION_DENIED", "UNAUTHENTICATED"}
    ended = door.ask(BUYER, WITHDRAW, termination=shared.signed("termination", said))
    assert (ended["contract_id"], ended["state"], ended["rule"]) == (contract, "TERMINATED", WITHDRAWN)
    assert ended["next_step"] == said["reason"]
    assert door.ask(BUYER, WITHDRAW, termination=shared.signed("termination", said)) == ended
    assert shared.market.negotiations.get(contract).state == "TERMINATED"


def test_invoices_come_in_pages_each_with_its_proof_and_to_whom_they_are_addressed(
    shared: HospitalStage, door: Door, name: str
) -> None:
    issued = [shared.invoice(f"i-{name}-{number}") for number in range(3)]
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        page = door.ask(BUYER, PAGE, page_size=2, page_token=token)
        assert len(page["invoices"]) <= 2
        found += page["invoices"]
        if not (token := page["next_page_token"]):
            break
    numbers = [row["invoice"]["document"]["number"] for row in found]
    assert numbers == sorted({*numbers})
    assert numbers[-3:] == issued
    verify("invoice", found[-1]["invoice"], shared.market.directory.sign_keys("hospital-a"))
    AccessProof.from_bytes(dump(found[-1]["log_proof"]))
    assert (found[-1]["state"], found[-1]["paid_cents"]) == ("ISSUED", 0)
    short = door.ask(BUYER, PAGE, page_size=1, fields="invoices.state")
    assert [row["state"] for row in short["invoices"]]
    assert not short["invoices"][0].get("invoice")
    assert door.ask(OTHER, PAGE)["invoices"] == []
    said = refused(door, OTHER, PAGE, page_token=short["next_page_token"])
    assert (said.status, "another query" in str(said)) == ("INVALID_ARGUMENT", True)
    assert refused(door, "hospital/hospital-a/data_steward", PAGE).rule == "no-rule-permits"


def test_an_invoice_is_disputed_once(shared: HospitalStage, door: Door, name: str) -> None:
    number = shared.invoice(f"d-{name}")
    invoice = shared.money.billing.shelf.get(number).invoice
    said = {"number": number, "digest": invoice.digest(), "reason": "half is empty", "at": invoice.issued}
    paper = shared.signed("dispute", said)
    for _ in range(2):
        kept = door.ask(BUYER, DISPUTE, dispute=paper, key=f"dispute-{name}")["invoice"]
        assert (kept["state"], kept["invoice"]["document"]["number"]) == ("DISPUTED", number)
    assert shared.events()[-1][:2] == ("invoice.dispute", "allow")
    foreign = refused(door, OTHER, DISPUTE, dispute=shared.signed("dispute", said, STRANGER))
    assert foreign.rule == "invoice.foreign"
