"""The node attacks by the recipient of a release, and else by the columns it has."""

from datetime import date

import polars as pl

from hdex.node.hospital.attackers import attack_raw, attacker_of

STENT = ["person_id", "sex", "age", "stent_model", "stent_size", "stent_serial", "implant_date", "ldl"]
MAKER = {
    "en": "a stent maker who knows implant month, model, age and sex",
    "zh": "掌握植入月份、型号、年龄和性别的支架厂商",
}


def test_the_recipient_of_a_release_is_its_attacker() -> None:
    maker = attacker_of(STENT, "industry")
    assert (maker.name, maker.title, maker.known) == (
        "device_maker",
        MAKER,
        ("implant_date", "stent_model", "age", "sex"),
    )
    assert attacker_of(STENT) == maker
    assert attacker_of(STENT, "hospital") == maker
    assert attacker_of(STENT, "neighbour").known == ("age", "sex")


def test_without_a_recipient_it_is_the_first_who_fits_and_knows_what_is_there() -> None:
    neighbour = attacker_of(["age", "sex", "city", "last_visit"])
    assert neighbour.title["en"] == "a neighbour who knows age, sex, town and the month of the last visit"
    assert attacker_of(["age", "ldl"]).title == {"en": "an acquaintance who knows age", "zh": "知道年龄的熟人"}
    assert attacker_of(["ldl"]).known == ()


def test_raw_rows_are_attacked_by_the_month() -> None:
    days = [date(2024, 1 + i % 12, 1 + i % 28) for i in range(120)]
    rows = pl.DataFrame({"implant_date": days, "stent_model": ["m"] * 120, "age": range(120), "sex": ["F"] * 120})
    found = attack_raw(rows, attacker_of(rows.columns), seed=1)
    assert (found.targets, found.reidentified) == (120, 120)
    alike = attack_raw(rows.with_columns(age=pl.lit(50)), attacker_of(rows.columns), seed=1)
    assert alike.rate < 0.3  # twelve months, ten patients each
