"""What one cell can be, told from its characters alone: numbers, dates, names, addresses, codes, words of known lists.

Every predicate takes one stripped value. Numbers are asked few questions, text the rest: a wide export stays cheap.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from hdex.deid.codes import icd10_shaped, loinc_valid, snomed_valid
from hdex.deid.scheme import load_gazetteer

NUMBER = re.compile(r"[-+]?(?:\d{1,18}(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
HAN = re.compile(r"[\u3400-\u9fff]")
_TIME = r"(?P<time>[T\s]+\d{1,2}[:时]\d{1,2}.*|\d{4}(?:\d{2})?(?:\.\d+)?)?"
DATE = re.compile(
    r"(?:(?P<year>\d{4})[-/.年]\d{1,2}[-/.月]\d{1,2}日?|\d{1,2}[-/.]\d{1,2}[-/.](?P<last>\d{4}|\d{2})"
    r"|\d{1,2}[-\s](?:[A-Za-z]{3,9})[-,\s]+(?P<named>\d{4}|\d{2})|[A-Za-z]{3,9}\.? \d{1,2},? (?P<us>\d{4})"
    r"|(?P<packed>(?:18|19|20)\d{2})(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))" + _TIME
)
_MONTH = re.compile(r"(?:18|19|20)\d{2}(?:[-/.](?:0?[1-9]|1[0-2])|年(?:0?[1-9]|1[0-2])月|[-\s]?[Qq][1-4]|年)")
_CLOCK = re.compile(r"(?:[01]?\d|2[0-3])[:时][0-5]\d(?:[:分][0-5]\d秒?)?(?:\s?[AaPp][Mm])?")
_NAME_WORD = r"[A-ZÀ-ÖØ-Þ][A-Za-zÀ-ÿ'’.-]*\d{0,4}"
_NAME_EN = re.compile(
    rf"(?:(?:Dr|Mr|Mrs|Ms|Prof)\.? )?{_NAME_WORD}(?:,? {_NAME_WORD}){{0,4}}(?:,? (?:MD|RN|PhD|DO|NP))?"
)
_PLAIN_WORDS = re.compile(r"[A-ZÀ-ÖØ-Þ][A-Za-zÀ-ÿ'’-]+(?:,? [A-ZÀ-ÖØ-Þ][A-Za-zÀ-ÿ'’.-]*){0,3}")
_SYNTHETIC = re.compile(r"[A-ZÀ-Ý][a-zà-ÿ'’]+\d{1,4}(?: [A-ZÀ-Ý][A-Za-zà-ÿ'’]+\d{1,4})*")
_STREET = re.compile(
    r"\b(?:street|st|avenue|ave?|road|rd|lane|ln|drive|dr|boulevard|blvd|court|ct|place|pl|way|terrace|highway|hwy|suite|"
    r"apt|unit|square|calle|avenida|plaza|rue|via|strada|platz|weg)\b|stra(?:ß|ss)e|str\.",
    re.IGNORECASE,
)
_ADDRESS_EN = re.compile(r"\d{1,6}[A-Za-z]? [A-Z][\w'’.-]*.*|P\.? ?O\.? Box \d+.*", re.IGNORECASE)
_ADDRESS_ZH = re.compile(
    r"(?:[\u4e00-\u9fff]{2,}(?:省|市|区|县|镇|乡|村|街道)){1,}.*(?:路|街|巷|弄|号|室|栋|幢|单元|村|小区|大道|组|队)"
    r"|[\u4e00-\u9fff]{2,10}(?:路|街|大道|弄|巷)\d+(?:号|弄).*"
)
_TOWN = re.compile(
    r"[A-Z][a-z]+(?:ville|ton|field|ford|burg|burgh|borough|boro|bury|ham|port|land|wood|stead|dale|mouth|shire|view|"
    r"city|ester|idge|vale|more|brook|creek|stock|bridge|haven|water|lyn|polis)(?: [A-Z][a-z]+)?|[A-Z][\w.' ]+ "
    r"(?:County|City|Town|Township|Beach|Springs|Falls|Heights|Park|Hills?|Center|Village|Bay|Lake|River)"
    r"|(?:San|Santa|New|North|South|East|West|Saint|St\.?|Fort|Mount|Lake|Los|Las|El|Port|Grand) [A-Z][a-z]+"
)
_TOWN_ZH = re.compile(
    r"(?:[\u4e00-\u9fff]{2,6}(?:省|自治区))?[\u4e00-\u9fff]{1,8}(?:市|区|县|旗|镇|乡|街道|自治州|盟|州)"
)
_TOKEN = re.compile(r"[A-Za-z0-9_/#-]*\d[A-Za-z0-9_/#-]*", re.ASCII)
_ATC = re.compile(r"[A-DGHJLMNPRSV]\d{2}(?:[A-Z]{1,2}(?:\d{2})?)")
_ICD9 = re.compile(r"\d{3}(?:\.\d{1,2})?|V\d{2}(?:\.\d{1,2})?|E\d{3}(?:\.\d)?")
_NDC = re.compile(r"\d{4,5}-\d{3,4}-\d{1,2}")
_DRUG = re.compile(
    r"\d\s?(?:mg|mcg|ug|μg|ml|iu|units?|unt|actuat)\b|\b(?:tablets?|capsules?|injection|injectable|oral|inhaler|cream|"
    r"ointment|vaccine|auto-?injector|solution|suspension|patch|extended release)\b"
    r"|(?:片|胶囊|注射液|注射用|颗粒|滴丸|口服液|"
    r"缓释|肠溶|软膏|疫苗|糖浆|喷雾剂|粉针|滴眼液|气雾剂|胰岛素)|(?:pril|sartan|statin|olol|dipine|formin|cillin|mycin|azole|"
    r"prazole|cycline|floxacin|gliptin|gliflozin|parin|thiazide|semide|caine|azepam)\b",
    re.IGNORECASE,
)
_DISEASE = re.compile(
    r"\((?:disorder|finding|situation|morphologic abnormality)\)"
    r"|(?:itis|osis|emia|aemia|oma|pathy|plegia|algia|uria|rrhea)\b"
    r"|\b(?:disease|disorder|syndrome|infarction|fracture|cancer|neoplasm|failure|hypertension|diabetes|injury|infection|"
    r"pain|deficiency|stenosis|embolism|fibrillation|asthma|obesity|stroke|fever|sprain|laceration|allergy)\b"
    r"|(?:病|症|炎|癌|瘤|梗死|梗塞|骨折|出血|综合征|衰竭|高血压|感染|狭窄|结石|损伤|贫血|硬化|增生|溃疡|疼痛|肿物|结节|畸形|中毒)",
    re.IGNORECASE,
)
_PROCEDURE = re.compile(
    r"\((?:procedure|regime/therapy)\)|(?:ectomy|plasty|scopy|otomy|ostomy|graphy|pexy|desis)\b|\b(?:surgery|procedure|"
    r"x-ray|ct|mri|imaging|biopsy|repair|excision|replacement|graft|screening|assessment|counsel(?:l)?ing|encounter|visit|"
    r"check ?up|consultation|therapy|measurement|panel|test)\b"
    r"|(?:术|切除|造影|植入|置入|活检|透析|穿刺|修补|置换|缝合|引流|检查|治疗|注射|护理|监测|测定|培养|摄影|平扫|增强)",
    re.IGNORECASE,
)
_ORGANISATION = re.compile(
    r"\b(?:hospital|clinic|medical|cent(?:er|re)|health(?:care)?|nursing|hospice|pharmacy|laborator(?:y|ies)|llc|inc|corp|"
    r"ltd|pc|pllc|associates|physicians|rehab(?:ilitation)?|institute|university|foundation|services|infirmary|practice|"
    r"school|company|gmbh|group|care)\b|(?:医院|卫生院|服务中心|诊所|卫生室|公司|大学|学院|研究所|药房|药店|集团|工厂|小学|中学|银行|局|厂|委员会|部队|中心)",
    re.IGNORECASE,
)
_HOSPITAL_ZH = re.compile(r"(?:医院|卫生院|服务中心|诊所|卫生室|疾控中心|体检中心|妇幼保健院|院区)$")
_WARD = re.compile(
    r"[\u4e00-\u9fff（）()一二三四五六七八九十\d]{1,12}(?:科|病区|病房|监护室|门诊|科室|手术室|急诊室|抢救室|中心|诊室)(?:[一二三四五六七八九十\d]+(?:病区|组)?)?"
    r"|.*\b(?:ward|department|unit|clinic|icu|ccu|floor)\b.*",
    re.IGNORECASE,
)
_BED = re.compile(r"(?:[A-Za-z\d\u4e00-\u9fff-]{0,8}?)[+加]?\d{1,4}\s?床|bed[ -]?\w{1,6}", re.IGNORECASE)
_AGE = re.compile(
    r"\d{1,3}\s?(?:岁|周岁|y|yo|yrs?|years?(?: old)?)(?:\d{1,2}\s?(?:月|个月|m))?"
    r"|\d{1,2}\s?(?:个月|月龄|months?)|新生儿",
    re.I,
)
_BAND = re.compile(
    r"[\[(]?\d{1,3}\s?(?:-|–|~|至|,|to)\s?\d{1,3}[\])]?\s?岁?|(?:[<>≥≤]=?\s?\d{2}|\d{2}\s?(?:\+|岁以上|及以上|岁以下))岁?"
)
_SIZE = re.compile(
    r"\d{1,2}(?:\.\d{1,2})?\s?(?:mm)?\s?[x×*X]\s?\d{1,3}(?:\.\d{1,2})?\s?(?:mm|cm)?|\d{1,2}(?:\.\d)?\s?(?:mm|Fr|F)"
)
_UNIT = re.compile(
    r"\{[a-z#_ /A-Z0-9]+\}(?:/.*)?|(?:10\*\d+|10\^\d+|[munpkμµ]?(?:g|mol|L|l|IU|U|eq|cells|m))/[\w\[\]{}μµ².*^]+"
)
_URL = re.compile(r"(?:https?|ftp)://\S+|www\.\S+|urn:\S+", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-fA-F]{24,128}")
_PHONE_LIKE = re.compile(r"(?:\+|00?)?\(?\d{1,5}\)?(?:[\s./-]{1,2}\(?\d{1,9}\)?){1,5}")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\r\n]{400,}")
_SENTENCE = re.compile(r"[。；！？]|[a-z)][.;!?](?:\s|$)")
_RESULT = re.compile(
    r"[<>≤≥]=?\s?\d+(?:\.\d+)?|\d+(?:\.\d+)?\s?(?:-|/)\s?\d+(?:\.\d+)?|\d+(?:\.\d+)?\s?[A-Za-z%μ/]{1,8}"
)
_ZIP = re.compile(r"\d{5}(?:-\d{4})?|[1-8]\d{5}", re.ASCII)
_REGION_CN = re.compile(r"(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5])\d{4}(?:\d{3}|\d{6})?", re.ASCII)
_POSTCODE_UK = re.compile(r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d")
_MASKED = re.compile(r"[\u4e00-\u9fff][*某xX]{1,3}[\u4e00-\u9fff]?|[A-Z]\.?\*+|\d{2,6}\*{3,}\d{0,4}")


def _split(text: str) -> frozenset[str]:
    return frozenset(text.split())


@cache
def words(name: str) -> frozenset[str]:
    """Return one list of words.toml, lower case."""
    return frozenset(term.strip() for term in _lists()[name].replace("\n", "").split("|") if term.strip())


@cache
def _lists() -> dict[str, str]:
    return {
        k: str(v) for k, v in tomllib.loads(files("hdex.deid").joinpath("data/words.toml").read_text("utf-8")).items()
    }


@cache
def _surnames_zh() -> frozenset[str]:
    return load_gazetteer()["surnames_zh"] | frozenset(_lists()["surnames_zh_more"])


def is_number(value: str) -> bool:
    """Say whether a value is a number with a decimal point."""
    return bool(NUMBER.fullmatch(value))


def year_of(value: str) -> int | None:
    """Return the year of a date with a four-digit year, else None."""
    found = DATE.fullmatch(value)
    text = next((t for t in found.group("year", "last", "named", "us", "packed") if t), "") if found else ""
    return int(text) if len(text) == 4 else None


def is_date(value: str) -> bool:
    """Say whether a value is a day, with or without a time, of 1800 to 2200."""
    if not DATE.fullmatch(value):
        return False
    year = year_of(value)
    return year is None or 1800 <= year <= 2200


def is_day(value: str) -> bool:
    """Say whether a value is a day without a time other than midnight."""
    found = DATE.fullmatch(value)
    return found is not None and (found["time"] or "").strip("T 0:.Z") == ""


def is_name_en(value: str) -> bool:
    """Say whether a value is written like a name in Latin letters and one of its words is a known name."""
    if len(value) > 40 or not _NAME_EN.fullmatch(value):
        return False
    known = load_gazetteer()
    parts = [re.sub(r"[\d.,]", "", word).lower() for word in value.split()]
    return any(part in known["given_en"] or part in known["surnames_en"] for part in parts)


def is_name_zh(value: str) -> bool:
    """Say whether a value is written like a Chinese name: a surname first, two to four characters in all."""
    if re.fullmatch(r"[\u4e00-\u9fff]{2,6}[·•][\u4e00-\u9fff]{2,10}", value):
        return True
    value = re.sub(r"[\s·*某]", "", value) if len(value) <= 8 else value
    if not 2 <= len(value) <= 4 or len(HAN.findall(value)) != len(value):
        return False
    known = load_gazetteer()
    if value[:2] in known["not_names_zh"] or value[-1] in _lists()["not_name_endings_zh"]:
        return False
    if value in words("states") or value in words("countries") or value in words("race") or value in words("kinds"):
        return False
    return value[:2] in known["surnames_zh"] or (value[0] in _surnames_zh() and len(value) <= 3)


def _is_address_en(value: str) -> bool:
    if len(value) > 150 or "(" in value or len(value.split()) < 2 or not any(c.isdigit() for c in value):
        return False
    if _STREET.search(value) and re.search(r"[A-Za-zÀ-ÿ]{3}", value):
        return not _DRUG.search(value)
    return len(value.split()) >= 3 and bool(_ADDRESS_EN.fullmatch(value)) and not ("/" in value or _DRUG.search(value))


def _listed(name: str) -> Callable[[str], bool]:
    return lambda v: v.lower() in words(name)


def _is_place(value: str) -> bool:
    """Say whether a place ends in, or is, a state or a country: `Boston  Massachusetts  US`."""
    parts = [p.strip().lower() for p in re.split(r"\s{2,}|,|/|-(?=[A-Z])", value) if p.strip()]
    return len(parts) >= 2 and (parts[-1] in words("states") or parts[-1] in words("countries"))


SEX = _split(
    """m f male female man woman 男 女 男性 女性 unknown other u o 未知 x 1 2 0 9 未说明的性别 未知的性别 1男 2女
    w d männlich weiblich divers h hombre mujer masculino femenino homme femme"""
)
STATE_CODES = _split(
    """al ak az ar ca co ct de fl ga hi id il in ia ks ky la me md ma mi mn ms mo mt ne nv nh nj nm ny nc nd oh ok or pa
    ri sc sd tn tx ut vt va wa wv wi wy dc pr"""
)
BOOLEANS = _split("0 1 true false yes no y n t f 是 否 有 无")

OF_NUMBERS: dict[str, Callable[[str], bool]] = {
    "integer": lambda v: bool(re.fullmatch(r"[-+]?\d{1,18}(?:\.0*)?", v, re.ASCII)),
    "date": is_date,
    "date_only": is_day,
    "snomed": snomed_valid,
    "token": lambda v: len(v) >= 5 and v.isdigit(),
    "sex": lambda v: v in SEX,
    "zip": lambda v: bool(_ZIP.fullmatch(v)),
    "region_cn": lambda v: bool(_REGION_CN.fullmatch(v)),
    "icd9": lambda v: bool(_ICD9.fullmatch(v)),
    "boolean": lambda v: v in BOOLEANS,
    "year": lambda v: bool(re.fullmatch(r"(?:19[0-9]|20[0-4])\d(?:\.0)?", v, re.ASCII)),
    "epoch": lambda v: bool(re.fullmatch(r"-?(?:[1-9]\d{8}|1\d{9}|1\d{12}|[1-9]\d{11})", v, re.ASCII)),
    "zero_first": lambda v: len(v) > 1 and v[0] == "0" and v.isdigit(),
}
OF_TEXT: dict[str, Callable[[str], bool]] = {
    "date": is_date,
    "date_only": is_day,
    "month": lambda v: bool(_MONTH.fullmatch(v)),
    "clock": lambda v: bool(_CLOCK.fullmatch(v)),
    "name_en": is_name_en,
    "name_plain": lambda v: bool(_PLAIN_WORDS.fullmatch(v)),
    "name_synthetic": lambda v: bool(_SYNTHETIC.fullmatch(v)),
    "name_zh": is_name_zh,
    "masked": lambda v: bool(_MASKED.fullmatch(v)),
    "address_en": _is_address_en,
    "address_zh": lambda v: len(v) >= 6 and bool(_ADDRESS_ZH.match(v)),
    "town": lambda v: bool(_TOWN.fullmatch(v)) or bool(_TOWN_ZH.fullmatch(v)),
    "place": _is_place,
    "icd10": icd10_shaped,
    "icd9": lambda v: bool(_ICD9.fullmatch(v)),
    "loinc": loinc_valid,
    "snomed": snomed_valid,
    "atc": lambda v: bool(_ATC.fullmatch(v)),
    "ndc": lambda v: bool(_NDC.fullmatch(v)),
    "drug": lambda v: bool(_DRUG.search(v)),
    "disease": lambda v: bool(_DISEASE.search(v)),
    "procedure": lambda v: bool(_PROCEDURE.search(v)),
    "organisation": lambda v: bool(_ORGANISATION.search(v)),
    "hospital_zh": lambda v: bool(_HOSPITAL_ZH.search(v)),
    "ward": lambda v: bool(_WARD.fullmatch(v)) or v.lower() in words("department"),
    "bed": lambda v: bool(_BED.fullmatch(v)),
    "age_text": lambda v: bool(_AGE.fullmatch(v)),
    "band": lambda v: bool(_BAND.fullmatch(v)),
    "size": lambda v: bool(_SIZE.fullmatch(v)),
    "phone_like": lambda v: bool(_PHONE_LIKE.fullmatch(v)) and 7 <= sum(c.isdigit() for c in v) <= 15,
    "unit": lambda v: v.lower() in words("units") or bool(_UNIT.fullmatch(v)),
    "url": lambda v: bool(_URL.fullmatch(v)),
    "hex": lambda v: bool(_HEX.fullmatch(v)),
    "base64": lambda v: bool(_BASE64.fullmatch(v)),
    "token": lambda v: len(v) >= 4 and len(v) <= 80 and bool(_TOKEN.fullmatch(v)),
    "sex": lambda v: v.lower() in SEX,
    "sex_word": lambda v: v.lower() in SEX,
    "state": lambda v: v.lower() in STATE_CODES or v.lower() in words("states"),
    "zip": lambda v: bool(_ZIP.fullmatch(v)) or bool(_POSTCODE_UK.fullmatch(v)),
    "sentence": lambda v: bool(_SENTENCE.search(v)),
    "boolean": lambda v: v.lower() in BOOLEANS,
    "result": lambda v: v.lower() in words("result_words") or bool(_RESULT.fullmatch(v)),
    "blood": lambda v: v.lower() in words("blood"),
    "system": lambda v: v.lower() in words("code_systems") or v.startswith("http://"),
} | {
    name: _listed(name)
    for name in (
        "affix",
        "kinds",
        "marital",
        "race",
        "education",
        "occupation",
        "religion",
        "language",
        "relation",
        "payer",
        "medication_use",
        "countries",
    )
}


def forms_of(value: str) -> list[str]:
    """Return the names of all forms a value has."""
    if is_number(value):
        return ["number", *(form for form, check in OF_NUMBERS.items() if check(value))]
    return [form for form, check in OF_TEXT.items() if check(value)]
