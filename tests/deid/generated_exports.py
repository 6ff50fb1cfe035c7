"""Exports made by seed, with the true role and level of every column, for a classifier that reads only values.

Headers are f_01, f_02, ... in every table; tables are called t1, t2, ... No list of the classifier was made from here.
"""

# ruff: noqa: E501  the rows of a table stay on one line each
from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from hdex.deid.identifiers import resident_id_check_character

Truth = tuple[str, int]  # role, level
DIRECT, DATE = ("direct", 4), ("quasi", 4)
CODED = ("sensitive", 3)


@dataclass(frozen=True, slots=True)
class Generated:
    """Tables under meaningless headers, the truth of (table, column), and the patient column of each table."""

    tables: dict[str, pl.DataFrame]
    truth: dict[tuple[str, str], Truth]
    meant: dict[tuple[str, str], str]  # what the column is, for reading errors
    patient: dict[str, str]
    patients: int


Columns = dict[str, tuple[list[str], Truth]]
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高梁郑谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程苏魏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫雷龙史陶贺毛段郝顾龚邵万覃武钱戴严莫孔向常汤"
GIVEN = "建国志强晓明秀英丽华文军桂兰玉梅海燕春生俊杰雅婷思远梓涵浩宇欣怡佳琪子轩雨桐若曦立新庆丰"
DISTRICTS = ["渝中区", "江北区", "南岸区", "沙坪坝区", "九龙坡区", "北碚区", "巴南区", "大渡口区"]
STREETS = ["人和街", "民生路", "解放西路", "上清寺路", "观音桥步行街", "红旗河沟", "松石支路", "石小路"]
COMPLAINTS = ["右上腹隐痛", "活动后气促", "反复咳嗽咳痰", "双下肢水肿", "头痛伴恶心", "左侧肢体乏力"]
DISEASES = [("K80.2", "胆囊结石"), ("J44.1", "慢性阻塞性肺疾病急性加重"), ("I50.9", "心力衰竭"), ("N18.3", "慢性肾脏病3期"),
            ("I63.5", "脑梗死"), ("E11.6", "2型糖尿病伴并发症"), ("I10", "原发性高血压"), ("M17.0", "双膝骨关节炎")]  # fmt: skip
TESTS = [("WBC", "白细胞计数", "10^9/L", 7.0), ("HGB", "血红蛋白", "g/L", 130.0), ("ALT", "丙氨酸氨基转移酶", "U/L", 30.0),
         ("CREA", "肌酐", "umol/L", 80.0), ("GLU", "葡萄糖", "mmol/L", 6.0), ("K", "钾", "mmol/L", 4.1)]  # fmt: skip
DRUGS = ["阿司匹林肠溶片", "头孢曲松钠注射液", "二甲双胍缓释片", "呋塞米注射液", "氨氯地平片", "阿托伐他汀钙片"]
WARDS = ["呼吸与危重症医学科", "心血管内科", "肝胆外科", "神经内科", "肾内科", "骨科二病区"]
FIRST_EN = [
    "Margaret",
    "Dwayne",
    "Priya",
    "Connor",
    "Latisha",
    "Hugo",
    "Ingrid",
    "Omar",
    "Rebecca",
    "Stanley",
    "Wendy",
    "Felix",
    "Tamara",
    "Isaac",
    "Nadia",
]
LAST_EN = [
    "Whitfield",
    "Abernathy",
    "Castillo",
    "Nakamura",
    "Okafor",
    "Petersen",
    "Quinn",
    "Ramirez",
    "Sullivan",
    "Thornton",
    "Underwood",
    "Vasquez",
    "Walker",
    "Young",
    "Zimmerman",
    "Bennett",
]
STREETS_EN = ["Maple Ave", "Oak Street", "2nd Ave", "Lincoln Blvd", "Birch Lane", "County Road 9", "Harbor Drive"]
TOWNS = [
    "Dayton",
    "Columbus",
    "Springfield",
    "Toledo",
    "Mansfield",
    "Youngstown",
    "Akron",
    "Lakewood",
    "Westerville",
    "Marion",
    "Zanesville",
]
PROBLEMS = [("I50.22", "Chronic systolic heart failure"), ("E78.5", "Hyperlipidemia, unspecified"), ("J45.40", "Moderate persistent asthma"),
            ("M54.5", "Low back pain"), ("N39.0", "Urinary tract infection"), ("K21.9", "Gastro-esophageal reflux disease")]  # fmt: skip
LABS = [("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", 105), ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 13.6),
        ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 1.0), ("2951-2", "Sodium [Moles/volume] in Serum", "mmol/L", 139)]  # fmt: skip
ORDERS = [
    "Lisinopril 10 MG Oral Tablet",
    "Metformin 500 MG Oral Tablet",
    "Albuterol 0.09 MG/ACTUAT Inhaler",
    "Amoxicillin 250 MG Capsule",
]


class Maker:
    """Random values of one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def pick(self, values: list[str]) -> str:
        return self.rng.choice(values)

    def some(self, count: int, make: Callable[[], str]) -> list[str]:
        return [make() for _ in range(count)]

    def day(self, first: int, last: int, form: str = "%Y-%m-%d") -> str:
        start = datetime(first, 1, 1)
        return (start + timedelta(minutes=self.rng.randrange((last - first) * 525_600))).strftime(form)

    def name_zh(self) -> str:
        return self.rng.choice(SURNAMES) + "".join(self.rng.choice(GIVEN) for _ in range(self.rng.choice([1, 2, 2])))

    def resident_id(self, born: str, *, male: bool) -> str:
        order = self.rng.randrange(0, 499) * 2 + (1 if male else 0)
        first = f"5001{self.rng.randrange(3, 20):02d}{born.replace('-', '')}{order:03d}"
        return first + resident_id_check_character(first)

    def address_zh(self) -> str:
        return f"重庆市{self.pick(DISTRICTS)}{self.pick(STREETS)}{self.rng.randrange(1, 400)}号{self.rng.randrange(1, 33)}-{self.rng.randrange(1, 9)}"

    def number(self, mean: float, spread: float, decimals: int = 1) -> str:
        return f"{abs(self.rng.gauss(mean, spread)):.{decimals}f}"


def named(tables: dict[str, Columns], patient: dict[str, str], patients: int) -> Generated:
    """Take the headers away."""
    frames: dict[str, pl.DataFrame] = {}
    truth: dict[tuple[str, str], Truth] = {}
    meant: dict[tuple[str, str], str] = {}
    keys: dict[str, str] = {}
    for order, (table, columns) in enumerate(tables.items(), 1):
        new = {name: f"f_{number:02d}" for number, name in enumerate(columns, 1)}
        frames[f"t{order}"] = pl.DataFrame({new[name]: values for name, (values, _) in columns.items()})
        for name, (_, what) in columns.items():
            truth[f"t{order}", new[name]] = what
            meant[f"t{order}", new[name]] = f"{table}.{name}"
        if table in patient:
            keys[f"t{order}"] = new[patient[table]]
    return Generated(frames, truth, meant, keys, patients)


def people_zh(m: Maker, numbers: list[str]) -> Columns:
    """Patients of mainland China."""
    patients = len(numbers)
    male = [m.rng.random() < 0.5 for _ in range(patients)]
    born = [m.day(1935, 2004) for _ in range(patients)]
    ages = [str(2024 - int(b[:4])) for b in born]
    return {
        "patient": (numbers, DIRECT),
        "name": (m.some(patients, m.name_zh), DIRECT),
        "sex": (["1" if x else "2" for x in male], ("quasi", 2)),
        "birth": (born, DATE),
        "age": (ages, ("quasi", 3)),
        "resident_id": ([m.resident_id(b, male=x) for b, x in zip(born, male, strict=True)], DIRECT),
        "phone": (m.some(patients, lambda: f"1{m.rng.choice('3589')}{m.rng.randrange(10**9):09d}"), DIRECT),
        "address": (m.some(patients, m.address_zh), DIRECT),
        "marital": (m.some(patients, lambda: m.pick(["已婚", "未婚", "丧偶", "离婚"])), ("quasi", 2)),
        "nation": (m.some(patients, lambda: m.pick(["汉族"] * 9 + ["土家族", "苗族", "回族"])), ("quasi", 3)),
        "occupation": (
            m.some(patients, lambda: m.pick(["农民", "退休人员", "职员", "工人", "学生", "个体经营者"])),
            ("quasi", 3),
        ),
        "insurance": (
            m.some(patients, lambda: m.pick(["城镇职工基本医疗保险", "城乡居民基本医疗保险", "全自费"])),
            ("other", 2),
        ),
    }


def visits_zh(m: Maker, numbers: list[str], who: list[int], visits: list[str], staff: list[str]) -> Columns:
    """Stays in a ward with a doctor, a diagnosis and a note."""
    sick = [m.rng.choice(DISEASES) for _ in who]
    return {
        "visit": (visits, DIRECT),
        "patient": ([numbers[w] for w in who], DIRECT),
        "admitted": ([m.day(2022, 2025, "%Y/%m/%d %H:%M") for _ in who], DATE),
        "ward": ([m.pick(WARDS) for _ in who], ("quasi", 3)),
        "bed": ([f"{m.rng.randrange(1, 60)}床" for _ in who], DIRECT),
        "doctor": ([m.pick(staff) for _ in who], DIRECT),
        "code": ([code for code, _ in sick], CODED),
        "disease": ([name for _, name in sick], CODED),
        "fee": ([m.number(9000, 4000, 2) for _ in who], CODED),
        "note": (
            [
                f"患者因{m.pick(COMPLAINTS)}{m.rng.randrange(2, 20)}天入院，查体：神志清楚，心肺未见明显异常。予对症治疗后好转。"
                for _ in who
            ],
            ("free_text", 4),
        ),
    }


def results_zh(m: Maker, numbers: list[str], who: list[int], visits: list[str]) -> Columns:
    """Laboratory results."""
    rows = [m.rng.randrange(len(who)) for _ in range(len(who) * 4)]
    asked = [m.rng.choice(TESTS) for _ in rows]
    return {
        "visit": ([visits[r] for r in rows], DIRECT),
        "patient": ([numbers[who[r]] for r in rows], DIRECT),
        "test_code": ([code for code, *_ in asked], CODED),
        "test": ([name for _, name, *_ in asked], CODED),
        "value": ([m.number(mean, mean / 5, 2) for *_, mean in asked], CODED),
        "unit": ([unit for _, _, unit, _ in asked], ("other", 1)),
        "taken": ([m.day(2022, 2025, "%Y%m%d%H%M%S") for _ in rows], DATE),
        "drug": ([m.pick(DRUGS) for _ in rows], CODED),
        "flag": ([m.pick(["↑", "↓", "正常"]) for _ in rows], CODED),
    }


def chinese(seed: int, patients: int = 160) -> Generated:
    """A hospital information system of mainland China: patients, visits, results, notes, fees, staff."""
    m = Maker(seed)
    numbers = [f"00{300000 + 7 * n}" for n in range(patients)]
    who = [m.rng.randrange(patients) for _ in range(patients * 3)]
    visits = [f"ZY{20240000 + n}" for n in range(len(who))]
    staff = [f"D{1000 + n}" for n in range(25)]
    doctors: Columns = {
        "number": (staff, DIRECT),
        "name": (m.some(len(staff), m.name_zh), DIRECT),
        "ward": ([m.pick(WARDS) for _ in staff], ("other", 2)),
    }
    tables = {
        "patients": people_zh(m, numbers),
        "visits": visits_zh(m, numbers, who, visits, staff),
        "results": results_zh(m, numbers, who, visits),
        "staff": doctors,
    }
    return named(tables, {"patients": "patient", "visits": "patient", "results": "patient"}, patients)


def people_en(m: Maker, keys: list[str]) -> Columns:
    """Patients in the United States."""
    patients = len(keys)
    return {
        "patient": (keys, DIRECT),
        "last": (m.some(patients, lambda: "-".join(m.rng.sample(LAST_EN, m.rng.choice([1, 1, 2])))), DIRECT),
        "first": (m.some(patients, lambda: m.pick(FIRST_EN)), DIRECT),
        "ssn": (m.some(patients, lambda: f"{m.rng.randrange(1, 665):03d}-{m.rng.randrange(1, 99):02d}-{m.rng.randrange(1, 9999):04d}"), DIRECT),
        "birth": (m.some(patients, lambda: m.day(1931, 2003, "%m/%d/%Y")), DATE),
        "sex": (m.some(patients, lambda: m.pick(["Female", "Male"])), ("quasi", 2)),
        "race": (m.some(patients, lambda: m.pick(["White", "Black or African American", "Asian", "Other"])), ("quasi", 3)),
        "street": (m.some(patients, lambda: f"{m.rng.randrange(1, 9999)} {m.pick(STREETS_EN)}"), DIRECT),
        "city": (m.some(patients, lambda: m.pick(TOWNS)), ("quasi", 3)),
        "state": (m.some(patients, lambda: m.pick(["OH", "OH", "OH", "IN", "KY"])), ("quasi", 2)),
        "zip": (m.some(patients, lambda: f"4{m.rng.randrange(3000, 5999)}"), ("quasi", 3)),
        "phone": (m.some(patients, lambda: f"({m.rng.randrange(3, 9)}19) {m.rng.randrange(220, 899)}-{m.rng.randrange(9999):04d}"), DIRECT),
        "mail": (m.some(patients, lambda: f"user{m.rng.randrange(10**6)}@example.org"), DIRECT),
    }  # fmt: skip


def visits_en(m: Maker, keys: list[str], who: list[int], visits: list[str]) -> Columns:
    """Visits with payer, problem, order and note."""
    return {
        "visit": (visits, DIRECT),
        "patient": ([keys[w] for w in who], DIRECT),
        "start": ([m.day(2021, 2025, "%Y-%m-%dT%H:%M:%SZ") for _ in who], DATE),
        "class": ([m.pick(["ambulatory", "emergency", "inpatient", "wellness"]) for _ in who], ("other", 2)),
        "payer": ([m.pick(["Medicare", "Medicaid", "Aetna", "Humana", "Self Pay"]) for _ in who], ("other", 2)),
        "icd": ([m.rng.choice(PROBLEMS)[0] for _ in who], CODED),
        "problem": ([m.rng.choice(PROBLEMS)[1] for _ in who], CODED),
        "drug": ([m.pick(ORDERS) for _ in who], CODED),
        "cost": ([m.number(410, 160, 2) for _ in who], CODED),
        "note": ([f"Patient reports {m.pick(['fatigue', 'cough', 'nausea', 'back pain'])} for {m.rng.randrange(2, 30)} days. Exam was unremarkable, plan is to return in {m.rng.randrange(2, 9)} weeks." for _ in who], ("free_text", 4)),
    }  # fmt: skip


def results_en(m: Maker, keys: list[str], who: list[int], visits: list[str]) -> Columns:
    """Laboratory results."""
    rows = [m.rng.randrange(len(who)) for _ in range(len(who) * 4)]
    asked = [m.rng.choice(LABS) for _ in rows]
    return {
        "visit": ([visits[r] for r in rows], DIRECT),
        "patient": ([keys[who[r]] for r in rows], DIRECT),
        "loinc": ([code for code, *_ in asked], CODED),
        "test": ([name for _, name, *_ in asked], CODED),
        "value": ([m.number(float(mean), float(mean) / 5) for *_, mean in asked], CODED),
        "unit": ([unit for _, _, unit, _ in asked], ("other", 1)),
        "date": ([m.day(2021, 2025) for _ in rows], DATE),
        "status": ([m.pick(["final", "preliminary", "corrected"]) for _ in rows], ("other", 2)),
    }


def english(seed: int, patients: int = 160) -> Generated:
    """A clinic in the United States: whole-number keys, US dates, LOINC and ICD-10-CM."""
    m = Maker(seed)
    keys = [str(51_000 + 13 * n) for n in range(patients)]
    who = [m.rng.randrange(patients) for _ in range(patients * 3)]
    visits = [str(900_000 + 3 * n) for n in range(len(who))]
    clinics = [str(70 + n) for n in range(12)]
    clinic_names = [f"{town} Family Medical Center" for town in TOWNS] + ["Lakeside Clinic"]
    offices: Columns = {
        "number": (clinics, ("other", 1)),
        "name": (clinic_names, ("other", 1)),
        "street": (m.some(12, lambda: f"{m.rng.randrange(1, 999)} {m.pick(STREETS_EN)}"), ("other", 1)),
        "phone": (
            m.some(12, lambda: f"({m.rng.randrange(3, 9)}19) {m.rng.randrange(220, 899)}-{m.rng.randrange(9999):04d}"),
            ("other", 1),
        ),
    }
    tables = {
        "patients": people_en(m, keys),
        "visits": visits_en(m, keys, who, visits),
        "results": results_en(m, keys, who, visits),
        "clinics": offices,
    }
    return named(tables, {"patients": "patient", "visits": "patient", "results": "patient"}, patients)


def one_table(seed: int, rows: int = 900, patients: int = 320) -> Generated:
    """One wide table of stays in which patients repeat and no table names them: a registry for research."""
    m = Maker(seed)
    sex, race, birth = (
        [m.pick(v) for _ in range(patients)]
        for v in (["M", "F"], ["White", "Asian", "Black"], [str(y) for y in range(1930, 2005)])
    )
    who = [m.rng.randrange(patients) for _ in range(rows)]
    keys = m.rng.sample(range(10_000, 9_000_000), patients)
    table: Columns = {
        "stay": ([str(400_000 + 17 * n) for n in range(rows)], DIRECT),
        "patient": ([str(keys[w]) for w in who], DIRECT),
        "sex": ([sex[w] for w in who], ("quasi", 2)),
        "race": ([race[w] for w in who], ("quasi", 3)),
        "born": ([birth[w] for w in who], ("quasi", 3)),
        "admitted": ([m.day(2019, 2025, "%d-%b-%Y") for _ in who], DATE),
        "icd": ([m.rng.choice(PROBLEMS)[0] for _ in who], CODED),
        "systolic": ([m.number(132, 18, 0) for _ in who], CODED),
        "creatinine": ([m.number(1.1, 0.3, 2) for _ in who], CODED),
        "atc": ([m.pick(["C09AA03", "A10BA02", "C10AA05", "B01AC06", "R03AC02"]) for _ in who], CODED),
    }
    return named({"stays": table}, {"stays": "patient"}, len(set(who)))


EXPORTS: dict[str, Callable[[int], Generated]] = {"chinese": chinese, "english": english, "one_table": one_table}
