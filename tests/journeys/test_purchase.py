"""A purchase: asked, refused or agreed, delivered range by range, revoked; every step is an event before it happens."""

from datetime import UTC, datetime

import pytest
from tests.journeys.stage import LEVEL_5_HOME, Stage, eventually, refusal

from hdex.node.demo import acts_access, acts_market, rows
from hdex.node.demo.setting import APPLICANT, BUYER
from hdex.node.holder import Holder
from hdex.node.signed import verify
from hdex.node.wire.remote import RemoteExchange, RemoteHospitals

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("market")]
SEALED, FEDERATED = "sealed_file", "federated"
PROVIDER = "hospital-b"


def test_both_sign_one_agreement_and_its_grant_stands_on_the_chain(stage: Stage) -> None:
    contract_id = stage.agree(PROVIDER, SEALED, "signed")
    record = stage.memory.cast.buyer.status(contract_id)
    assert record.state == "FINALIZED"
    assert record.agreement is not None
    agreement = verify("agreement", record.agreement, rows.directory_of(stage.setting).sign_keys(PROVIDER, BUYER))
    assert (agreement["provider"], agreement["consumer"], agreement["delivery_modes"]) == (PROVIDER, BUYER, [SEALED])
    eventually(lambda: stage.chain().is_granted(record.grant_id, datetime.now(UTC)), "the grant on the chain")


def test_a_purpose_that_the_terms_forbid_is_refused_with_rule_and_next_step(stage: Stage) -> None:
    memory = stage.reach("publish")
    product = str(memory.products[PROVIDER]["product"])
    asked = acts_market.wish(memory, product, SEALED, purpose="HDEX:underwriting")
    error = refusal(lambda: memory.cast.applicant.request(asked, contract_id="forbidden"))
    assert error.rule == "purpose.prohibited"
    assert error.next_step
    denied = [event for event in stage.events(PROVIDER) if event.get("contract") == "forbidden"]
    assert [(event["decision"], event["reason"]) for event in denied] == [("deny", "purpose.prohibited")]


def test_a_level_5_file_is_refused_and_the_federated_way_named(stage: Stage) -> None:
    memory = stage.reach("publish")
    product = stage.list_level_5()
    error = refusal(lambda: memory.cast.buyer.request(acts_market.wish(memory, product, SEALED), contract_id="level-5"))
    assert error.rule == "level.5.no_sealed_file"
    assert "federated" in error.next_step
    assert not rows.vault(stage.setting, LEVEL_5_HOME).contains("subcohort", "release-1.0.0.parquet")


def test_nothing_is_agreed_before_a_person_has_decided(stage: Stage) -> None:
    memory, buyer = stage.reach("vetting"), stage.memory.cast.buyer
    asked = acts_market.wish(memory, str(memory.products[PROVIDER]["product"]), SEALED)
    acts_access.admit(memory, asked.product, SEALED)
    assert buyer.request(asked, contract_id="undecided").state == "REQUESTED"
    assert refusal(lambda: buyer.accept("undecided")).rule == "agreement.pending"
    assert refusal(lambda: buyer.first_range("undecided")).rule == "contract.state"
    stage.officer(PROVIDER).desk.decide("undecided", approve=False, reason="name your ethics vote")
    error = refusal(lambda: buyer.accept("undecided"))
    assert (error.rule, error.next_step) == ("person.refused", "name your ethics vote")


def test_a_cut_delivery_is_resumed_and_no_value_is_altered(stage: Stage) -> None:
    contract_id = stage.agree(PROVIDER, SEALED, "cut")
    buyer = stage.memory.cast.buyer
    cut = buyer.fetch(contract_id, stop_after=3)
    assert (cut.complete, cut.chunks) == (False, 3)
    done = buyer.fetch(contract_id)
    assert done.complete
    released = rows.released_frame(stage.setting, PROVIDER, stage.memory.released[PROVIDER])
    assert rows.altered(buyer.open(contract_id), released) == 0
    assert buyer.fetch(contract_id).received == 0
    events = stage.actions(PROVIDER, contract=contract_id)
    assert events.count("export") >= 3  # two ranges before the cut, the second again after it
    assert events[-1] == "delivery.acknowledge"


def test_the_next_range_of_a_revoked_contract_is_refused(stage: Stage) -> None:
    contract_id = stage.agree(PROVIDER, SEALED, "revoked")
    buyer = stage.memory.cast.buyer
    buyer.fetch(contract_id, stop_after=1)
    grant = buyer.status(contract_id).grant_id
    stage.officer(PROVIDER).desk.revoke(contract_id, "ask for a new licence")
    error = refusal(lambda: buyer.fetch(contract_id))
    assert (error.rule, error.next_step) == ("contract.revoked", "ask for a new licence")
    assert stage.steward(PROVIDER).desk.status()["contracts"][contract_id] == "OBLIGATIONS_OPEN"
    exports = [one for one in stage.events(PROVIDER) if (one.get("contract"), one["action"]) == (contract_id, "export")]
    assert (exports[-1]["decision"], exports[-1]["reason"]) == ("deny", "contract.revoked")
    eventually(lambda: not stage.chain().is_granted(grant, datetime.now(UTC)), "the revocation on the chain")
    holder = holder_of(stage)
    found = holder.standing(contract_id)
    assert (found["life"], found["transfer"], found["overdue"]) == ("OBLIGATIONS_OPEN", "TERMINATED", False)
    assert refusal(lambda: holder.attest(contract_id, ["all"], copies=1)).rule == "attestation.file_here"
    assert holder.delete(contract_id) > 0
    assert holder.attest(contract_id, ["what had come of the file"], copies=1)["life"] == "CLOSED"
    listed = {one["contract"]: one for one in stage.officer(PROVIDER).desk.read("contracts")["contracts"]}
    assert [step["arrow"] for step in listed[contract_id]["steps"]] == ["revoke", "oblige", "close"]
    wanted = ["grant.revoke", "contract.oblige", "contract.close"]
    assert [one for one in stage.actions(PROVIDER, contract=contract_id) if one in wanted] == wanted


def holder_of(stage: Stage) -> Holder:
    """Return the buyer with the contracts it has, over the wire."""
    buyer, channels = stage.memory.cast.buyer, stage.channels(BUYER)
    hospitals, exchange = RemoteHospitals(channels), RemoteExchange(channels("exchange"))
    return Holder(
        buyer, buyer._keys, custodian=hospitals, ending=exchange, folder=buyer._folder, clock=lambda: datetime.now(UTC)
    )


def test_a_withdrawn_request_ends_at_exchange_and_hospital(stage: Stage) -> None:
    memory, holder = stage.reach("vetting"), holder_of(stage)
    asked = acts_market.wish(memory, str(memory.products[PROVIDER]["product"]), SEALED)
    acts_access.admit(memory, asked.product, SEALED)
    memory.cast.buyer.request(asked, contract_id="withdrawn")
    assert holder.withdraw("withdrawn", "the project was stopped").state == "TERMINATED"
    records = {one.contract_id: one for one in stage.officer(PROVIDER).desk.requests()}
    assert (records["withdrawn"].state, records["withdrawn"].rule) == ("TERMINATED", "consumer.withdrew")


def test_nobody_fetches_on_the_contract_of_another(stage: Stage) -> None:
    contract_id = stage.agree(PROVIDER, SEALED, "others")
    counter = RemoteHospitals(stage.channels(APPLICANT))
    assert refusal(lambda: list(counter.deliver(PROVIDER, contract_id, 0))).rule == "contract.foreign"
    assert refusal(lambda: stage.memory.cast.applicant.status(contract_id)).rule == "contract.foreign"
    federated = stage.agree(PROVIDER, FEDERATED, "no-file")
    error = refusal(lambda: stage.memory.cast.buyer.first_range(federated))
    assert error.rule not in {"", "not-found", "internal"}
