"""The classification document: written, read back, edited, and held against the values."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
import rfc8785

from hdex.deid.classification import contradictions, from_document, to_document
from hdex.deid.classify import classify_columns, classify_dataset
from hdex.deid.columns import NationalGrade
from hdex.deid.errors import InputInvalid, ReleaseRefused
from hdex.deid.policy import preset
from hdex.deid.pseudonym import Keys
from hdex.deid.subject import admit

FRAME = pl.DataFrame(
    {
        "姓名": ["王小明", "李芳", "张伟", "刘洋", "陈静", "杨磊", "黄勇", "赵敏", "周杰", "吴超", "徐丽", "孙强"],
        "sex": ["M", "F"] * 6,
        "diagnosis": ["I65.2", "I10", "E11.9"] * 4,
        "value": [f"{n}.5" for n in range(12)],
    }
)


def document() -> dict[str, Any]:
    profiles = classify_columns(FRAME, "patients")
    decision = classify_dataset(profiles, inclusion=["carotid stent"], k_without_suppression=1)
    return to_document(profiles, decision, rows={"patients": 12})


def edited(column: str, **change: object) -> dict[str, Any]:
    made = copy.deepcopy(document())
    found = next(c for c in made["tables"][0]["columns"] if c["name"] == column)
    found.update(change)
    return made


def test_a_document_is_canonical_json_and_reads_back_the_same() -> None:
    made = document()
    again = json.loads(rfc8785.dumps(made))
    profiles, decision = from_document(again)
    assert to_document(profiles, decision, rows={"patients": 12}) == made
    assert profiles == classify_columns(FRAME, "patients")
    assert made["tables"][0]["rows"] == 12


def test_an_unedited_document_has_no_contradiction() -> None:
    assert contradictions(document(), FRAME, "patients") == []


@pytest.mark.parametrize("change", [{"role": "other", "level": 1}, {"level": 2}, {"role": "quasi"}])
def test_names_called_harmless_need_a_second_person(change: dict[str, object]) -> None:
    clashes = contradictions(edited("姓名", **change), FRAME, "patients")
    assert [clash.column for clash in clashes] == ["姓名"]
    assert not any(name in str(clash) for clash in clashes for name in FRAME["姓名"])


def test_a_renamed_column_of_names_still_contradicts() -> None:
    frame = FRAME.rename({"姓名": "batch_label"})
    made = edited("姓名", name="batch_label", role="other", level=1)
    assert [clash.column for clash in contradictions(made, frame, "patients")] == ["batch_label"]


def test_raising_a_level_is_no_contradiction() -> None:
    made = edited("sex", level=3)
    assert contradictions(made, FRAME, "patients") == []


@pytest.mark.parametrize(
    "change", [{"role": "boss"}, {"level": 9}, {"level": "x"}, {"category": "x"}, {"confidence": 7}, {"surprise": 1}]
)
def test_an_edit_that_means_nothing_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputInvalid):
        from_document(edited("sex", **change))


def test_the_data_set_may_not_be_below_its_highest_column() -> None:
    made = document() | {"level": 2, "may_lower_to": 2}
    with pytest.raises(InputInvalid, match="highest column has 4"):
        from_document(made)
    with pytest.raises(InputInvalid, match="keys"):
        from_document({"level": 2})


def test_a_document_of_another_table_is_refused() -> None:
    with pytest.raises(InputInvalid, match="not classified"):
        contradictions(document(), FRAME.with_columns(extra=pl.lit(1)), "patients")


def test_a_person_sets_the_national_grade_and_it_is_read_back() -> None:
    assert document()["national_grade"] == "general"
    _, decision = from_document(document() | {"national_grade": "important", "assessment": " PG-7 "})
    assert (decision.national_grade, decision.assessment) == (NationalGrade.IMPORTANT, "PG-7")
    _, core = from_document(document() | {"national_grade": "core"})
    with pytest.raises(ReleaseRefused, match="core"):
        core.require_product()


@pytest.mark.parametrize(
    "change", [{"national_grade": "secret"}, {"assessment": 7}, {"flags": {"minor_under_14": "no"}}, {"flags": {}}]
)
def test_a_flag_that_means_nothing_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputInvalid):
        from_document(document() | change)


def test_a_data_set_with_minors_may_not_be_called_harmless() -> None:
    made = document() | {"flags": {"minor_under_14": True}}
    assert from_document(made)[1].minor_under_14
    for column in made["tables"][0]["columns"]:
        column["level"] = 1
    with pytest.raises(InputInvalid, match="patients under 14 ask at least 4"):
        from_document(made | {"level": 3, "may_lower_to": 2})


def test_a_document_of_before_the_flags_is_still_read() -> None:
    old = {key: value for key, value in document().items() if key not in ("flags", "national_grade", "assessment")}
    assert from_document(old) == from_document(document())


def test_an_unknown_key_is_named_with_the_nearest() -> None:
    with pytest.raises(InputInvalid, match=r"unknown keys national_grad; did you mean national_grade\?"):
        from_document(document() | {"national_grad": "core"})


@pytest.mark.parametrize("grade", [NationalGrade.CORE, NationalGrade.IMPORTANT])
def test_a_release_of_core_or_unassessed_data_is_refused_before_a_row_is_touched(grade: NationalGrade) -> None:
    frame = FRAME.with_columns(person_id=pl.Series([f"P{n}" for n in range(12)]))
    profiles = classify_columns(frame, "patients")
    decision = replace(from_document(document())[1], national_grade=grade)
    keys = Keys(b"1" * 32, b"2" * 32, b"3" * 32)
    with pytest.raises(ReleaseRefused, match="national grade"):
        admit(frame, profiles, preset("controlled"), keys=keys, patient="person_id", seed=1, decision=decision)
