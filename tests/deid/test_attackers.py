"""Named recipients: what each is assumed to know, and which one attacks a table."""

from pathlib import Path

import pytest

from hdex.deid.attackers import Known, Reads, attacker_of, fits, is_named, known_columns, load, profiles
from hdex.deid.errors import ArgumentInvalid, PolicyInvalid

STENT = ["patient_id", "implant_date", "stent_model", "stent_size", "stent_serial", "age", "sex", "hospital", "ldl"]
NOBODY = 'title = "somebody who knows {known}"\n[[fact]]\ntitle = "shoe size"\nnames = ["shoe*"]\n'


def columns(profile: str, table: list[str]) -> list[str]:
    return [one.column for one in known_columns(load(profile), table)]


def test_the_five_recipients_of_the_plan_are_there() -> None:
    names = [profile.name for profile in profiles()]
    assert names == ["device_maker", "insurer", "distributor", "employer", "neighbour", "acquaintance"]
    for profile in profiles():
        for lang, text in profile.told().items():
            assert "{known}" not in text
            assert all(fact.title[lang] in text for fact in profile.facts)


def test_a_device_maker_knows_what_he_delivered() -> None:
    assert set(columns("device_maker", STENT)) == set(STENT) - {"patient_id", "ldl"}
    chinese = ["患者编号", "植入日期", "支架型号", "规格", "序列号", "年龄", "性别", "手术医院", "收缩压"]
    assert set(columns("device_maker", chinese)) == set(chinese) - {"患者编号", "收缩压"}


@pytest.mark.parametrize(
    ("profile", "table", "known"),
    [
        ("insurer", ["claim_date", "total_claim_cost", "procedure_code", "sbp"], 3),
        ("insurer", ["结算日期", "总金额", "收费项目名称", "收缩压"], 3),
        ("distributor", ["trace_code", "lot_number", "drug_name", "sex"], 3),
        ("distributor", ["药品追溯码", "批号", "药品名称", "性别"], 3),
        ("employer", ["admission_date", "dischargeDate", "occupation", "hba1c"], 3),
        ("employer", ["入院日期", "出院日期", "职业", "糖化血红蛋白"], 3),
        ("neighbour", ["age", "gender", "city", "visit_date", "ldl"], 4),
        ("neighbour", ["年龄", "性别", "城市", "就诊日期", "总胆固醇"], 4),
    ],
)
def test_each_knows_his_facts_in_english_and_chinese(profile: str, table: list[str], known: int) -> None:
    assert columns(profile, table) == [one for one in columns(profile, table) if one in table[:known]]
    assert len(columns(profile, table)) == known


def test_a_classified_element_tells_more_than_a_name() -> None:
    found = known_columns(load("neighbour"), ["c1", "c2"], elements={"c1": "age", "c2": "sex"})
    assert [one.column for one in found] == ["c1", "c2"]


def test_how_exactly_a_fact_is_known_travels_with_the_column() -> None:
    assert Known("implant_date", Reads.MONTH, event=True) in known_columns(load("device_maker"), STENT)


def test_case_and_separators_of_a_name_do_not_matter() -> None:
    assert is_named("ImplantDate", ["implant_date"])
    assert is_named("IMPLANT DATE", ["implant_date"])
    assert not is_named("explant_date", ["implant_date"])


def test_the_recipient_decides_and_else_the_columns() -> None:
    assert attacker_of(STENT).name == "device_maker"
    assert attacker_of(STENT, recipient="neighbour").name == "neighbour"
    assert attacker_of(STENT, recipient="industry").name == "device_maker"
    assert attacker_of(STENT, recipient="academic").name == "device_maker"
    assert attacker_of(["claim_date", "claim_amount"], recipient="industry").name == "insurer"
    assert attacker_of(["age", "sex", "city", "last_visit"]).name == "neighbour"
    assert attacker_of(["age", "sex"]).name == "acquaintance"
    assert attacker_of(["ldl"]).name == "acquaintance"
    assert attacker_of(["age", "sex"], recipient="distributor").name == "acquaintance"
    assert not fits(load("device_maker"), ["age", "sex"])


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "cobbler.toml"
    path.write_text(NOBODY, encoding="utf-8")
    assert load(str(path)).told() == dict.fromkeys(("en", "zh"), "somebody who knows shoe size")
    assert columns(str(path), ["age", "shoe_size"]) == ["shoe_size"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NOBODY + "hat = 1\n", "unknown keys \\['hat'\\]"),
        ("hat = 1\n" + NOBODY, "unknown keys \\['hat'\\]"),
        (NOBODY + 'reads = "day"\n', "reads is one of exact, month, year"),
        (NOBODY + 'elements = ["shoe"]\n', "the catalogue has none such"),
        (NOBODY + "event = 1\n", "true or false"),
        (NOBODY.replace('names = ["shoe*"]', ""), "neither names nor elements"),
        (NOBODY.replace('["shoe*"]', '"shoe*"'), "not a list of texts"),
        (NOBODY.replace('"shoe size"', "{ en = 1 }"), "texts en and zh"),
        ('title = "x"\n', "lacks \\['fact'\\]"),
        ('title = "x"\nfact = []\n', "no \\[\\[fact\\]\\]"),
        ('title = "x"\nfact = [1]\n', "not a table"),
        ("title = ", "is not TOML"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_a_file_that_says_what_we_do_not_understand_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(PolicyInvalid, match=message):
        load(str(path))


def test_an_attacker_nobody_knows_is_named_with_those_there_are() -> None:
    with pytest.raises(ArgumentInvalid, match="device_maker, insurer"):
        load("burglar")
