"""No call of a hospital or an exchange does, tells or keeps anything while their logs cannot be written.

Every method of both is called, as whoever may call it: those in `CASES` with a request that would be granted a moment
before, the others empty. Verbs that write through other parts have tests of their own, which `ELSEWHERE` names.
"""

import base64
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass
from tests.catalog.samples import sample_product
from tests.node.access_people import People
from tests.node.access_stage import PDF, form_document
from tests.node.api_hospital_stage import HospitalStage, hospital_services
from tests.node.api_stage import Stage, services
from tests.node.billing_stage import BillingStage
from tests.node.market_stage import BUYER, COMMITTEE, OFFICER, Market, person, released

from hdex.catalog.ports import Query
from hdex.catalog.product import DeliveryMode
from hdex.ledger.errors import LogFailed
from hdex.node import pki
from hdex.node.authz import METHODS
from hdex.node.identity import Identity
from hdex.node.remembered import AT_GATE, SILENT
from hdex.node.signed import sign
from hdex.node.wire.admission import admitted
from hdex.node.wire.api_app import HttpCall, collected
from hdex.node.wire.api_json import fill

HOSPITAL, AUDITOR = (
    person("hospital-a"),
    Identity("spiffe://hdex.test/auditor/auditor-north", "auditor", "auditor-north"),
)
ELSEWHERE = {
    "HospitalAdminService.Ingest": "test_datasets",
    "HospitalAdminService.Classify": "test_datasets",
    "HospitalAdminService.Approve": "test_contract_lives",
    "HospitalAdminService.Deidentify": "test_releases",
    "HospitalAdminService.Assess": "test_publishing",
    "HospitalAdminService.Publish": "test_publishing",
    "HospitalAdminService.WithdrawConsent": "test_datasets",
    "StudyService.Plan": "test_studies",
    "StudyService.Start": "test_studies",
}
# A question is in the register before its event: an answer that was never told may bar another one, never the reverse.
KEPT_FIRST = ("HospitalService.Query",)
Case = tuple[Identity, dict[str, Any]]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def hospital_cases(stage: HospitalStage) -> dict[str, Case]:
    """Bring hospital A to where each call would be granted, and return the calls."""
    market, buyer = stage.market, person(BUYER)
    number, people = stage.invoice("c-1"), People(market)
    stage.asked("w-1")
    stage.asked("a-1")
    agreed = market.negotiations.decide("a-1", OFFICER, approved=True).agreement
    assert agreed is not None
    signed = stage.signed("agreement", agreed["document"])
    both = agreed | {"signatures": [*agreed["signatures"], *signed["signatures"]]}
    terms = replace(sample_product().terms, recipients=(BUYER,))
    modes = (DeliveryMode.DOWNLOAD, DeliveryMode.QUERY, DeliveryMode.ENCLAVE, DeliveryMode.SEALED_FILE)
    product = market.list_product(sample_product(id="hospital-a.all", terms=terms, delivery_modes=modes), released())
    for mode in ("query", "download", "enclave"):
        market.finalized(product, mode, f"{mode}-1")
    invoice = stage.money.billing.shelf.get(number).invoice
    dispute = {"number": number, "digest": invoice.digest(), "reason": "half is empty", "at": invoice.issued}
    ended = {"contract_id": "w-1", "reason": "no money", "at": "2026-11-21T22:00:00.000Z"}
    statement = b"id,booked,amount,currency,payer,reference\ne-1,2026-12-01,1.00,CNY,x,%s\n" % number.encode()
    form = stage.signed("access.request", form_document(product, market.now))
    return {
        "HospitalService.ConsiderRequest": (buyer, {"request": market.request_paper(product, contract_id="n-1")}),
        "HospitalService.ConfirmAgreement": (buyer, {"agreement": both}),
        "HospitalService.Deliver": (buyer, {"contract_id": "c-1"}),
        "HospitalService.Query": (buyer, {"contract_id": "query-1", "question": {"kind": "count"}}),
        "HospitalService.OpenShare": (buyer, {"contract_id": "download-1"}),
        "HospitalService.SubmitRun": (buyer, {"contract_id": "enclave-1", "script": b64(b"pass")}),
        "HospitalService.WithdrawRequest": (buyer, {"termination": stage.signed("termination", ended)}),
        "HospitalService.GetStanding": (buyer, {"contract_id": "c-1"}),
        "HospitalService.AttestDeletion": (buyer, {"attestation": stage.attestation("c-1")}),
        "HospitalAdminService.DecideRequest": (COMMITTEE, {"contract_id": "w-1", "approve": True}),
        "HospitalAdminService.Revoke": (OFFICER, {"contract_id": "c-1", "reason": "ended"}),
        "HospitalAdminService.ListRuns": (OFFICER, {}),
        "InvoiceService.ListInvoices": (buyer, {}),
        "InvoiceService.ListInvoicePage": (buyer, {}),
        "InvoiceService.DisputeInvoice": (buyer, {"dispute": stage.signed("dispute", dispute)}),
        "BillingService.ImportPayments": (OFFICER, {"statement": b64(statement)}),
        "VettingService.ApplyVetting": (buyer, {"application": people.application(security_grade=2)}),
        "VettingService.GetVetting": (buyer, {"participant": BUYER}),
        "VettingService.ListVettings": (OFFICER, {}),
        "AccessRequestService.SubmitAccessRequest": (buyer, {"form": form, "document": b64(PDF)}),
        "AccessRequestService.ListAccessRequests": (OFFICER, {}),
        "LogService.ReadLog": (AUDITOR, {"purpose": "audit"}),
        "WitnessService.GetMirror": (AUDITOR, {"origin": "hdex/hospital-b/2026"}),
    }


def exchange_cases(stage: Stage) -> dict[str, Case]:
    """Bring the exchange to where each call would be granted, and return the calls."""
    market, buyer = stage.market, person(BUYER)
    assert stage.product is not None
    assert stage.searches is not None
    name = stage.product.id
    market.finalized(stage.product)
    kept, _ = stage.searches.save(Query(text="carotid"), "stents", "", buyer)
    new = replace(sample_product(), id="hospital-a.new")
    manifest = sign("manifest", new.document(), "hospital-a", market.keys["hospital-a"].secret("sign"))
    return {
        "ExchangeService.Publish": (HOSPITAL, {"manifest": manifest}),
        "ExchangeService.Find": (buyer, {}),
        "ExchangeService.Show": (buyer, {"product_id": name}),
        "ExchangeService.Render": (buyer, {"product_id": name, "form": "dcat"}),
        "ExchangeService.Quote": (buyer, {"product_id": name}),
        "ExchangeService.SaveSearch": (buyer, {"query": {"text": "carotid"}, "name": "again"}),
        "ExchangeService.ListSearches": (buyer, {}),
        "ExchangeService.RemoveSearch": (buyer, {"id": kept.search.id}),
        "ContractService.Request": (buyer, {"request": market.request_paper(stage.product, contract_id="n-1")}),
        "ContractService.GetContract": (buyer, {"contract_id": "c-1"}),
        "ContractService.ListContracts": (buyer, {}),
        "ContractService.Revoke": (HOSPITAL, {"contract_id": "c-1", "reason": "ended"}),
        "LogService.ReadLog": (AUDITOR, {"purpose": "audit"}),
    }


def message_of(method: str, fields: dict[str, Any]) -> Any:
    """Return the request of a gRPC method."""
    service, name = method.rsplit("/", 1)
    for module in ("access", "exchange", "hospital", "ledger", "settlement"):
        found = import_module(f"hdex.proto.v1.{module}_pb2").DESCRIPTOR.services_by_name.get(service.rsplit(".", 1)[1])
        if found is not None:
            message = GetMessageClass(found.methods_by_name[name].input_type)()
            fill(message, fields)
            return message
    raise AssertionError(method)


def kept_by(stage: Stage) -> list[object]:
    """Return what everybody keeps: papers, products, grants, and the files of the market."""
    market = stage.market
    papers = [dict(one.documents._rows) for one in (*market.grounds.values(), *market.desks.values())]
    files = sorted((str(path), path.stat().st_mtime_ns) for path in market.folder.rglob("*") if path.is_file())
    return [*papers, files, market.listings._catalogue.revision, repr(market.ledger.__dict__)]


def asked(methods: dict[str, Any], method: str, who: Identity, fields: dict[str, Any]) -> object:
    """Call a method as the gate does once it has let the caller in."""
    call, message = HttpCall(), message_of(method, fields)
    admitted(call, who)
    handler = methods[method]
    return handler.unary_unary(message, call) if handler.unary_unary else list(handler.unary_stream(message, call))


def hospital(folder: Path) -> tuple[Stage, list[Any], dict[str, Case]]:
    billed = BillingStage(folder / "market")
    authority = pki.Authority.__new__(pki.Authority)  # nobody comes by a wire here
    stage = HospitalStage(billed.market, folder, authority, kind="hospital", participant="hospital-a", billed=billed)
    return stage, hospital_services(stage), hospital_cases(stage)


def exchange(folder: Path) -> tuple[Stage, list[Any], dict[str, Case]]:
    stage = Stage(Market(folder / "market"), folder, pki.Authority.__new__(pki.Authority))
    stage.product = stage.market.stents()
    return stage, services(stage), exchange_cases(stage)


@pytest.mark.parametrize("play", [hospital, exchange])
def test_nothing_is_done_told_or_kept_while_the_log_cannot_be_written(
    play: Callable[[Path], tuple[Stage, list[Any], dict[str, Case]]], tmp_path: Path
) -> None:
    stage, adders, cases = play(tmp_path)
    methods = collected(adders)
    for ground in (*stage.market.grounds.values(), *stage.market.desks.values()):
        ground.store.fails = True
    before, wrong = kept_by(stage), []
    for method in methods:
        action = METHODS[method]
        if action in ELSEWHERE or action in AT_GATE or action in SILENT or action.startswith("Channel"):
            continue
        who, fields = cases.get(action, (person(BUYER), {}))
        try:
            asked(methods, method, who, fields)
            wrong.append(f"{action} was answered")
        except LogFailed:
            pass
        except Exception as error:
            if action in cases:
                wrong.append(f"{action}: {type(error).__name__} {error}")
        now = kept_by(stage)
        if now != before and action not in KEPT_FIRST:
            wrong.append(f"{action} moved something")
        before = now
    assert wrong == []
    assert cases.keys() <= {METHODS[method] for method in methods}


@pytest.mark.parametrize("action", ELSEWHERE)
def test_the_tests_that_are_named_are_there(action: str) -> None:
    assert "fails = True" in (Path(__file__).parent / f"{ELSEWHERE[action]}.py").read_text()
