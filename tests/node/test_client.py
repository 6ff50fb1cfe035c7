"""The Python client and the options of `hdex buy`: the same verbs, answers as frames."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.catalog.samples import sample_product
from tests.node.market_stage import BUYER, OFFICER, PURPOSE, Market, released

from hdex.catalog.terms import Outcome
from hdex.federated.question_file import read_question as read_study
from hdex.node.cli.buy_use import tell
from hdex.node.client import Exchange, answer_frame, harmless
from hdex.node.documents import Document
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid
from hdex.node.question import Question
from hdex.node.question_text import condition, typed
from hdex.node.signed import Envelope
from hdex.node.steward import Steward

CONSENTED = {"disease": "I65.2"}


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path)


@pytest.fixture
def exchange(market: Market) -> Exchange:
    return Exchange(market.buyers[BUYER])


def agreed(market: Market, exchange: Exchange, mode: str, **given: Any) -> str:
    record = exchange.request("hospital-a.carotid-stents", PURPOSE, mode=mode, **(CONSENTED | given))
    market.negotiations.decide(record.contract_id, OFFICER, approved=True)
    assert exchange.accept(record.contract_id).state == "FINALIZED"
    return record.contract_id


def test_a_purchase_from_finding_to_rows(market: Market, exchange: Exchange) -> None:
    market.stents()
    found = exchange.find("carotid")
    assert found["id"].to_list() == ["hospital-a.carotid-stents"]
    assert found["modes"].to_list()[0] == ["sealed_file", "enclave", "query", "federated"]
    assert exchange.find("nothing like it").height == 0
    assert exchange.show("hospital-a.carotid-stents").level == 2
    contract = agreed(market, exchange, "sealed_file")
    assert exchange.status(contract).state == "FINALIZED"
    assert exchange.fetch(contract).equals(released())
    assert exchange.open(contract).equals(released())


def test_a_precheck_says_what_the_terms_say_without_asking(market: Market, exchange: Exchange) -> None:
    market.stents()
    before = market.hospital.ground.log.size
    said = exchange.precheck("hospital-a.carotid-stents", PURPOSE, **CONSENTED)
    assert said.outcome == Outcome.PERMITTED or said.next_step
    assert exchange.precheck("hospital-a.carotid-stents", "HDEX:underwriting").outcome == Outcome.PROHIBITED
    assert market.hospital.ground.log.size == before


def test_a_query_is_a_frame(market: Market, exchange: Exchange, tmp_path: Path) -> None:
    market.stents()
    contract = agreed(market, exchange, "query")
    asked = Question(kind="count", by=("age_band",))
    frame = exchange.query(contract, asked)
    assert frame.to_dicts() == [{"age_band": "60-69", "n": 200}, {"age_band": "70-79", "n": 200}]
    file = tmp_path / "question.toml"
    file.write_text('kind = "count"\nby = ["age_band"]\n')
    assert exchange.query(contract, file).equals(frame)
    assert exchange.query(contract, {"kind": "count", "by": ["age_band"]}).equals(frame)


def test_a_run_of_the_enclave_from_script_to_tables(market: Market, exchange: Exchange, tmp_path: Path) -> None:
    market.stents()
    contract = agreed(market, exchange, "enclave")
    script = tmp_path / "count.py"
    script.write_text("frame.group_by('age_band').len('n').sort('age_band').write_csv('ages.csv')")
    run = str(exchange.submit(contract, script)["run"])
    steward = Steward("hospital-a/privacy_officer", market.people["privacy_officer"], OwnDesk(market))
    assert steward.review(run, approve=True)["state"] == "CHECKED"
    assert exchange.output(contract, run)[1] == {}
    assert steward.review(run, approve=True)["state"] == "RELEASED"
    document, tables = exchange.output(contract, run)
    assert document["state"] == "RELEASED"
    assert tables["ages.csv"]["n"].to_list() == [200, 200]
    with pytest.raises(NotFound):
        steward.review(run, approve=True)


class OwnDesk:
    """A node as its own officer calls it, as far as the enclave needs it."""

    def __init__(self, market: Market) -> None:
        self._enclaves = market.hospital.enclaves

    def approve(self, kind: str, dataset: str, envelope: Envelope) -> Document:
        return self._enclaves.sign(kind, envelope, OFFICER)

    def runs(self) -> list[Document]:
        return self._enclaves.listed(OFFICER)

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


def test_federated_contracts_become_the_beginning_of_a_study(market: Market, exchange: Exchange) -> None:
    market.stents()
    contract = agreed(market, exchange, "federated", rounds=12)
    text = exchange.study_file([contract], "study-7")
    question = read_study(text)
    assert (question["id"], question["purpose"], question["max_rounds"]) == ("study-7", PURPOSE, 12)
    assert question["contracts"] == {"hospital-a": contract}
    assert "#   systolic" in text
    sealed = agreed(market, exchange, "sealed_file")
    with pytest.raises(AccessDenied, match="not for federated use"):
        exchange.study_file([sealed], "study-7")


def test_a_refusal_carries_rule_and_next_step(market: Market, exchange: Exchange) -> None:
    market.stents()
    with pytest.raises(AccessDenied) as refused:
        exchange.request("hospital-a.carotid-stents", "HDEX:underwriting")
    assert refused.value.rule == "purpose.prohibited"
    market.list_product(replace(sample_product(), id="hospital-a.level-5", level=2), released())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("systolic >= 140", ("systolic", ">=", [140.0])),
        ("sex=male", ("sex", "=", ["male"])),
        ("sex in male, female", ("sex", "in", ["male", "female"])),
        ("age between 50,60", ("age", "between", [50.0, 60.0])),
        ("code = '7'", ("code", "=", ["7"])),
        ("restenosis = true", ("restenosis", "=", [True])),
    ],
)
def test_a_condition_of_the_command_line_is_read(text: str, said: tuple[str, str, list[Any]]) -> None:
    assert tuple(condition(text).values()) == said


@pytest.mark.parametrize("text", ["", "systolic", "systolic ~ 3", "; rm -rf /"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(RequestInvalid):
        condition(text)
    assert typed("x") == "x"


def test_what_a_spreadsheet_would_run_is_written_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pl.DataFrame({"level": ["=1+1", "@x", "-", "60-69", None], "n": [-1, 2, 3, 4, 5]})
    assert harmless(frame)["level"].to_list() == ["'=1+1", "'@x", "'-", "60-69", None]
    assert harmless(frame)["n"].equals(frame["n"])
    tell(frame, tmp_path / "a.csv", as_json=False)
    assert "\n'=1+1,-1" in (tmp_path / "a.csv").read_text()
    capsys.readouterr()
    tell(frame, None, as_json=True)
    assert json.loads(capsys.readouterr().out)["rows"][0] == {"level": "=1+1", "n": -1}


def test_an_answer_of_blanks_is_a_frame_of_numbers() -> None:
    assert answer_frame([{"age": 1, "n": 2, "sex": "f"}], ["sex", "age"]).columns == ["sex", "age", "n"]
    assert answer_frame([{"by": None, "n": None}, {"by": None, "n": None}])["n"].dtype == pl.Int64
