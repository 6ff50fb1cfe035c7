"""deidentify(): what leaves meets its preset and names nobody; too much risk stores nothing."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid import hierarchy
from hdex.deid.columns import Category, ColumnProfile, LevelDecision, Role
from hdex.deid.detector_rules import RulesDetector
from hdex.deid.errors import ArgumentInvalid, InputInvalid, ResidueFound, RiskTooHigh
from hdex.deid.notes import NoteInput
from hdex.deid.pipeline import Attacker, Release, deidentify
from hdex.deid.policy import Policy, preset
from hdex.deid.pseudonym import Keys, derive_keys
from hdex.deid.risk import measure
from hdex.deid.text import Identity
from hdex.deid.verify import verify_release

KEYS = derive_keys(bytes(32), recipient="buyer-heartline", project="stent")
QUASI = ["age", "sex", "stent_model", "implant_month"]
ROLES = {
    "patient_id": (Role.DIRECT, 4),
    "name": (Role.DIRECT, 4),
    "age": (Role.QUASI, 3),
    "sex": (Role.QUASI, 2),
    "stent_model": (Role.QUASI, 3),
    "implant_month": (Role.QUASI, 3),
    "admitted": (Role.OTHER, 4),
    "discharged": (Role.OTHER, 4),
    "serial": (Role.OTHER, 4),
    "sbp": (Role.SENSITIVE, 3),
    "smoker": (Role.SENSITIVE, 3),
    "outcome": (Role.SENSITIVE, 3),
}


def patients(rows: int = 850, seed: int = 1) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    admitted = pl.Series(random.integers(18_600, 19_700, rows)).cast(pl.Int32).cast(pl.Date)
    return pl.DataFrame(
        {
            "patient_id": [f"P{i:05}" for i in range(rows)],
            "name": [f"Name {i}" for i in range(rows)],
            "age": random.integers(45, 99, rows),
            "sex": random.choice(["F", "M"], rows),
            "stent_model": random.choice([f"maker{i % 3} m{i}" for i in range(9)], rows),
            "implant_month": admitted.dt.strftime("%Y-%m"),
            "admitted": admitted,
            "discharged": (admitted.cast(pl.Int32) + random.integers(1, 20, rows)).cast(pl.Date),
            "serial": [f"SN{i:06}" for i in range(rows)],
            "sbp": random.normal(140, 15, rows),
            "smoker": random.random(rows) < 0.4,
            "outcome": (random.random(rows) < 0.15).astype(int),
        }
    )


def profiles(frame: pl.DataFrame, **roles: tuple[Role, int]) -> list[ColumnProfile]:
    known = ROLES | roles
    return [ColumnProfile("view", name, *pair(known[name])) for name in frame.columns]


def pair(role: tuple[Role, int]) -> tuple[Role, Category, int]:
    return role[0], Category.HEALTH_STATUS, role[1]


def release(frame: pl.DataFrame, policy: Policy | None = None, **changes: Any) -> Release:
    arguments: dict[str, Any] = {"keys": KEYS, "patient": "patient_id", "seed": b"secret"} | changes
    known = arguments.pop("profiles", None) or profiles(frame)
    return deidentify(frame, known, policy or preset("controlled"), **arguments)


def test_a_controlled_release_keeps_pseudonyms_shifted_dates_and_values() -> None:
    frame = patients()
    made = release(frame)
    out, report = made.frame, made.report
    assert {"name", "serial"}.isdisjoint(out.columns)
    assert not set(out["patient_id"]) & set(frame["patient_id"])
    source = frame[made.source_rows.to_list()]
    shift = (out["admitted"] - source["admitted"]).dt.total_days()
    assert shift.abs().min() >= 1  # type: ignore[operator]  # rows exist
    assert shift.abs().max() <= preset("controlled").shift_days  # type: ignore[operator]
    stay = (out["discharged"] - out["admitted"]).to_list()
    assert stay == (source["discharged"] - source["admitted"]).to_list()
    assert out["sbp"].to_list() == source["sbp"].to_list()
    assert report.risk_after is not None
    assert report.risk_after.k >= 5
    assert report.verification is not None
    assert report.verification.ok
    assert report.delivery_modes == ("enclave", "query", "federated")


def test_a_registered_release_has_no_pseudonym_and_no_day() -> None:
    out = release(patients(), preset("registered")).frame
    assert "patient_id" not in out.columns
    assert out["admitted"].str.contains(r"^\d{4}-\d{2}$").all()
    assert not [name for name in out.columns if out[name].dtype in (pl.Date, pl.Datetime)]
    assert verify_release(out, QUASI, 10).ok


def test_the_attack_finds_most_on_the_raw_table_and_few_in_the_release() -> None:
    made = release(patients(), attacker=Attacker(("stent_model", "implant_month", "age", "sex"), targets=1000))
    before, after = made.report.attack_before, made.report.attack_after
    assert before is not None
    assert after is not None
    assert before.rate > 0.9
    assert after.rate <= 1 / 5 + 3 * (0.2 * 0.8 / after.targets) ** 0.5
    assert after.singled_out == 0
    assert (before.targets, before.by_chance) == (850, 1 / 850)


def test_an_attacker_who_knows_exact_dates_gains_little_from_shifted_ones() -> None:
    made = release(patients(), attacker=Attacker(("admitted", "sex")))
    assert made.report.attack_before is not None
    assert made.report.attack_after is not None
    assert made.report.attack_before.rate > 0.3
    assert made.report.attack_after.rate < 0.1


def test_an_attacker_who_finds_more_than_k_allows_stops_the_release() -> None:
    """Who knows a value that leaves as it is finds the row, whatever k: the certificate is not written."""
    with pytest.raises(RiskTooHigh, match="share of targets the attacker finds") as caught:
        release(patients(), attacker=Attacker(("sbp",)))
    assert caught.value.found > 0.5
    assert caught.value.asked < 0.3


def test_the_same_keys_and_seed_give_the_same_bytes() -> None:
    assert release(patients()).frame.equals(release(patients()).frame)
    assert not release(patients()).frame.equals(release(patients(), seed=b"other").frame)


def test_two_recipients_share_no_pseudonym() -> None:
    other = derive_keys(bytes(32), recipient="buyer-other", project="stent")
    mine, theirs = release(patients()).frame, release(patients(), keys=other).frame
    assert not set(mine["patient_id"]) & set(theirs["patient_id"])


def test_the_order_of_rows_tells_nothing() -> None:
    order = release(patients()).source_rows.to_numpy()
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.15


def test_ages_from_ninety_on_are_one_group() -> None:
    frame = patients(400).select("patient_id", "age", "outcome")
    made = release(frame, quasi=["age"])
    old = made.frame.filter(pl.Series(frame["age"].to_numpy()[made.source_rows.to_numpy()] >= 90))
    assert old["age"].n_unique() == 1
    assert str(old["age"][0]).endswith("+")


def test_no_exact_age_over_eighty_nine_leaves_even_ungeneralised() -> None:
    frame = patients(400).with_columns(age=pl.int_range(400) % 2 * 2 + 95).select("patient_id", "age")
    assert release(frame).frame["age"].unique().to_list() == [90]
    kept = release(frame, profiles=profiles(frame, age=(Role.SENSITIVE, 3)))
    assert kept.frame["age"].max() == 90


def test_weights_keep_the_column_that_matters() -> None:
    cheap, dear = (release(patients(), weights={"age": w}).report.transformation["age"] for w in (0.1, 9.0))
    assert dear < cheap


def test_a_recipe_replaces_the_automatic_ladder() -> None:
    frame = patients()

    def makers(values: pl.Series) -> hierarchy.Hierarchy:
        return hierarchy.groups(values, [{model: model.split()[0] for model in values.unique()}])

    report = release(frame, preset("public"), hierarchies={"stent_model": makers}).report
    assert report.heights["stent_model"] == 3


def test_a_release_above_its_ceiling_is_refused_with_what_was_found() -> None:
    with pytest.raises(RiskTooHigh, match="asked is 5") as caught:
        release(patients(4))
    assert (caught.value.found, caught.value.asked) == (4, 5)
    strict = preset("controlled").with_changes(max_average=0.0001)
    with pytest.raises(RiskTooHigh, match="average risk"):
        release(patients(), strict)
    with pytest.raises(RiskTooHigh, match=r"max_prosecutor is .*asked is 0\.001 under preset controlled"):
        release(patients(), preset("controlled").with_changes(max_prosecutor=0.001))


def test_a_class_of_one_rare_value_does_not_leave() -> None:
    outcome = pl.Series([i < 10 or i == 30 for i in range(60)])
    frame = patients(60).with_columns(outcome=outcome, sex=pl.Series(["X"] * 10 + ["F"] * 50))
    made = release(frame.select("patient_id", "sex", "outcome"), preset("controlled").with_changes(suppression=0.2))
    assert made.report.transformation in ({"sex": 0}, {"sex": 1})
    assert (made.report.suppressed == 10) is (made.report.transformation == {"sex": 0})
    assert not made.frame.filter(sex="X").height


def test_a_column_that_a_quasi_identifier_determines_is_one_too() -> None:
    frame = patients().with_columns(male=(pl.col("sex") == "M").cast(pl.Int64))
    report = release(frame, profiles=profiles(frame, male=(Role.SENSITIVE, 3))).report
    assert "male" in report.quasi
    assert "male" not in report.sensitive
    assert "smoker" not in report.quasi


def test_many_tall_ladders_are_thinned_not_refused() -> None:
    random = np.random.default_rng(3)
    frame = (
        patients(300)
        .select("patient_id", *QUASI)
        .with_columns(pl.Series(f"code{i}", random.integers(100_000, 999_999, 300)).cast(pl.String) for i in range(4))
    )
    known = profiles(frame, **{f"code{i}": (Role.QUASI, 3) for i in range(4)})
    made = release(frame, profiles=known)
    assert verify_release(made.frame, list(made.report.quasi), 5).ok


def test_level_five_is_prepared_for_sums_only() -> None:
    frame = patients(120)
    decision = LevelDecision(5, ("level 5: the inclusion criterion names HIV",), 1, 5)
    made = release(frame, decision=decision)
    assert not made.may_leave_as_rows
    assert made.report.delivery_modes == ("federated",)
    assert (made.report.level_after, made.report.rows_after, made.report.risk_after) == (5, 0, None)
    assert "name" not in made.frame.columns
    assert made.frame["sbp"].to_list() == frame["sbp"].to_list()


def test_a_level_five_column_lifts_the_whole_set() -> None:
    made = release(patients(120), profiles=profiles(patients(1), outcome=(Role.SENSITIVE, 5)))
    assert made.report.level_after == 5


def test_text_that_is_a_date_is_treated_as_one() -> None:
    frame = patients().with_columns(pl.col("admitted").cast(pl.String))
    made = release(frame)
    assert made.frame["admitted"].dtype == pl.Date
    source = frame[made.source_rows.to_list()]
    assert not (made.frame["admitted"].cast(pl.String) == source["admitted"]).any()


def test_timestamps_keep_their_hour() -> None:
    start = datetime(2024, 3, 9, 14, 30)
    frame = patients(300).with_columns(admitted=pl.Series([start + timedelta(days=i) for i in range(300)]))
    frame = frame.drop("discharged", "implant_month")  # beside a second date the days between would give him away
    assert release(frame).frame["admitted"].dt.hour().unique().to_list() == [14]


def test_a_date_of_role_quasi_may_be_left_to_the_shift_but_nothing_else() -> None:
    frame = patients()
    known = profiles(frame, admitted=(Role.QUASI, 4))
    made = release(frame, profiles=known, quasi=QUASI)
    assert made.frame["admitted"].dtype == pl.Date
    with pytest.raises(ArgumentInvalid, match="only dates may be left"):
        release(frame, quasi=["age"])


def test_nulls_are_a_category_and_survive() -> None:
    frame = patients().with_columns(
        sex=pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(pl.col("sex")),
        sbp=pl.when(pl.int_range(pl.len()) % 5 == 0).then(float("nan")).otherwise(pl.col("sbp")),
    )
    out = release(frame).frame
    assert out["sbp"].null_count() > 0
    assert not out["sbp"].is_nan().any()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (patients(0), "0 rows"),
        (patients(10).with_columns(patient_id=pl.lit("P1")), "10 rows name 1 patients"),
        (patients(10).drop("patient_id"), "patient column patient_id"),
        (patients(10).with_columns(extra=pl.lit(1)), "not classified: extra"),
    ],
)
def test_bad_input_is_named(frame: pl.DataFrame, message: str) -> None:
    known = profiles(patients(1))
    with pytest.raises(InputInvalid, match=message):
        release(frame, profiles=known)


def test_notes_without_a_detector_do_not_leave() -> None:
    frame = patients().with_columns(note=pl.lit("seen"))
    known = profiles(frame, note=(Role.FREE_TEXT, 4))
    with pytest.raises(InputInvalid, match="need a detector"):
        release(frame, profiles=known)
    assert "note" not in release(frame, preset("registered"), profiles=known).frame.columns


def noted(frame: pl.DataFrame, *, leak: bool = False) -> tuple[pl.DataFrame, NoteInput]:
    """Notes that name the patient, his number and his admission; with `leak`, a name in a structured column too."""
    names = [f"Wilhelmina Ostrander{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}" for i in range(frame.height)]
    frame = frame.with_columns(name=pl.Series(names)).with_columns(
        note=pl.format("{} ({}) was admitted on {}.", "name", "patient_id", pl.col("admitted").cast(pl.String)),
        stent_model=pl.col("name") if leak else pl.col("stent_model"),
    )
    people = [
        Identity(patient=key, names=(name,), ids=(key,))
        for key, name in zip(frame["patient_id"], frame["name"], strict=True)
    ]
    return frame, NoteInput(people, RulesDetector(), "en")


def test_notes_leave_without_name_or_number_and_their_dates_move_with_the_patient() -> None:
    frame, notes = noted(patients(120))
    made = release(frame, profiles=profiles(frame, note=(Role.FREE_TEXT, 4)), notes=notes)
    source = frame[made.source_rows.to_list()]
    for text, name, key in zip(made.frame["note"], source["name"], source["patient_id"], strict=True):
        assert name not in text
        assert key not in text
    told = made.frame.select(pl.col("note").str.contains(pl.col("admitted").cast(pl.String), literal=True))
    assert told["note"].all()
    assert made.report.redacted["NAME"] >= 120
    assert made.report.residue == 0


def test_an_identifier_hidden_in_a_structured_column_stops_the_release() -> None:
    frame, notes = noted(patients(120), leak=True)
    known = profiles(frame, note=(Role.FREE_TEXT, 4), stent_model=(Role.OTHER, 3))
    with pytest.raises(ResidueFound, match="0 are allowed"):
        release(frame, profiles=known, notes=notes)


def test_a_single_column_beside_the_patient_is_enough() -> None:
    frame = patients(20).select("patient_id", "outcome")
    made = release(frame)
    assert (made.frame.height, made.report.transformation) == (20, {})


def test_all_unique_values_are_told_no_more() -> None:
    frame = pl.DataFrame({"patient_id": range(40), "stent_model": [f"m{i}" for i in range(40)]})
    assert release(frame).frame["stent_model"].unique().to_list() == ["*"]


def test_rounding_is_only_where_the_policy_says_so() -> None:
    made = release(patients(), preset("controlled").with_changes(round_digits={"sbp": 0}))
    assert (made.frame["sbp"] % 1 == 0).all()
    assert {c.name: c.action for c in made.report.columns}["sbp"] == "round"


def test_the_report_holds_no_cell_and_no_key() -> None:
    frame = patients()
    text = str(release(frame).report.to_dict()) + repr(release(frame)) + repr(KEYS)
    assert "P00001" not in text
    assert "Name 1" not in text
    assert KEYS.pseudonym.hex() not in text


@settings(max_examples=15, deadline=None)
@given(st.integers(60, 300), st.integers(2, 9), st.integers(0, 1000))
def test_every_release_has_its_k_by_two_counts(rows: int, k: int, seed: int) -> None:
    policy = preset("controlled").with_changes(k=k, max_prosecutor=1.0, max_average=1.0, suppression=0.3)
    made = release(patients(rows, seed), policy, seed=seed)
    assert measure(made.frame, QUASI).k >= k
    assert verify_release(made.frame, QUASI, k).ok
    assert made.frame.height + made.report.suppressed == rows


def test_keys_must_be_long_enough() -> None:
    with pytest.raises(InputInvalid, match="a key has 3 bytes"):
        Keys(b"abc", bytes(32), bytes(32))


def test_quasi_identifying_days_never_leave_under_the_controlled_preset() -> None:
    frame = pl.DataFrame({"patient_id": range(100), "implant_month": [date(2024, 5, 1)] * 100})
    out = release(frame).frame["implant_month"]
    assert out.dtype == pl.String
