"""A study's document: complete, canonical, and refused when it contradicts itself."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.federated.samples import consortium

from hdex.federated.errors import (
    AdmissionRefused,
    DesignSingular,
    FederatedError,
    SiteLost,
    StudyInvalid,
    error_document,
    error_from_document,
)
from hdex.federated.kinds.table import KINDS
from hdex.federated.statistics import installed_algorithms
from hdex.federated.study import Party, RosterEntry, Study, parse_envelope

STUDY = consortium().study


def test_a_study_survives_its_document_with_the_same_digest() -> None:
    text = json.dumps(STUDY.document())
    again = Study.from_document(json.loads(text))
    assert again == STUDY
    assert again.digest() == STUDY.digest()
    assert len(STUDY.digest()) == 64


def test_every_field_changes_the_digest() -> None:
    changed = {
        "id": "study-2",
        "target": "other",
        "features": ("age",),
        "purpose": "DUO:0000042",
        "deadline": "2027-01-01T00:00:00Z",
        "nonce": "22",
        "standardize": "none",
        "l2": 0.5,
        "max_rounds": 9,
        "min_sites": 2,
        "min_rows": 11,
        "coordinator": Party("exchange", "someone else"),
    }
    digests = {replace(STUDY, **{name: value}).digest() for name, value in changed.items()}  # type: ignore[arg-type]
    assert len(digests | {STUDY.digest()}) == len(changed) + 1


def roster(**changes: str) -> tuple[RosterEntry, ...]:
    return (replace(STUDY.roster[0], **changes), *STUDY.roster[1:])


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../study"},
        {"id": ""},
        {"kind": "tree"},
        {"features": ()},
        {"features": ("age", "age")},
        {"features": ("age", "event")},
        {"standardize": "local"},
        {"l2": -1.0},
        {"l2": float("nan")},
        {"roster": STUDY.roster[::-1]},
        {"roster": STUDY.roster[:2]},
        {"roster": (STUDY.roster[0], *STUDY.roster)},
        {"roster": roster(organisation=STUDY.roster[1].organisation)},
        {"roster": roster(organisation="notary")},
        {"roster": roster(mask_key=STUDY.roster[1].mask_key)},
        {"roster": roster(mask_key="00")},
        {"roster": roster(sign_key="zz")},
        {"contracts": {}},
        {"products": {}},
        {"coordinator": Party("exchange", "notary")},
        {"deadline": "tomorrow"},
        {"deadline": "2026-11-22T22:00:00"},
        {"max_rounds": 0},
        {"max_rounds": 101},
        {"min_sites": 0},
        {"min_rows": 0},
        {"secure": "rot13"},
        {"public_key": "xyz"},
        {"key_id": "00"},
        {"pack": {}},
    ],
)
def test_a_contradiction_is_refused_at_construction(changes: dict[str, Any]) -> None:
    with pytest.raises(StudyInvalid):
        replace(STUDY, **changes)


def test_unknown_missing_and_misshaped_keys_are_refused() -> None:
    document = STUDY.document()
    for wrong in (
        {**document, "extra": 1},
        {key: value for key, value in document.items() if key != "nonce"},
        {**document, "roster": [{"site": "hospital-a"}]},
        {**document, "products": {"hospital-a": ["only one"]}},
        {**document, "coordinator": "exchange"},
        {},
    ):
        with pytest.raises(StudyInvalid):
            Study.from_document(wrong)
    for data in (b"", b"[]", b'{"signatures": []}', b"[" * 100_000):
        with pytest.raises(StudyInvalid):
            parse_envelope(data)


def test_the_installed_algorithm_has_a_code_digest() -> None:
    assert installed_algorithms()[STUDY.algorithm.id] == STUDY.algorithm.code_digest
    assert set(installed_algorithms()) == {kind.algorithm for kind in KINDS.values()}


@pytest.mark.parametrize(
    "error",
    [AdmissionRefused("deadline", "too late"), AdmissionRefused("budget"), SiteLost("gone"), DesignSingular("flat")],
)
def test_errors_keep_their_kind_and_rule_across_processes(error: FederatedError) -> None:
    again = error_from_document(error_document(error))
    assert type(again) is type(error)
    assert str(again) == str(error)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"error": "SystemExit", "detail": "x"}', "null"])
def test_an_unknown_error_is_only_a_federated_error(text: str) -> None:
    assert type(error_from_document(text)) is FederatedError
