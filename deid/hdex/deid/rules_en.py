"""Recognisers for English clinical text: patterns with lookarounds, no model."""

# ruff: noqa: E501  # a pattern is read on one line
import re

from hdex.deid.identifiers import bank_card_valid, dea_valid, iban_valid, vin_valid
from hdex.deid.outline import Needs, first_heads, heads
from hdex.deid.rules import Rule, by_initial, names_known
from hdex.deid.words_en import (
    CARE,
    CITY,
    CLOCK,
    CREDENTIALS,
    DAY,
    DAY_FIRST,
    DOES,
    FOUR,
    HOSPITALS,
    LABEL_ID,
    MONTH,
    MONTHS,
    NAME,
    PATIENT_THINGS,
    RELATION,
    STATE,
    STATE_NAME,
    SUFFIX,
    TITLES,
    TREATED,
    WORD,
)

_MOMENTS_TEXT = """
    baseline day week month stage grade home age rest discharge admission risk visit least level follow phase time night noon
    birth onset diagnosis dose bedtime current present high low
"""
_MOMENTS = frozenset(_MOMENTS_TEXT.split())
_NO_PLACES = re.compile(r"E[RD]|[NP]?ICU|OR|CCU|PACU|OPD|SNF|PCP|ICD|CT|MRI|USA?")


def _is_place(value: str) -> bool:
    first = value.partition(" ")[0].rstrip(".,")
    return not _NO_PLACES.fullmatch(first.upper()) and first.lower() not in _MOMENTS


def _has_digit(value: str) -> bool:
    return sum(c.isdigit() for c in value) >= 3 or (any(c.isdigit() for c in value) and len(value) >= 5)


def _pair(value: str) -> bool:
    first, _, rest = value.partition(" ")
    last = rest.rpartition(" ")[2]
    return names_known(first.partition("-")[0], "given_en") and (
        names_known(last, "surnames_en") or not _ORDINARY.fullmatch(last)
    )


# Words that follow a capitalised given name without being one: headings, places, drugs of two words.
_ORDINARY = re.compile(
    rf"(?:{CARE}|{SUFFIX}|Scale|Score|Disease|Syndrome|Test|Sign|Catheter|Tube|Criteria|Cancer|Protocol|Pressure|Patient|The|And"
    r"|Has|Was|Is|Status|Index|Type|Stage|Tablet|Capsule|Oral|Rate|Blood|Day|Date|No|Name|Phone|Dob|Born|Age|City|County|State)"
)


def _reversed_pair(value: str) -> bool:
    last, _, first = value.partition(",")
    return names_known(last, "surnames_en") and names_known(first.strip().partition(" ")[0], "given_en")


def _capital_pair(value: str) -> bool:
    """Say whether words in capitals, as headings are, are a given name and a surname."""
    first, last = value.partition(" ")[0], value.rpartition(" ")[2]
    return names_known(first, "given_en") and names_known(last, "surnames_en")


def _first_known(value: str) -> bool:
    first = value.partition(" ")[0].partition("-")[0]
    return names_known(first, "given_en") or (names_known(first, "surnames_en") and not _ORDINARY.fullmatch(first))


def _no_heading(value: str) -> bool:
    """Say whether what stands between the word patient and a verb names no leaflet, portal or questionnaire."""
    return not any(word in PATIENT_THINGS or word.isupper() for word in value.split())


_CARE = by_initial(CARE)
_TOWN_OR_STATE = by_initial(f"{CITY}|{STATE_NAME}".replace("(?:the )?", ""))  # begins with a capital

RULES_EN: tuple[Rule, ...] = (
    Rule.of(
        "en_date_iso",
        "DATE",
        rf"(?=[12])(?<![\d/.-])(?:18|19|20)\d{{2}}[-/.](?:0?[1-9]|1[0-2])[-/.]{DAY}{CLOCK}(?![\d/-])",
        digits=True,
        wrapped=True,
        needs=Needs(digits=6, layouts=("0000-0", "0000/0", "0000.0")),
    ),
    Rule.of(
        "en_date_numeric",
        "DATE",
        rf"(?=\d)(?<![\d/.-])(?:{DAY}[/-]{DAY}[/-](?:\d{{4}}|\d{{2}})|{DAY}\.{DAY}\.(?:19|20)\d{{2}}){CLOCK}(?![\d/-])",
        digits=True,
        wrapped=True,
        needs=Needs(digits=4, layouts=("0/0", "0-0", "0.0")),
    ),
    Rule.of(
        "en_date_month_first",
        "DATE",
        rf"(?=[ADFJMNOS])(?<![A-Za-z]){MONTH}\.? {DAY}(?:st|nd|rd|th)?(?:,? (?:of )?'?(?:\d{{4}}|\d{{2}}(?!\d|:)))?(?!\w)",
        digits=True,
        needs=Needs(heads=MONTHS, layouts=("a 0", "a. 0")),
    ),
    Rule.of(
        "en_date_day_first",
        "DATE",
        rf"(?=\d)(?<![\d.]){DAY}(?:st|nd|rd|th)?[ -](?:of )?{MONTH}(?:[,.]? ?[ -]?(?:19|20)\d{{2}})?(?![A-Za-z0-9])",
        digits=True,
        needs=Needs(heads=MONTHS, layouts=DAY_FIRST),
    ),
    Rule.of(
        "en_date_month_year",
        "DATE",
        rf"(?=[ADFJMNOS])(?<![A-Za-z]){MONTH}\.?,? (?:of )?(?:19|20)\d{{2}}(?!\d)",
        digits=True,
        needs=Needs(digits=4, heads=MONTHS, layouts=("a 0000", "a. 0000", "a, 0000", "a., 0000")),
    ),
    Rule.of(
        "en_date_short",
        "DATE",
        rf"(?=\d)(?i:(?<=\bon )|(?<=\bsince )|(?<=\bfrom )|(?<=\bdated ))(?:0?[1-9]|1[0-2])/{DAY}(?![\d/])",
        digits=True,
        needs=Needs(layouts=("0/0",)),
    ),
    Rule.of(
        "en_title_name",
        "NAME",
        rf"(?=[DMPNSRJLC])(?<![A-Za-z])(?:Drs?|Mrs?|Ms|Miss|Mx|Prof(?:essor)?|Doctor|Nurse|Sister|Rev|Judge|Sgt|Lt|Capt)\.?[ \t]{NAME}",
        needs=Needs(heads=TITLES),
    ),
    Rule.of(
        "en_name_credential",
        "NAME",
        rf"(?=[A-ZÀ-Ý])(?<![A-Za-z])({WORD}(?: [A-Z]\.)? {WORD}),? (?:M\.?D|D\.?O|R\.?N|N\.?P|P\.?A(?:-C)?|Ph\.?D|DPM|LPN|DDS)(?![A-Za-z])",
        needs=Needs(layouts=(" AA", " A.A", " Aa.A", " AaA"), texts=CREDENTIALS),
    ),
    # Labels are looked at backwards from what they introduce: an alternation of words at every character costs ten times.
    Rule.of(
        "en_label_name",
        "NAME",
        rf":[ \t]*({NAME})(?<=(?<![A-Za-z])(?i:patient(?: name)?|name|pt|contact|emergency contact|next of kin|{RELATION}|attending|physician|provider"
        rf"|surgeon|seen by|referred by|referring|signed(?: by)?|dictated by|reviewed by|cc|re|pcp|author|nurse)[ \t]*:[ \t]*\1)",
        trigger=":",
        needs=Needs(layouts=(":A", ": A", ":  ", ":\t", ": \t")),
    ),
    Rule.of(
        "en_context_name",
        "NAME",
        rf"[ ](?=[A-ZÀ-Ý])(?<=(?<![A-Za-z])(?i:patient|pt\.?|named|called|name is|male|female|man|woman|boy|girl|lady|gentleman|[mf](?= )|{RELATION}),? )({WORD}(?: (?:[A-Z]\.|{WORD})){{0,2}})(?![a-z])",
        check=_first_known,
        needs=Needs(layouts=(" A",)),
    ),
    Rule.of(
        "en_patient_does",
        "NAME",
        rf"[ ](?=[A-ZÀ-Ý])(?<=(?<![A-Za-z])[Pp]atient )({WORD}(?: (?:[A-Z]\.|{WORD})){{0,2}})(?= (?:{DOES})(?![A-Za-z]))",
        check=_no_heading,
        needs=Needs(words=("patient ",), layouts=("a A",)),
    ),
    Rule.of(
        "en_named",
        "NAME",
        rf"[ ](?=[A-ZÀ-Ý])(?<=(?i:\b(?:named|name is|name was|known as|identified as|goes by) ))({WORD}(?: (?:[A-Z]\.|{WORD})){{0,2}})(?![a-z])",
        needs=Needs(words=("named", "name is", "name was", "known as", "identified as", "goes by")),
    ),
    Rule.of(
        "en_name_initial",
        "NAME",
        r"(?=[A-Z])(?<![A-Za-z])[A-Z][a-zà-ÿ'’-]+ [A-Z]\.(?![A-Za-z])",
        check=_first_known,
        needs=Needs(layouts=(" A.",)),
    ),
    Rule.of(
        "en_initial_name",
        "NAME",
        rf"(?=[A-Z])(?<![A-Za-z.])[A-Z]\. ?{WORD}(?![A-Za-z])",
        check=lambda v: names_known(v.split(".")[-1], "surnames_en"),
        needs=Needs(layouts=("A. A", "A.A")),
    ),
    Rule.of(
        "en_name_pair",
        "NAME",
        r"(?=[A-ZÀ-Ý])(?<![A-Za-z])[A-ZÀ-Ý][a-zß-ÿ'’-]+\d{0,4}(?: [A-Z]\.)? [A-ZÀ-Ý][A-Za-zÀ-ÿ'’-]+\d{0,4}(?![A-Za-z])",
        check=_pair,
        needs=Needs(layouts=(" A",)),
    ),
    Rule.of(
        "en_name_capitals",
        "NAME",
        r"(?=[A-ZÀ-Ý])(?<![\w-])[A-ZÀ-Ý]{3,}(?: [A-Z]\.?)? [A-ZÀ-Ý][A-ZÀ-Ý'’-]{2,}(?![\w-])",
        check=_capital_pair,
        needs=Needs(layouts=("AAA AAA", "AAA A AAA", "AAA A. AAA")),
    ),
    Rule.of(
        "en_name_reversed",
        "NAME",
        r"(?=[A-ZÀ-Ý])(?<![A-Za-z])[A-ZÀ-Ý][A-Za-zÀ-ÿ'’-]+\d{0,4}, [A-ZÀ-Ý](?:[a-zß-ÿ'’-]+|[A-ZÀ-Ý'’-]{2,})\d{0,4}(?: [A-Z](?:\.|(?![A-Za-z])))?(?![A-Za-z])",
        check=_reversed_pair,
        needs=Needs(layouts=(", Aa", ", AA", ", A'", ", A’", ", A-")),
    ),
    Rule.of(
        "en_name_numbered",
        "NAME",
        r"(?=[A-ZÀ-Ý])(?<![A-Za-z0-9])[A-ZÀ-Ý][a-zà-ÿ'’]+\d{2,4}(?![A-Za-z0-9])",
        check=lambda v: names_known(v, "given_en") or names_known(v, "surnames_en"),
        digits=True,
        needs=Needs(digits=2, layouts=("a00", "'00", "’00")),
    ),
    Rule.of(
        "en_address",
        "LOCATION",
        rf"(?=\d)(?<![\d.])\d{{1,6}}[A-Za-z]? (?:[NSEW]\.? )?(?:[A-Z][\w'’.-]*\s){{1,3}}(?:{SUFFIX})(?![A-Za-z])\.?(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl|#)\.? ?[\w-]+)?"
        rf"(?:,? [A-Z][a-z]+(?: [A-Z][a-z]+)?,? (?:(?:{STATE})(?![A-Za-z])|{STATE_NAME})(?: \d{{5}}(?:-\d{{4}})?)?)?",
        digits=True,
        needs=Needs(layouts=("0 A", "0a A", "0A A")),
    ),
    Rule.of("en_po_box", "LOCATION", r"(?i:P\.? ?O\.? Box) \d+", digits=True, needs=Needs(words=("box ",))),
    Rule.of(
        "en_city_state",
        "LOCATION",
        rf"(?=[A-Z])(?<![A-Za-z])[A-Z][a-z]+(?: [A-Z][a-z]+){{0,2}}, (?:(?:{STATE})(?![A-Za-z])|{STATE_NAME})(?:,? \d{{5}}(?:-\d{{4}})?)?",
        needs=Needs(layouts=(", A",), heads=heads(STATE) | first_heads(STATE_NAME)),
    ),
    Rule.of(
        "en_zip",
        "LOCATION",
        rf"(?=\d)(?:(?<=\b(?:{STATE}) )|(?i:(?<=zip )|(?<=zip: )|(?<=zip code )|(?<=zip code: )))\d{{5}}(?:-\d{{4}})?(?!\d)",
        digits=True,
        needs=Needs(digits=5, layouts=("A 00000", "a 00000", ": 00000")),
    ),
    Rule.of(
        "en_place",
        "LOCATION",
        rf"(?=[A-Z])(?<![A-Za-z])(?:{_TOWN_OR_STATE})(?![A-Za-z])(?:(?: downtown| uptown| north| south| east| west)?"
        r" (?:[Cc]linic|[Ff]acility|[Oo]ffice|[Hh]ospital|VA|Med|branch|campus|site)(?![A-Za-z]))?",
        needs=Needs(heads=first_heads(CITY) | first_heads(STATE_NAME)),
    ),
    Rule.of(
        "en_at_place",
        "ORGANISATION",
        r"[ ]at (?:the |our )?([A-Z][A-Za-z'’.-]{2,}(?: (?:(?:of|the|&|and) )?[A-Z][A-Za-z'’&.-]+){0,3}(?:, [A-Z][a-z]+(?: [A-Z][a-z]+)?(?:, [A-Z]{2})?)?)(?![A-Za-z])",
        check=_is_place,
        needs=Needs(texts=(" at ",)),
    ),
    Rule.of(
        "en_known_hospital",
        "ORGANISATION",
        rf"(?=[A-Z])(?<![A-Za-z])(?:{by_initial(HOSPITALS)})(?![A-Za-z])",
        needs=Needs(heads=first_heads(HOSPITALS) | {"Massachusetts", "MD", "Sloan", "Mt", "Mount"}),
    ),
    Rule.of(
        "en_lives_in",
        "LOCATION",
        r"(?=[LlRrBbMmOoNn])(?i:lives? (?:in|at|near)|living in|resid(?:es|ing) (?:in|at)|resident of|born in|raised in|moved (?:to|from)|originally from|native of) ((?:[A-Z][\w'’.-]+ ?){1,3})",
        needs=Needs(
            words=("live", "living in", "resid", "born in", "raised in", "moved ", "originally from", "native of")
        ),
    ),
    Rule.of(
        "en_care_place",
        "ORGANISATION",
        rf"(?=[A-Z])(?<![A-Za-z])(?:(?:St|Mt)\.? )?(?:[A-Z][\w'’&.-]+ (?:(?:of|and|the|for) )?){{1,4}}(?:{_CARE})(?![a-z])(?: (?:{_CARE})(?![a-z]))?(?:(?: in|,) (?:{CITY})(?![A-Za-z])(?:, (?:{STATE})(?![A-Za-z]))?)?",
        needs=Needs(heads=heads(CARE) | {"Medical", "Center", "Centre"}),
    ),
    Rule.of(
        "en_treated_at",
        "ORGANISATION",
        r"[ ](?i:at|in|to|from)(?i: the| our)? ([A-Z][\w.'’&-]+(?: (?:(?:of|the) )?[A-Z][\w'’&-]+){0,3})(?<=(?i:\b(?:seen|treated|admitted|evaluated|followed|diagnosed|operated|hospitali[sz]ed|transferred|presented|visit|visited|observed|performed|done|care|appointment)(?: (?:up|here|back|on))? (?:at|in|to|from)(?: the| our)?) \1)",
        check=lambda v: not _NO_PLACES.fullmatch(v.upper()),
        needs=Needs(words=TREATED),
    ),
    Rule.of("en_hash_number", "ID", r"#[ ]?(\d[\d-]{4,}\d)(?!\w)", digits=True, needs=Needs(texts=("#",))),
    Rule.of(
        "en_saint",
        "ORGANISATION",
        r"(?=[SM])(?<![A-Za-z])(?:St|Mt|Mount|Saint)\.? [A-Z][a-z]+(?:['’]s)?(?: (?:[A-Z][a-z]+))?",
        needs=Needs(heads=frozenset(("St", "Mt", "Mount", "Saint"))),
    ),
    Rule.of(
        "ssn",
        "SSN",
        r"(?=\d)(?<![\d-])\d{3}[- ]\d{2}[- ]\d{4}(?![\d-])",
        digits=True,
        wrapped=True,
        needs=Needs(run=9, layouts=("000-00-0000", "000 00 0000", "000-00 0000", "000 00-0000")),
    ),
    Rule.of(
        "en_phone",
        "PHONE",
        r"(?=[\d+(])(?<![\w.-])(?:\+?1[-. ]?)?(?:\(\d{3}\)\s?|\d{3}[-. ])\d{3}[-. ]\d{4}(?: ?(?:x|ext\.?) ?\d{1,5})?(?![\d-])",
        digits=True,
        wrapped=True,
        needs=Needs(run=10, layouts=("000-0000", "000.0000", "000 0000")),
    ),
    Rule.of(
        "phone_international",
        "PHONE",
        r"(?=\+)(?<![\w+])\+\d{1,3}[ -]?(?:\(?\d{1,4}\)?[ -]?){2,5}\d{2,4}(?!\d)",
        digits=True,
        wrapped=True,
        needs=Needs(texts=("+",), digits=5),
    ),
    Rule.of(
        "en_phone_label",
        "PHONE",
        r"(?=[PpTtCcMmFf])(?i:(?:phone|tel|telephone|cell|mobile|call|fax|pager|contact)(?: (?:no|number|at))?\.?:? ?)(\(?\d[\d() .-]{5,16}\d)(?!\d)",
        digits=True,
        wrapped=True,
        needs=Needs(words=("phone", "tel", "cell", "mobile", "call", "fax", "pager", "contact")),
    ),
    Rule.of(
        "en_label_id",
        "ID",
        rf"[:#=][ \t]*#?([A-Za-z0-9][A-Za-z0-9/-]{{2,29}})(?!\w)(?<=(?<![A-Za-z])(?i:{LABEL_ID})\.?(?i: (?:number|num|no|id|code|card))?\.?[ \t]*[:#=][ \t]*#?\1)",
        check=_has_digit,
        digits=True,
        wrapped=True,
        needs=Needs(texts=(":", "#", "=")),
    ),
    Rule.of(
        "en_label_id_bare",
        "ID",
        rf"[ #.](?=[A-Z]{{0,4}}-?\d[\d-]{{3}})(?<=(?<![A-Za-z])(?i:{LABEL_ID})\.?(?i: (?:number|num|no|id|code|card))?\.?(?i: is)? ?#?)([A-Z]{{0,4}}-?\d[\d-]{{3,}}[A-Z0-9-]*)(?!\w)",
        digits=True,
        wrapped=True,
        needs=Needs(digits=1, layouts=FOUR),
    ),
    Rule.of(
        "en_letters_digits",
        "ID",
        r"(?=[A-Z])(?<![\w.-])[A-Z]{1,4}-?\d{5,14}[A-Z]?(?![\w-])",
        digits=True,
        needs=Needs(digits=5, layouts=("00000",)),
    ),
    Rule.of(
        "long_number",
        "ID",
        r"(?=\d)(?<![\w.,/+-])\d{7,}(?![\w,%/]|\.\d)",
        digits=True,
        needs=Needs(digits=7, layouts=("0000000",)),
    ),
    Rule.of(
        "vin",
        "PLATE",
        r"(?=[A-HJ-NPR-Z0-9]{17})(?<![A-Za-z0-9])[A-HJ-NPR-Z0-9]{17}(?![A-Za-z0-9])",
        check=vin_valid,
        digits=True,
        needs=Needs(blocks=("x" * 17,)),
    ),
    Rule.of(
        "dea",
        "ID",
        r"(?=[A-Z])(?<![A-Za-z0-9])[A-Z][A-Z9]\d{7}(?![A-Za-z0-9])",
        check=dea_valid,
        digits=True,
        needs=Needs(digits=7, layouts=("0000000",)),
    ),
    Rule.of(
        "iban",
        "CARD",
        r"(?=[A-Z])(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![A-Za-z0-9])",
        check=iban_valid,
        digits=True,
        needs=Needs(layouts=("AA00",)),
    ),
    Rule.of(
        "bank_card",
        "CARD",
        r"(?=\d)(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)",
        check=bank_card_valid,
        digits=True,
        wrapped=True,
        needs=Needs(run=13),
    ),
    Rule.of(
        "en_age",
        "AGE",
        r"(?=[19])(?<![\d.])(?:9\d|1[01]\d)(?=[- ]?(?i:years?|yrs?|y/?o)(?![A-Za-z]))",
        check=lambda v: int(v) >= 90,
        digits=True,
        needs=Needs(words=("year", "yr", "yo", "y/o"), texts=("9", "10", "11")),
    ),
)
