"""Free text as doctors write it: the patient by name, number and date, in Chinese and in English."""

from datetime import date, timedelta

import numpy as np

from hdex.node.synthetic.people import Person

DOCTORS = {
    "zh": ("顾医生", "秦主任", "孟医生", "白医生"),
    "en": ("Dr. Abernathy", "Dr. Selwyn", "Dr. Tremlett", "Dr. Ouseley"),
}
SIDES = {"zh": ("左侧", "右侧"), "en": ("left", "right")}
FACTS = tuple[Person, str, date, int, bool]  # person, record number, implant date, age, left


def operation_note(rng: np.random.Generator, facts: FACTS, language: str) -> str:
    """Return the note of the implantation."""
    person, record, day, age, left = facts
    side = SIDES[language][0 if left else 1]
    before = day - timedelta(days=2)
    title = {"male": ("先生", "Mr."), "female": ("女士", "Mrs.")}[person.sex]
    variant = int(rng.integers(3))
    if language == "zh":
        return (
            f"患者{person.name}，{'男' if person.sex == 'male' else '女'}，{age}岁，病案号{record}，"
            f"因“反复头晕伴一过性肢体无力”于{_zh(before)}收入我科。{_zh(day)}在局麻下行{side}颈内动脉支架置入术，过程顺利。",
            f"姓名：{person.name}  病案号：{record}  身份证号：{person.resident_id}\n入院日期：{before}。"
            f"CTA示{side}颈内动脉起始部重度狭窄。{day}行支架置入术，术后血压平稳，神经系统查体无新发体征。",
            f"{person.family}{title[0]}，{age}岁，病案号{record}。{_zh(day)}行{side}颈动脉支架术，"
            f"与家属{person.contact_name}（电话{person.contact_phone}）谈话并签字。现住{person.address}。",
        )[variant]
    return (
        f"{title[1]} {person.family} (MRN {record}), aged {age}, was admitted on {_us(before)} with "
        f"transient weakness. On {_us(day)} a stent was placed in the {side} internal carotid artery, uneventfully.",
        f"Patient: {person.name}\nMRN: {record}\nID: {person.resident_id}\nCT angiography of {_us(before)} "
        f'showed severe stenosis on the {side}; "near occlusion". Stent implanted on {_us(day)}, pressure stable.',
        f"{person.name}, {age} years, record number {record}, underwent {side} carotid stenting on {_us(day)}. "
        f"Discussed with {person.contact_name} (phone {person.contact_phone}). Lives at {person.address}.",
    )[variant]


def follow_up_note(rng: np.random.Generator, facts: FACTS, language: str, *, restenosis: bool) -> str:
    """Return the note of the visit some months later."""
    person, record, day, _, left = facts
    side = SIDES[language][0 if left else 1]
    if language == "zh":
        found = "支架内再狭窄，建议复查血管造影" if restenosis else "支架通畅，未见再狭窄"
        seen = f"{person.name}（病案号{record}）{_zh(day)}来院复查，颈动脉超声示{side}{found}。"
        return seen + f"联系电话{person.phone}，嘱规律服药。"
    found = "in-stent restenosis, angiography advised" if restenosis else "a patent stent, no restenosis"
    seen = f"Follow-up of {person.name}, MRN {record}, on {_us(day)}: ultrasound of the {side} carotid shows {found}."
    return seen + f" Phone {person.phone}."


def _zh(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _us(day: date) -> str:
    return f"{day:%m/%d/%Y}"
