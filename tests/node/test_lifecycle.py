"""A product's life at its hospital: two people sign, each step is an event, and node and exchange say the same."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.catalog.samples import sample_product
from tests.node.market_doors import ExchangeDoor
from tests.node.market_stage import BUYER, Market, person
from tests.node.record_stage import HIV, Record, offer, silent

from hdex.catalog.errors import CatalogError, GuardUnmet, NotListed, ProductClosed, ProductWithdrawn
from hdex.catalog.lifecycle import Arrow, Evidence, ProductState
from hdex.catalog.product import DataProduct
from hdex.node.errors import AccessDenied, ConfigInvalid, NodeError, PeerUnavailable, SignatureInvalid
from hdex.node.hospital.lifecycle import EVENTS, Lifecycle, Publisher
from hdex.node.hospital.products import Held, Products
from hdex.node.hospital.staff import Staff
from hdex.node.keys import STANDARD, MemoryKeys
from hdex.node.signed import digest, sign, verify

OFFICER = person("hospital-a", "privacy_officer")
STEWARD = person("hospital-a", "data_steward")
PRODUCT = "hospital-a.carotid-stents"


class Life:
    """Hospital A's products over a market: what an assessed version goes through."""

    def __init__(self, folder: Path) -> None:
        self.market = Market(folder)
        self.side, self.ground = self.market.hospital, self.market.grounds["hospital-a"]
        self.keys = MemoryKeys(dict(STANDARD))
        staff = Staff("hospital-a", {"privacy_officer": self.keys.public("sign")})
        me = Publisher("hospital-a", self.ground.keys, self.ground.documents, self.market.clock)
        door = ExchangeDoor(self.market, "hospital-a")
        self.lifecycle = Lifecycle(me, self.side.products, staff, exchange=door, recorder=self.ground.recorder)
        self.orders = 0

    def assessed(self, **given: Any) -> Held:
        product = sample_product(**given)
        envelope = sign("manifest", product.document(), "hospital-a", self.ground.keys.secret("sign"))
        return self.side.products.keep(Held(product, envelope, "carotid-stents", ProductState.ASSESSED))

    def list(self, held: Held) -> Held:
        held = self.lifecycle.move(held, Arrow.LIST, Evidence(at=self.market.now), actor=OFFICER)
        self.lifecycle.supersede(held, actor=OFFICER)
        self.market.listings.publish(held.envelope, person("hospital-a"))
        return held

    def order(self, kind: str, version: str = "", **changed: Any) -> dict[str, Any]:
        self.orders += 1
        paper = {"product": PRODUCT, "version": version, "reason": "asked", "at": str(self.orders)} | changed
        envelope = sign(kind, paper, "hospital-a/privacy_officer", self.keys.secret("sign"))
        return self.lifecycle.order(kind, envelope, actor=OFFICER)

    def states(self) -> dict[str, str]:
        return {held.product.version: held.state.value for held in self.side.products.versions(PRODUCT)}


@pytest.fixture
def life(tmp_path: Path) -> Life:
    life = Life(tmp_path)
    life.list(life.assessed())
    return life


def test_suspended_is_closed_everywhere_and_resumed_is_open_again(life: Life) -> None:
    product, buyer = life.side.products.all()[0], life.market.buyers[BUYER]
    assert life.order("product.suspend")["versions"] == {"1.0.0": "SUSPENDED"}
    assert life.side.products.all() == []
    with pytest.raises(ProductClosed) as shown:
        buyer.show(PRODUCT)
    assert shown.value.rule == "product.suspended"
    with pytest.raises(ProductClosed) as told:
        life.side.products.serving(PRODUCT, product.digest(), life.market.now)
    assert told.value.next_step.endswith("the provider says: asked")
    with pytest.raises(ProductClosed):
        life.market.contracts.request(life.market.request_paper(product), person(BUYER))
    assert life.order("product.resume")["versions"] == {"1.0.0": "LISTED"}
    assert buyer.show(PRODUCT)[0] == product
    life.market.buyers[BUYER].request(life.market.wish(product), contract_id="c-1")


def test_a_withdrawn_product_is_gone_with_its_superseded_versions(life: Life) -> None:
    life.list(life.assessed(version="1.1.0"))
    assert life.states() == {"1.0.0": "SUPERSEDED", "1.1.0": "LISTED"}
    assert life.order("product.withdraw")["versions"] == {"1.0.0": "REVOKED", "1.1.0": "REVOKED"}
    with pytest.raises(ProductWithdrawn):
        life.market.buyers[BUYER].show(PRODUCT)
    with pytest.raises(CatalogError):
        life.order("product.resume")
    assert set(life.states().values()) == {"REVOKED"}


def test_every_step_is_one_event_and_one_paper_the_node_has_signed(life: Life) -> None:
    life.order("product.suspend")
    life.order("product.resume")
    (held,) = life.side.products.versions(PRODUCT)
    key = {"hospital-a": life.ground.keys.public("sign")}
    papers = [verify("lifecycle", one, key) for one in held.history]
    assert [(one["from"], one["to"]) for one in papers] == [
        ("ASSESSED", "LISTED"),
        ("LISTED", "SUSPENDED"),
        ("SUSPENDED", "LISTED"),
    ]
    events = [event for event in life.ground.events() if event.policy_digest]
    assert [event.policy_digest for event in events] == [digest(paper) for paper in papers]
    assert [event.action.value for event in events] == ["catalogue.publish", "product.suspend", "product.resume"]
    assert papers[1]["rules"] == ["product.officer", "product.reason"]
    told = [e.action.value for e in life.market.exchange.events() if e.action.value.startswith("product.")]
    assert told == ["product.suspend", "product.resume"]


def test_an_order_is_the_officers_own_and_counts_once(life: Life) -> None:
    paper = {"product": PRODUCT, "version": "", "reason": "asked", "at": "now"}
    signed = sign("product.suspend", paper, "hospital-a/privacy_officer", life.keys.secret("sign"))
    with pytest.raises(AccessDenied):
        life.lifecycle.order("product.suspend", signed, actor=STEWARD)
    forged = sign("product.suspend", paper, "hospital-a/privacy_officer", life.ground.keys.secret("sign"))
    with pytest.raises(SignatureInvalid):
        life.lifecycle.order("product.suspend", forged, actor=OFFICER)
    with pytest.raises(SignatureInvalid):  # a paper to suspend orders no withdrawal
        life.lifecycle.order("product.withdraw", signed, actor=OFFICER)
    life.lifecycle.order("product.suspend", signed, actor=OFFICER)
    life.order("product.resume")
    with pytest.raises(AccessDenied) as replayed:
        life.lifecycle.order("product.suspend", signed, actor=OFFICER)
    assert replayed.value.rule == "product.order"
    assert life.states() == {"1.0.0": "LISTED"}
    rules = [rule for _, rule in life.ground.refusals()]
    assert rules == ["product.suspend.role", "signature-invalid", "signature-invalid", "product.order"]


@pytest.mark.parametrize("changed", [{"reason": ""}, {"product": "hospital-b.other"}, {"version": "9.9.9"}, {"x": "y"}])
def test_a_malformed_order_changes_nothing(life: Life, changed: dict[str, str]) -> None:
    with pytest.raises((NodeError, NotListed)):
        life.order("product.suspend", **changed)
    assert life.states() == {"1.0.0": "LISTED"}


def test_an_exchange_that_was_away_is_told_by_the_next_order(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    door = life.lifecycle._exchange

    class Away:
        def amend(self, step: dict[str, Any]) -> str:
            raise PeerUnavailable("the exchange is away")

    monkeypatch.setattr(life.lifecycle, "_exchange", Away())
    with pytest.raises(PeerUnavailable):
        life.order("product.suspend")
    assert life.states() == {"1.0.0": "SUSPENDED"}  # closed at once where the data is
    monkeypatch.setattr(life.lifecycle, "_exchange", door)
    life.order("product.suspend")
    with pytest.raises(ProductClosed):
        life.market.buyers[BUYER].show(PRODUCT)
    assert len(life.side.products.versions(PRODUCT)[0].history) == 2


def test_terms_that_end_end_the_version(life: Life) -> None:
    life.market.later(days=500)
    assert [held.state for held in life.lifecycle.expire(actor=OFFICER)] == [ProductState.EXPIRED]
    assert life.lifecycle.expire(actor=OFFICER) == []
    with pytest.raises(ProductClosed):
        life.market.buyers[BUYER].show(PRODUCT)


def test_an_agreement_ends_with_the_terms_at_the_latest(life: Life) -> None:
    life.market.later(days=300)
    record = life.market.finalized(life.side.products.all()[0])
    assert record.agreement is not None
    assert record.agreement["document"]["expires"] == sample_product().terms.expires


def test_nobody_moves_the_product_of_another(life: Life) -> None:
    step = life.side.products.versions(PRODUCT)[0].history[-1]["document"] | {"to": "REVOKED"}
    stranger = sign("lifecycle", step, "hospital-b", life.market.grounds["hospital-b"].keys.secret("sign"))
    with pytest.raises(AccessDenied) as refused:
        life.market.listings.amend(stranger, person("hospital-b"))
    assert refused.value.rule == "withdraw.foreign"
    assert life.market.buyers[BUYER].show(PRODUCT)


def test_records_of_before_versions_are_taken_over(tmp_path: Path) -> None:
    life = Life(tmp_path)
    product = sample_product()
    envelope = sign("manifest", product.document(), "hospital-a", life.ground.keys.secret("sign"))
    former = {"envelope": envelope, "dataset": "carotid-stents", "digest": product.digest(), "live": True}
    life.ground.documents.put("product", product.id, former)
    products = Products(life.ground.documents)
    assert products.live(product.id, product.digest()) == product
    assert products.serving(product.id, product.digest(), life.market.now).dataset == "carotid-stents"
    assert life.ground.documents.all("product") == []


class Story(RuleBasedStateMachine):
    """Everything a hospital can do with two versions, in any order; the invariants hold after each step."""

    @initialize()
    def begin(self) -> None:
        self._folder = TemporaryDirectory()
        self.life = Life(Path(self._folder.name))
        self.number = 0

    def teardown(self) -> None:
        if hasattr(self, "_folder"):
            self._folder.cleanup()

    @rule()
    def offer_next(self) -> None:
        self.number += 1
        terms = replace(sample_product().terms, expires=None if self.number % 2 else "2027-03-01T00:00:00.000Z")
        held = self.life.assessed(version=f"1.{self.number}.0", terms=terms)
        try:
            self.life.list(held)
        except GuardUnmet:
            assert terms.expires is not None
            assert self.life.market.now.isoformat() >= "2027-03-01"

    @rule(kind=st.sampled_from(["product.suspend", "product.resume", "product.withdraw"]), old=st.booleans())
    def order(self, kind: str, old: bool) -> None:
        version = f"1.{self.number - 1}.0" if old and self.number > 1 else ""
        with suppress(CatalogError):
            self.life.order(kind, version)

    @rule(days=st.integers(1, 60))
    def wait(self, days: int) -> None:
        self.life.market.later(days=days)
        self.life.lifecycle.expire(actor=OFFICER)

    @invariant()
    def one_version_at_most_is_offered_and_the_exchange_agrees(self) -> None:
        versions = self.life.side.products.versions(PRODUCT)
        open_ones = [held for held in versions if held.state in (ProductState.LISTED, ProductState.SUSPENDED)]
        assert len(open_ones) <= 1
        told = self.life.market.listings._catalogue.held(PRODUCT)
        listed = [held for held in versions if held.state != ProductState.ASSESSED]
        if told is None:
            assert listed == []
        else:
            assert (told.product.version, told.state) == (listed[-1].product.version, listed[-1].state)

    @invariant()
    def every_step_follows_the_one_before_and_stands_in_the_log(self) -> None:
        logged = {event.policy_digest for event in self.life.ground.events()}
        for held in self.life.side.products.versions(PRODUCT):
            papers = [paper["document"] for paper in held.history]
            ways = [(one["from"], one["to"]) for one in papers]
            assert ways == list(zip(["ASSESSED", *(to for _, to in ways)], [to for _, to in ways], strict=False))
            assert not papers or papers[-1]["to"] == held.state.value
            assert {digest(one) for one in papers} <= logged

    @invariant()
    def only_what_may_serves(self) -> None:
        now = self.life.market.now
        for held in self.life.side.products.versions(PRODUCT):
            try:
                self.life.side.products.serving(PRODUCT, held.digest, now)
            except ProductClosed:
                assert held.state not in (ProductState.LISTED, ProductState.EXPIRED)
            else:
                assert held.state in (ProductState.LISTED, ProductState.EXPIRED, ProductState.SUPERSEDED)


Story.TestCase.settings = settings(
    max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_whatever_is_done_in_whatever_order_the_states_agree = Story.TestCase


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    record = Record(tmp_path_factory.mktemp("record")).ready(HIV)
    record.release(HIV)
    return record


def test_two_people_sign_and_only_then_it_is_listed(tmp_path: Path) -> None:
    record = Record(tmp_path).ready(HIV)
    record.release(HIV)
    officer = record.who("privacy_officer")
    given: dict[str, Any] = {"notice": {"listing_days": 7, "supersession_days": 30}}

    def publish() -> dict[str, Any]:
        return record.publishing.publish(HIV, "1.0.0", offer(**given), actor=officer, say=silent)

    with pytest.raises(GuardUnmet) as alone:
        publish()
    assert alone.value.rule == "product.four_eyes"
    assert ("catalogue.publish", "product.four_eyes") in record.ground.refusals()
    with pytest.raises(AccessDenied) as early:
        record.assess(HIV, "1.0.0", "privacy_officer", **given)
    assert early.value.rule == "product.four_eyes"
    assert record.assess(HIV, "1.0.0", **given)["state"] == "DEIDENTIFIED"
    with pytest.raises(GuardUnmet):
        publish()
    assert record.assess(HIV, "1.0.0", "privacy_officer", **given)["state"] == "ASSESSED"
    told = publish()
    assert (told["state"], told["listed_from"]) == ("NOTICE", "2026-11-28T22:00:00.000Z")
    assert record.products.all() == []
    record.market.later(days=6)
    with pytest.raises(GuardUnmet) as running:
        publish()
    assert running.value.rule == "product.notice"
    record.market.later(days=1)
    assert publish()["state"] == publish()["state"] == "LISTED"
    require_reviewed(record, record.products.all()[0])
    (held,) = record.products.versions(f"{record.hospital}.{HIV}")
    arrows = [paper["document"]["arrow"] for paper in held.history]
    assert arrows == ["classify", "deidentify", "assess", "announce", "list"]
    logged = [event.action.value for event in record.ground.events() if event.decision == "allow"]
    expected = [".".join(EVENTS[Arrow(arrow)]) for arrow in arrows]
    assert [action for action in logged if action in expected] == expected


def require_reviewed(record: Record, product: DataProduct) -> None:
    """The manifest carries both signatures over one assessment of exactly this draft."""
    reviews = product.reviews or ()
    assert [review.signer.partition("/")[2] for review in reviews] == ["data_steward", "privacy_officer"]
    found = record.publishing.assess(HIV, "1.0.0", offer_again(product), actor=record.who(), say=silent)
    paper = found["assessment"]
    assert paper["draft_digest"] == product.draft_digest()
    for review in reviews:
        role = review.signer.partition("/")[2]
        entry = {"signer": review.signer, "key_id": review.key_id, "suite": "intl", "signature": review.signature}
        key = {review.signer: record.staff[role].public("sign")}
        assert verify("assessment", {"document": paper, "signatures": [entry]}, key) == paper
        assert review.assessment_digest == digest(paper)


def offer_again(product: DataProduct) -> Any:
    from hdex.node.hospital.publishing import offer_of

    return offer_of(product)


def test_without_an_ethical_ground_nothing_is_offered(record: Record) -> None:
    other = Record(Path(record.reports.parent / "other")).ready(HIV)
    other.release(HIV)
    with pytest.raises(GuardUnmet) as refused:
        other.publish(HIV, "1.0.0", ethics=None)
    assert refused.value.rule == "product.ethics"
    assert "exemption" in refused.value.next_step
    assert ("product.review", "product.ethics") in other.ground.refusals()
    other.publish(HIV, "1.0.0", ethics={"exemption": "sums only", "signer": "ethics_committee"})  # mended: it goes
    assert other.products.all()[0].privacy.ethics is not None
    with pytest.raises(AccessDenied) as late:  # signed words do not change any more
        other.publish(HIV, "1.0.0")
    assert late.value.rule == "publish.offer"


def test_an_exemption_names_its_reason_and_who_answers_for_it(record: Record) -> None:
    for ethics in ({"exemption": "no person can be singled out"}, {"approval": "1", "exemption": "2"}, {}):
        with pytest.raises(CatalogError):
            record.assess(HIV, "1.0.0", ethics=ethics)


def test_one_key_for_two_roles_is_one_person(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    same = {role: record.staff["data_steward"].public("sign") for role in record.staff}
    bench = replace(record.assessments._bench, staff=Staff(record.hospital, same))
    monkeypatch.setattr(record.assessments, "_bench", bench)
    with pytest.raises(ConfigInvalid, match="two people sign"):
        record.assess(HIV, "1.0.0")


def test_other_words_than_the_drafts_are_not_kept(record: Record) -> None:
    found = record.publishing.assess(HIV, "1.0.0", offer(), actor=record.who(), say=silent)
    for name, value in (("draft_digest", "00" * 32), ("risk_met", False), ("level", 1)):
        forged = record.signed("assessment", found["assessment"] | {name: value})
        with pytest.raises(AccessDenied) as refused:
            record.assessments.sign(HIV, forged, actor=record.who())
        assert refused.value.rule == "product.other"
    wrong = record.signed("assessment", found["assessment"], "privacy_officer")
    with pytest.raises(SignatureInvalid):
        record.assessments.sign(HIV, wrong, actor=record.who())
    assert json.dumps(found["product"])  # a draft is plain JSON
