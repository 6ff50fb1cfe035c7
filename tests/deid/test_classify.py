"""Columns get role, category and level from names in two languages and from values where names say nothing."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from hdex.deid.classify import classify_columns, classify_dataset
from hdex.deid.columns import Category, ColumnProfile, Role
from hdex.deid.errors import InputInvalid, PolicyInvalid
from hdex.deid.identifiers import resident_id_check_character
from hdex.deid.scheme import load_catalogue, load_scheme, modes

SHARED = Path(__file__).resolve().parents[2].parent / "shared/data/hospitals_csv"
EXPECTED = {
    "patients": {
        "direct": "mrn ssn drivers passport given_name middle family_name maiden address",
        "quasi": "dob deathdate marital race ethnicity gender birthplace city state county fips zip income",
        "sensitive": "healthcare_expenses healthcare_coverage",
    },
    "encounters": {
        "direct": "id mrn provider",
        "quasi": "start_dt end_dt",
        "sensitive": "code code_text reasoncode",
    },
    "observations": {
        "direct": "mrn visit_no",
        "quasi": "date",
        "sensitive": "code code_text value",
        "other": "units type category",
    },
    "devices": {"direct": "udi mrn", "sensitive": "code code_text"},
    "organizations": {"other": "id name address city phone lat lon"},
    "providers": {"direct": "id name"},
}


def one(name: str, values: list[object], table: str = "") -> ColumnProfile:
    return classify_columns(pl.DataFrame({name: values}, strict=False), table)[0]


def people(count: int, seed: int = 7) -> pl.DataFrame:
    """Rows under meaningless headers: what is inside must decide."""
    rng = random.Random(seed)
    surnames, given = "王李张刘陈杨黄赵周吴徐孙", "伟芳娜敏静磊军洋勇艳杰娟涛明超兰霞平"
    rows = []
    for number in range(count):
        born = date(1930, 1, 1) + timedelta(days=rng.randrange(29000))
        first17 = f"3101{rng.randrange(1, 30):02d}{born:%Y%m%d}{rng.randrange(1000):03d}"
        rows.append(
            {
                "c1": first17 + resident_id_check_character(first17),
                "c2": rng.choice(surnames) + rng.choice(given) + rng.choice(["", *given]),
                "c3": f"1{rng.choice('3578')}{rng.randrange(10**9):09d}",
                "c4": f"上海市浦东新区世纪大道{rng.randrange(1, 2000)}号{rng.randrange(1, 30)}室",
                "c5": born.isoformat(),
                "c6": rng.choice("男女"),
                "c7": rng.choice(["I65.2", "I10", "E11.9", "I63.9"]),
                "c8": f"患者因反复头晕{rng.randrange(1, 30)}天入院，予以抗血小板治疗后好转出院。门诊随访，病情平稳。",
                "c9": f"{rng.gauss(130, 15):.1f}",
                "c10": f"ZY{100000 + number}",
            }
        )
    return pl.DataFrame(rows)


def test_values_decide_where_headers_mean_nothing() -> None:
    found = {p.name: (p.role, p.element) for p in classify_columns(people(300))}
    assert found["c1"] == (Role.DIRECT, "resident_id")
    assert found["c2"] == (Role.DIRECT, "person_name")
    assert found["c3"] == (Role.DIRECT, "phone")
    assert found["c4"] == (Role.DIRECT, "street_address")
    assert found["c5"] == (Role.QUASI, "birth_date")
    assert found["c6"] == (Role.QUASI, "sex")
    assert found["c7"] == (Role.SENSITIVE, "diagnosis")
    assert found["c8"][0] is Role.FREE_TEXT
    assert found["c9"][0] is Role.SENSITIVE
    assert found["c10"][0] is Role.DIRECT


@pytest.mark.parametrize(
    ("name", "role", "category"),
    [
        ("患者姓名", Role.DIRECT, Category.PERSONAL_ATTRIBUTE),
        ("身份证号", Role.DIRECT, Category.PERSONAL_ATTRIBUTE),
        ("联系电话", Role.DIRECT, Category.PERSONAL_ATTRIBUTE),
        ("住院号", Role.DIRECT, Category.PERSONAL_ATTRIBUTE),
        ("现住址", Role.DIRECT, Category.PERSONAL_ATTRIBUTE),
        ("主刀医生", Role.DIRECT, Category.PERSONAL_ATTRIBUTE),
        ("序列号", Role.DIRECT, Category.MEDICAL_APPLICATION),
        ("药品追溯码", Role.DIRECT, Category.MEDICAL_APPLICATION),
        ("出生日期", Role.QUASI, Category.PERSONAL_ATTRIBUTE),
        ("手术日期", Role.QUASI, Category.MEDICAL_APPLICATION),
        ("年龄", Role.QUASI, Category.PERSONAL_ATTRIBUTE),
        ("支架型号", Role.QUASI, Category.MEDICAL_APPLICATION),
        ("科室", Role.QUASI, Category.HEALTH_RESOURCE),
        ("出院诊断", Role.SENSITIVE, Category.HEALTH_STATUS),
        ("收缩压", Role.SENSITIVE, Category.HEALTH_STATUS),
        ("总费用", Role.SENSITIVE, Category.MEDICAL_PAYMENT),
        ("病程记录", Role.FREE_TEXT, Category.MEDICAL_APPLICATION),
        ("单位", Role.OTHER, Category.HEALTH_STATUS),
        ("birthDate", Role.QUASI, Category.PERSONAL_ATTRIBUTE),
        ("name[0].family", Role.DIRECT, Category.PERSONAL_ATTRIBUTE),
        ("subject.reference", Role.DIRECT, Category.PERSONAL_ATTRIBUTE),
        ("maritalStatus_coding_0_code", Role.QUASI, Category.PERSONAL_ATTRIBUTE),
        ("valueQuantity_value", Role.SENSITIVE, Category.HEALTH_STATUS),
        ("condition_start_date", Role.QUASI, Category.MEDICAL_APPLICATION),
        ("year_of_birth", Role.QUASI, Category.PERSONAL_ATTRIBUTE),
        ("person_source_value", Role.DIRECT, Category.PERSONAL_ATTRIBUTE),
    ],
)
def test_names_in_both_languages_are_known(name: str, role: Role, category: Category) -> None:
    profile = one(name, [])
    assert (profile.role, profile.category) == (role, category)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("hiv_status", ["negative", "positive"]),
        ("HIV抗体", ["阴性"]),
        ("cd4_count", ["512", "300"]),
        ("code", ["I10", "B20", "E11.9"]),
        ("c1", ["I10", "E11.9", "B24", "I65.2"]),
        ("DESCRIPTION", ["Essential hypertension", "Human immunodeficiency virus infection (disorder)"]),
        ("code", ["86406008", "22298006"]),
        ("code", ["20447-9", "8480-6"]),
        ("诊断名称", ["高血压", "抑郁症"]),
        ("PHQ9_total", ["3", "12"]),
        ("BRCA1", ["wt", "mut"]),
        ("基因型", ["AA", "AG"]),
        ("孕次", ["0", "1"]),
        ("fingerprint_template", ["x"]),
    ],
)
def test_severe_harm_is_level_five_by_name_code_or_word(name: str, values: list[object]) -> None:
    assert one(name, values).level == 5


@pytest.mark.parametrize("values", [["ST depression in V4", "Sinus rhythm"], ["Provision of hearing aids"]])
def test_a_word_that_only_sounds_severe_does_not_lift_the_level(values: list[object]) -> None:
    assert one("description", values).level < 5


def test_values_that_identify_beat_a_harmless_name() -> None:
    frame = people(50)
    assert one("status", frame["c1"].to_list()).role is Role.DIRECT
    assert one("remark_code", frame["c3"].to_list()).role is Role.DIRECT
    assert one("category", frame["c2"].to_list()).role is Role.DIRECT
    assert one("label", frame["c8"].to_list()).role is Role.FREE_TEXT


def test_evidence_never_holds_a_value_of_a_record() -> None:
    frame = people(40)
    told = " ".join(" ".join(p.evidence) for p in classify_columns(frame))
    assert not any(value in told for column in ("c1", "c2", "c3", "c4") for value in frame[column].to_list())


def decided(*names: str, inclusion: tuple[str, ...] = (), k: int | None = None) -> int:
    profiles = classify_columns(pl.DataFrame({n: [] for n in names}))
    return classify_dataset(profiles, inclusion=inclusion, k_without_suppression=k).level


def test_a_data_set_has_the_highest_of_elements_criterion_and_uniqueness() -> None:
    assert decided("unit") == 1
    assert decided("unit", "sex") == 2
    assert decided("sex", k=10) == 2
    assert decided("sex", k=9) == 3
    assert decided("sex", "ssn") == 4
    assert decided("sex", "hiv_status") == 5


@pytest.mark.parametrize(
    "criterion",
    [
        "Patients with HIV",
        "ICD-10 B20-B24",
        "艾滋病患者队列",
        "code = 86406008",
        "major depression, 2020 to 2024",
        "妊娠期高血压",
    ],
)
def test_the_inclusion_criterion_alone_makes_level_five(criterion: str) -> None:
    assert decided("sex", inclusion=(criterion,)) == 5


@pytest.mark.parametrize("criterion", ["carotid stent, I65.2", "age over 40", "冠状动脉支架植入术后"])
def test_an_ordinary_criterion_does_not_lift_the_level(criterion: str) -> None:
    assert decided("sex", inclusion=(criterion,)) == 2


def test_level_four_may_be_lowered_and_level_five_never() -> None:
    direct = classify_dataset(classify_columns(pl.DataFrame({"ssn": []})), inclusion=[], k_without_suppression=None)
    severe = classify_dataset(classify_columns(pl.DataFrame({"hiv": []})), inclusion=[], k_without_suppression=100)
    assert (direct.level, direct.may_lower_to, direct.grade) == (4, 2, 1)
    assert (severe.level, severe.may_lower_to) == (5, 5)
    with pytest.raises(InputInvalid):
        classify_dataset([], inclusion=[], k_without_suppression=None)


def test_the_reason_for_level_five_names_the_group_its_values_belong_to() -> None:
    profiles = classify_columns(pl.DataFrame({"code": ["I10", "B20"]}), "conditions")
    reasons = classify_dataset(profiles, inclusion=[], k_without_suppression=None).reasons
    assert reasons[0] == "level 5: 1 columns: conditions.code, holding values of HIV and sexually transmitted disease"


def test_delivery_modes_follow_the_level() -> None:
    assert modes(1) == ("download",)
    assert modes(2) == ("sealed_file", "enclave", "query", "federated")
    assert modes(3) == ("enclave", "query", "federated")
    assert modes(4) == ()
    assert modes(5) == ("federated",)
    with pytest.raises(PolicyInvalid):
        modes(6)


def test_an_unknown_key_in_a_scheme_or_catalogue_is_an_error(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "deid/hdex/deid/data/levels.toml").read_text("utf-8")
    (tmp_path / "levels.toml").write_text(text + 'surprise = "x"\n', "utf-8")
    (tmp_path / "elements.toml").write_text('[[element]]\ncode = "x"\n', "utf-8")
    with pytest.raises(PolicyInvalid, match="surprise"):
        load_scheme(tmp_path / "levels.toml")
    with pytest.raises(PolicyInvalid):
        load_catalogue(tmp_path / "elements.toml")
    with pytest.raises(PolicyInvalid, match="no such file"):
        load_scheme(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    "values", [[], [None, None], ["x"], ["a"] * 50, [f"{i}" for i in range(50)], [1, "two", None, 3.5]]
)
def test_odd_columns_get_a_profile_and_no_error(values: list[object]) -> None:
    profile = one("q", values)
    assert 1 <= profile.level <= 5


def test_every_element_says_its_category_role_and_method() -> None:
    catalogue = load_catalogue()
    assert all(e.en and e.zh and e.method and 0 <= e.hipaa <= 18 for e in catalogue.elements)
    assert {e.hipaa for e in catalogue.elements} >= set(range(1, 19))
    assert {e.category for e in catalogue.elements} >= set(Category) - {Category.PUBLIC_HEALTH}


@pytest.mark.parametrize("table", EXPECTED)
def test_a_real_export_is_classified(table: str) -> None:
    path = SHARED / f"hospital_b/{table}.csv.gz"
    if not path.exists():
        pytest.skip("../shared/data is absent")
    frame = pl.read_csv(path, separator="|", infer_schema=False)
    found = {p.name: p.role.value for p in classify_columns(frame, table)}
    for role, names in EXPECTED[table].items():
        assert {name: found[name] for name in names.split()} == dict.fromkeys(names.split(), role)


def test_a_cell_that_comes_again_in_other_columns_is_judged_alike() -> None:
    frame = pl.DataFrame({name: ["HIV", "flu", " ", None] for name in ("a1", "a2", "a3")})
    shares = {profile.evidence for profile in classify_columns(frame)}
    assert len(shares) == 1
    assert {profile.level for profile in classify_columns(frame)} == {5}
    long = pl.DataFrame({"a1": frame["a1"].to_list() * 1_000})  # counted by a query instead
    assert classify_columns(long)[0].level == 5
