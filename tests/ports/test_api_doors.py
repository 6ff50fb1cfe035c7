"""One table of use cases through both doors of the exchange, gRPC and REST, with the same assertions."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.catalog.samples import sample_product
from tests.catalog.test_cohort_page import told_product
from tests.node.access_stage import declaration
from tests.node.api_stage import AUDITOR, BUYER, DOORS, HOSPITAL, OTHER, Door, Stage, served
from tests.node.market_stage import BUYER as CONSUMER
from tests.node.market_stage import OFFICER, PURPOSE

from hdex.ledger.event import format_time
from hdex.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from hdex.ledger.note import parse_checkpoint
from hdex.node.errors import RemoteRefused
from hdex.node.signed import sign


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with served(tmp_path_factory.mktemp("api")) as stage:
        for number in range(1, 7):
            plain = sample_product() if number < 6 else told_product()
            product = replace(plain, id=f"hospital-a.series-{number}")
            stage.market.list_product(product)
        yield stage


@pytest.fixture(params=DOORS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def door(shared: Stage, name: str) -> Door:
    return DOORS[name](shared)


def refused(door: Door, who: str, call: str, /, **fields: Any) -> RemoteRefused:
    with pytest.raises(RemoteRefused) as caught:
        door.ask(who, call, **fields)
    return caught.value


FIND, SHOW = "ExchangeService/Find", "ExchangeService/Show"


def test_pages_follow_one_another_to_the_last(door: Door) -> None:
    found: list[str] = []
    token = ""
    while True:
        page = door.ask(BUYER, FIND, provider="hospital-a", page_size=3, page_token=token)
        assert len(page["products"]) <= 3
        found += [product["id"] for product in page["products"]]
        if not (token := page["next_page_token"]):
            break
    assert len(found) == len(set(found)) == page["total"] == 7
    first = door.ask(BUYER, FIND, provider="hospital-a", page_size=3)
    said = refused(door, BUYER, FIND, provider="hospital-b", page_token=first["next_page_token"])
    assert said.status == "INVALID_ARGUMENT"
    assert "another query" in str(said)
    assert refused(door, BUYER, FIND, page_token="rubbish").rule == "cursor-invalid"


def test_a_mask_keeps_what_it_names_and_an_unknown_path_is_refused_by_name(door: Door) -> None:
    page = door.ask(BUYER, FIND, page_size=2, fields="products.id,products.price.currency")
    assert [set(product) for product in page["products"]] == [{"id", "price"}] * 2
    assert all(set(product["price"]) == {"currency"} for product in page["products"])
    assert page["next_page_token"]
    assert not page.get("total")
    shown = door.ask(BUYER, SHOW, product_id="hospital-a.series-1", fields="digest,state")
    assert shown["state"] == "LISTED"
    assert len(shown["digest"]) == 64
    assert not shown.get("manifest")
    for path in ("products.price.rabate", "nonsense", "total.below", "products.id.x"):
        said = refused(door, BUYER, FIND, fields=f"total,{path}")
        assert (said.status, repr(path) in str(said)) == ("INVALID_ARGUMENT", True)


def test_a_product_is_shown_rendered_checked_and_priced(door: Door) -> None:
    product = sample_product()
    shown = door.ask(BUYER, SHOW, product_id=product.id)
    assert shown["manifest"]["document"]["id"] == product.id
    assert shown["manifest"]["signatures"]
    access = {"purpose": PURPOSE, "disease": "I65.2"}
    advice = door.ask(BUYER, "ExchangeService/Precheck", product_id=product.id, access=access)
    assert (advice["advice"], advice["rule"]) == ("ask", advice["rule"])
    assert set(advice["why"]) == {"en", "zh"}
    priced = door.ask(BUYER, "ExchangeService/Quote", product_id=product.id, quantity=2)["quote"]
    once = door.ask(BUYER, "ExchangeService/Quote", product_id=product.id)["quote"]
    assert priced["subtotal_cents"] == 2 * once["subtotal_cents"]
    said = refused(door, BUYER, "ExchangeService/Quote", product_id=product.id, plan="by weight")
    assert (said.status, said.rule) == ("INVALID_ARGUMENT", "request-invalid")
    absent = refused(door, BUYER, SHOW, product_id="hospital-a.none")
    assert absent.rule == "not-listed"


def test_how_many_fit_is_told_alike_to_all(shared: Stage, door: Door) -> None:
    cohort, told = "ExchangeService/Cohort", "hospital-a.series-6"
    found = door.ask(BUYER, cohort, product_id=told, where=["sex=male", "age_band=>=80"])["answer"]
    assert (found["at_least"], found["at_most"], found["suppressed"]) == (190, 210, False)
    again = door.ask(AUDITOR, cohort, product_id=told, where=["age_band=>=80", "sex=male"])["answer"]
    assert again == found
    few = door.ask(BUYER, cohort, product_id=told, where=["sex=other", "age_band=<50"])["answer"]
    assert (few["at_least"], few["at_most"], few["suppressed"]) == (0, 10, True)
    assert refused(door, BUYER, cohort, product_id=told, where=["name=x"]).status == "INVALID_ARGUMENT"
    assert refused(door, BUYER, cohort, product_id="hospital-a.series-1").status == "NOT_FOUND"


def test_a_member_is_remembered_alike_at_both_doors(shared: Stage, door: Door) -> None:
    before, seen = len(shared.events()), len(shared.accesses)
    door.ask(BUYER, SHOW, product_id="hospital-a.series-2")
    assert shared.events()[before:] == [("catalogue.read", "allow", "hospital-a.series-2")]
    (access,) = shared.accesses[seen:]
    assert (access.method, access.action) == ("/hdex.proto.v1.ExchangeService/Show", "ExchangeService.Show")
    assert access.caller is not None
    assert (access.caller.participant, access.allow, access.rule) == (CONSUMER, True, "members-browse")
    assert len(access.request_sha256) == 64


def test_what_the_rules_do_not_permit_is_refused_alike(shared: Stage, door: Door) -> None:
    seen = len(shared.accesses)
    said = refused(door, BUYER, "ExchangeService/Withdraw", notice={"document": {}, "signatures": []})
    assert (said.status, said.rule) == ("PERMISSION_DENIED", "no-rule-permits")
    assert said.next_step
    (access,) = shared.accesses[seen:]
    assert (access.action, access.allow, access.rule) == ("ExchangeService.Withdraw", False, "no-rule-permits")


def test_a_contract_from_request_to_final_and_whoever_else_asks(shared: Stage, door: Door, name: str) -> None:
    market, contract = shared.market, f"c-{name}"
    assert shared.product is not None
    request = market.request_paper(shared.product, contract_id=contract)
    asked = door.ask(BUYER, "ContractService/Request", request=request)
    assert (asked["contract_id"], asked["state"]) == (contract, "REQUESTED")
    assert door.ask(BUYER, "ContractService/Request", request=request) == asked
    market.negotiations.decide(contract, OFFICER, approved=True)
    agreed = door.ask(BUYER, "ContractService/GetContract", contract_id=contract)
    assert agreed["state"] == "AGREED"
    short = door.ask(HOSPITAL, "ContractService/GetContract", contract_id=contract, fields="state")
    assert (short["state"], short.get("agreement")) == ("AGREED", None)
    foreign = refused(door, OTHER, "ContractService/GetContract", contract_id=contract)
    assert (foreign.status, foreign.rule) == ("PERMISSION_DENIED", "contract.foreign")
    signed = sign("agreement", agreed["agreement"]["document"], CONSUMER, market.keys[CONSUMER].secret("sign"))
    both = agreed["agreement"] | {"signatures": [*agreed["agreement"]["signatures"], *signed["signatures"]]}
    final = door.ask(BUYER, "ContractService/Verify", agreement=both)
    assert final["state"] == "FINALIZED"
    ended = door.ask(HOSPITAL, "ContractService/Revoke", contract_id=contract, reason="the study has ended")
    assert (ended["revoked"], ended["next_step"]) == (True, "the study has ended")
    missing = refused(door, BUYER, "ContractService/GetContract", contract_id="c-none")
    assert (missing.status, missing.rule) == ("NOT_FOUND", "not-found")


def test_a_request_is_withdrawn_at_both_ends(shared: Stage, door: Door, name: str) -> None:
    market, contract = shared.market, f"w-{name}"
    assert shared.product is not None
    market.contracts.request(market.request_paper(shared.product, contract_id=contract), market.identity(CONSUMER))
    said = {"contract_id": contract, "reason": "no money", "at": format_time(market.now)}
    mine, others = (
        sign("termination", said, who, market.keys[who].secret("sign")) for who in (CONSUMER, "buyer-other")
    )
    foreign = refused(door, OTHER, "ContractService/WithdrawContract", termination=others)
    assert (foreign.status, foreign.rule) == ("PERMISSION_DENIED", "contract.foreign")
    for _ in range(2):
        ended = door.ask(BUYER, "ContractService/WithdrawContract", termination=mine)
        assert (ended["contract_id"], ended["state"], ended["next_step"]) == (contract, "TERMINATED", "no money")
    assert market.negotiations.get(contract).state == "TERMINATED"


def test_contracts_are_listed_in_pages_that_stand_under_inserts(shared: Stage, door: Door, name: str) -> None:
    market, product = shared.market, shared.product
    assert product is not None
    ids = [f"l-{name}-{number}" for number in range(5)]
    for contract in ids:
        market.contracts.request(market.request_paper(product, contract_id=contract), market.identity(CONSUMER))
    mine = f"l-{name}"

    def page(token: str) -> tuple[list[str], str]:
        found = door.ask(BUYER, "ContractService/ListContracts", state="REQUESTED", page_size=2, page_token=token)
        return [row["contract_id"] for row in found["contracts"]], found["next_page_token"]

    listed, token = page("")
    market.contracts.request(market.request_paper(product, contract_id=f"a-{name}"), market.identity(CONSUMER))
    while token:
        more, token = page(token)
        listed += more
    assert [one for one in listed if one.startswith(mine)] == ids
    assert len(listed) == len(set(listed))
    assert door.ask(OTHER, "ContractService/ListContracts")["contracts"] == []
    assert door.ask(AUDITOR, "ContractService/ListContracts")["contracts"] == []
    first = door.ask(BUYER, "ContractService/ListContracts", page_size=1)["next_page_token"]
    for who, state in ((OTHER, ""), (BUYER, "AGREED")):
        said = refused(door, who, "ContractService/ListContracts", page_token=first, state=state)
        assert "another query" in str(said)


def test_an_organisation_applies_to_be_vetted(shared: Stage, door: Door) -> None:
    office = {"organisation": declaration(CONSUMER), "office": "exchange", "at": format_time(shared.market.now)}
    paper = sign("vetting", office, CONSUMER, shared.market.keys[CONSUMER].secret("sign"))
    applied = door.ask(BUYER, "VettingService/ApplyVetting", application=paper)["vetting"]
    assert (applied["state"], applied["participant"]) == ("APPLIED", CONSUMER)
    rows = door.ask(BUYER, "VettingService/GetVetting", participant=CONSUMER, fields="vettings.state,vettings.code")
    assert [set(row) for row in rows["vettings"]] == [{"state", "code"}]
    operator = "exchange/exchange/exchange_operator"
    listed = door.ask(operator, "VettingService/ListVettings", fields="vettings.digest")["vettings"]
    assert {"digest": applied["digest"]} in listed
    said = refused(door, BUYER, "VettingService/ListVettings")
    assert said.rule == "no-rule-permits"


def test_the_log_proves_itself(shared: Stage, door: Door) -> None:
    door.ask(BUYER, SHOW, product_id="hospital-a.series-3")
    log = shared.market.exchange.log
    head = parse_checkpoint(door.ask(BUYER, "LogService/GetCheckpoint")["checkpoint"])
    (entry,) = log.entries(2, 3)
    shown = door.ask(AUDITOR, "LogService/GetInclusionProof", index=2)
    hashes = [bytes.fromhex(one) for one in shown["hashes"]]
    assert bytes.fromhex(shown["leaf_hash"]) == leaf_hash(entry)
    verify_inclusion(leaf_hash(entry), 2, shown["tree_size"], hashes, root_at(log, shown["tree_size"]))
    grown = door.ask(BUYER, "LogService/GetConsistencyProof", old_size=3, tree_size=head.size)
    proof = [bytes.fromhex(one) for one in grown["hashes"]]
    verify_consistency(3, head.size, proof, root_at(log, 3), head.root)
    beyond = refused(door, BUYER, "LogService/GetInclusionProof", index=10**6)
    assert (beyond.rule, beyond.status in {"OUT_OF_RANGE", "INVALID_ARGUMENT"}) == ("out-of-tree", True)


def root_at(log: Any, size: int) -> bytes:
    root = log.root_at(size)
    assert isinstance(root, bytes)
    return root


SAVE, LIST, REMOVE = "ExchangeService/SaveSearch", "ExchangeService/ListSearches", "ExchangeService/RemoveSearch"


def test_under_one_key_a_search_is_saved_once(shared: Stage, door: Door, name: str) -> None:
    asked = {"query": {"text": "carotid"}, "name": f"stents {name}", "webhook": "https://localhost/in"}
    first = door.ask(BUYER, SAVE, key=f"save {name}".replace(" ", "-"), **asked)
    again = door.ask(BUYER, SAVE, key=f"save-{name}", **asked)
    assert again == first
    assert first["webhook_secret"]
    kept = [one for one in door.ask(BUYER, LIST)["searches"] if one["name"] == asked["name"]]
    assert [one["id"] for one in kept] == [first["search"]["id"]]
    said = refused(door, BUYER, SAVE, key=f"save-{name}", **asked | {"name": "other"})
    assert (said.status, said.rule) == ("ABORTED", "idempotency.reused")
    assert said.next_step
    mine = door.ask(OTHER, SAVE, key=f"save-{name}", **asked)  # the key of another caller is another key
    assert mine["search"]["id"] != first["search"]["id"]
    door.ask(BUYER, REMOVE, key=f"gone-{name}", id=first["search"]["id"])
    door.ask(BUYER, REMOVE, key=f"gone-{name}", id=first["search"]["id"])
    missing = refused(door, BUYER, REMOVE, key=f"other-{name}", id=first["search"]["id"])
    assert (missing.status, missing.rule) == ("NOT_FOUND", "not-found")
    assert refused(door, BUYER, REMOVE, key="two words", id="x").rule == "request-invalid"


def test_a_key_used_at_one_door_holds_at_the_other(shared: Stage) -> None:
    asked: dict[str, Any] = {"query": {"text": "stent"}, "name": "both doors", "webhook": ""}
    doors: list[Door] = [made(shared) for made in DOORS.values()]
    first, second = (door.ask(BUYER, SAVE, key="one-key", **asked) for door in doors)
    assert first == second


def test_saved_searches_come_in_pages(shared: Stage, door: Door, name: str) -> None:
    who = OTHER
    for number in range(3):
        door.ask(who, SAVE, query={"text": f"x{number}"}, name=f"{name} {number}")
    found, token = [], ""
    while True:
        page = door.ask(who, LIST, page_size=2, page_token=token)
        found += [row["id"] for row in page["searches"]]
        if not (token := page["next_page_token"]):
            break
    assert len(found) == len(set(found)) >= 3
