"""Published examples of every check digit, and what a wrong digit does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.deid import codes, identifiers

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[1] / "vectors/identifiers.json").read_text("utf-8")
)
CHECKS: dict[str, Callable[[str], bool]] = {
    "resident_id": identifiers.resident_id_valid,
    "luhn": identifiers.luhn_valid,
    "organisation_code": identifiers.organisation_code_valid,
    "vin": identifiers.vin_valid,
    "npi": identifiers.npi_valid,
    "iban": identifiers.iban_valid,
    "gtin": identifiers.gtin_valid,
    "verhoeff": codes.verhoeff_valid,
    "snomed": codes.snomed_valid,
    "loinc": codes.loinc_valid,
}


@pytest.mark.parametrize("kind", CHECKS)
def test_published_examples_are_accepted_and_wrong_digits_are_not(kind: str) -> None:
    assert all(CHECKS[kind](value) for value in VECTORS[kind]["valid"])
    assert not any(CHECKS[kind](value) for value in VECTORS[kind]["invalid"])


@given(
    st.sampled_from(["11", "31", "44", "65"]), st.integers(0, 9999), st.dates(), st.integers(0, 999), st.integers(0, 16)
)
def test_any_single_wrong_digit_breaks_a_resident_id(
    province: str, area: int, born: Any, serial: int, place: int
) -> None:
    first17 = f"{province}{area:04d}{max(born.year, 1900):04d}{born.month:02d}{min(born.day, 28):02d}{serial:03d}"
    whole = first17 + identifiers.resident_id_check_character(first17)
    wrong = whole[:place] + str((int(whole[place]) + 1) % 10) + whole[place + 1 :]
    assert identifiers.resident_id_valid(whole)
    assert identifiers.resident_id_check_character(wrong[:17]) != wrong[17]


def test_a_device_identifier_is_taken_apart_with_and_without_brackets() -> None:
    vector = VECTORS["udi"]
    plain = "015102222223333611141231171507 0710A213B1\x1d211234".replace(" ", "")
    for text in (vector["element_string"], plain):
        udi = identifiers.parse_udi(text)
        assert udi is not None
        assert (udi.device, udi.made, udi.expires, udi.lot, udi.serial) == tuple(
            vector[k] for k in ("device", "made", "expires", "lot", "serial")
        )
    assert identifiers.parse_udi("(10)ABC") is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("11010519491231002X", "resident_id"),
        ("138 0013 8000", "mobile_cn"),
        ("+86-13800138000", "mobile_cn"),
        ("010-62345678", "landline_cn"),
        ("(212) 555-0123", "phone_us"),
        ("999-12-3456", "ssn"),
        ("4111 1111 1111 1111", "bank_card"),
        ("someone@example.org", "email"),
        ("京A·12345", "plate_cn"),
        ("E12345678", "passport_cn"),
        ("1c68a5e1-98c6-30a5-eadf-78819debe2d6", "uuid"),
        ("192.168.1.10", "ip_address"),
        ("1.2.840.99999999.1.51267335.1475178497240", "dicom_uid"),
        ("81234567890123456789", "trace_code"),
        ("22298006", None),
        ("120/80", None),
        ("", None),
    ],
)
def test_a_value_is_named_by_its_most_certain_identifier(value: str, kind: str | None) -> None:
    assert identifiers.kind_of(value) == kind


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("123-45-6789", True),
        ("000-45-6789", False),
        ("666-45-6789", False),
        ("923-45-6789", False),
        ("123-00-6789", False),
    ],
)
def test_a_social_security_number_that_was_never_issued_is_not_valid(value: str, valid: bool) -> None:
    assert identifiers.ssn_valid(value) is valid
