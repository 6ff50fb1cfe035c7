"""From a contract to its money: delivery cut and resumed, rounds, invoices, an auditor's count, payment, statement."""

import csv
import hashlib
import io
import json
from pathlib import Path

import pytest
from tests.journeys.stage import Stage, refusal
from tests.node.consortium import hdex, printed
from typer.testing import CliRunner

from hdex.catalog.invoice import Invoice
from hdex.ledger.bundle import read_evidence
from hdex.node.auditor_usage import audit_invoice
from hdex.node.cli.audit import app as audit_app
from hdex.node.compose.client import open_billing, open_customer
from hdex.node.config import BuyerConfig, HospitalConfig, load
from hdex.node.demo import acts_market
from hdex.node.demo.setting import APPLICANT, BUYER, HOSPITALS
from hdex.node.hospital.statements import papers_csv
from hdex.node.invoice_file import check_file, read_file, write_file
from hdex.node.signed import digest
from hdex.node.wire.remote_settlement import RemoteBilling, RemoteInvoices

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("market")]
PROVIDER, MONTH_CHARACTERS = "hospital-c", 7


def billing_of(stage: Stage, hospital: str = PROVIDER) -> RemoteBilling:
    desk = stage.setting.home(hospital) / "staff" / "privacy_officer"
    return open_billing(load(stage.setting.config_file(hospital), HospitalConfig), desk)


def delivered(stage: Stage, name: str) -> str:
    """Return a contract whose file came after its line was cut."""
    contract_id = stage.agree(PROVIDER, "sealed_file", name)
    stage.memory.cast.buyer.fetch(contract_id, stop_after=2)
    assert stage.memory.cast.buyer.fetch(contract_id).complete
    return contract_id


def test_a_delivery_becomes_an_invoice_that_buyer_and_auditor_check(stage: Stage, tmp_path: Path) -> None:
    contract_id, billing = delivered(stage, "billed"), billing_of(stage)
    exports = stage.actions(PROVIDER, contract=contract_id).count("export")
    issued = billing.issue(contract_id, "")
    assert billing.issue(contract_id, "").envelope == issued.envelope  # the same period is the same invoice
    customer = open_customer(load(stage.setting.config_file(BUYER), BuyerConfig))
    (file,) = [one for one in customer.invoices(PROVIDER) if one.number == issued.number]
    found = customer.check(read_file(customer.keep(file)))
    invoice, usage = found.invoice, found.invoice.usage
    assert usage is not None
    assert (usage.deliveries, usage.accesses) == (1, exports)
    assert invoice.subtotal_cents == 1_200_000
    evidence = tmp_path / "evidence.zip"
    stage.memory.cast.auditor.export(evidence)
    assert audit_invoice(read_evidence(evidence), invoice).offences == ()
    assert contract_id not in {row["contract"] for row in billing.due(invoice.issued[:MONTH_CHARACTERS])["rows"]}
    statement = f"id,booked,amount,currency,payer,reference\ne-1,2026-12-01,12720.00,CNY,x,{invoice.number}\n"
    assert [row["outcome"] for row in billing.preview_payments(statement.encode())["entries"]] == ["paid"]
    outcomes = [row["outcome"] for _ in range(2) for row in billing.import_payments(statement.encode())["entries"]]
    assert outcomes == ["paid", "known"]
    assert billing.account(invoice.number)["received"] == [
        {"id": "e-1", "booked": "2026-12-01", "amount_cents": 1_272_000}
    ]
    month = billing.statement(invoice.issued[:MONTH_CHARACTERS])
    (row,) = [row for row in csv.DictReader(io.StringIO(papers_csv(month).decode("utf-8-sig")))
              if row["number"] == invoice.number]  # fmt: skip
    assert (row["charge"], row["paid"], row["state"], row["own"]) == ("12720.00", "12720.00", "PAID", "12000.00")
    assert contract_id in {one["contract"] for one in month["usage"]}


def test_rounds_of_a_study_are_billed_from_the_log(stage: Stage) -> None:
    memory, billing = stage.reach("federate"), billing_of(stage)
    contract_id = memory.contracts[PROVIDER]
    issued = billing.issue(contract_id, "")
    invoice = Invoice.from_document(issued.document)
    assert invoice.usage is not None
    events = [event for event in stage.events(PROVIDER) if event.get("contract") == contract_id]
    submitted = {event["request_digest"] for event in events if event["action"] == "round.submit"}
    joins = [event for event in events if event["action"] == "round.join" and event["decision"] == "allow"]
    names = {event["result_digest"] for event in joins if event["request_digest"] in submitted}
    assert invoice.usage.rounds == len(names) >= memory.study["rounds"]  # whoever died on the way, each counts once
    assert invoice.usage.deliveries == 0
    assert check_file(issued, memory.cast.buyer._directory).number == invoice.number


def test_only_those_concerned_see_an_invoice(stage: Stage) -> None:
    issued = billing_of(stage).issue(delivered(stage, "private"), "")
    assert issued.number not in {one.number for one in RemoteInvoices(stage.channels(APPLICANT)).invoices(PROVIDER)}
    foreign = RemoteBilling(stage.channels(BUYER)(PROVIDER))
    assert refusal(foreign.issued).rule == "no-rule-permits"
    customer = open_customer(load(stage.setting.config_file(BUYER), BuyerConfig))
    disputed = customer.dispute(issued, "rows are empty")
    assert disputed.state == "DISPUTED"
    (word,) = disputed.said
    answered = billing_of(stage).answer(issued.number, "the manifest says so", digest(word["document"]))
    assert answered.state == "ISSUED"
    (seen,) = [one for one in customer.invoices(PROVIDER) if one.number == issued.number]
    words = [(one.is_ours, one.reason, one.holds) for one in customer.words(seen)]
    assert words == [(True, "rows are empty", True), (False, "the manifest says so", True)]
    credited = billing_of(stage).credit(issued.number, 0, "agreed", "")
    assert credited.document["total_cents"] == -issued.document["total_cents"]


def test_the_command_line_quotes_and_bills(stage: Stage, tmp_path: Path) -> None:
    memory = stage.reach("publish")
    product, buyer = str(memory.products[PROVIDER]["product"]), stage.setting.config_file(BUYER)
    contract_id = delivered(stage, "typed")
    desk = stage.setting.home(PROVIDER) / "staff" / "privacy_officer"
    own = ("-c", stage.setting.config_file(PROVIDER), "--desk", desk)
    quoted = hdex("buy", "quote", product, "-c", buyer, "--lang", "zh")
    assert "合计: 12,720.00 元" in quoted.stdout, quoted.stderr
    told = printed(hdex("node", "invoice", "issue", contract_id, "--to-date", "--out", tmp_path, "--json", *own))
    paper, table = Path(told["file"]), tmp_path / "statement.csv"
    assert printed(hdex("buy", "invoice", "verify", paper, "-c", buyer, "--json"))["verified"] is True
    shown = hdex("node", "statement", "--month", told["month"], "--csv", table, "--json", *own)
    assert shown.returncode == 0, shown.stderr
    assert told["number"] in table.read_text("utf-8-sig")
    evidence, trust = tmp_path / "evidence.zip", tmp_path / "trust.json"
    stage.memory.cast.auditor.export(evidence)
    trust.write_text(json.dumps(stage.memory.cast.auditor.trust(2)))
    counted = audited("usage", evidence, "--trust", trust, "--invoice", paper)
    assert "offence" not in counted, counted
    assert "deliveries 1" in counted, counted


def audited(*words: str | Path) -> str:
    """Return what an offline verb of the auditor prints."""
    return CliRunner().invoke(audit_app, [str(word) for word in words]).stdout


def test_what_a_study_earned_is_pooled_and_split_by_rows(stage: Stage, tmp_path: Path) -> None:
    memory, papers = stage.reach("federate"), list[Path]()
    for hospital in HOSPITALS:
        papers.append(write_file(billing_of(stage, hospital).issue(memory.contracts[hospital], ""), tmp_path))
    evidence, trust = tmp_path / "evidence.zip", tmp_path / "trust.json"
    memory.cast.auditor.export(evidence)
    trust.write_text(json.dumps(memory.cast.auditor.trust(2)))
    contract_id = memory.contracts[PROVIDER]
    submitted = [event for event in stage.events(PROVIDER) if event["action"] == "round.submit"]
    study = next(event["policy_digest"] for event in submitted if event.get("contract") == contract_id)
    settled, table = tmp_path / "settled.json", tmp_path / "shares.csv"
    kept = ("--study", study, "--evidence", evidence, "--trust", trust)
    asked = (*kept, "--fee", "100", "--json")
    pooled = json.loads(audited("pool", *papers, *asked, "--out", settled, "--csv", table))
    assert hashlib.sha256(settled.read_bytes().strip()).hexdigest() == pooled["digest"]
    again = json.loads(audited("pool", *reversed(papers), *asked, "--same", settled))
    assert (again["digest"], again["differs"]) == (pooled["digest"], [])
    other = audited("pool", *papers, *kept, "--fee", "200", "--same", settled)
    assert "differs: cents, fee_basis_points, fee_cents, transfers" in other
    assert " pays exchange " in other
    assert table.read_text("utf-8-sig").startswith("participant,earned,weight,share,pays,receives")
    assert pooled["offences"] == []
    assert set(pooled["weights"]) == set(HOSPITALS)
    assert pooled["fee_cents"] + sum(pooled["cents"].values()) == sum(pooled["earned_cents"].values())
    assert {one["payee"] for one in pooled["transfers"]} >= {"exchange"}


def test_a_demo_bills_what_it_delivered(stage: Stage) -> None:
    from hdex.node.demo.acts_money import bill

    stage.reach("deliver")
    bill(stage.memory)
    assert any("holds against" in words for words in stage.said)
    assert acts_market.DELIVERY == "sealed_file"
