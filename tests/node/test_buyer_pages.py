"""The buyer's desk over the market's real verbs: what pages show, what forms do, what a stranger's text does."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.catalog.samples import sample_product
from tests.node.billing_stage import priced
from tests.node.buyer_stage import CONTRACT, Organisation, answered, contract_of
from tests.node.desk_stage import said
from tests.node.market_stage import BUYER, OFFICER, released

from hdex.catalog.access_review import AccessArrow, AccessState
from hdex.catalog.contract import State
from hdex.catalog.invoice import InvoiceState
from hdex.catalog.vetting import VettingState
from hdex.node.errors import NotFound, PeerUnavailable
from hdex.node.hospital.billing import Credit
from hdex.node.study_diary import StudyDiary
from hdex.node.web.buyer_words import BuyerWords, table


@pytest.fixture
def us(tmp_path: Path) -> Organisation:
    made = Organisation(tmp_path)
    made.sign_in()
    return made


def test_empty_pages_say_what_will_stand_there(us: Organisation) -> None:
    for path, text in {
        "/": "Nothing waits for anybody",
        "/find?q=zzzz": "No product matches",
        "/requests": "No request was begun here",
        "/contracts": "No contract was asked for yet",
        "/invoices": "No invoice is addressed to you",
        "/studies": "No study was started here",
    }.items():
        assert text in us.words(path)


def test_a_contract_goes_its_whole_way_through_the_pages(us: Organisation) -> None:
    product = us.market.stents()
    assert product.title.en in us.words("/find?q=carotid")
    contract = contract_of(us, product.id)
    path = f"/contracts/{contract}"
    assert "Contract on hospital-a.stents hospital-a" in us.words("/").replace(
        "carotid", "stents"
    ) or "Others are asked" in us.words("/")
    us.decide(contract)
    assert "Read and sign the agreement" in us.words("/")
    assert "Checked and signed." in us.act(path, f"{path}/accept")
    words = us.words(path)
    assert "final" in words
    assert "0 %" in words
    with pytest.raises(NotFound, match=f"hdex buy fetch {contract}"):
        us.market.buyers[BUYER].open(contract)
    assert "It is arriving." in us.act(path, f"{path}/fetch")
    us.received(contract)
    words = us.words(path)
    assert "Every chunk and the whole are verified." in words
    assert "Receipt signed and heard" in words
    assert "不含任何记录行的汇总与模型可以保留" in us.words(f"/zh{path}")
    assert f"{path}/fetch" not in us.forms(path)
    assert us.market.buyers[BUYER].open(contract).height == released().height
    assert "Nothing waits for anybody" in us.words("/")


def test_a_contract_s_way_says_which_times_are_signed_and_which_were_seen(us: Organisation) -> None:
    contract = contract_of(us, us.market.stents().id)
    us.market.later(minutes=5)
    us.decide(contract)
    us.market.later(minutes=5)
    us.desk_.buyer.accept(contract)
    us.market.later(minutes=10)
    found = re.findall(
        r"<strong>(\w+)</strong>.*?timeline-time\">([^<]+)<", us.page(f"/contracts/{contract}"), re.DOTALL
    )
    told = dict(found)
    assert told["requested"] == "21 Nov 2026 22:00 · as a signed paper says"
    assert told["requested"] != told["final"]
    assert told["final"] == "21 Nov 2026 22:20 · first seen from here"


def test_following_a_contract_is_asked_for_and_ends_with_it(us: Organisation) -> None:
    contract = contract_of(us, us.market.stents().id)
    path = f"/contracts/{contract}"
    assert "refresh" not in us.browser.get(path).headers
    live = us.browser.get(f"{path}?live=1")
    assert live.headers["refresh"] == f"5; url={path}?live=2"
    assert us.browser.get(f"{path}?live=119").headers["refresh"].endswith("?live=120")
    for ended in ("120", "121", "99999", "x", "-1", "٣"):  # by itself: else nobody's browser would ever lie idle
        assert "refresh" not in us.browser.get(f"{path}?live={ended}").headers
    assert "Stop" in said(live.text)
    us.decide(contract, approved=False)
    assert "refresh" not in us.browser.get(f"{path}?live=1").headers
    assert "terminated" in us.words(path)


def test_an_agreement_that_changed_since_it_was_shown_is_not_signed(us: Organisation) -> None:
    contract = contract_of(us, us.market.stents().id)
    us.decide(contract)
    path = f"/contracts/{contract}"
    form = us.forms(path)[f"{path}/accept"] | {"digest": "0" * 64}
    assert "desk.changed" in said(us.send(f"{path}/accept", form).text)
    assert us.desk_.buyer.status(contract).state == State.AGREED


def test_a_delivery_that_breaks_off_is_told_and_goes_on(us: Organisation) -> None:
    contract = contract_of(us, us.market.stents().id)
    us.decide(contract)
    us.desk_.buyer.accept(contract)
    us.desk_.buyer.fetch(contract, stop_after=2)
    path = f"/contracts/{contract}"
    assert "Go on" in us.words(path)
    us.market.negotiations.revoke(contract, "consent withdrawn", OFFICER)
    us.desk_.fetches.begin(contract)
    us.received(contract)
    words = us.words(path)
    assert "revoked" in words
    assert f"{path}/fetch" not in us.forms(path)
    found = us.desk_.fetches.of(contract)
    assert found is not None
    assert found.problem is not None
    assert not found.is_running


def test_a_refusal_shows_rule_and_next_step(us: Organisation) -> None:
    product = us.market.stents()
    path = f"/products/{product.id}/contract"
    answer = us.send(path, us.forms(path)[path] | CONTRACT | {"purpose": "HDEX:marketing"})
    words = said(answer.text)
    assert answer.status_code == 403
    assert "Rule" in words
    assert "What next" in words


def test_a_stranger_s_contract_is_not_shown(us: Organisation) -> None:
    assert us.browser.get("/contracts/nobodys").status_code in (403, 404)
    assert us.browser.get("/contracts/..%2f..%2fetc").status_code == 404
    assert us.browser.get("/requests/none").status_code == 404


def test_the_precheck_and_the_quote_are_answered_without_asking_anybody(us: Organisation) -> None:
    product = us.market.list_product(priced(), released())
    before = us.market.hospital.ground.log.size
    words = us.words(f"/products/{product.id}?purpose=DUO:0000007&disease=I65.2")
    assert "Permitted" in words
    words = us.words(f"/products/{product.id}?plan=one_off&quantity=2")
    assert "Total CNY 101,760.00" in words
    assert "is asked" in us.words(f"/products/{product.id}?plan=per_query")
    assert us.market.hospital.ground.log.size == before


def test_an_aggregate_question_is_answered_as_table_and_chart(us: Organisation) -> None:
    product = us.market.list_product(sample_product(), released())
    contract = contract_of(us, product.id, mode="query")
    us.decide(contract)
    us.desk_.buyer.accept(contract)
    path = f"/contracts/{contract}/query"
    form = us.forms(path)[f"{path}#answer"]
    answer = us.send(path, form | {"kind": "count", "by": "age_band", "where": "systolic >= 100\r\n"})
    assert answer.status_code == 200, said(answer.text)
    words = said(answer.text)
    assert "60-69" in words
    assert "150" in words
    assert "<svg" in answer.text
    assert "99 different questions are left" in words
    assert "99" in us.words(f"/contracts/{contract}")
    refused = us.send(path, form | {"kind": "mean", "column": "age_band"})
    assert refused.status_code == 403
    assert "query.types" in said(refused.text)
    assert us.send(path, form | {"kind": "mean"}).status_code == 400


def test_an_invoice_is_listed_checked_downloaded_and_disputed(us: Organisation) -> None:
    contract = us.stage.contract()
    us.desk_.buyer.fetch(contract)
    kept = us.stage.billing.issue_to_date(contract, OFFICER)
    assert kept.number in us.words("/invoices")
    path = f"/invoices/hospital-a/{kept.number}"
    words = us.words(path)
    assert "The invoice holds" in words
    assert "CNY 50,880.00" in words
    file = us.browser.get(f"{path}/paper?as=html")
    assert file.headers["content-disposition"].startswith("attachment")
    assert us.browser.get(f"{path}/paper").json()["invoice"]["document"]["number"] == kept.number
    assert "The hospital was told, signed." in us.act(path, f"{path}/dispute", reason="half was delivered")
    assert "disputed" in us.words("/invoices")
    assert "half was delivered" in us.words(path)
    assert us.browser.get("/invoices/hospital-b/none").status_code == 404


def test_an_answer_and_a_credit_note_are_read_beside_what_is_still_open(us: Organisation) -> None:
    contract = us.stage.contract()
    us.desk_.buyer.fetch(contract)
    number = us.stage.billing.issue_to_date(contract, OFFICER).number
    answered(us, number, "half is empty", "the manifest says 400 rows")
    note = us.stage.billing.credit(number, Credit(88_000, "CNY", "<b>one column</b>"), OFFICER)
    path = f"/invoices/hospital-a/{number}"
    words = us.words(path)
    for text in ("half is empty", "the manifest says 400 rows", note.number, "Still open CNY 50,000.00"):
        assert text in words
    assert "does not hold" not in words
    assert "Sign and dispute" in words  # it may be disputed anew
    page = us.browser.get(f"/invoices/hospital-a/{note.number}").text
    assert "&lt;b&gt;one column" in page
    assert "Sign and dispute" not in page
    us.market.later(days=40)
    us.sign_in()
    assert "overdue" in us.words("/invoices")
    kept = us.stage.billing.shelf.get(number)
    forged = {**kept.said[1], "document": kept.said[1]["document"] | {"reason": "we never answered"}}
    us.stage.billing.shelf.keep(replace(kept, said=(kept.said[0], forged)))
    assert "we never answered hospital-a · the signature does not hold" in us.words(path)


def test_the_exchange_away_is_asked_once(us: Organisation, monkeypatch: pytest.MonkeyPatch) -> None:
    product = us.market.stents()
    contracts = [contract_of(us, product.id) for _ in range(3)]
    asked = list[str]()

    def away(contract: str) -> None:
        asked.append(contract)
        raise PeerUnavailable("the exchange does not answer")

    monkeypatch.setattr(us.market.doors[BUYER], "status", away)
    words = us.words("/contracts")
    assert len(asked) == 1
    assert all(contract in words for contract in contracts)
    assert us.browser.get(f"/contracts/{contracts[0]}").status_code == 502


def test_studies_show_their_steps_and_their_result(us: Organisation) -> None:
    diary = StudyDiary(us.home / "studies", "s-1")
    diary.begin("logistic")
    assert "running" in us.words("/studies")
    diary.finish({"rounds": 4, "sites": ["hospital-a", "hospital-b"]})
    assert "4 rounds over 2 hospitals" in us.words("/studies/s-1")
    assert us.browser.get("/studies/s-1/result").json()["rounds"] == 4
    assert us.browser.get("/studies/none").status_code == 404


def test_every_word_that_others_may_say_has_its_label() -> None:
    words = table()
    assert [one.value for one in AccessState if one.value not in words["access_state"]] == []
    assert [one.value for one in AccessArrow if one.value not in words["access_arrow"]] == []
    assert [one.value for one in VettingState if one.value not in words["vetting_state"] and one.value != "NEW"] == []
    assert [one.value for one in State if one.value not in words["contract_state"]] == []
    assert [one.value for one in InvoiceState if one.value not in words["invoice_state"]] == []
    assert all(set(entry) == {"en", "zh"} and all(entry.values()) for part in words.values() for entry in part.values())


def test_every_key_that_a_template_names_has_words() -> None:
    folder = Path(__file__).resolve().parents[2] / "node/hdex/node/web/templates"
    for lang in ("en", "zh"):
        words = BuyerWords(lang)
        for template in folder.glob("buyer_*.html"):
            for key in re.findall(r"t\('([a-z_]+\.[A-Za-z_]+)'(?! ~)", template.read_text(encoding="utf-8")):
                assert words.knows(*key.split(".", 1)), (template.name, key)
