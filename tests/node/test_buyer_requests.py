"""The buyer's desk before a contract: vetting, access requests with form, paper and messages; a stranger's texts."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.catalog.samples import sample_product
from tests.node.access_people import WAY
from tests.node.access_stage import PDF
from tests.node.buyer_stage import DECLARED, FORM, Organisation, contract_of, needing_people
from tests.node.desk_stage import said
from tests.node.market_stage import OFFICER, released
from tests.node.test_desk_pages import ACTIVE, EVIL

from hdex.catalog.contract import State


@pytest.fixture
def us(tmp_path: Path) -> Organisation:
    made = Organisation(tmp_path)
    made.sign_in()
    return made


def test_an_access_request_is_drafted_filled_in_submitted_and_decided(us: Organisation) -> None:
    product = needing_people(us)
    path = f"/products/{product}/request"
    assert "The draft is made." in us.act(
        path, path, name="r-1", **{k: FORM[k] for k in ("purpose", "disease", "mode")}
    )
    assert "Fill in and submit" in us.words("/")
    one = "/requests/r-1"
    assert "Kept. Nothing is sent yet." in us.act(one, f"{one}/save", **FORM)
    answer = us.upload(one, PDF)
    assert answer.status_code == 303, said(answer.text)
    words = us.words(answer.headers["location"])
    assert "Signed and sent to the hospital." in words
    assert "submitted" in words
    assert "data steward of hospital-a" in us.words("/")
    record = us.people.requests.get("r-1")
    assert us.people.requests.read_document("r-1", OFFICER) == PDF
    us.people.message(record, "who is the contractor?", "privacy_officer")
    assert "who is the contractor?" in us.words(one)
    assert "Your message is sent." in us.act(one, f"{one}/message", text="there is none")
    us.people.reviewed(us.people.requests.get("r-1"))
    words = us.words(one)
    assert "approved" in words
    assert "as it should be" in words
    assert "Approved, ask for the contract" in us.words("/")
    contract = contract_of(us, product)
    assert us.desk_.buyer.status(contract).state == State.REQUESTED


def test_a_returned_request_is_mended_and_submitted_again(us: Organisation) -> None:
    product, one = needing_people(us), "/requests/r-1"
    path = f"/products/{product}/request"
    us.act(path, path, name="r-1", **{k: FORM[k] for k in ("purpose", "disease", "mode")})
    us.act(one, f"{one}/save", **FORM)
    us.upload(one, PDF)
    assert f"{one}/save" not in us.forms(one)
    sealed = us.send(f"{one}/save", us.forms("/")["/sign-out"] | FORM)
    assert "access.sent" in said(sealed.text)
    record = us.people.decide(us.people.requests.get("r-1"), *WAY[0])
    us.people.decide(record, "return", "data_steward", reason="name the vessels")
    assert "Mend and submit again" in us.words("/")
    assert "name the vessels" in us.words(one)
    us.act(one, f"{one}/save", **(FORM | {"summary": "The internal carotid."}))
    assert us.upload(one, PDF).status_code == 303
    assert us.people.requests.get("r-1").form.revision == 2


def test_a_draft_is_withdrawn_and_gone(us: Organisation) -> None:
    path = f"/products/{us.market.stents().id}/request"
    us.act(path, path, name="r-2", **{k: FORM[k] for k in ("purpose", "disease", "mode")})
    assert "It is withdrawn." in us.act("/requests/r-2/withdraw", "/requests/r-2/withdraw", reason="")
    assert us.browser.get("/requests/r-2").status_code == 404


def test_a_form_that_lacks_something_names_it(us: Organisation) -> None:
    path, one = f"/products/{us.market.stents().id}/request", "/requests/r-1"
    us.act(path, path, name="r-1", **{k: FORM[k] for k in ("purpose", "disease", "mode")})
    assert "choose its file" in said(us.upload(one, b"").text)
    assert "text that is not empty" in said(us.upload(one, PDF).text)
    assert "3 parts, with semicolons" in us.act(one, f"{one}/save", **(FORM | {"team": "Li Wei"}))


def test_a_file_beyond_the_bound_is_refused_before_it_is_whole(us: Organisation) -> None:
    path, one = f"/products/{us.market.stents().id}/request", "/requests/r-1"
    us.act(path, path, name="r-1", **{k: FORM[k] for k in ("purpose", "disease", "mode")})
    answer = us.upload(one, b"%" * (3 << 20))
    assert answer.status_code == 400
    assert "at most" in said(answer.text)


def test_a_declaration_is_signed_and_sent_and_its_standing_is_shown(tmp_path: Path) -> None:
    us = Organisation(tmp_path, vetted=False)
    us.sign_in()
    assert "Have your organisation vetted" in us.words("/")
    assert "Signed and sent. The office reads it." in us.act("/vetting", "/vetting", **DECLARED)
    assert "Heartline Devices" in us.words("/vetting")
    assert "applied" in us.words("/vetting")
    wrong = us.act("/vetting", "/vetting", **(DECLARED | {"code": "91350100M000100Y44"}))
    assert "organisation.code" in wrong
    assert "91350100M000100Y44" not in wrong


def test_who_is_away_is_named_and_the_rest_is_shown(us: Organisation) -> None:
    path = f"/products/{us.market.stents().id}/request"
    us.act(path, path, name="r-1", **{k: FORM[k] for k in ("purpose", "disease", "mode")})
    us.act("/requests/r-1", "/requests/r-1/save", **FORM)
    us.upload("/requests/r-1", PDF)
    us.doors.cut = True
    assert "Somebody does not answer. the line was cut" in us.words("/")
    assert "The hospital does not answer: what stands here is your own copy." in us.words("/requests/r-1")


@pytest.mark.parametrize("evil", EVIL[:6])
def test_a_stranger_s_text_stays_text_in_every_field(us: Organisation, evil: str) -> None:
    product = needing_people(us)
    path, one = f"/products/{product}/request", "/requests/r-1"
    us.act(path, path, name="r-1", **{k: FORM[k] for k in ("purpose", "disease", "mode")})
    texts = ("title", "summary", "publication_plan", "protection", "ethics_number")
    us.act(one, f"{one}/save", **(FORM | dict.fromkeys(texts, evil) | {"team": f"{evil}; {evil}; 2026-09-01"}))
    pages = [us.page(path) for path in ("/", "/requests", one, f"{one}/withdraw")]
    us.upload(one, PDF, name=evil.replace('"', "").replace("\r", ""))
    us.act(one, f"{one}/message", text=evil)
    us.people.message(us.people.requests.get("r-1"), evil, "privacy_officer")
    plain = us.market.list_product(replace(sample_product(), id="hospital-a.plain"), released())
    contract = contract_of(us, plain.id, statement=evil)
    pages += [us.page(path) for path in (one, f"/contracts/{contract}", f"/find?q={evil}", "/contracts")]
    pages.append(
        us.browser.get(f"/products/{product}", params={"columns": evil, "plan": "one_off", "disease": evil}).text
    )
    for page in pages:
        assert not ACTIVE.search(page[page.index("<main") :].replace('<svg class="chart"', ""))
    assert evil in us.desk_.applicant.form("r-1")["title"]
