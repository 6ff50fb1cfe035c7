"""The office that vets: two people of two roles, rules before both, and what a contract learns of it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.node.access_people import HOME, People, refusal
from tests.node.market_stage import BUYER, OFFICER, OTHER, Market, person

from hdex.catalog.contract import State
from hdex.catalog.errors import CatalogError, GuardUnmet, OrganisationInvalid, TransitionForbidden
from hdex.catalog.product import DataProduct
from hdex.catalog.vetting_rules import default_rules
from hdex.ledger.errors import LogFailed
from hdex.ledger.event import format_time
from hdex.node.errors import AccessDenied, ConfigInvalid, NodeError, RequestInvalid, SignatureInvalid
from hdex.node.hospital.staff import Staff
from hdex.node.keys import STANDARD, MemoryKeys
from hdex.node.signed import digest, sign, verify
from hdex.node.vetting import Office, Vettings
from hdex.node.vetting_views import vetting_view


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path, vetted=False)


@pytest.fixture
def people(market: Market) -> People:
    return People(market)


def test_a_vetted_organisation_contracts_and_every_step_is_signed_and_remembered(
    market: Market, people: People
) -> None:
    assert refusal(market)[0] == "vetting.missing"
    record = people.vetted()
    assert market.finalized(market.hospital.products.all()[0], contract_id="c-2").state == State.FINALIZED
    steps = [verify("vetting.step", one["step"], {HOME: market.keys[HOME].public("sign")}) for one in record.history]
    assert [(one["from"], one["to"]) for one in steps] == [
        ("NEW", "APPLIED"),
        ("APPLIED", "ENDORSED"),
        ("ENDORSED", "VALID"),
    ]
    events = [event for event in people.events() if event.policy_digest]
    assert [event.action.value for event in events] == ["vetting.apply", "vetting.endorse", "vetting.approve"]
    assert [event.policy_digest for event in events] == [digest(step) for step in steps]
    assert {event.request_digest for event in events} == {record.digest}
    view = vetting_view(record, people.vettings)
    assert (view["state"], view["next"], view["allowed"]) == ("VALID", "", ["revoke"])


def test_whose_turn_it_is_is_told_beside_the_rules_that_apply(people: People) -> None:
    record = people.apply(breaches=[{"date": "2026-01-01", "what": "x", "notified": False}])
    view = vetting_view(record, people.vettings)
    assert (view["next"], view["allowed"]) == ("data_steward", ["endorse", "refuse"])
    assert [rule["rule"] for rule in view["rules"]] == ["vetting.breach_concealed"]
    with pytest.raises(GuardUnmet) as refused:
        people.vet(record, "endorse", "data_steward")
    assert refused.value.rule == "vetting.rules"
    assert people.vet(record, "refuse", "data_steward").state.value == "REFUSED"


@pytest.mark.parametrize(
    ("way", "rule", "words"),
    [
        ([], "vetting.missing", "hdex buy vetting apply"),
        (["apply"], "vetting.pending", "wait"),
        (["apply", "endorse"], "vetting.pending", "wait"),
        (["apply", "refuse"], "vetting.refused", "reason"),
        (["apply", "endorse", "approve", "revoke"], "vetting.revoked", "office"),
        (["apply", "endorse", "approve", "end"], "vetting.expired", "apply again"),
        (["apply", "endorse", "approve", "end", "sweep"], "vetting.expired", "apply again"),
    ],
)
def test_a_contract_is_refused_by_where_the_vetting_stands(
    market: Market, people: People, way: list[str], rule: str, words: str
) -> None:
    record = None
    for step in way:
        if step == "apply":
            record = people.apply()
        elif step == "end":
            market.later(days=301)
        elif step == "sweep":
            assert [one.state.value for one in people.vettings.expire()] == ["EXPIRED"]
        elif record is not None:
            record = people.vet(record, step, "privacy_officer" if step == "approve" else "data_steward")
    found, next_step = refusal(market)
    assert found == rule
    assert words in next_step


def test_who_is_not_vetted_any_more_is_not_agreed_with_and_the_revoked_get_nothing(
    market: Market, people: People
) -> None:
    record, product = people.vetted(), market.stents()
    market.finalized(product)
    market.buyers[BUYER].request(market.wish(product), contract_id="c-2")
    market.later(days=301)  # the vetting has run out: the contract of before goes on, a new one is not agreed
    assert market.buyers[BUYER].fetch("c-1", stop_after=1).chunks == 1
    with pytest.raises(AccessDenied) as expired:
        market.negotiations.decide("c-2", OFFICER, approved=True)
    assert expired.value.rule == "vetting.expired"
    market.now -= timedelta(days=301)
    people.vet(record, "revoke", "privacy_officer", reason="the licence was withdrawn")
    with pytest.raises(AccessDenied) as revoked:
        market.hospital.delivery.range("c-1", 1, person(BUYER))
    assert revoked.value.rule == "vetting.revoked"
    people.apply()  # to apply again heals nothing before two people have decided
    with pytest.raises(AccessDenied):
        market.hospital.delivery.range("c-1", 1, person(BUYER))


def test_a_vetting_revoked_between_signature_and_grant_ends_it_there(market: Market, people: People) -> None:
    record, product = people.vetted(), market.stents()
    market.buyers[BUYER].request(market.wish(product), contract_id="c-1")
    market.negotiations.decide("c-1", OFFICER, approved=True)
    people.vet(record, "revoke", "data_steward")
    with pytest.raises(NodeError) as refused:
        market.buyers[BUYER].accept("c-1")
    assert refused.value.rule == "vetting.revoked"
    assert market.ledger.grants == {}


def test_a_rule_that_asks_has_two_persons_decide_the_contract(tmp_path: Path) -> None:
    market = Market(tmp_path, {HOME: "CN", BUYER: "CN"}, vetted=False)
    People(market).vetted(foreign_share_percent=30.0)
    product = important(market)
    asked = market.buyers[BUYER].request(market.wish(product), contract_id="c-1")
    assert (asked.state, asked.rule) == (State.REQUESTED, "vetting.important_foreign_share")
    once = market.negotiations.decide("c-1", OFFICER, approved=True)
    assert (once.state, once.rule) == (State.REQUESTED, "approval.second")
    again = market.negotiations.decide("c-1", person(HOME, "data_steward"), approved=True)
    assert again.state == State.AGREED


def important(market: Market) -> DataProduct:
    """List the carotid product under a classification that grades it important."""
    product = market.stents()
    paper = {"national_grade": "important", "assessment": "PG-2026-7"}
    dataset = market.hospital.products.dataset(product.id)
    market.hospital.ground.documents.put("classification", dataset, {"envelope": {"document": paper}})
    return product


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"storage_countries": ["CN", "SG"]}, "vetting.important_abroad"),
        ({"foreign_control": True, "foreign_share_percent": 70.0}, "vetting.important_foreign_control"),
    ],
)
def test_important_data_asks_storage_and_control_as_the_borders_do(
    tmp_path: Path, changed: dict[str, Any], rule: str
) -> None:
    market = Market(tmp_path, {HOME: "CN", BUYER: "CN"}, vetted=False)
    people = People(market)
    people.vetted(**changed)
    important(market)
    assert refusal(market)[0] == rule


def test_a_declaration_that_contradicts_the_directory_is_not_taken(tmp_path: Path) -> None:
    people = People(Market(tmp_path, {BUYER: "DE"}, vetted=False))
    with pytest.raises(GuardUnmet) as refused:
        people.apply(storage_countries=["CN"])
    assert refused.value.rule == "vetting.storage"
    assert people.apply(storage_countries=["CN", "DE"]).state.value == "APPLIED"


def test_one_person_in_two_roles_counts_once(market: Market, people: People) -> None:
    keys = MemoryKeys(dict(STANDARD))
    shared = Staff(HOME, dict.fromkeys(("data_steward", "privacy_officer"), keys.public("sign")))
    office = Office(person(HOME), ("data_steward", "privacy_officer"), shared, b"", market.clock)
    desk = market.desks[HOME]
    alone = Vettings(office, desk.documents, market.directory, rules=default_rules(), recorder=desk.recorder)
    record = people.apply()
    paper = people.verdict(record, "endorse", "data_steward")["document"]
    envelope = sign("vetting.decision", paper, f"{HOME}/data_steward", keys.secret("sign"))
    with pytest.raises(ConfigInvalid):
        alone.decide(envelope, person(HOME, "data_steward"))


def test_who_endorsed_with_a_key_that_is_now_the_others_does_not_make_two(market: Market, people: People) -> None:
    record = people.vet(people.apply(), "endorse", "data_steward")
    market.people["privacy_officer"] = market.people["data_steward"]
    people.vettings._office.staff.keys["privacy_officer"] = market.people["data_steward"].public("sign")  # type: ignore[index]  # a dict, here
    with pytest.raises(ConfigInvalid):
        people.vet(record, "approve", "privacy_officer")


@pytest.mark.parametrize(
    ("arrow", "role", "changed", "error"),
    [
        ("approve", "privacy_officer", {}, TransitionForbidden),  # nobody has endorsed it
        ("endorse", "privacy_officer", {}, GuardUnmet),  # the first role signs first
        ("endorse", "ethics_committee", {}, AccessDenied),
        ("endorse", "data_steward", {"digest": "00" * 32}, NodeError),
        ("endorse", "data_steward", {"participant": OTHER}, RequestInvalid),
        ("endorse", "data_steward", {"reason": " "}, GuardUnmet),
        ("endorse", "data_steward", {"reason": "x" * 4001}, RequestInvalid),
        ("endorse", "data_steward", {"extra": "x"}, RequestInvalid),
        ("expire", "data_steward", {}, RequestInvalid),
        ("supersede", "data_steward", {}, RequestInvalid),
    ],
)
def test_a_decision_that_does_not_fit_changes_nothing_and_is_remembered(
    people: People, arrow: str, role: str, changed: dict[str, str], error: type[Exception]
) -> None:
    record = people.apply()
    with pytest.raises(error):
        people.vet(record, arrow, role, **changed)
    assert [one.state.value for one in people.vettings.all()] == ["APPLIED"]
    assert people.told()[-1][1] == "deny"


@pytest.mark.parametrize(
    "until", ["", "tomorrow", "2027-01-01T00:00:00", "2026-11-21T22:00:00Z", "2030-01-01T00:00:00Z"]
)
def test_an_approval_names_an_end_that_the_rules_know(people: People, until: str) -> None:
    record = people.vet(people.apply(), "endorse", "data_steward")
    with pytest.raises((GuardUnmet, RequestInvalid)):
        people.vet(record, "approve", "privacy_officer", valid_until=until)


def test_papers_that_expire_bound_the_vetting_and_expired_ones_end_it(market: Market, people: People) -> None:
    with pytest.raises(GuardUnmet) as refused:
        people.apply(licence_expires="2026-11-20")
    assert refused.value.rule == "vetting.papers"
    record = people.vet(people.apply(security_expires="2026-12-31"), "endorse", "data_steward")
    with pytest.raises(GuardUnmet) as long:
        people.vet(record, "approve", "privacy_officer")
    assert long.value.rule == "vetting.papers_term"
    market.later(days=60)
    with pytest.raises(GuardUnmet) as late:
        people.vet(record, "approve", "privacy_officer", valid_until=format_time(market.now + timedelta(days=1)))
    assert late.value.rule == "vetting.papers"


def test_papers_sent_again_change_nothing_and_papers_for_others_count_for_nothing(
    market: Market, people: People
) -> None:
    envelope = people.application()
    record = people.vettings.apply(envelope, person(BUYER))
    assert people.vettings.apply(envelope, person(BUYER)) == record
    verdict = people.verdict(record, "endorse", "data_steward")
    endorsed = people.vettings.decide(verdict, person(HOME, "data_steward"))
    assert people.vettings.decide(verdict, person(HOME, "data_steward")) == endorsed
    assert people.told() == [("vetting.apply", "allow"), ("vetting.endorse", "allow")]
    with pytest.raises(SignatureInvalid):  # another's application in one's own name
        people.vettings.apply(people.application(), person(OTHER))
    with pytest.raises(RequestInvalid):  # for another office
        people.vettings.apply(people.application(office="exchange"), person(BUYER))
    with pytest.raises(RequestInvalid):  # one organisation for another
        people.vettings.apply(
            sign(
                "vetting",
                people.application(OTHER)["document"],
                BUYER,
                market.keys[BUYER].secret("sign"),
            ),
            person(BUYER),
        )
    with pytest.raises(OrganisationInvalid):
        people.apply(code="91350100M000100Y44")


def test_one_application_waits_at_a_time_and_one_code_is_one_organisation(market: Market, people: People) -> None:
    people.apply()
    with pytest.raises(AccessDenied) as waiting:
        people.apply(statement="once more")
    assert waiting.value.rule == "vetting.pending"
    record = people.vet(people.vettings.all()[0], "endorse", "data_steward")
    people.vet(record, "approve", "privacy_officer")
    with pytest.raises(AccessDenied) as taken:
        people.apply(OTHER, code="91350100M000100Y43")
    assert taken.value.rule == "vetting.code_taken"


def test_a_renewal_keeps_the_old_vetting_in_force_until_it_takes_its_place(market: Market, people: People) -> None:
    first = people.vetted()
    with pytest.raises(GuardUnmet) as early:
        people.apply(statement="renewed")
    assert early.value.rule == "vetting.early"
    market.later(days=220)
    second = people.vet(people.apply(statement="renewed"), "endorse", "data_steward")
    assert people.vettings.require(BUYER).statement == ""
    people.vet(second, "approve", "privacy_officer")
    assert people.vettings.require(BUYER).statement == "renewed"
    states = {one.digest: one.state.value for one in people.vettings.all()}
    assert states == {first.digest: "SUPERSEDED", second.digest: "VALID"}
    people.vet(people.vettings.all()[1], "revoke", "data_steward")
    with pytest.raises(AccessDenied, match="revoked"):
        people.vettings.require(BUYER)


@pytest.mark.parametrize("declares", ["the revoked one", "the other"])
def test_the_record_of_an_affiliate_counts(people: People, declares: str) -> None:
    kin = {BUYER: [{"code": "91110000600037341L", "name": {"en": "sister", "zh": ""}}],
           OTHER: [{"code": "91350100M000100Y43", "name": {"en": "sister", "zh": ""}}]}  # fmt: skip
    first = people.vetted(OTHER, affiliates=kin[OTHER] if declares == "the revoked one" else [])
    people.vet(first, "revoke", "privacy_officer")
    record = people.apply(BUYER, affiliates=kin[BUYER] if declares == "the other" else [])
    with pytest.raises(GuardUnmet) as refused:
        people.vet(record, "endorse", "data_steward")
    assert refused.value.rule == "vetting.rules"


def test_a_breach_of_the_group_counts_as_ones_own_and_nobody_hangs_his_on_a_rival(tmp_path: Path) -> None:
    people = People(Market(tmp_path, vetted=False))
    sister = [{"code": "91350100M000100Y43", "name": {"en": "sister", "zh": ""}}]
    lost = [{"date": "2026-01-01", "what": "a lost laptop", "notified": True}]
    record = people.apply(OTHER, affiliates=sister, breaches=lost)
    organisation = people.vetted(BUYER).organisation
    assert people.vettings.judge(organisation, level=3) == ()  # nobody has approved what the other says
    people.vet(people.vet(record, "endorse", "data_steward"), "approve", "privacy_officer")
    (rule,) = people.vettings.judge(organisation, level=3)
    assert rule.name == "vetting.breach_recent"


def test_a_clock_set_back_revives_nothing(market: Market, people: People) -> None:
    people.vetted()
    market.later(days=301)
    people.vettings.expire()
    market.now -= timedelta(days=200)
    with pytest.raises(AccessDenied, match="expired"):
        people.vettings.require(BUYER)


def test_two_officers_at_once_decide_one_application_once(market: Market, people: People) -> None:
    record = people.vet(people.apply(), "endorse", "data_steward")
    papers = [people.verdict(record, "approve", "privacy_officer"), people.verdict(record, "refuse", "privacy_officer")]

    def decide(paper: dict[str, Any]) -> None:
        with suppress(CatalogError):
            people.vettings.decide(paper, person(HOME, "privacy_officer"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decide, papers * 4))
    (kept,) = people.vettings.all()
    allowed = [action for action, decision in people.told() if decision == "allow"]
    assert len(kept.history) == len(allowed) == 3
    assert kept.state.value in {"VALID", "REFUSED"}


def test_without_a_durable_event_nothing_is_kept(market: Market, people: People) -> None:
    record = people.apply()
    before = people.vettings.all()
    market.desks[HOME].store.fails = True
    with pytest.raises(LogFailed):
        people.vet(record, "endorse", "data_steward")
    with pytest.raises(LogFailed):
        people.apply(OTHER)
    assert people.vettings.all() == before


def test_an_organisation_reads_its_own_vetting_and_nobody_elses(people: People) -> None:
    people.apply()
    assert len(people.vettings.read(BUYER, person(BUYER))) == 1
    with pytest.raises(AccessDenied):
        people.vettings.read(BUYER, person(OTHER))
    with pytest.raises(AccessDenied):
        people.vettings.visible(person(BUYER))
    assert len(people.vettings.visible(person(HOME, "data_steward"))) == 1
