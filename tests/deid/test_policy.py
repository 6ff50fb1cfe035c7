"""Presets are data; what a policy file says is understood or refused."""

import json
from pathlib import Path

import pytest

from hdex.deid.errors import PolicyInvalid
from hdex.deid.policy import Dates, load_policy, parse_policy, preset, presets

DESIGN = {  # table "Presets" of the design page: k, highest, average risk
    "public": (1, 20, 0.05, 0.01),
    "registered": (2, 10, 0.10, 0.05),
    "controlled": (3, 5, 0.20, 0.10),
}


@pytest.mark.parametrize("name", list(DESIGN))
def test_presets_are_those_of_the_design_page(name: str) -> None:
    found = preset(name)
    assert (found.level, found.k, found.max_prosecutor, found.max_average) == DESIGN[name]
    assert 1 / found.k <= found.max_prosecutor


@pytest.mark.parametrize("name", list(presets()))
def test_every_preset_in_the_file_loads(name: str) -> None:
    assert preset(name).name == name


def test_a_file_may_start_from_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text('preset = "controlled"\nk = 11\ndates = "year"\n[round_digits]\nsbp = 0\n')
    policy = load_policy(path)
    assert (policy.name, policy.k, policy.dates, policy.round_digits) == ("ours", 11, Dates.YEAR, {"sbp": 0})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('preset = "controlled"\nkk = 5', "unknown keys kk"),
        ('preset = "strictest"', "preset strictest is not known"),
        ("k = 5", "lacks age_cap"),
        ('preset = "controlled"\nk = "5"', "k is of type str"),
        ('preset = "controlled"\nk = true', "k is of type bool"),
        ('preset = "controlled"\nk = 1', "k is 1"),
        ('preset = "controlled"\nlevel = 4', "level is 4"),
        ('preset = "controlled"\ndates = "week"', "dates is one of"),
        ('preset = "controlled"\nsuppression = 2', "suppression is 2"),
        ('preset = "controlled"\nshift_days = 0', "shift_days is 0"),
        ('preset = "controlled"\nshift_days = 6\nkeep_weekday = true', "asked is 7 or more"),
        ('preset = "controlled"\nkeep_weekday = 1', "keep_weekday is of type int"),
        ('preset = "controlled"\nkeep_weekdays = true', "did you mean keep_weekday"),
        ('preset = "controlled"\nages_at = "2024-01-01"', "ages_at is of type str"),
        ('preset = "controlled"\nages_at = 2024-01-01T00:00:00', "ages_at is of type datetime"),
        ('preset = "registered"\npseudonyms = true', "releases no pseudonym"),
        ('preset = "registered"\nfree_text = "redact"', "no notes"),
        ('preset = "registered"\ndates = "shift"', "no exact dates"),
        ("k = = 5", "is not TOML"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, message: str) -> None:
    with pytest.raises(PolicyInvalid, match=message):
        parse_policy(text)


@pytest.mark.parametrize("name", list(presets()))
def test_births_over_the_cap_never_leave_a_preset_and_shifts_keep_no_weekday(name: str) -> None:
    found = preset(name)
    assert (found.cap_births, found.ages_at, found.keep_weekday) == (True, None, False)


def test_a_policy_with_a_day_in_it_is_json() -> None:
    found = parse_policy('preset = "controlled"\nages_at = 2024-02-29').to_dict()
    assert json.loads(json.dumps(found))["ages_at"] == "2024-02-29"


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_bytes('preset = "受控"'.encode("gb18030"))
    with pytest.raises(PolicyInvalid, match="UTF-8"):
        load_policy(path)
