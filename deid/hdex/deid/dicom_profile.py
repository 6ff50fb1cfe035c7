"""What of a DICOM header goes and what stands in its place: the profile's table, dummies, dates; no vendor here."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from importlib.resources import files

from hdex.deid.errors import PolicyInvalid

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
STANDARD_ROOT = "1.2.840.10008."
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData", "PixelDataProviderURL", "EncapsulatedDocument")
DATES = frozenset({"DA", "DT", "TM"})
# By value representation, where the table names no action: what may hold a person goes.
BY_VR = {
    "PN": "Z",
    "DA": "Z",
    "DT": "Z",
    "TM": "Z",
    "LT": "X",
    "ST": "X",
    "UT": "X",
    "UR": "X",
    "AE": "X",
    "AS": "X",
    "UN": "X",
}
DUMMY = {
    "DA": "19000101", "TM": "000000", "DT": "19000101000000", "AS": "000Y", "CS": "REMOVED", "DS": "0", "IS": "0",
    **dict.fromkeys(("PN", "LO", "SH", "LT", "ST", "UT", "UC", "AE"), "REMOVED"), "UR": "urn:removed",
}  # fmt: skip
CODES = frozenset({"CodeValue", "LongCodeValue", "URNCodeValue", "CodingSchemeDesignator", "CodeMeaning"})
TELLING = frozenset({  # beside names: values that belong to one person or house
    "PatientID", "OtherPatientIDs", "AccessionNumber", "PatientAddress", "PatientTelephoneNumbers", "InstitutionName",
    "InstitutionAddress", "DeviceSerialNumber", "RequestingService", "MedicalRecordLocator", "AdmissionID",
})  # fmt: skip
METHODS = {
    "basic": ("113100", "Basic Application Confidentiality Profile"),
    "shift": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
}


@dataclass(frozen=True, slots=True)
class DicomPolicy:
    """What of images is decided by the data's holder."""

    dates: str = "empty"  # empty: as the basic profile says; shift: all dates of one patient move together
    header_only: bool = False  # drop pixels and embedded documents instead of refusing the object
    shift_days: int = 3650

    def __post_init__(self) -> None:
        if self.dates not in ("empty", "shift"):
            raise PolicyInvalid(f"dates is {self.dates}, asked is empty or shift")
        if self.shift_days < 1:
            raise PolicyInvalid(f"shift_days is {self.shift_days}, asked is 1 or more")


@dataclass(slots=True)
class DicomReport:
    """Counts of one run: objects that left, and attributes by what became of them."""

    objects: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        return {"objects": self.objects, "by_rule": dict(sorted(self.by_rule.items()))}


@cache
def actions() -> dict[str, str]:
    """Keyword -> action code of table E.1-1, column Basic Prof."""
    table = tomllib.loads(files("hdex.deid").joinpath("data/dicom_profile.toml").read_text("utf-8"))
    return {keyword: entry["code"] for entry in table["action"] for keyword in entry["attributes"]}


def dummy(vr: str) -> object:
    return DUMMY.get(vr) or None


def shifted(text: str, days: int) -> str | None:
    """Return a DA or DT moved by whole days, hour and zone kept; None for what is no date."""
    found = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})(\d{0,6}(?:\.\d{1,6})?(?:[+-]\d{4})?)", text.strip())
    try:
        moved = date(int(found[1]), int(found[2]), int(found[3])) + timedelta(days=days) if found else None
    except (ValueError, OverflowError):
        return None
    return f"{moved:%Y%m%d}{found[4]}" if found and moved else None


def full_names(value: object) -> Iterator[str]:
    """Yield the spellings of a PN in each of its three scripts that name one person."""
    for group in str(value or "").split("="):
        parts = [part.strip() for part in group.split("^")[:2] if part.strip()]
        if len(parts) == 2:
            yield from (f"{parts[1]} {parts[0]}", f"{parts[0]} {parts[1]}")


def text_of(value: object) -> str:
    return "" if value is None else str(value).strip()
