"""Identifiers that can be checked: checksums, validity ranges, shapes. Pure; every function takes one value.

Sources: GB 11643-1999 (resident id, ISO 7064 MOD 11-2), GB 32100-2015 (organisation code), ISO/IEC 7812-1 (Luhn),
GS1 General Specifications 3 and 7.9 (element strings, check digit), 45 CFR 162.406 (NPI), ISO 13616 (IBAN),
SSA "high group" rules since 2011 (SSN), SAE J853 / 49 CFR 565 (VIN).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECK = "10X98765432"
_ORG_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ORG_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_PROVINCES = frozenset(
    [
        "11",
        "12",
        "13",
        "14",
        "15",
        "21",
        "22",
        "23",
        "31",
        "32",
        "33",
        "34",
        "35",
        "36",
        "37",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "50",
        "51",
        "52",
        "53",
        "54",
        "61",
        "62",
        "63",
        "64",
        "65",
        "71",
        "81",
        "82",
        "83",
        "91",
    ]
)
_VIN_VALUES = dict(
    zip("ABCDEFGHJKLMNPRSTUVWXYZ", (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9), strict=True)
)
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}")
_PLATE_CN = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Z][·.\s]?[A-HJ-NP-Z0-9]{5,6}"
)
_PASSPORT_CN = re.compile(r"(?:[EGDSP]\d{8}|E[A-HJ-NP-Z]\d{7}|1[45]\d{7})")
_PERMIT = re.compile(r"[HMC]\d{8}(?:\d{2})?")
_LANDLINE_CN = re.compile(r"(?:\+?86[-\s]?)?\(?(?:010|02\d|0[3-9]\d{2})\)?[-\s]?[2-8]\d{6,7}(?:[-转]\d{1,5})?")
_MOBILE_CN = re.compile(r"(?:\+?86|0086)?1[3-9]\d{9}")
_PHONE_US = re.compile(r"(?:\+?1[-.\s]?)?\(?([2-9]\d{2})\)?[-.\s]?([2-9]\d{2})[-.\s]?(\d{4})")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_DICOM_UID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*)){5,}")
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)")
_UDI_PARENS = re.compile(r"\((\d{2,4})\)([^()]*)")
_UDI_FIXED = {"01": 14, "11": 6, "13": 6, "15": 6, "17": 6}
_UDI_OPEN = ("10", "21", "240")


def digits_of(value: str) -> str:
    """Return the ASCII digits of `value` in order."""
    return "".join(c for c in value if "0" <= c <= "9")


def luhn_valid(digits: str) -> bool:
    """Say whether `digits` ends in its Luhn check digit."""
    if not digits.isascii() or not digits.isdigit():
        return False
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def resident_id_check_character(first17: str) -> str:
    """Return the eighteenth character, a digit or X. GB 11643-1999, 4.2: ISO 7064 MOD 11-2."""
    return _ID_CHECK[sum(int(c) * w for c, w in zip(first17, _ID_WEIGHTS, strict=True)) % 11]


def resident_id_valid(value: str) -> bool:
    """Say whether `value` is a Chinese resident id: province, birth date and check character agree."""
    value = value.strip().upper()
    if not re.fullmatch(r"[1-9]\d{16}[\dX]", value, re.ASCII) or value[:2] not in _PROVINCES:
        return False
    return _is_date(value[6:14]) and resident_id_check_character(value[:17]) == value[17]


def resident_id_15_valid(value: str) -> bool:
    """Say whether `value` is a resident id of the first generation: 15 digits, no check character."""
    value = value.strip()
    return (
        bool(re.fullmatch(r"[1-9]\d{14}", value, re.ASCII)) and value[:2] in _PROVINCES and _is_date("19" + value[6:12])
    )


def organisation_code_valid(value: str) -> bool:
    """Say whether `value` is a unified social credit code (GB 32100-2015, modulus 31)."""
    value = value.strip().upper()
    if len(value) != 18 or any(c not in _ORG_ALPHABET for c in value) or value[0] not in "159Y":
        return False
    total = sum(_ORG_ALPHABET.index(c) * w for c, w in zip(value[:17], _ORG_WEIGHTS, strict=True))
    return _ORG_ALPHABET[(31 - total % 31) % 31] == value[17]


def bank_card_valid(value: str) -> bool:
    """Say whether `value` is a payment card number: 13 to 19 digits, a card issuer's first digit, Luhn."""
    digits = re.sub(r"[\s-]", "", value)
    if not re.fullmatch(r"[3-6]\d{12,18}|2[2-7]\d{14}", digits, re.ASCII):
        return False
    return len(set(digits)) > 1 and luhn_valid(digits)


def ssn_shaped(value: str) -> bool:
    """Say whether `value` is written like a US social security number, 3-2-4 with separators."""
    return bool(re.fullmatch(r"\d{3}([-\s])\d{2}\1\d{4}", value.strip(), re.ASCII))


def ssn_valid(value: str) -> bool:
    """Say whether `value` could have been issued: area not 000, 666, 9xx; group not 00; serial not 0000."""
    digits = digits_of(value)
    if len(digits) != 9 or not re.fullmatch(r"\d{3}[-\s]?\d{2}[-\s]?\d{4}", value.strip(), re.ASCII):
        return False
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def itin_valid(value: str) -> bool:
    """Say whether `value` is a US taxpayer number: 9xx, group 50-65, 70-88, 90-92, 94-99."""
    digits = digits_of(value)
    if len(digits) != 9 or digits[0] != "9":
        return False
    group = int(digits[3:5])
    return 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99


def npi_valid(value: str) -> bool:
    """Say whether `value` is a US national provider identifier: Luhn over 80840 and its ten digits."""
    return bool(re.fullmatch(r"[12]\d{9}", value.strip(), re.ASCII)) and luhn_valid("80840" + value.strip())


def dea_valid(value: str) -> bool:
    """Say whether `value` is a US controlled-substance registration number: two letters, six digits, check digit."""
    value = value.strip().upper()
    if not re.fullmatch(r"[A-HJ-MP-UX][A-Z9]\d{7}", value, re.ASCII):
        return False
    d = [int(c) for c in value[2:]]
    return (d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 == d[6]


def mobile_cn_valid(value: str) -> bool:
    """Say whether `value` is a mobile number of mainland China, with or without country code and separators."""
    return bool(_MOBILE_CN.fullmatch(re.sub(r"[\s-]", "", value.strip())))


def landline_cn_valid(value: str) -> bool:
    """Say whether `value` is a landline number of mainland China with its area code."""
    return bool(_LANDLINE_CN.fullmatch(value.strip()))


def phone_us_valid(value: str) -> bool:
    """Say whether `value` is a North American number: area and exchange start with 2-9 and are not N11."""
    found = _PHONE_US.fullmatch(value.strip())
    return bool(found) and not (found[1].endswith("11") or found[2].endswith("11")) if found else False


def iban_valid(value: str) -> bool:
    """Say whether `value` is an international bank account number (ISO 13616: remainder 1 modulo 97)."""
    value = re.sub(r"\s", "", value).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", value, re.ASCII):
        return False
    return int("".join(str(int(c, 36)) for c in value[4:] + value[:4])) % 97 == 1


def vin_valid(value: str) -> bool:
    """Say whether `value` is a vehicle identification number with its check digit (49 CFR 565.15)."""
    value = value.strip().upper()
    if not re.fullmatch(r"[A-HJ-NPR-Z0-9]{8}[\dX][A-HJ-NPR-Z0-9]{8}", value, re.ASCII) or value.isdigit():
        return False
    total = sum((int(c) if c.isdigit() else _VIN_VALUES[c]) * w for c, w in zip(value, _VIN_WEIGHTS, strict=True))
    return "0123456789X"[total % 11] == value[8]


def gtin_valid(value: str) -> bool:
    """Say whether `value` is a GTIN of 8, 12, 13 or 14 digits with its check digit (GS1 7.9.1)."""
    if len(value) not in (8, 12, 13, 14) or not value.isascii() or not value.isdigit():
        return False
    return sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(reversed(value))) % 10 == 0


def trace_code_shaped(value: str) -> bool:
    """Say whether `value` is written like a Chinese drug traceability code: 20 digits, the first one 8."""
    return bool(re.fullmatch(r"8\d{19}", value.strip(), re.ASCII))


@dataclass(frozen=True, slots=True)
class Udi:
    """A unique device identifier, taken apart. Only `device` may leave; the rest names one implant."""

    device: str  # AI 01, GTIN-14: model and size
    gtin_ok: bool
    lot: str = ""  # AI 10
    serial: str = ""  # AI 21
    made: str = ""  # AI 11, YYMMDD
    expires: str = ""  # AI 17, YYMMDD


def parse_udi(value: str) -> Udi | None:
    """Return the parts of a GS1 element string, bracketed or with GS separators; None if it is not one."""
    value = value.strip()
    parts = dict(_UDI_PARENS.findall(value)) if value.startswith("(") else _unbracketed(value)
    device = parts.get("01", "")
    if not re.fullmatch(r"\d{14}", device, re.ASCII):
        return None
    return Udi(
        device, gtin_valid(device), parts.get("10", ""), parts.get("21", ""), parts.get("11", ""), parts.get("17", "")
    )


def _unbracketed(value: str) -> dict[str, str]:
    """Take apart `01...17...10...<GS>21...`; empty when something does not fit."""
    parts: dict[str, str] = {}
    rest = value.removeprefix("]d2").removeprefix("]C1")
    while rest:
        ai = next((a for a in (*_UDI_FIXED, *_UDI_OPEN) if rest.startswith(a)), "")
        if not ai or ai in parts:
            return {}
        body = rest[len(ai) :]
        length = _UDI_FIXED.get(ai) or (body.index("\x1d") if "\x1d" in body else len(body))
        parts[ai], rest = body[:length], body[length:].lstrip("\x1d")
    return parts


def dni_valid(value: str) -> bool:
    """Say whether `value` is a Spanish DNI or NIE: the letter is the number's remainder modulo 23.

    Source: Real Decreto 1553/2005, article 11; X, Y and Z of a NIE count as 0, 1 and 2.
    """
    bare = re.sub(r"[\s.-]", "", value).upper()
    if not re.fullmatch(r"(?:\d{7,8}|[XYZ]\d{7})[A-Z]", bare, re.ASCII):
        return False
    number = bare[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == bare[-1]


def passport_valid(value: str) -> bool:
    """Say whether `value` is written like a Chinese passport number (ordinary, diplomatic, service, older ones)."""
    return bool(_PASSPORT_CN.fullmatch(value.strip()))


def permit_valid(value: str) -> bool:
    """Say whether `value` is written like a travel permit for Hong Kong, Macau or the mainland."""
    return bool(_PERMIT.fullmatch(value.strip()))


def plate_cn_valid(value: str) -> bool:
    """Say whether `value` is a vehicle plate of mainland China."""
    return bool(_PLATE_CN.fullmatch(value.strip()))


def email_valid(value: str) -> bool:
    """Say whether `value` is an e-mail address."""
    return bool(_EMAIL.fullmatch(value.strip()))


def _is_date(yyyymmdd: str) -> bool:
    try:
        born = date(int(yyyymmdd[:4]), int(yyyymmdd[4:6]), int(yyyymmdd[6:]))
    except ValueError:
        return False
    return born.year >= 1850


# Most certain first: a resident id also passes weaker shapes.
_KINDS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("resident_id", resident_id_valid),
    ("email", email_valid),
    ("uuid", lambda v: bool(_UUID.fullmatch(v.strip()))),
    ("udi", lambda v: v.lstrip().startswith(("(01)", "01", "]d2", "]C1")) and len(v) > 20 and parse_udi(v) is not None),
    ("ssn", ssn_shaped),
    ("organisation_code", lambda v: not v.isdigit() and organisation_code_valid(v)),
    ("trace_code", trace_code_shaped),
    ("mobile_cn", mobile_cn_valid),
    ("bank_card", bank_card_valid),
    ("resident_id_15", resident_id_15_valid),
    ("iban", iban_valid),
    ("vin", vin_valid),
    ("dea", dea_valid),
    ("plate_cn", plate_cn_valid),
    ("passport_cn", passport_valid),
    ("landline_cn", lambda v: landline_cn_valid(v) and not v.strip().startswith("00")),
    ("phone_us", phone_us_valid),
    ("permit_cn", permit_valid),
    ("ip_address", lambda v: bool(_IPV4.fullmatch(v.strip()))),
    ("dicom_uid", lambda v: bool(_DICOM_UID.fullmatch(v.strip())) and not v.strip().startswith("1.2.840.10008.")),
)


def kind_of(value: str) -> str | None:
    """Return the name of the most certain identifier that the whole of `value` is, or None."""
    return next((name for name, check in _KINDS if check(value)), None)
