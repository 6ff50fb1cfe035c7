"""What the values of one column say about it, without its name: element, evidence, confidence.

Questions are asked from the most certain to the weakest: checksums, text, lists of words, people, codes, keys.
"""

from __future__ import annotations

from hdex.deid.scheme import load_catalogue
from hdex.deid.shapes import Shape

Found = tuple[str, str, float]  # element code, evidence, confidence

# Forms that decide against any name: nobody writes these by chance in 8 of 10 cells.
CERTAIN = frozenset(
    (
        "resident_id",
        "email",
        "udi",
        "ssn",
        "mobile_cn",
        "bank_card",
        "iban",
        "plate_cn",
        "dicom_uid",
        "trace_code",
        "vin",
    )
)
AGES = (35, 55, 115)  # the youngest is at most, the oldest at least and at most


def by_value(shape: Shape, *, hinted: bool) -> Found | None:
    """Return what the values alone say. hinted: the name said something, so that weak signs stay silent."""
    if not shape.filled:
        return None
    for judge in (_identifier, _text, _listed, _dated, _person, _coded, _termed):
        if found := judge(shape):
            return found
    return None if hinted else _key(shape) or _number(shape) or _leftover(shape)


def percent(share: float) -> str:
    """Return a share as text; a small one is not told exactly."""
    return f"{100 * share:.0f} %" if share >= 0.01 else "under 1 %"


def _identifier(shape: Shape) -> Found | None:
    """Checkable identifiers, most frequent kind first."""
    for kind, share in sorted(shape.kinds.items(), key=lambda item: -item[1]):
        strong = kind in CERTAIN
        if kind == "organisation_code" and share >= 0.8:
            return "organisation_id", f"{percent(share)} of the values are organisation codes", 0.9
        element = load_catalogue().by_kind.get(kind)
        if element is None or share < (0.6 if strong else 0.9):
            continue
        if not strong and (shape.distinct < 10 or shape.share("snomed", "date") >= 0.5):
            continue
        return element.code, f"{percent(share)} of the values have the form {kind}", share * (0.97 if strong else 0.7)
    few = shape.distinct <= 40 and shape.uniqueness <= 0.01
    if shape.kinds.get("uuid", 0.0) >= 0.8 and few:
        return "hospital", "few keys in very many rows: of places rather than of people", 0.6
    if shape.kinds.get("uuid", 0.0) >= 0.8:
        return "row_key", "values are universally unique identifiers", 0.75
    if shape.share("base64") >= 0.5:
        return "photo", "values are encoded files", 0.8
    if shape.share("hex") >= 0.9 and shape.distinct >= 5:
        return "row_key", "values are long hexadecimal tokens", 0.75
    return None


def _text(shape: Shape) -> Found | None:
    if shape.share("address_en", "address_zh", "drug", "place") >= 0.5 and shape.share("sentence") < 0.5:
        return None
    if shape.reads_as_text:
        return "note", f"values read as text: {shape.words:.0f} words on average", 0.85
    sentences = shape.share("sentence") >= 0.5 and shape.words >= 5 and shape.uniqueness >= 0.3
    if sentences and shape.distinct > 5 and shape.share("name_en") < 0.5:
        return "note", f"{percent(shape.share('sentence'))} of the values are sentences", 0.7
    return None


_LISTS: tuple[tuple[str, str, float, int, float], ...] = (
    # form, element, least share, most distinct values, confidence
    ("sex_word", "sex", 0.8, 6, 0.85),
    ("race", "race", 0.8, 60, 0.8),
    ("affix", "name_affix", 0.8, 12, 0.7),
    ("marital", "marital", 0.8, 12, 0.75),
    ("blood", "measurement", 0.9, 12, 0.6),
    ("relation", "household", 0.8, 25, 0.7),
    ("payer", "payer", 0.6, 40, 0.75),
    ("education", "education", 0.8, 25, 0.75),
    ("religion", "religion", 0.8, 12, 0.6),
    ("occupation", "occupation", 0.7, 60, 0.7),
    ("unit", "unit", 0.7, 200, 0.75),
    ("system", "code_system", 0.8, 40, 0.75),
    ("medication_use", "medication", 0.7, 60, 0.7),
    ("state", "state", 0.8, 70, 0.7),
    ("countries", "nationality", 0.8, 120, 0.7),
    ("language", "language", 0.8, 40, 0.65),
    ("kinds", "kind", 0.7, 60, 0.7),
    ("boolean", "coded_item", 0.9, 4, 0.4),
    ("result", "measurement", 0.8, 10**9, 0.6),
)


def _listed(shape: Shape) -> Found | None:
    """Short lists of known words. The words of one list fill the column, so that one word alone decides little."""
    for form, code, least, most, confidence in _LISTS:
        share = shape.share(form)
        if shape.distinct < 2 and (form in ("sex_word", "marital") or (form == "state" and shape.length <= 2)):
            continue
        if share >= least and shape.distinct <= most:
            doubt = 0.15 if shape.distinct == 1 else 0.0
            return code, f"{percent(share)} of the values are words for {code}", confidence - doubt
    return None


def _dated(shape: Shape) -> Found | None:
    if shape.share("date") >= 0.8 and shape.share("snomed") < 0.8:
        born = shape.share("date_only") >= 0.95 and shape.uniqueness >= 0.5 and (shape.years or 0) >= 50
        return ("birth_date" if born else "event_date"), f"{percent(shape.share('date'))} of the values are dates", 0.7
    for form, why in (("month", "months"), ("clock", "times of day")):
        if shape.share(form) >= 0.8:
            return "event_date", f"{percent(shape.share(form))} of the values are {why}", 0.6
    if shape.share("year") >= 0.99 and shape.distinct >= 3 and (shape.high or 0) - (shape.low or 0) >= 3:
        return "birth_year", "values are calendar years", 0.55
    seconds = shape.share("epoch") >= 0.95 and shape.one_length and 0.05 <= shape.uniqueness < 0.98
    if seconds and shape.low is not None and str(int(shape.low))[0] in "1":
        return "event_date", "values are seconds since 1970", 0.5
    for form, distinct in (("age_text", 130), ("band", 30)):
        if shape.share(form) >= 0.8 and 2 <= shape.distinct <= distinct:
            return "age", f"{percent(shape.share(form))} of the values read as ages", 0.7
    return None


def _person(shape: Shape) -> Found | None:
    """Names, addresses, places, beds."""
    for form in ("address_en", "address_zh"):
        if shape.share(form) >= 0.6 and shape.distinct >= 5 and shape.share("drug") < 0.3:
            return "street_address", f"{percent(shape.share(form))} of the values read as addresses", 0.8
    if shape.share("bed") >= 0.8:
        return "bed", f"{percent(shape.share('bed'))} of the values read as beds", 0.75
    if _dialled(shape):
        return "phone", f"{percent(shape.share('phone_like'))} of the values are written like telephone numbers", 0.6
    if shape.share("place") >= 0.7 and shape.distinct >= 3:
        return "birthplace", f"{percent(shape.share('place'))} of the values read as places", 0.65
    if shape.share("masked") >= 0.7 and shape.distinct >= 5:
        return "person_name", f"{percent(shape.share('masked'))} of the values read as masked names", 0.6
    if found := _institution(shape):
        return found
    if shape.share("town") >= 0.3 and shape.share("name_plain", "town") >= 0.8 and shape.share("name_synthetic") < 0.1:
        return "city", f"{percent(shape.share('town'))} of the values end like names of towns", 0.5
    return _named(shape) or _coordinates(shape)


def _dialled(shape: Shape) -> bool:
    """Groups of digits with separators, seven to fifteen in all, that hardly repeat and are no code and no date."""
    coded = shape.share("date", "loinc", "ndc", "icd10", "band", "result") >= 0.3
    return shape.share("phone_like") >= 0.9 and shape.uniqueness >= 0.5 and shape.distinct >= 10 and not coded


def _institution(shape: Shape) -> Found | None:
    """Hospitals, employers, wards."""
    if shape.words >= 9 or shape.share("disease", "drug") >= 0.4:
        return None
    if shape.share("hospital_zh") >= 0.6:
        return "hospital", f"{percent(shape.share('hospital_zh'))} of the values read as hospitals", 0.7
    if shape.share("ward") >= 0.7 and shape.distinct <= 200:
        return "hospital", f"{percent(shape.share('ward'))} of the values read as wards", 0.7
    if shape.share("organisation") >= 0.6 and shape.distinct >= 2 and shape.share("procedure") < 0.5:
        chinese = shape.share("name_plain", "name_en") < 0.1 and shape.length < 40 and shape.share("town") < 0.9
        employer = chinese and shape.words >= 1.5 and shape.share("name_zh") < 0.5 and shape.uniqueness >= 0.3
        code = "employer" if employer and shape.share("address_en") < 0.1 else "hospital"
        return code, f"{percent(shape.share('organisation'))} of the values read as organisations", 0.6
    return None


def _named(shape: Shape) -> Found | None:
    """Names of people: by surnames, by the marks of test people, or by capitals in an all but unique column."""
    name = max(shape.share("name_zh") - 0.2, shape.share("name_en"), shape.share("name_synthetic"))
    terms = shape.share("drug", "disease", "procedure", "organisation", "kinds")
    if name >= 0.6 and shape.distinct >= 10 and terms < 0.4:
        return "person_name", f"{percent(name)} of the values read as names of persons", min(0.9, 0.4 + name / 2)
    if shape.share("name_synthetic") >= 0.9 and shape.distinct >= 2:
        return "person_name", "capitalised words with digits, as generators of test people write names", 0.75
    few = shape.share("name_zh") >= 0.9 or (shape.share("name_en", "name_synthetic") >= 0.9 and shape.words >= 1.8)
    if few and shape.distinct >= 4 and terms < 0.3:
        return "person_name", "the few values read as names of persons", 0.6
    plain = shape.share("name_plain") >= 0.9 and shape.uniqueness >= 0.6 and shape.distinct >= 30
    if plain and shape.share("name_en") >= 0.12 and terms < 0.15 and shape.words <= 3.5:
        return "person_name", "capitalised words, all but unique, some of them known names", 0.55
    return None


def _coordinates(shape: Shape) -> Found | None:
    if shape.numeric and shape.decimals >= 4 and shape.high is not None and shape.low is not None:
        near = shape.high - shape.low <= 30 and shape.low >= -180 and shape.high <= 180 and abs(shape.low) >= 1
        if near and shape.uniqueness >= 0.3:
            return "coordinates", "values are degrees with four decimals or more", 0.6
    return None


def _coded(shape: Shape) -> Found | None:
    """Code systems with check digits or a strict shape."""
    for form, code, least in (
        ("icd10", "diagnosis", 0.8),
        ("loinc", "measurement", 0.8),
        ("snomed", "coded_item", 0.8),
        ("atc", "medication", 0.8),
        ("ndc", "medication", 0.8),
    ):
        counted = form in ("icd10", "atc") and shape.leads == 1 and shape.one_length and shape.decimals == 0
        if counted and shape.distinct >= 10 and shape.length >= 4:  # one letter and a counter: somebody's own numbers
            continue
        if shape.share(form) >= least and shape.distinct >= 2:
            return code, f"{percent(shape.share(form))} of the values are {form.upper()} codes", 0.85
    icd9 = shape.share("icd9") >= 0.97 and 0.4 <= shape.share("number") < 0.99 and shape.distinct >= 20
    return ("diagnosis", "values are written like ICD-9 codes", 0.6) if icd9 else None


def _termed(shape: Shape) -> Found | None:
    """Names of diseases, procedures and drugs, sizes of devices."""
    if shape.share("size") >= 0.8 and shape.distinct >= 2:
        return "implant_model", f"{percent(shape.share('size'))} of the values read as sizes of a device", 0.6
    ranked = sorted(
        (("drug", "medication"), ("disease", "diagnosis"), ("procedure", "procedure")), key=lambda f: -shape.share(f[0])
    )
    form, code = ranked[0]
    if shape.share(form) >= 0.4 and shape.distinct >= 2:
        return code, f"{percent(shape.share(form))} of the values read as terms for {code}", 0.6
    return None


def _key(shape: Shape) -> Found | None:
    """Keys without a name: one value per row, or tokens that repeat."""
    if shape.filled < 10:
        return None
    whole = shape.share("integer") >= 0.99 and shape.decimals == 0
    token = shape.share("token") >= 0.95 and not (shape.numeric and not whole)
    if shape.share("zip") >= 0.98 and shape.one_length and shape.uniqueness < 0.9 and shape.distinct >= 3:
        return "postcode", "values have the form of postcodes", 0.5
    if shape.share("region_cn") >= 0.95 and shape.one_length and shape.uniqueness < 0.9 and shape.distinct >= 3:
        return "city", "values have the form of administrative codes", 0.5
    if shape.uniqueness >= 0.98 and (token or whole):
        return "row_key", "one value per row", 0.65
    sparse = whole and shape.uniqueness >= 0.2 and (shape.high or 0) > 20 * shape.distinct and shape.length >= 5
    if token and shape.distinct >= 10 and ((not shape.numeric and shape.length >= 5) or shape.one_length or sparse):
        return "patient_key", "values are tokens that repeat over rows", 0.55
    return None


def _number(shape: Shape) -> Found | None:
    if not shape.numeric or shape.low is None or shape.high is None:
        return None
    young, old, oldest = AGES
    ages = shape.share("integer") >= 0.99 and 0 <= shape.low <= young and old <= shape.high <= oldest
    if ages and shape.distinct >= min(25, shape.filled // 4) and 20 <= (shape.middle or 0) <= 85:
        return "age", "whole numbers in the range of ages", 0.35
    if shape.share("sex") >= 0.99 and shape.distinct == 2 and shape.low == 1 and 1 <= (shape.middle or 0) <= 2:
        return "sex", "two codes as sex is coded", 0.3
    return "measurement", "numbers", 0.4


def _leftover(shape: Shape) -> Found | None:
    """Weak signs, for columns whose name says nothing."""
    if shape.share("number") >= 0.5:
        return "measurement", "mostly numbers", 0.35
    if shape.uniqueness >= 0.5 and shape.distinct >= 20 and shape.words >= 2.5:
        return "note", "short texts, all but unique", 0.45
    if shape.distinct <= max(50, shape.filled // 20):
        return "coded_item", "a short list of terms", 0.3
    return "coded_item", "terms of no list that is known", 0.2
