"""A mapping is proposed with evidence, survives its file, and moves every row to the model or to quarantine."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest

from hdex.node.harmonize import FieldMap, Mapping, TableMap, apply, propose
from hdex.node.sources import MappingIncomplete, MappingInvalid, read_export

SHARED = Path(__file__).resolve().parents[2].parent / "shared/data"
PATIENTS = (
    "病案号,姓名,性别,出生日期,身份证号\nA1,张伟,男,1960年2月3日,x\nA2,李娜,女,1971年12月13日,y\n"
    "A3,王芳,不明,1980年1月9日,z\n"
)
LABS = (
    "病案号,检验项目,结果,单位,检验日期\nA1,低密度脂蛋白胆固醇,3.1,mmol/L,2024年3月5日 08:30\n"
    "A2,LDL-C,100,mg/dL,2024年3月15日 09:00\nA2,备注,阴性,,2024年3月15日 09:00\nA3,BMI,24.0,kg/m²,2024年3月16日 09:00\n"
    "A3,BMI,24.0,kg/m²,2024年3月16日 09:00\nA1,BMI,24.0,kg/m²,2024年3月16日 09:00\n"
)


@pytest.fixture
def hospital(tmp_path: Path) -> Callable[..., Path]:
    def write(**files: str) -> Path:
        for name, text in ({"患者信息": PATIENTS, "检验结果": LABS} | files).items():
            (tmp_path / f"{name}.csv").write_text(text, encoding="gb18030")
        return tmp_path

    return write


def test_chinese_tables_are_mapped_translated_and_converted(hospital: Callable[..., Path]) -> None:
    export = read_export(hospital())
    mapping = propose(export, name="hospital-a")
    common = apply(export, mapping)
    person = common["person"]
    assert person["person_id"].to_list() == ["A1", "A2", "A3"]
    assert person["sex"].to_list() == ["male", "female", "unknown"]
    assert person["birth_date"].to_list() == [date(1960, 2, 3), date(1971, 12, 13), date(1980, 1, 9)]
    assert person["record_number"].to_list() == ["A1", "A2", "A3"]
    measured = common["measurement"].head(4).select("code", "value", "unit", "value_text", "time").rows()
    assert measured[0] == ("13457-7", 3.1, "mmol/L", None, datetime(2024, 3, 5, 8, 30))
    assert measured[1][:3] == ("13457-7", pytest.approx(2.5863), "mmol/L")
    assert measured[2][:4] == ("备注", None, None, "阴性")
    assert measured[3][:3] == ("39156-5", 24.0, "kg/m2")
    sex = next(entry for entry in mapping.tables[0].fields if entry.field == "sex")
    assert "no dictionary" in sex.evidence[-1]
    assert sex.confidence < 0.6


def test_a_mapping_survives_its_file_and_keeps_its_digest(hospital: Callable[..., Path]) -> None:
    mapping = propose(read_export(hospital()), name="hospital-a")
    again = Mapping.from_toml(mapping.to_toml())
    assert again == mapping
    assert again.digest() == mapping.digest()
    assert Mapping.from_toml(mapping.to_toml().replace("version = 1", "version = 2")).digest() != mapping.digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('format = "hdex-mapping/1"', 'format = "other"'),
        ("version = 1", "version = 1\ncolour = 2"),
        ('model = "person"', 'model = "people"'),
        ("[table.field.sex]", "[table.field.age]"),
        ('pattern = "YYYY年MM月DD日"', 'pattern = "soon"'),
        ("version = 1", "version = "),
    ],
)
def test_a_mapping_file_with_a_mistake_is_refused(hospital: Callable[..., Path], old: str, new: str) -> None:
    text = propose(read_export(hospital())).to_toml()
    assert old in text
    with pytest.raises(MappingInvalid):
        Mapping.from_toml(text.replace(old, new))


def test_rows_that_do_not_fit_are_counted_by_file_and_line(hospital: Callable[..., Path]) -> None:
    labs = LABS + "A9,BMI,24.0,kg/m²,2024年3月16日 09:00\n"
    export = read_export(hospital(检验结果=labs))
    common = apply(export, propose(read_export(hospital())))
    counts = next(entry for entry in common.counts if entry.model == "measurement")
    assert (counts.read, counts.kept, counts.quarantined) == (7, 6, 1)
    assert common.quarantine.rows() == [("measurement", "检验结果", "检验结果.csv", 8, "person_id is of no person")]


def test_a_person_twice_is_kept_once(hospital: Callable[..., Path]) -> None:
    more = "".join(f"B{n},赵,男,1960年2月3日,{n}\n" for n in range(9))
    export = read_export(hospital(患者信息=PATIENTS + more + "A1,张伟,男,1960年2月3日,x\n"))
    mapping = propose(read_export(hospital()))
    common = apply(export, mapping)
    assert common["person"].height == 12
    assert common.counts[0].reasons == {"person_id stands in an earlier row": 1}


def test_a_wrong_date_pattern_is_a_wrong_mapping_not_dirty_rows(hospital: Callable[..., Path]) -> None:
    export = read_export(hospital())
    text = propose(export).to_toml().replace("YYYY年MM月DD日 HH:MM", "MM/DD/YYYY")
    with pytest.raises(MappingIncomplete, match="6 of 6 rows: time"):
        apply(export, Mapping.from_toml(text))


def test_an_untranslated_word_is_refused_without_being_told(hospital: Callable[..., Path]) -> None:
    export = read_export(hospital())
    mapping = propose(export)
    text = mapping.to_toml().replace('"不明" = "unknown"\n', "")
    with pytest.raises(MappingIncomplete, match="1 distinct values") as caught:
        apply(export, Mapping.from_toml(text))
    assert "不明" not in str(caught.value)


def test_a_mapping_that_lacks_a_required_field_or_names_no_column_is_refused(hospital: Callable[..., Path]) -> None:
    export = read_export(hospital())
    key = FieldMap("person_id", ("病案号",))
    with pytest.raises(MappingIncomplete, match=r"person\.birth_date"):
        apply(export, Mapping("h", 1, (TableMap("person", "患者信息", (key,)),)))
    with pytest.raises(MappingInvalid, match="no column"):
        apply(export, Mapping("h", 1, (TableMap("person", "患者信息", (FieldMap("person_id", ("id",)),)),)))
    with pytest.raises(MappingInvalid, match="no table"):
        apply(export, Mapping("h", 1, (TableMap("person", "patients", (key,)),)))


def test_an_export_without_patients_cannot_be_mapped(tmp_path: Path) -> None:
    (tmp_path / "stock.csv").write_text("item,price\nbed,100\n")
    with pytest.raises(MappingIncomplete, match="patients"):
        propose(read_export(tmp_path))


@pytest.mark.parametrize(
    ("folder", "persons", "measurements"),
    [
        pytest.param("hospitals_csv/hospital_a", 489, 250_689, marks=pytest.mark.soak),
        pytest.param("hospitals_csv/hospital_b", 470, 313_241, marks=pytest.mark.soak),
        ("hospitals_fhir/hospital_a", 96, 17_004),
    ],
)
def test_the_shared_exports_are_mapped_without_a_lost_row(folder: str, persons: int, measurements: int) -> None:
    if not SHARED.exists():
        pytest.skip("../shared/data is absent")
    export = read_export(SHARED / folder)
    common = apply(export, propose(export))
    assert common["person"].height == persons
    assert common["measurement"].height == measurements
    assert all(entry.read == entry.kept + entry.quarantined for entry in common.counts)
    assert common.quarantine.is_empty()
    assert {"visit", "condition", "drug", "procedure"} <= {entry.model for entry in common.counts}
