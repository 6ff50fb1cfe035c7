"""Whole exports nobody tuned to: headers mean nothing, values and the links between tables decide."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
import pytest
from tests.deid.generated_exports import EXPORTS

from hdex.deid.classify import classify_columns
from hdex.deid.columns import Role
from hdex.deid.errors import InputInvalid
from hdex.deid.links import TableKind, is_stable
from hdex.deid.survey import Survey, survey

LEAST = 0.9  # share of columns whose role, and whose level, must be right under meaningless headers


@pytest.mark.parametrize("name", list(EXPORTS))
def test_roles_and_levels_are_found_without_headers(name: str) -> None:
    export = EXPORTS[name](23)
    found = survey(export.tables)
    wrong = [
        export.meant[p.table, p.name]
        for p in found.profiles
        if export.truth[p.table, p.name] != (p.role.value, p.level)
    ]
    assert len(wrong) <= (1 - LEAST) * len(found.profiles), wrong


@pytest.mark.parametrize("name", list(EXPORTS))
def test_nothing_that_names_a_person_passes_as_harmless(name: str) -> None:
    export = EXPORTS[name](23)
    missed = [
        export.meant[p.table, p.name]
        for p in survey(export.tables).profiles
        if export.truth[p.table, p.name][0] == "direct" and p.role in (Role.OTHER, Role.SENSITIVE)
    ]
    assert missed == []


@pytest.mark.parametrize("name", list(EXPORTS))
def test_the_patient_is_found_in_every_table_and_patients_are_counted(name: str) -> None:
    export = EXPORTS[name](23)
    found = survey(export.tables)
    assert dict(found.links.patient) == export.patient
    assert found.patients == export.patients


def test_k_counts_patients_over_tables_as_a_brute_force_does() -> None:
    people = pl.DataFrame(
        {"c1": [f"P{100 + n}" for n in range(40)], "c2": ["M", "F"] * 20, "c3": ["已婚", "未婚", "离婚", "丧偶"] * 10}
    )
    rows = [(f"E{n}", f"P{100 + n % 40}", ["White", "Asian"][n % 40 // 37], "final") for n in range(400)]
    events = pl.DataFrame(rows, schema=["c1", "c2", "c3", "c4"], orient="row")
    found = survey({"a": people, "b": events})
    classes: dict[str, set[str]] = {}
    for _, patient, race, _ in rows:
        classes.setdefault(race, set()).add(patient)
    assert (found.k, found.k_table) == (min(len(who) for who in classes.values()), "b") == (3, "b")


def test_a_repeating_key_is_the_patient_when_what_is_the_persons_is_stable() -> None:
    sexes = {n: "MF"[n % 2] for n in range(50)}
    frame = pl.DataFrame(
        {"key": [str(1000 + n % 50) for n in range(200)], "other": [str(1000 + n % 60) for n in range(200)]}
    )
    frame = frame.with_columns(
        sex=pl.Series([sexes[n % 50] for n in range(200)]), flip=pl.Series(["a", "b", "c"] * 66 + ["a", "b"])
    )
    assert is_stable(frame, "key", "sex")
    assert not is_stable(frame, "key", "flip")
    assert not is_stable(frame.with_columns(sex=pl.lit("M")), "key", "sex")  # what never changes tells nothing


def linked(**tables: Mapping[str, list[str]]) -> Survey:
    return survey({name: pl.DataFrame(dict(columns)) for name, columns in tables.items()})


def test_references_take_the_role_of_what_they_name() -> None:
    staff = [f"{n}" for n in range(101, 131)]
    names = ["王建国", "李秀英", "张丽华", "刘志强", "陈桂兰", "杨海燕"] * 5
    people = {
        "c1": [f"{n}" for n in range(5000, 5060)],
        "c2": ["男", "女"] * 30,
        "c3": [f"19{40 + n}-03-1{n % 9}" for n in range(60)],
    }
    events = {
        "c1": [f"{n}" for n in range(90000, 90300)],
        "c2": people["c1"] * 5,
        "c3": (staff * 10)[:300],
        "c4": ["I10", "E11.9", "N18.3"] * 100,
    }
    found = linked(x=people, y=events, z={"c1": staff, "c2": names})
    roles = {(p.table, p.name): (p.role.value, p.element) for p in found.profiles}
    assert roles["y", "c2"] == ("direct", "patient_key")
    assert roles["y", "c3"] == ("direct", "staff_id")
    assert found.links.kinds == {"x": TableKind.PATIENTS, "y": TableKind.EVENTS, "z": TableKind.STAFF}


def test_a_file_called_after_the_hospital_still_holds_patients() -> None:
    frame = pl.DataFrame(
        {
            "name": ["Ann Smith", "Bob Jones"],
            "address": ["1 Elm St", "2 Oak St"],
            "birth_date": ["1950-01-01", "1960-02-02"],
        }
    )
    assert [p.role for p in classify_columns(frame, "hospital_export")] == [Role.DIRECT, Role.DIRECT, Role.QUASI]
    office = pl.DataFrame({"name": ["North Clinic"], "address": ["1 Elm St"], "phone": ["555-0100"]})
    assert {p.role for p in classify_columns(office, "hospitals")} == {Role.OTHER}


@pytest.mark.parametrize(
    ("header", "role"),
    [
        ("pt_nm", "direct"),
        ("BRTH_DT", "quasi"),
        ("adm_dt", "quasi"),
        ("dx_cd", "sensitive"),
        ("tel_no", "direct"),
        ("hzxm", "direct"),
        ("csrq", "quasi"),
        ("sfzhm", "direct"),
        ("ryzd", "sensitive"),
        ("ypmc", "sensitive"),
        ("cwh", "direct"),
        ("病案首页编号", "direct"),
        ("医保卡号", "direct"),
        ("结算单号", "direct"),
        ("工号", "direct"),
        ("药品追溯码", "direct"),
        ("有效期", "direct"),
    ],
)
def test_abbreviated_headers_are_read(header: str, role: str) -> None:
    assert classify_columns(pl.DataFrame({header: []}))[0].role.value == role


def test_patients_under_fourteen_are_seen_by_age_and_by_birth() -> None:
    adults = {"patient_id": [f"P{n}" for n in range(30)], "age": [str(20 + n) for n in range(30)]}
    children = adults | {"age": [str(10 + n) for n in range(30)]}
    assert not linked(people=adults).decision.minor_under_14
    found = linked(people=children).decision
    assert found.minor_under_14
    assert found.level == 4
    assert any("a guardian consents" in reason for reason in found.reasons)
    born = {
        "patient_id": ["A1", "A2"],
        "birth_date": ["1960-05-05", "2012-05-05"],
        "visit_date": ["2026-05-04", "2024-01-01"],
    }
    assert not linked(people=born | {"birth_date": ["1960-05-05", "2012-05-04"]}).decision.minor_under_14
    assert linked(people=born).decision.minor_under_14


def test_what_no_list_knows_about_patients_is_direct_when_it_hardly_repeats() -> None:
    surnames = ["Krüger", "Lehmann", "Köhler", "Scholz", "Weiß", "Günther", "Böhm", "Jäger", "Groß", "Seidel"]
    people = {
        "c1": [f"K{4000 + n}" for n in range(60)],
        "c2": [surnames[n % 10] + ["", "s", "er", "mann"][n % 4] for n in range(60)],
        "c3": [f"Lindenweg {n}" for n in range(60)],
        "c4": [f"030 {5550000 + 37 * n}" for n in range(60)],
        "c5": [["männlich", "weiblich"][n % 2] for n in range(60)],
        "c6": [f"{1 + n % 28:02d}.04.19{40 + n % 50}" for n in range(60)],
    }
    events = {"c1": people["c1"] * 3, "c2": [f"{70 + n % 50}" for n in range(180)]}
    found = linked(a=people, b=events)
    assert [p.role.value for p in found.of("a")] == ["direct"] * 4 + ["quasi"] * 2


def test_ten_thousand_columns_are_classified() -> None:
    frame = pl.DataFrame({f"f_{n}": [str(1 + (row * n) % 97) for row in range(3)] for n in range(10_000)})
    assert len(survey({"wide": frame}).profiles) == 10_000


def test_an_export_without_columns_is_refused() -> None:
    with pytest.raises(InputInvalid, match="0 columns"):
        survey({"empty": pl.DataFrame()})
    with pytest.raises(InputInvalid):
        survey({})


def test_no_value_of_a_record_is_in_the_reasons_or_the_evidence() -> None:
    export = EXPORTS["chinese"](5)
    found = survey(export.tables)
    told = " ".join([*found.decision.reasons, *(text for p in found.profiles for text in p.evidence)])
    people = export.tables["t1"]
    assert not any(value in told for column in ("f_01", "f_02", "f_06", "f_07") for value in people[column].to_list())
