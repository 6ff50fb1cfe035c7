"""What a hospital refuses to take part in: a hostile coordinator and, where a signature needs it, a hostile buyer."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.catalog.samples import COLUMNS, sample_product
from tests.federated.samples import safe_primes
from tests.node.market_stage import BUYER, OFFICER, OTHER, Market
from tests.node.study_stage import SITES, Round, patients

from hdex.catalog.lifecycle import ProductState
from hdex.federated.dealing import deal_key, dealt_bytes, shared
from hdex.federated.errors import AdmissionRefused
from hdex.federated.ports import RoundRequest
from hdex.federated.study import Party, Study, Threshold
from hdex.ledger.errors import LogFailed
from hdex.ledger.event import format_time
from hdex.node.signed import countersign, sign

Change = Callable[[Study], Study]


@pytest.fixture
def stage(tmp_path: Path) -> Round:
    found = Round(Market(tmp_path))
    found.rule()
    return found


def of_entry(study: Study, **changed: str) -> Study:
    """Return the study with another entry of one other site."""
    a, b, c = study.roster
    return replace(study, roster=(a, replace(b, **changed), c))


def of_product(study: Study, **at: str) -> Study:
    product_id, version, digest = study.products["hospital-a"]
    changed = (at.get("id", product_id), at.get("version", version), at.get("digest", digest))
    return replace(study, products={**study.products, "hospital-a": changed})


def of_contract(study: Study, contract: str) -> Study:
    return replace(study, contracts={**study.contracts, "hospital-a": contract})


def without(study: Study, site: str, instead: str = "") -> Study:
    """Return the study without a site, or with another name in its place."""
    names = [instead if name == site else name for name in SITES if name != site or instead]
    entry = dict(zip(SITES, study.roster, strict=True))
    roster = [replace(entry[site if name == instead else name], site=name) for name in names]
    keep = {name: site if name == instead else name for name in names}
    return replace(
        study,
        roster=tuple(sorted(roster, key=lambda one: one.site)),
        contracts={name: study.contracts[old] for name, old in keep.items()},
        products={name: study.products[old] for name, old in keep.items()},
    )


def of_shared_key(study: Study, signer: bytes | None) -> Study:
    """Return the study with a key that its sites share, dealt by who holds `signer`."""
    keys = {one.site: bytes.fromhex(one.mask_key) for one in study.roster}
    key = deal_key(keys, 2, bits=2048, randbits=safe_primes())
    found = shared(study, Threshold(SITES, 2), key)
    if signer is None or found.dealt is None:
        return found
    signature = Ed25519PrivateKey.from_private_bytes(signer).sign(dealt_bytes(found))
    return replace(found, dealt=replace(found.dealt, signature=signature.hex()))


def test_a_shared_key_is_believed_from_the_key_holder_alone(stage: Round) -> None:
    """Masks are left out under a shared key: a key of the coordinator's own making would open each contribution."""
    keys = stage.market.keys
    for number, signer in enumerate((None, keys["exchange"].secret("sign"), keys[BUYER].secret("sign"))):
        assert stage.refused(of_shared_key(stage.study(f"study-{number}"), signer)) == "study.dealer"
    honest = of_shared_key(stage.study("study-9"), keys["keyholder"].secret("sign"))
    assert honest.dealt is not None
    weaker = replace(honest, threshold=Threshold(SITES, 3))
    assert stage.refused(weaker) == "study.dealer"
    stage.admit(honest)
    assert stage.joined() == 1


CHANGES: dict[str, tuple[Change, str]] = {
    "another coordinator": (lambda s: replace(s, coordinator=Party("exchange-2", "exchange org")), "study.coordinator"),
    "a coordinator that is a site": (lambda s: replace(s, coordinator=Party("hospital-b", "x")), "study.coordinator"),
    "a stranger as key holder": (lambda s: replace(s, keyholder=Party("notary", "notary org")), "not-found"),
    "the coordinator as key holder": (lambda s: replace(s, keyholder=Party("exchange", "x")), "wrong-kind"),
    "a key holder of another organisation": (
        lambda s: replace(s, keyholder=Party("keyholder", "somebody")),
        "study.organisation",
    ),
    "not on the roster": (lambda s: without(s, "hospital-a", "hospital-z"), "study.roster"),
    "only two sites": (lambda s: replace(without(s, "hospital-b"), min_sites=2), "study.min_sites"),
    "two sites suffice": (lambda s: replace(s, min_sites=2), "study.min_sites"),
    "a stranger as site": (lambda s: without(s, "hospital-b", "hospital-x"), "not-found"),
    "a buyer as site": (lambda s: without(s, "hospital-b", OTHER), "wrong-kind"),
    "another mask key": (lambda s: of_entry(s, mask_key="07" * 32), "study.keys"),
    "another sign key": (lambda s: of_entry(s, sign_key="07" * 32), "study.keys"),
    "another organisation": (lambda s: of_entry(s, organisation="invented"), "study.organisation"),
    "plain sums": (lambda s: replace(s, secure="plain", public_key="", key_id=""), "study.plain"),
    "past its deadline": (lambda s: replace(s, deadline="2026-11-21T21:59:59.000Z"), "study.deadline"),
    "other code": (
        lambda s: replace(s, algorithm=replace(s.algorithm, code_digest="00" * 32)),
        "study.algorithm",
    ),
    "an algorithm not installed": (
        lambda s: replace(s, algorithm=replace(s.algorithm, id="dump.rows.v1")),
        "study.algorithm",
    ),
    "a contract of nobody": (lambda s: of_contract(s, "c-9"), "not-found"),
    "a contract without a name": (lambda s: of_contract(s, ""), "not-found"),
    "a contract with a name too long to log": (lambda s: of_contract(s, "x" * 5000), "not-found"),
    "another product": (lambda s: of_product(s, id="hospital-a.other"), "not-listed"),
    "another version": (lambda s: of_product(s, version="2.0.0"), "study.product"),
    "another manifest": (lambda s: of_product(s, digest="00" * 32), "not-listed"),
    "a wider purpose": (lambda s: replace(s, purpose="DUO:0000042"), "agreement.purpose"),
    "no purpose": (lambda s: replace(s, purpose=""), "agreement.purpose"),
    "a purpose too long to log": (lambda s: replace(s, purpose="x" * 5000), "agreement.purpose"),
    "a column that is not offered": (lambda s: replace(s, features=("systolic", "resident_id")), "study.columns"),
    "the patient's key": (lambda s: replace(s, target="person_id"), "study.columns"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_one_changed_field_is_refused_even_when_buyer_and_coordinator_sign_it(stage: Round, case: str) -> None:
    change, rule = CHANGES[case]
    assert stage.refused(change(stage.study())) == rule


def test_an_honest_round_is_admitted_and_remembered(stage: Round) -> None:
    stage.admit(stage.study())
    event = stage.market.hospital.ground.events()[-1]
    assert (event.action.value, event.decision, event.contract) == ("round.join", "allow", "c-1")
    assert event.grant == stage.market.negotiations.grant_of("c-1")
    assert event.request_digest == "ab" * 32


@pytest.mark.parametrize("signers", [("exchange",), (BUYER,), (OTHER, "exchange"), (BUYER, "hospital-b"), ()])
def test_a_study_needs_the_coordinator_and_the_consumer_of_the_contract(stage: Round, signers: tuple[str, ...]) -> None:
    study = stage.study()
    assert stage.refused(study, stage.signed(study, signers)) == "signature-invalid"


def test_the_coordinator_alone_changes_nothing_that_the_buyer_signed(stage: Round) -> None:
    study = stage.study()
    envelope = stage.signed(study)
    for changed in (replace(study, l2=9.0), replace(study, max_rounds=99), replace(study, min_rows=1)):
        forged = {"document": changed.document(), "signatures": envelope["signatures"]}
        assert stage.refused(changed, forged) == "signature-invalid"


def test_the_envelope_must_be_the_study_that_is_run(stage: Round) -> None:
    study = stage.study()
    assert stage.refused(replace(study, nonce="11" * 16), stage.signed(study)) == "study.other"
    for rubbish in (b"", b"{", b"[]", b"null", b'{"document": 1}', b"\xff\xfe"):
        assert stage.refused(study, rubbish) in {"study.envelope", "signature-invalid"}


def test_a_signature_under_another_kind_of_document_is_none(stage: Round) -> None:
    study = stage.study()
    envelope = sign("request", study.document(), BUYER, stage.market.keys[BUYER].secret("sign"))
    envelope = countersign("study", envelope, "exchange", stage.market.keys["exchange"].secret("sign"))
    assert stage.refused(study, envelope) == "signature-invalid"


def test_a_revoked_or_expired_contract_ends_the_rounds(stage: Round) -> None:
    stage.market.negotiations.revoke("c-1", "ended", OFFICER)
    assert stage.refused(stage.study()) == "contract.revoked"


def test_an_expired_contract_ends_the_rounds(stage: Round) -> None:
    stage.market.later(days=366)
    study = replace(stage.study(), deadline=format_time(stage.market.now.replace(hour=23)))
    assert stage.refused(study) == "agreement.expired"


def test_a_file_contract_brings_no_round(tmp_path: Path) -> None:
    stage = Round(Market(tmp_path), mode="sealed_file")
    assert stage.refused(stage.study()) == "agreement.mode"


def test_a_product_that_is_not_offered_for_studies_takes_no_part(stage: Round) -> None:
    documents, key = stage.market.hospital.ground.documents, f"{stage.product.id}/{stage.product.version}"
    kept = documents.get("product_version", key)
    kept["envelope"]["document"]["delivery_modes"] = ["sealed_file"]
    documents.put("product_version", key, kept)
    assert stage.refused(stage.study()) == "level.2.no_federated"


def test_a_newer_version_does_not_end_the_rounds_of_the_older_contract_at_once(stage: Round) -> None:
    stage.market.list_product(replace(sample_product(), version="2.0.0"))
    stage.admit(stage.study())


def test_it_does_after_its_notice(stage: Round) -> None:
    stage.market.list_product(replace(sample_product(), version="2.0.0"))
    stage.market.later(days=90)
    assert stage.refused(stage.study()) == "product.superseded"


@pytest.mark.parametrize(
    ("state", "rule"),
    [
        (ProductState.SUSPENDED, "product.suspended"),
        (ProductState.REVOKED, "product.withdrawn"),
        (ProductState.SUPERSEDED, "product.superseded"),
    ],
)
def test_a_product_that_is_not_open_answers_no_round(stage: Round, state: ProductState, rule: str) -> None:
    products = stage.market.hospital.products
    products.keep(replace(products.versions(stage.product.id)[0], state=state))
    assert stage.refused(stage.study()) == rule


@pytest.mark.parametrize("number", [0, -1, 13, 10**6])
def test_a_round_beyond_those_agreed_is_refused(stage: Round, number: int) -> None:
    assert stage.refused(stage.study(), number=number) == "agreement.rounds"


def test_the_agreed_rounds_are_those_of_all_studies_together(stage: Round) -> None:
    """A new study id does not buy twelve rounds more; a round asked again after a crash is not a new one."""
    first = stage.study()
    for number in range(1, 8):
        stage.admit(first, number=number)
    stage.admit(first, number=7)
    second = stage.study("study-2")
    for number in range(1, 6):
        stage.admit(second, number=number)
    with pytest.raises(AdmissionRefused) as refused:
        stage.admit(second, number=6)
    assert refused.value.rule == "agreement.rounds"
    with pytest.raises(AdmissionRefused):
        stage.admit(replace(first, nonce="22" * 16), number=1)  # the same id with another study
    stage.admit(second, number=5)


def test_a_round_that_cannot_be_remembered_is_not_joined_and_not_spent(stage: Round) -> None:
    stage.market.hospital.ground.store.fails = True
    with pytest.raises(LogFailed):
        stage.admit(stage.study())
    assert stage.market.hospital.ground.documents.all("contract_rounds") == []


def test_a_refusal_that_cannot_be_remembered_is_still_one(stage: Round) -> None:
    stage.market.hospital.ground.store.fails = True
    with pytest.raises(LogFailed):
        stage.admit(replace(stage.study(), min_sites=2))


def test_rows_are_read_once_until_a_word_an_export_or_a_refusal_changes_them(tmp_path: Path) -> None:
    stage = Round(Market(tmp_path), rows=120)
    version = f"{stage.product.id.partition('.')[2]}/{stage.product.version}"
    stage.market.hospital.ground.documents.put("release", version, {"recipient_class": ""})
    study, rows = stage.study(), stage.site._rooms.rows
    first = stage.site.frame(study)
    assert stage.site.frame(study) is first
    left = [f"p{number:04}" for number in range(30)]
    rows._datasets._archive.consents.withdraw(left, at=stage.market.now)
    fewer = stage.site.frame(study)
    assert fewer.height == first.height - 30
    assert stage.site.frame(study) is fewer
    stage.fill(patients(120).head(80), "f")
    kept = stage.site.frame(study)
    assert kept.height < fewer.height
    assert stage.refused(replace(study, purpose="DUO:0000042")) == "agreement.purpose"
    assert stage.site.frame(study) is kept  # another study was refused
    stage.market.negotiations.revoke("c-1", "it ended", OFFICER)
    with pytest.raises(AdmissionRefused):
        stage.admit(study)
    assert dict(rows._kept) == {}


def test_rows_that_cannot_be_given_are_a_typed_refusal_and_an_event(stage: Round) -> None:
    """The data set was never ingested here: an error inside must not look like a crash, nor stay unremembered."""
    stage.admit(stage.study())
    with pytest.raises(AdmissionRefused):
        stage.site.frame(stage.study())
    assert stage.market.hospital.ground.refusals()[-1][0] == "round.join"


def test_what_leaves_is_an_event_before_it_leaves(stage: Round) -> None:
    from hdex.federated.ports import Release

    study = stage.study()
    request = RoundRequest(study, json.dumps(stage.signed(study)).encode(), 1, 1, "moments", "ab" * 32)
    stage.site.release(request, Release(rows=320, digest="cd" * 32, ciphertexts=7, total_bytes=5400))
    event = stage.market.hospital.ground.events()[-1]
    assert (event.action.value, event.rows, event.result_digest) == ("round.submit", 320, "cd" * 32)
    assert stage.market.hospital.ground.meter.totals()["ciphertexts"] == {"bytes": 5400, "count": 7}
    stage.market.hospital.ground.store.fails = True
    with pytest.raises(LogFailed):
        stage.site.release(request, Release(rows=320, digest="cd" * 32, ciphertexts=7, total_bytes=5400))


def test_no_rule_is_told_to_the_coordinator_with_a_value_of_a_record(stage: Round) -> None:
    said: list[str] = []
    for change, _ in CHANGES.values():
        with pytest.raises(AdmissionRefused) as refused:
            stage.admit(change(stage.study()))
        said.append(str(refused.value))
    names: list[Any] = [column.name for column in COLUMNS]
    assert not any(str(name) in text for name in names for text in said)
