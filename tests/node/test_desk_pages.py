"""The desk's pages over a hospital's real verbs: what they show, what their forms do, what a stranger's text does."""

import json
import re
from pathlib import Path

import pytest
from tests.node.desk_stage import COMMITTEE, DIGEST, HOSPITAL, OFFICER, SCRIPT, STEWARD, STUDY, House, Seat, said
from tests.node.market_stage import BUYER, OTHER
from tests.node.record_stage import STENTS, offer

from hdex.catalog.documents import to_document
from hdex.catalog.lifecycle import Arrow, ProductState
from hdex.deid.columns import Category, NationalGrade, Role
from hdex.node.desk_review import Draft
from hdex.node.errors import PeerUnavailable
from hdex.node.hospital.accesses import ACCESSES
from hdex.node.hospital.approvals import PENDING
from hdex.node.web.desk_words import table

PATHS = (
    "/",
    "/datasets",
    "/studies",
    "/products",
    "/accesses",
    f"/studies/{DIGEST}/approve",
    f"/studies/{DIGEST}/deny",
)
EVIL = (
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "</title><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}",
    "<style>*{}</style>",
    "\u202e<b>",
)
ACTIVE = re.compile(
    SCRIPT + r"|<img|<svg|<style|<b>|\son\w+\s*=\s*[^ ]*alert(?![^<]*&)|href=\"javascript", re.IGNORECASE
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def officer(house: House) -> Seat:
    return Seat(house, OFFICER).sign_in()


@pytest.fixture
def steward(house: House) -> Seat:
    return Seat(house, STEWARD).sign_in()


@pytest.mark.parametrize("root", ["", "/zh"])
def test_every_page_stands_in_both_languages_without_script_or_foreign_source(officer: Seat, root: str) -> None:
    officer.house.ask()
    officer.house.deliver()
    for path in PATHS:
        page = officer.page(root + path)
        assert f'lang="{"zh-Hans" if root else "en"}"' in page
        assert not re.search(SCRIPT + r"|\son\w+=|style=|(src|href)=\"(https?:)?//", page), path
        other = re.findall(r'class="lang-switch" href="([^"]+)"', page)
        officer.page(other[0])


def test_empty_pages_say_what_will_stand_there(officer: Seat) -> None:
    for path, text in {
        "/": "Nothing waits for anybody",
        "/datasets": "No data set is here yet",
        "/studies": "No study waits",
        "/products": "No product is here yet",
        "/accesses": "Nobody has read anything yet",
    }.items():
        assert text in officer.words(path)


def test_a_waiting_study_shows_what_is_asked(officer: Seat) -> None:
    officer.house.ask(quorum=2, privacy={"epsilon": 0.5, "delta": 1e-06, "clip": 3.0})
    assert "Decide on the study restenosis-2026" in officer.words("/")
    words = officer.words(f"/studies/{DIGEST}/approve")
    asked = "logistic regression: restenosis by age, stent_size"
    for text in (asked, "DUO:0000007", "hospital-b", "epsilon = 0.5", "12", DIGEST):
        assert text in words


@pytest.mark.parametrize(("verdict", "state"), [("approve", "approved"), ("deny", "denied")])
def test_a_study_is_decided_by_a_signature_over_its_digest(officer: Seat, verdict: str, state: str) -> None:
    officer.house.ask()
    path = f"/studies/{DIGEST}/{verdict}"
    words = officer.act(path, path)
    assert f"privacy officer: {state}" in words
    (study,) = officer.house.approvals.studies.all()
    assert study["said"] == {OFFICER: verdict}
    assert "Nothing waits" in officer.words("/")


def test_level_4_needs_two_people(officer: Seat) -> None:
    officer.house.ask(level=4)
    committee = Seat(officer.house, COMMITTEE).sign_in()
    path = f"/studies/{DIGEST}/approve"
    officer.act(path, path)
    assert "Decide on the study restenosis-2026 as the second person" in committee.words("/")
    assert "Nothing waits for you" in officer.words("/")
    assert "waits" in committee.words("/studies")
    assert "approved" in committee.act(path, path)
    assert "Nothing waits for anybody" in committee.words("/")


def test_a_steward_sees_studies_and_is_refused_by_the_node(steward: Seat) -> None:
    steward.house.ask()
    assert "This is for the privacy officer or ethics committee to do." in steward.words("/studies")
    path = f"/studies/{DIGEST}/approve"
    words = steward.act(path, path)
    assert "approve.role" in words
    assert "ask privacy_officer or ethics_committee" in words
    assert steward.house.record.ground.refusals() == [("study.approve", "approve.role")]


def test_a_product_is_suspended_resumed_and_withdrawn_with_a_reason(officer: Seat) -> None:
    product = officer.house.market.stents()
    path = f"/products/{product.id}/{product.version}"
    for order, state in (("suspend", "suspended"), ("resume", "listed"), ("withdraw", "withdrawn")):
        words = officer.act(f"{path}/{order}", f"{path}/{order}", reason=f"why {order}")
        assert "The order is carried out." in words
        assert state in words
        assert f"why {order}" in words
    held = officer.house.record.products.get(product.id, product.version)
    assert held.state is ProductState.REVOKED
    assert officer.words(f"{path}/withdraw", 200)  # the page still stands; the order is refused by the node
    assert "transition-forbidden" in officer.act(f"{path}/suspend", f"{path}/suspend", reason="again")


def test_an_order_needs_a_reason_and_the_officer(officer: Seat, steward: Seat) -> None:
    product = officer.house.market.stents()
    path = f"/products/{product.id}/{product.version}/suspend"
    assert "the form lacks reason" in officer.act(path, path, reason="  ")
    steward.house = officer.house
    other = Seat(officer.house, STEWARD).sign_in()
    assert "product.suspend.role" in other.act(path, path, reason="mine")
    assert "Suspend" not in other.words("/products").replace("suspended", "")


ABSENT = ["/nowhere", "/studies/ffff/approve", "/studies/ffff/maybe", "/products/x/1/suspend"]
ABSENT += [
    "/requests/none",
    "/contracts/none",
    "/runs/none",
    "/runs/none/approve",
    "/revenue/papers/x-2026-000001.json",
]
ABSENT += ["/organisations/nobody", "/organisations/buyer-other/ff/approve", "/organisations/buyer-other/ff/sell"]
ABSENT += ["/contracts/none/sell", "/requests/none/decide/sell", "/requests/none/paper", "/products/x/1"]
ABSENT += ["/datasets/none/classification", "/datasets/a/versions/1"]


@pytest.mark.parametrize("path", ABSENT)
def test_what_is_not_there_has_its_own_page(officer: Seat, path: str) -> None:
    assert "There is no such page" in officer.words(path, 404)
    assert "页面不存在" in officer.words(f"/zh{path}", 404)


def test_a_node_that_is_away_is_said_and_nothing_is_lost(officer: Seat) -> None:
    officer.house.ask()
    form = officer.forms(f"/studies/{DIGEST}/approve")[f"/studies/{DIGEST}/approve"]
    officer.desk.away = PeerUnavailable("hospital-a did not answer")
    assert "The node does not answer" in officer.words("/", 502)
    answer = officer.send(f"/studies/{DIGEST}/approve", form)
    assert answer.status_code == 502
    officer.desk.away = None
    assert officer.send(f"/studies/{DIGEST}/approve", form).status_code == 303


def test_an_unforeseen_error_shows_nothing_of_itself(officer: Seat, caplog: pytest.LogCaptureFixture) -> None:
    officer.house.record.ground.documents.put("study_waiting", "x", {"secret": "Zhang San"})  # no study at all
    words = officer.words("/studies", 500)
    assert "Something failed here" in words
    assert "Zhang" not in words + caplog.text


def test_who_read_what_with_decision_rule_and_proof(officer: Seat) -> None:
    officer.house.deliver()
    words = officer.words("/accesses")
    assert "2 accesses" in words
    assert BUYER in words
    assert OTHER in words  # who was refused, not who holds the contract
    assert "contract.foreign" in words
    assert words.count("durable") == 2
    officer.house.cosign()
    assert officer.words("/accesses").count("witnessed") >= 2
    officer.house.anchored = officer.house.record.ground.log.size
    assert officer.words("/accesses").count("anchored") >= 2


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ("", 2),
        ("?decision=deny", 1),
        ("?decision=allow", 1),
        (f"?consumer={BUYER}", 1),
        (f"?consumer={OTHER}", 1),  # refused under another's contract
        ("?consumer=nobody", 0),
        ("?product=hospital-a.carotid-stents", 1),
        ("?purpose=DUO:0000007", 1),
        ("?since=2026-11-21&until=2026-11-21", 2),
        ("?since=2026-11-22", 0),
        ("?until=never", 2),
        ("?decision=%3Cscript%3E", 2),
        ("?before=-1", 2),
        ("?before=1", 0),
    ],
)
def test_a_search_finds_what_it_asks_for(officer: Seat, asked: str, count: int) -> None:
    officer.house.deliver()
    page = officer.page(f"/accesses{asked}")
    assert page.count('class="event-name"') == count
    assert ("was left out" in said(page)) == any(odd in asked for odd in ("never", "script", "before=-1"))


def test_the_sheet_holds_what_the_search_shows_and_no_formula(officer: Seat) -> None:
    officer.house.deliver()
    answer = officer.browser.get("/accesses.csv?decision=deny")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="accesses.csv"'
    lines = answer.text.lstrip("\ufeff").splitlines()
    assert len(lines) == 2
    assert "contract.foreign" in lines[1]


@pytest.mark.parametrize("evil", EVIL)
def test_a_stranger_s_text_stays_text(house: House, officer: Seat, evil: str) -> None:
    texts = {
        name: evil for name, value in STUDY.items() if isinstance(value, str) and name not in ("digest", "deadline")
    }
    house.ask(**texts, columns=[evil], sites=[evil], features=[evil], privacy={evil: 1.0})
    product = house.market.stents()
    path = f"/products/{product.id}/{product.version}/suspend"
    officer.act(path, path, reason=evil)
    pages = [officer.page(path) for path in (*PATHS, f"/accesses?product={evil}&consumer={evil}", f"/?done={evil}")]
    pages += [officer.browser.get(f"/datasets/{evil}/classification").text, officer.browser.get(f"/{evil}").text]
    pages.append(officer.browser.get(f"/sign-in?code={evil}").text)
    for page in pages:
        assert not ACTIVE.search(page), ACTIVE.search(page)
        assert "49" not in said(page) or "{{" not in evil


@pytest.fixture
def ingested(house: House) -> House:
    house.record.ingest()
    return house


REVIEW, VERSION = f"/datasets/{STENTS}/classification", f"/datasets/{STENTS}/versions/1.0.0"


def test_a_data_set_goes_from_review_to_the_list(ingested: House) -> None:
    """One story: the proposal is changed against the values, signed by two, treated, assessed by two, listed."""
    steward, officer = Seat(ingested, STEWARD).sign_in(), Seat(ingested, OFFICER).sign_in()
    contested_and_seconded(steward, officer)
    proposed_anew_and_signed(steward)
    ingested.record.release()
    reported_and_drafted(steward, officer)
    assessed_and_listed(steward, officer)
    assert [held.state for held in ingested.record.products.every()] == [ProductState.LISTED]
    actions = [str(event.action) for event in ingested.record.ground.events() if event.decision == "allow"]
    assert actions.count("classification.approve") == 2
    assert "catalogue.publish" in actions


def contested_and_seconded(steward: Seat, officer: Seat) -> None:
    """The steward lowers a column against its values; the officer reads why and signs second."""
    assert f"Classify the data set {STENTS}" in steward.words("/")
    assert "Nobody has classified" in officer.words(REVIEW)
    assert "The node made a proposal" in steward.act(REVIEW, f"{REVIEW}/propose")
    typed = {"level": "1", "role": "other", "reason": "=public, <b>they say</b>"}
    assert "The draft is changed" in steward.act(REVIEW, f"{REVIEW}/column#phone", **typed)
    page = steward.page(REVIEW)
    assert page.index("<code>phone</code>") < page.index("<code>person_id</code>")  # contested ones first
    assert "by hand: direct 4 -&gt; other 1: =public, &lt;b&gt;they say&lt;/b&gt;" in page
    assert "classification.contested" in steward.act(REVIEW, f"{REVIEW}/sign")
    assert "waits for a second name" in steward.words(REVIEW)
    waiting = officer.words(REVIEW)
    assert "The values show: direct, level 4" in waiting
    assert "they say" in waiting
    assert f"Read the contested classification of {STENTS}" in officer.words("/")
    assert "Signed and in force" in officer.act(REVIEW, f"{REVIEW}/sign")


def proposed_anew_and_signed(steward: Seat) -> None:
    """Flags are set in a draft, which is given up for a new proposal that the steward signs alone."""
    steward.act(REVIEW, f"{REVIEW}/propose")
    typed = {"level": "4", "grade": "general", "assessment": "", "minors": "yes", "reason": "two of them are 13"}
    assert "Patients under 14" in steward.act(REVIEW, f"{REVIEW}/flags", **typed)
    steward.act(REVIEW, f"{REVIEW}/propose")
    assert "Signed and in force" in steward.act(REVIEW, f"{REVIEW}/sign")
    assert steward.house.record.ground.documents.keys(PENDING) == []  # nobody may second an older one over this
    assert "hdex node deidentify" in steward.words("/datasets")


def reported_and_drafted(steward: Seat, officer: Seat) -> None:
    """Everybody reads the version's report; the steward states its terms."""
    report = officer.words(VERSION)
    assert "Every ceiling of the preset holds" in report
    k = re.search(r"Smallest class \(k\) (\d+) was 1", report)
    assert k is not None
    assert int(k[1]) >= 5
    assert "This is for the data steward to do." in report
    for wrong in ("[]", "{", "[" * 5000, '{"title": 1}', json.dumps({"unknown": 1})):
        assert "The draft is made" not in steward.act(VERSION, f"{VERSION}/draft", offer=wrong)
    terms = json.dumps(to_document(offer(cohort={"dimensions": [{"column": "smoker"}, {"column": "diabetes"}]})))
    assert "The draft is made" in steward.act(VERSION, f"{VERSION}/draft", offer=terms)
    assert "Counts that everybody is told" in officer.words(VERSION)
    assert "对外公布的队列人数" in officer.words(f"/zh{VERSION}")


def assessed_and_listed(steward: Seat, officer: Seat) -> None:
    """The officer may not sign first; both sign, and the officer lists it."""
    too_early = officer.send(f"{VERSION}/sign", hidden_of(steward, VERSION) | {"csrf": csrf(officer)})
    assert "product.four_eyes" in said(too_early.text)
    assert "data steward: signed" in steward.act(VERSION, f"{VERSION}/sign")
    assert f"Sign the assessment of {STENTS} 1.0.0 second" in officer.words("/")
    assert "assessed" in officer.act(VERSION, f"{VERSION}/sign")
    assert "Handed to the exchange" in officer.act(VERSION, f"{VERSION}/list")
    assert "Carotid stents" in officer.words("/products")
    assert "颈动脉支架" in officer.words("/zh/products")


def csrf(seat: Seat) -> str:
    return seat.forms("/")["/sign-out"]["csrf"]


def hidden_of(seat: Seat, path: str) -> dict[str, str]:
    return seat.forms(path)[f"{path}/sign"]


def test_nobody_signs_what_the_page_did_not_show(ingested: House) -> None:
    steward = Seat(ingested, STEWARD).sign_in()
    review = REVIEW
    steward.act(review, f"{review}/propose")
    shown = steward.forms(review)[f"{review}/sign"]
    steward.act(review, f"{review}/column#age", level="5", role="quasi", reason="changed in another window")
    answer = steward.send(f"{review}/sign", shown)
    assert answer.status_code == 403
    assert "desk.changed" in said(answer.text)
    assert not [e for e in ingested.record.ground.events() if e.action == "classification.approve"]


@pytest.mark.parametrize(
    "typed",
    [
        {"level": "0", "role": "other", "reason": "x"},
        {"level": "6", "role": "other", "reason": "x"},
        {"level": "²", "role": "other", "reason": "x"},
        {"level": "1", "role": "boss", "reason": "x"},
        {"level": "1", "role": "other", "reason": ""},
        {"level": "1", "role": "other", "reason": "x" * 401},
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(house: House, typed: dict[str, str]) -> None:
    steward = Seat(house, STEWARD)
    steward.sign_in()
    house.record.ground.documents.put("ingest", "d", {"dataset": "d", "export_digest": "e"})
    document = {
        "schema": "hdex/classification/v1",
        "level": 2,
        "reasons": [],
        "grade": 2,
        "may_lower_to": 1,
        "scheme": "s",
    }
    column = {
        "name": "c", "role": "quasi", "category": "personal_attribute", "level": 2, "evidence": [], "confidence": 0.5,
    }  # fmt: skip
    table_ = {"name": "d", "rows": 1, "columns": [{**column, "element": ""}]}
    draft = Draft.of({**document, "tables": [table_]})
    steward.drafts.put("d", draft)
    assert "request-invalid" in steward.act(
        "/datasets/d/classification", "/datasets/d/classification/column#c", **typed
    )
    assert steward.drafts.get("d") == draft


def test_every_word_that_a_document_may_bring_has_its_label() -> None:
    words = table()
    assert [one.value for one in ProductState if one.value not in words["state"]] == []
    assert [one.value for one in Arrow if one.value not in words["arrow"]] == []
    assert [one.value for one in Role if one.value not in words["column_role"]] == []
    assert [one.value for one in Category if one.value not in words["category"]] == []
    assert [one.value for one in NationalGrade if one.value not in words["national"]] == []
    assert all(set(entry) == {"en", "zh"} and all(entry.values()) for part in words.values() for entry in part.values())
    assert len(ACCESSES) == len(set(ACCESSES))
    assert HOSPITAL
