"""One hospital's record as plain tables, before any dialect: people, visits, diagnoses, drugs, labs, notes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import polars as pl

from hdex.node.synthetic.clinic import Cohort, Floats, cohort
from hdex.node.synthetic.notes import DOCTORS, follow_up_note, operation_note
from hdex.node.synthetic.people import Person, distinct, people, sources

DIAGNOSES = {  # ICD-10
    "I65.2": ("颈动脉闭塞和狭窄", "Occlusion and stenosis of carotid artery"),
    "E11.9": ("2型糖尿病", "Type 2 diabetes mellitus"),
    "I10": ("原发性高血压", "Essential (primary) hypertension"),
    "T82.8": ("支架内再狭窄", "In-stent restenosis"),
    "I25.1": ("冠状动脉粥样硬化性心脏病", "Atherosclerotic heart disease"),
    "B20": ("人类免疫缺陷病毒病", "Human immunodeficiency virus disease"),
}
DRUGS = {  # ATC
    "B01AC04": ("氯吡格雷", "Clopidogrel", "75 mg qd"),
    "B01AC06": ("阿司匹林", "Aspirin", "100 mg qd"),
    "C10AA05": ("阿托伐他汀", "Atorvastatin", "20 mg qn"),
    "A10BA02": ("二甲双胍", "Metformin", "500 mg bid"),
    "C08CA01": ("氨氯地平", "Amlodipine", "5 mg qd"),
    "J05AR20": ("比克恩丙诺", "Bictegravir combination", "1 tab qd"),
}
LDL, HBA1C, SYSTOLIC, BMI, VIRAL_LOAD, CD4 = "13457-7", "4548-4", "8480-6", "39156-5", "20447-9", "24467-3"
RECORD_PREFIX = {"A": "ZY", "C": "AK"}  # before the record number; MR elsewhere
NO_CONSENT, WITHDRAWN, ACADEMIC_ONLY = 0.03, 0.015, 0.015  # together 6 in 100 without consent for a company


@dataclass(frozen=True, slots=True)
class Record:
    """Everything one hospital knows, typed, with neutral column names."""

    persons: list[Person]
    tables: dict[str, pl.DataFrame]
    without_consent: list[str]  # person keys not covered for HMB and a company
    hiv: list[str]


def record(rng: np.random.Generator, patients: int, *, letter: str, script: str, shift: float, hiv: int) -> Record:
    """Return one hospital's record. letter marks its numbers; script is zh, en or mixed."""
    found = cohort(rng, patients, shift=shift, hiv=hiv)
    persons = people(rng, found.birth, found.male.tolist(), script)
    numbers = distinct(rng, 100_000, 1_000_000, patients)
    keys = [f"{letter}{number}" for number in numbers]
    frame = _patient(persons, found, keys, numbers)
    consent, without = _consent(rng, found, keys)
    tables = {
        "patient": frame,
        "visit": _visits(rng, found, keys, script),
        "diagnosis": _diagnoses(rng, found, keys),
        "medication": _medications(rng, found, keys),
        "lab": _labs(rng, found, keys),
        "implant": _implants(rng, found, keys),
        "note": _notes(rng, (found, persons), frame, script),
        "consent": consent,
    }
    return Record(persons, tables, without, [key for key, has in zip(keys, found.hiv, strict=True) if has])


def _patient(persons: list[Person], found: Cohort, keys: list[str], numbers: list[int]) -> pl.DataFrame:
    columns = ("name", "family", "given", "sex", "birth", "resident_id", "phone", "address", "city", "postal_code")
    frame = pl.DataFrame({name: [getattr(person, name) for person in persons] for name in columns})
    return frame.with_columns(
        pl.Series("key", keys),
        pl.Series(
            "record_number",
            [f"{RECORD_PREFIX.get(keys[0][0], 'MR')}{number * 7 % 9_999_991:07d}" for number in numbers],
        ),
        pl.Series("contact_name", [person.contact_name for person in persons]),
        pl.Series("contact_phone", [person.contact_phone for person in persons]),
        pl.Series("smoking", found.smoking),
    )


def _visits(rng: np.random.Generator, found: Cohort, keys: list[str], script: str) -> pl.DataFrame:
    """Return the stay of the implantation and a follow-up visit some months later."""
    stays = rng.integers(2, 9, len(keys)).tolist()
    stay = pl.DataFrame(
        {
            "visit": [f"{key}-1" for key in keys],
            "key": keys,
            "class": "inpatient",
            "start": [_at(day - timedelta(days=2), 9) for day in found.implant],
            "end": [_at(day + timedelta(days=n), 11) for day, n in zip(found.implant, stays, strict=True)],
        }
    )
    follow = [day + timedelta(days=int(n)) for day, n in zip(found.implant, found.restenosis_day, strict=True)]
    later = pl.DataFrame(
        {
            "visit": [f"{key}-2" for key in keys],
            "key": keys,
            "class": "outpatient",
            "start": [_at(day, 14) for day in follow],
            "end": [_at(day, 15) for day in follow],
        }
    )
    doctors = DOCTORS["zh" if script == "zh" else "en"]
    both = pl.concat([stay, later])
    return both.with_columns(pl.Series("doctor", [doctors[int(n)] for n in rng.integers(0, len(doctors), both.height)]))


def _at(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour, 0))


def _diagnoses(rng: np.random.Generator, found: Cohort, keys: list[str]) -> pl.DataFrame:
    everyone = np.ones(len(keys), dtype=bool)
    coronary = rng.random(len(keys)) < 0.28
    held = {
        "I65.2": everyone, "E11.9": found.diabetes, "I10": found.hypertension, "I25.1": coronary, "B20": found.hiv,
        "T82.8": found.restenosis,
    }  # fmt: skip
    earlier = rng.integers(2, 900, (len(keys), len(held)))
    rows = [
        (key, f"{key}-2", code, day + timedelta(days=int(found.restenosis_day[index])))
        if code == "T82.8"
        else (key, f"{key}-1", code, day - timedelta(days=2 if code == "I65.2" else int(earlier[index, place])))
        for place, (code, flags) in enumerate(held.items())
        for index, (key, day) in enumerate(zip(keys, found.implant, strict=True))
        if flags[index]
    ]
    frame = pl.DataFrame(rows, schema=["key", "visit", "code", "date"], orient="row")
    return frame.with_columns(_word("code", DIAGNOSES, 0, "name_zh"), _word("code", DIAGNOSES, 1, "name_en"))


def _word(column: str, words: Mapping[str, tuple[str, ...]], place: int, name: str) -> pl.Expr:
    return pl.col(column).replace_strict({key: found[place] for key, found in words.items()}).alias(name)


def _medications(rng: np.random.Generator, found: Cohort, keys: list[str]) -> pl.DataFrame:
    size = len(keys)
    held = {
        "B01AC04": rng.random(size) < 0.9, "B01AC06": rng.random(size) < 0.94, "C10AA05": rng.random(size) < 0.86,
        "A10BA02": found.diabetes & (rng.random(size) < 0.7), "C08CA01": found.hypertension & (rng.random(size) < 0.6),
        "J05AR20": found.hiv,
    }  # fmt: skip
    rows = [
        (key, f"{key}-1", code, day)
        for code, flags in held.items()
        for index, (key, day) in enumerate(zip(keys, found.implant, strict=True))
        if flags[index]
    ]
    frame = pl.DataFrame(rows, schema=["key", "visit", "code", "date"], orient="row")
    return frame.with_columns(
        _word("code", DRUGS, 0, "name_zh"), _word("code", DRUGS, 1, "name_en"), _word("code", DRUGS, 2, "dose")
    )


def _labs(rng: np.random.Generator, found: Cohort, keys: list[str]) -> pl.DataFrame:
    """Return what was measured on the day before the implantation, and older values that differ."""
    measured = {
        LDL: (found.ldl, 0.5),
        HBA1C: (found.hba1c, 0.4),
        SYSTOLIC: (found.systolic, 9.0),
        BMI: (found.bmi, 0.7),
    }
    frames = []
    for item, (values, spread) in measured.items():
        digits = 0 if item == SYSTOLIC else 2 if item == LDL else 1
        older = np.asarray(np.round(np.abs(values + rng.normal(0, spread, len(keys))), digits), dtype=np.float64)
        before = rng.integers(40, 500, len(keys))
        frames.append(_measured(item, keys, values, [_at(day - timedelta(days=1), 7) for day in found.implant]))
        times = [_at(day - timedelta(days=int(n)), 8) for day, n in zip(found.implant, before, strict=True)]
        frames.append(_measured(item, keys, older, times).filter(pl.Series(rng.random(len(keys)) < 0.6)))
    viral: Floats = np.floor(10 ** rng.uniform(1.3, 5.2, len(keys)))
    cells: Floats = np.floor(rng.uniform(120, 900, len(keys)))
    for item, values in ((VIRAL_LOAD, viral), (CD4, cells)):
        times = [_at(day - timedelta(days=1), 7) for day in found.implant]
        frames.append(_measured(item, keys, values, times).filter(pl.Series(found.hiv)))
    return pl.concat(frames)


def _measured(item: str, keys: list[str], values: Floats, times: list[datetime]) -> pl.DataFrame:
    visits = [f"{key}-1" for key in keys]
    return pl.DataFrame({"key": keys, "visit": visits, "item": item, "value": values, "time": times})


def _implants(rng: np.random.Generator, found: Cohort, keys: list[str]) -> pl.DataFrame:
    products = [sources()["stents"][index] for index in found.stent]
    serials = distinct(rng, 1_000_000, 10_000_000, len(keys))
    return pl.DataFrame(
        {
            "key": keys,
            "visit": [f"{key}-1" for key in keys],
            "manufacturer": [product["manufacturer"] for product in products],
            "model": [product["model"] for product in products],
            "diameter": found.size,
            "length": rng.choice([30.0, 40.0], len(keys)),
            "serial": [f"SN{number}{letter[0]}" for number, letter in zip(serials, keys, strict=True)],
            "left": rng.random(len(keys)) < 0.5,
            "date": found.implant,
        }
    )


def _notes(
    rng: np.random.Generator, who: tuple[Cohort, list[Person]], patient: pl.DataFrame, script: str
) -> pl.DataFrame:
    found, persons = who
    rows = []
    for index, (key, number) in enumerate(patient.select("key", "record_number").iter_rows()):
        person, day = persons[index], found.implant[index]
        language = "en" if script == "en" or (script == "mixed" and person.name.isascii()) else "zh"
        later = day + timedelta(days=int(found.restenosis_day[index]))
        doctor, age, left = DOCTORS[language][index % 4], int(found.age[index]), index % 2 == 0
        told = bool(found.restenosis[index])
        first = operation_note(rng, (person, number, day, age, left), language)
        second = follow_up_note(rng, (person, number, later, age, left), language, restenosis=told)
        rows += [(key, "operation", day, first, doctor), (key, "follow-up", later, second, doctor)]
    return pl.DataFrame(rows, schema=["key", "title", "date", "text", "doctor"], orient="row")


def _consent(rng: np.random.Generator, found: Cohort, keys: list[str]) -> tuple[pl.DataFrame, list[str]]:
    """Return the consent rows, and who is not covered for health research by a company."""
    drawn = rng.random(len(keys))
    rows: list[tuple[str, str, str, str, str, date, date | None, str]] = []
    without: list[str] = []
    for index, (key, day) in enumerate(zip(keys, found.implant, strict=True)):
        if drawn[index] < NO_CONSENT + WITHDRAWN + ACADEMIC_ONLY:
            without.append(key)
        if drawn[index] < NO_CONSENT:
            continue
        recipient = "academic" if NO_CONSENT <= drawn[index] < NO_CONSENT + ACADEMIC_ONLY else "any"
        rows.append((key, "DUO:0000006", recipient, "separate", "given", day, date(2035, 12, 31), "2.1"))
        if NO_CONSENT + ACADEMIC_ONLY <= drawn[index] < NO_CONSENT + ACADEMIC_ONLY + WITHDRAWN:
            withdrawn = day + timedelta(days=int(found.restenosis_day[index]))
            rows.append((key, "DUO:0000006", recipient, "separate", "withdrawn", withdrawn, None, "2.1"))
    names = ["key", "purpose", "recipient", "form", "status", "start", "end", "version"]
    return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None), without
