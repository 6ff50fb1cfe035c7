"""Money over the wire, under the policies: what a hospital's own people ask of their node, and who is refused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.node.api_hospital_stage import HospitalStage, served_hospital
from tests.node.market_stage import BUYER
from tests.node.wire_stage import DOMAIN

from hdex.node.errors import RemoteRefused
from hdex.node.hospital.payments import BankEntry
from hdex.node.signed import digest
from hdex.node.wire.client import channel
from hdex.node.wire.remote_settlement import RemoteBilling

OFFICER, COMMITTEE = (f"hospital/hospital-a/{role}" for role in ("privacy_officer", "ethics_committee"))
STATEMENT = b"id,booked,amount,currency,payer,reference"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HospitalStage]:
    folder: Path = tmp_path_factory.mktemp("money")
    with served_hospital(folder) as made:
        yield made


@contextmanager
def node_of(stage: HospitalStage, who: str) -> Iterator[RemoteBilling]:
    assert stage.serving is not None
    endpoint = f"127.0.0.1:{stage.serving.port}"
    with channel(endpoint, tls=stage.tls(who), server="hospital-a", trust_domain=DOMAIN) as line:
        yield RemoteBilling(line)


def test_an_officer_looks_issues_answers_and_reads_in(stage: HospitalStage) -> None:
    stage.money.contract(stage.listed("wired"), "c-wired")
    stage.market.buyers[BUYER].fetch("c-wired")
    with node_of(stage, OFFICER) as node:
        due = node.due("2026-11")
        assert [(row["contract"], row["total_cents"]) for row in due["rows"]] == [("c-wired", 5_088_000)]
        assert due["is_open"]
        file = node.issue("c-wired", "")
        assert node.due("2026-11")["rows"] == []
        stage.money.customer().dispute(stage.money.customer().invoices("hospital-a")[-1], "half of it is empty")
        (word,) = node.issued()[-1].said
        assert word["document"]["digest"] == digest(file.document)
        answered = node.answer(file.number, "it is whole", digest(word["document"]))
        assert (answered.state, len(answered.said)) == ("ISSUED", 2)
        reference = f"for {file.number}"
        stage.money.entries = [BankEntry("e-1", "2026-12-01", 5_088_000, "CNY", "Heartline", reference, 2)]
        (seen,) = node.preview_payments(STATEMENT)["entries"]
        assert (seen["line"], seen["outcome"], seen["invoice"]) == (2, "paid", file.number)
        assert node.account(file.number)["received"] == []
        assert node.import_payments(STATEMENT)["entries"] == [seen]
        account = node.account(file.number)
        assert account["received"] == [{"id": "e-1", "booked": "2026-12-01", "amount_cents": 5_088_000}]
        assert account["cents"] == {"hospital-a": 4_800_000}


CALLS: tuple[Callable[[RemoteBilling], object], ...] = (
    lambda node: node.due("2026-11"),
    lambda node: node.account("hospital-a-2026-000001"),
    lambda node: node.preview_payments(STATEMENT),
    lambda node: node.answer("hospital-a-2026-000001", "x", "y"),
)


@pytest.mark.parametrize("who", [COMMITTEE, f"buyer/{BUYER}", "hospital/hospital-b/privacy_officer"])
def test_nobody_else_is_told_or_heard_about_money(stage: HospitalStage, who: str) -> None:
    with node_of(stage, who) as node:
        for call in CALLS:
            with pytest.raises(RemoteRefused) as refused:
                call(node)
            assert refused.value.rule == "no-rule-permits"
