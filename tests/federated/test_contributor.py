"""A site answers only what it admits, each round once, with enough rows behind it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.federated.samples import FEATURES, NOW, SITES, TARGET, Consortium, consortium, tables

from hdex.federated.broadcast import Broadcast
from hdex.federated.contribution import Contribution, plain_values
from hdex.federated.contributor import Contributor
from hdex.federated.disclosure import Limits, local_breaches
from hdex.federated.errors import (
    AdmissionRefused,
    CiphertextInvalid,
    KeyInvalid,
    Refusal,
    StudyInvalid,
)
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.kinds.table import kind_of
from hdex.federated.run import run_study
from hdex.federated.statistics import FAMILIES, Point, moments
from hdex.federated.store_memory import MemoryStore
from hdex.federated.study import Algorithm, Study, unsigned_envelope

SITE = SITES[0]


def question(study: Study, number: int = 1, **changes: Any) -> bytes:
    """Return a well-formed question of round `number`."""
    p = len(study.features)
    point = Point(np.full(p + 1, 0.25 / number), np.zeros(p), np.ones(p))
    step = {1: "moments", 2: "refine"}.get(number, "newton")
    broadcast = Broadcast(study.id, study.digest(), number, 1, step, None if number == 1 else point)
    return replace(broadcast, **changes).to_bytes()


def contributor(party: Consortium, **options: Any) -> Contributor:
    options.setdefault("clock", lambda: NOW)
    return Contributor(SITE, party.sites[SITE], **options)


def ask(party: Consortium, data: bytes | None = None, *, study: Study | None = None, **options: Any) -> Contribution:
    study = party.study if study is None else study
    return contributor(party, **options).answer(unsigned_envelope(study), question(study) if data is None else data)


def altered(**changes: Any) -> Callable[[Study], Study]:
    return lambda study: replace(study, **changes)


REFUSED: dict[str, tuple[str, Callable[[Study], Study], dict[str, Any]]] = {
    "not on the roster": ("not_on_roster", lambda s: replace(
        s, roster=s.roster[1:], contracts={k: v for k, v in s.contracts.items() if k != SITE},
        products={k: v for k, v in s.products.items() if k != SITE}, min_sites=2), {}),
    "deadline passed": ("deadline", altered(), {"clock": lambda: NOW + timedelta(days=1)}),
    "unknown algorithm": ("algorithm", altered(algorithm=Algorithm("logistic.newton.v9", "00")), {}),
    "other code": ("algorithm", altered(algorithm=Algorithm("logistic.newton.v1", "00" * 32)), {}),
    "plain sums": ("sums_kind", altered(secure="plain"), {}),
    "too few sites for the site": ("min_sites", altered(), {"limits": Limits(min_sites=4)}),
    "too few sites for the study": ("min_sites", altered(min_sites=4), {}),
    "too few rows for the site": ("min_rows", altered(), {"limits": Limits(min_rows=221)}),
    "too few rows for the study": ("min_rows", altered(min_rows=221), {}),
    "too many parameters": ("parameter_share", altered(), {"limits": Limits(max_parameter_share=0.02)}),
    "too few events": ("events_per_parameter", altered(), {"limits": Limits(min_events_per_parameter=30)}),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_study_that_breaks_a_rule_is_refused_and_nothing_is_kept(case: str) -> None:
    rule, change, options = REFUSED[case]
    party, replies = consortium(), MemoryStore()
    with pytest.raises(Refusal) as caught:
        ask(party, study=change(party.study), replies=replies, **options)
    assert caught.value.rule == rule
    assert replies.get("reply/study-1") is None
    assert party.sites[SITE].released == []


def test_a_refusal_for_rows_does_not_tell_how_many_there_are() -> None:
    found = local_breaches(7, 3, 2, Limits())
    assert not any("7" in breach.detail for breach in found)
    assert [breach.rule for breach in found] == [
        "min_rows", "parameter_share", "events_per_parameter",
    ]  # fmt: skip
    assert local_breaches(20, 20, 2, Limits()) == []


def test_the_stricter_of_two_limits_wins() -> None:
    assert Limits(3, 20, 0.1, 5).stricter(Limits(4, 10, 0.2, 10)) == Limits(4, 20, 0.1, 10)


def test_the_node_is_asked_in_every_round_and_its_refusal_carries_the_rule() -> None:
    party = consortium()
    site = party.sites[SITE]
    one = contributor(party)
    envelope = party.envelope
    one.answer(envelope, question(party.study))
    site.refuse[2] = "contract_revoked"
    with pytest.raises(AdmissionRefused) as caught:
        one.answer(envelope, question(party.study, 2))
    assert caught.value.rule == "contract_revoked"
    assert [request.round for request in site.asked] == [1, 2]
    assert site.asked[0].envelope == envelope
    assert site.computations == 1
    assert len(site.released) == 1


def test_only_who_stands_on_the_roster_is_addressed_and_who_refuses_ends_the_round_for_all() -> None:
    """A hospital without an approved contract is connected too; it hears nothing of the study."""
    party, heard = consortium(), list[bytes]()

    def stranger(frame: bytes) -> bytes:
        heard.append(frame)
        raise AssertionError("a site that is not on the roster was asked")

    grid = InprocGrid({**party.handlers(), "hospital-z": stranger})
    party.sites[SITE].refuse[2] = "approval.missing"
    journal = MemoryJournal()
    with pytest.raises(AdmissionRefused) as refused:
        run_study(party.envelope, grid=grid, decryptor=party.decryptor, journal=journal)
    assert refused.value.rule == "approval.missing"
    assert len(journal.rounds(party.study.id)) == 1
    party.sites[SITE].refuse.clear()
    run_study(party.envelope, grid=InprocGrid(party.handlers()), decryptor=party.decryptor, journal=journal)
    assert heard == []
    rounds = len(journal.rounds(party.study.id))
    assert set(party.computations().values()) == {rounds}  # who had answered did not compute again


def test_nothing_leaves_when_the_access_cannot_be_remembered() -> None:
    party = consortium()
    party.sites[SITE].refuse_release = "log_failed"
    with pytest.raises(AdmissionRefused, match="log_failed"):
        ask(party)


def test_the_same_question_again_gives_the_same_bytes_without_computing_even_after_a_restart() -> None:
    party, replies = consortium(), MemoryStore()
    first = ask(party, replies=replies)
    again = ask(party, replies=replies)
    assert again.to_bytes() == first.to_bytes()
    assert party.sites[SITE].computations == 1
    assert [release.rows for release in party.sites[SITE].released] == [220, -1]
    assert party.sites[SITE].released[0].digest == first.digest()
    assert party.sites[SITE].released[0].total_bytes == len(first.to_bytes())


def test_a_revoked_contract_stops_even_a_kept_reply() -> None:
    party, replies = consortium(), MemoryStore()
    ask(party, replies=replies)
    party.sites[SITE].refuse[1] = "contract_revoked"
    with pytest.raises(AdmissionRefused, match="contract_revoked"):
        ask(party, replies=replies)


def test_rounds_come_one_by_one_and_are_asked_once() -> None:
    party, replies = consortium(), MemoryStore()
    other = Point(np.ones(5), np.zeros(4), np.ones(4))

    def rule(number: int, **changes: Any) -> str:
        with pytest.raises(AdmissionRefused) as caught:
            ask(party, question(party.study, number, **changes), replies=replies)
        return caught.value.rule

    assert rule(2) == "round_order"
    ask(party, replies=replies)
    assert rule(3) == "round_order"
    assert rule(1, attempt=2) == "round_order"
    ask(party, question(party.study, 2), replies=replies)
    assert rule(2, point=other) == "round_order"  # the same round at another point would tell more
    assert rule(1) == "round_order"
    assert rule(13) == "max_rounds"
    assert rule(1, step="newton", point=other) == "step_order"
    assert rule(3, study_digest="00" * 32) == "study_digest"
    assert party.sites[SITE].computations == 2


def test_a_study_changed_under_its_id_is_refused() -> None:
    party, replies = consortium(), MemoryStore()
    ask(party, replies=replies)
    changed = replace(party.study, nonce="11" * 16)
    with pytest.raises(AdmissionRefused, match="study_changed"):
        ask(party, question(changed, 2), study=changed, replies=replies)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"[" * 100_000,
        b'{"attempt":1,"point":null,"round":1,"step":"moments","study":"study-1","study_digest":"x" }',
    ],
)
def test_a_question_that_is_not_canonical_is_refused(data: bytes) -> None:
    with pytest.raises(StudyInvalid):
        ask(consortium(), data)


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "peek"},
        {"round": 0},
        {"attempt": 0},
        {"step": "newton"},
        {"point": Point(np.zeros(3), np.zeros(2), np.ones(2)), "step": "newton"},
        {"point": Point(np.zeros(5), np.zeros(4), np.zeros(4)), "step": "newton"},
        {"point": Point(np.zeros(5), np.zeros(4), -np.ones(4)), "step": "newton"},
    ],
)
def test_a_question_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    party = consortium()
    with pytest.raises(StudyInvalid):
        ask(party, question(party.study, **changes))


def test_a_hostile_public_key_is_refused_before_anything_is_encrypted() -> None:
    import hashlib

    party = consortium()
    n = int(party.study.public_key, 16) - 1  # even
    digest = hashlib.sha256(n.to_bytes(256, "big")).hexdigest()
    with pytest.raises(KeyInvalid):
        ask(party, study=replace(party.study, public_key=f"{n:x}", key_id=digest))


def test_a_value_beyond_the_encoding_is_refused_without_naming_it() -> None:
    from hdex.federated.errors import ValueOutOfRange

    frames = dict(tables())
    frames[SITE] = frames[SITE].with_columns(pl.lit(1.2345e15).alias("bmi"))
    with pytest.raises(ValueOutOfRange) as caught:
        ask(consortium(frames))
    assert "1.2345" not in str(caught.value)


def test_a_plain_contribution_holds_the_sites_sums() -> None:
    party = consortium(secure="plain")
    contribution = ask(party, sums_allowed=("plain",))
    local = kind_of(party.study).rows(party.sites[SITE].frame(party.study), party.study)
    assert plain_values(contribution.payload).tolist() == moments(local, FAMILIES["logistic"]).tolist()
    with pytest.raises(CiphertextInvalid):
        plain_values(contribution.payload[:-1])


def test_the_study_reads_only_its_columns() -> None:
    party = consortium()
    assert party.study.columns == (*FEATURES, TARGET)
