"""What the red team asks of the engine: each check passes in silence, or raises. Mutations must turn them red.

A check counts by itself (dictionaries, attacks) and calls the engine through its modules: a mutation reaches it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from hdex.deid import attack as attack_module
from hdex.deid import attack_differencing, hierarchy, lattice, pipeline, pseudonym, text, verify
from hdex.deid.attack_linkage import Siege, linkage
from hdex.deid.attack_pseudonym import brute_force, join_rate, resident_ids
from hdex.deid.attackers import Known
from hdex.deid.columns import Category, ColumnProfile, Role
from hdex.deid.detector_rules import RulesDetector
from hdex.deid.errors import ArgumentInvalid, DetectorTimeout, InputInvalid, ResidueFound, RiskTooHigh
from hdex.deid.notes import NoteInput
from hdex.deid.policy import Policy, preset
from hdex.deid.text import Identity, Surrogates

ROWS = 240
MASTER = bytes(range(32))
QUASI = ("age", "sex", "model")
ROLES = {
    "patient_id": (Role.DIRECT, 4),
    "name": (Role.DIRECT, 4),
    "age": (Role.QUASI, 3),
    "sex": (Role.QUASI, 2),
    "model": (Role.QUASI, 3),
    "admitted": (Role.OTHER, 4),
    "male": (Role.SENSITIVE, 3),
    "outcome": (Role.SENSITIVE, 3),
    "ward": (Role.OTHER, 3),
    "note": (Role.FREE_TEXT, 4),
}
IDS = tuple(resident_ids(["110101"], ["19490101", "19510203"], range(ROWS // 2)))


@cache
def ward(seed: int = 1) -> pl.DataFrame:
    """A small ward: one row per patient, resident ids as patient keys, nothing in it real."""
    random = np.random.default_rng(seed)
    days = [date(2022, 1, 1) + timedelta(days=int(n)) for n in random.integers(0, 700, ROWS)]
    sex = random.choice(["F", "M"], ROWS)
    return pl.DataFrame(
        {
            "patient_id": IDS,
            "name": [f"Wilhelmina Ostrander{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(ROWS)],
            "age": random.integers(45, 99, ROWS),
            "sex": sex,
            "model": random.choice(["m1", "m2", "m3"], ROWS),
            "admitted": days,
            "outcome": (random.random(ROWS) < 0.3).astype(int),
        }
    )


def noted(frame: pl.DataFrame) -> tuple[pl.DataFrame, NoteInput]:
    """The ward with notes that name the patient, a stranger's telephone and an age."""
    told = frame.with_columns(
        note=pl.format("{} ({}), aged 67, seen on {}; daughter: 415-555-0173.", "name", "patient_id", "admitted")
    )
    people = [
        Identity(patient=key, names=(name,), ids=(key,)) for key, name in frame.select("patient_id", "name").iter_rows()
    ]
    return told, NoteInput(people, RulesDetector(), "en")


def release(frame: pl.DataFrame, policy: Policy | None = None, **changes: Any) -> pipeline.Release:
    """What the pipeline makes of a ward."""
    roles = ROLES | changes.pop("roles", {})
    profiles = [
        ColumnProfile("ward", one, roles[one][0], Category.HEALTH_STATUS, roles[one][1]) for one in frame.columns
    ]
    arguments: dict[str, Any] = {"keys": keys("buyer-a"), "patient": "patient_id", "seed": b"secret"} | changes
    return pipeline.deidentify(frame, profiles, policy or preset("controlled"), **arguments)


def keys(recipient: str) -> pseudonym.Keys:
    """The keys of one recipient."""
    return pseudonym.derive_keys(MASTER, recipient=recipient, project="p")


def smallest(frame: pl.DataFrame, quasi: Sequence[str]) -> int:
    """The smallest class, counted by a dictionary."""
    return min(Counter(frame.select(quasi).rows()).values())


def refuses(kind: type[Exception], attempt: Callable[[], object]) -> None:
    """Fail unless the attempt is refused for that reason."""
    try:
        attempt()
    except kind:
        return
    raise AssertionError(f"nothing refused: {kind.__name__} was due")


def every_class_holds_k() -> None:
    lax = {"max_average": 1.0, "max_prosecutor": 1.0, "t": 1.0}  # so that nothing but k holds classes together
    odd = ward().with_columns(sex=pl.when(pl.int_range(ROWS) == 7).then(pl.lit("X")).otherwise("sex"))
    for policy in (preset("controlled"), preset("enclave"), preset("controlled").with_changes(**lax)):
        made = release(odd, policy)
        assert smallest(made.frame, QUASI) >= policy.k
        assert made.report.suppressed > 0  # the odd one: cheaper to leave out than to hide everybody's sex for


def the_engine_alone_holds_k() -> None:
    frame = ward()
    ladders = {name: hierarchy.automatic(frame[name]) for name in QUASI}
    made = lattice.anonymize(frame, ladders, k=4, suppression=0.05)
    assert smallest(made.frame, QUASI) >= 4
    assert made.frame.height == frame.height - made.suppressed


def k_counts_patients() -> None:
    frame = pl.concat([ward()] * 3)
    ladders = {name: hierarchy.automatic(frame[name]) for name in QUASI}
    out = lattice.anonymize(frame, ladders, k=4, suppression=0.05, patient="patient_id").frame
    people = out.group_by(QUASI).agg(pl.col("patient_id").n_unique())
    assert min(people["patient_id"].to_list()) >= 4


def one_in_k_is_found_and_no_more() -> None:
    frame = ward()
    made = release(frame)
    siege = Siege.lay(frame, made.frame, [Known(name) for name in QUASI], owners=made.source_rows.to_list())
    found = linkage(siege)
    assert found.is_within
    assert found.succeeded > 0


def a_release_above_its_ceiling_is_refused() -> None:
    refuses(RiskTooHigh, lambda: release(ward(), preset("controlled").with_changes(max_prosecutor=0.001)))


def an_attack_above_its_ceiling_is_refused() -> None:
    frame = ward()
    found = attack_module.linkage(frame, frame, known=QUASI)
    refuses(RiskTooHigh, lambda: attack_module.require_withstood(found, k=5))


def an_attacker_who_finds_too_many_stops_the_release() -> None:
    frame = ward().with_columns(ward=pl.int_range(ROWS).cast(pl.String))
    refuses(RiskTooHigh, lambda: release(frame, attacker=pipeline.Attacker(("ward",))))


def days_between_dates_lead_to_nobody() -> None:
    """Admission and a later visit: by shifted days they would be so many days apart for him alone."""
    random = np.random.default_rng(4)
    later = [
        day + timedelta(days=int(n)) for day, n in zip(ward()["admitted"], random.integers(1, 500, ROWS), strict=True)
    ]
    made = release(ward().with_columns(seen=pl.Series(later)), roles={"seen": (Role.OTHER, 4)})
    told = made.frame.select("admitted", "seen").rows()
    assert not any(isinstance(day, date) for row in told for day in row)


def k_counts_patients_of_several_rows() -> None:
    frame = pl.concat([ward().drop("outcome", "admitted")] * 6)
    made = release(frame, preset("controlled").with_changes(longitudinal=True))
    whose = frame["patient_id"].gather(made.source_rows).to_list()
    classes: dict[Any, set[str]] = {}
    for key, who in zip(made.frame.select(QUASI).rows(), whose, strict=True):
        classes.setdefault(key, set()).add(who)
    assert min(map(len, classes.values())) >= 5


def a_class_of_one_value_does_not_leave() -> None:
    outcome = pl.Series([i < 10 or i == 30 for i in range(ROWS)])
    frame = ward().with_columns(outcome=outcome, sex=pl.Series(["X"] * 10 + ["F"] * (ROWS - 10)))
    made = release(frame.select("patient_id", "sex", "outcome"), preset("controlled").with_changes(suppression=0.2))
    assert not made.frame.filter(sex="X").height


def what_a_quasi_identifier_determines_is_one() -> None:
    frame = ward().with_columns(male=(pl.col("sex") == "M").cast(pl.Int64))
    out = release(frame).frame
    assert "male" not in out.columns or smallest(out, [*QUASI, "male"]) >= 5


def no_quasi_identifier_is_left_out() -> None:
    refuses(ArgumentInvalid, lambda: release(ward(), quasi=["age"]))


def nothing_unclassified_leaves() -> None:
    frame = ward().with_columns(ward=pl.lit(1))
    profiles = [
        ColumnProfile("ward", one, ROLES[one][0], Category.HEALTH_STATUS, ROLES[one][1]) for one in ward().columns
    ]
    refuses(
        InputInvalid,
        lambda: pipeline.deidentify(
            frame, profiles, preset("controlled"), keys=keys("a"), patient="patient_id", seed=1
        ),
    )


def no_name_leaves() -> None:
    out = release(ward()).frame
    cells = {str(cell) for column in out.get_columns() for cell in column.unique()}
    assert not cells & {*ward()["name"], *ward()["patient_id"]}


def every_date_moves() -> None:
    made = release(ward())
    source = ward()[made.source_rows.to_list()]
    moved = (made.frame["admitted"] - source["admitted"]).dt.total_days()
    assert 0 not in moved.to_list()
    assert moved.n_unique() > 30


def no_age_above_the_cap_leaves() -> None:
    frame = ward().select("patient_id", "age", "outcome")
    out = release(frame, roles={"age": (Role.SENSITIVE, 3)}).frame
    assert max(out["age"].to_list()) <= 90


def the_order_of_rows_tells_nothing() -> None:
    order = release(ward()).source_rows.to_numpy()
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.3


def no_pseudonym_is_found_by_trying() -> None:
    assert brute_force(release(ward()).frame["patient_id"], IDS) == {}


def two_recipients_join_nobody() -> None:
    mine, theirs = (release(ward(), keys=keys(who)).frame for who in ("buyer-a", "buyer-b"))
    assert join_rate(mine, theirs, on="patient_id") == 0.0
    both = mine.with_columns(seen=pl.col("admitted")).join(
        theirs.with_columns(seen=pl.col("admitted")), on=["seen", *QUASI]
    )
    assert both.height < mine.height / 4


def notes_name_nobody() -> None:
    frame, notes = noted(ward().head(100))
    made = release(frame, notes=notes)
    source = frame[made.source_rows.to_list()]
    for told, name, key in zip(made.frame["note"], source["name"], source["patient_id"], strict=True):
        assert name not in told
        assert key not in told
        assert "415-555-0173" not in told


def notes_tell_ages_in_decades() -> None:
    frame, notes = noted(ward().head(100))
    assert not release(frame, notes=notes).frame["note"].str.contains("aged 67").any()


def a_hidden_identifier_stops_the_release() -> None:
    frame, notes = noted(ward().head(100))
    hidden = frame.with_columns(ward=pl.col("name"))
    refuses(ResidueFound, lambda: release(hidden, notes=notes))


def a_text_that_was_not_read_does_not_leave() -> None:
    spent = RulesDetector(timeout_s=1.0, clock=iter(range(10**6)).__next__)
    who = [Identity(patient="a")]
    refuses(
        DetectorTimeout,
        lambda: text.redact_notes(
            pl.Series("note", ["Call 415-555-0173."]), who, detector=spent, surrogate=Surrogates(bytes(32)), lang="en"
        ),
    )


def level_five_leaves_no_row() -> None:
    made = release(ward(), roles={"outcome": (Role.SENSITIVE, 5)})
    assert not made.may_leave_as_rows
    assert made.report.delivery_modes == ("federated",)


def a_tampered_release_is_noticed() -> None:
    made = release(ward())
    quasi = list(made.report.quasi)
    assert verify.verify_release(made.frame, quasi, 5).ok
    changed = made.frame.with_columns(
        model=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("m9")).otherwise(pl.col("model").cast(pl.String))
    )
    assert not verify.verify_release(changed, quasi, 5).ok


def a_second_release_is_subtracted() -> None:
    first = release(ward()).frame
    assert attack_differencing.differences(first, first.tail(first.height - 1), QUASI) == 1
    assert attack_differencing.differences(first, first, QUASI) == 0


CHECKS: dict[str, Callable[[], None]] = {
    one.__name__: one
    for one in (
        every_class_holds_k,
        the_engine_alone_holds_k,
        k_counts_patients,
        one_in_k_is_found_and_no_more,
        a_release_above_its_ceiling_is_refused,
        an_attack_above_its_ceiling_is_refused,
        an_attacker_who_finds_too_many_stops_the_release,
        days_between_dates_lead_to_nobody,
        k_counts_patients_of_several_rows,
        a_class_of_one_value_does_not_leave,
        what_a_quasi_identifier_determines_is_one,
        no_quasi_identifier_is_left_out,
        nothing_unclassified_leaves,
        no_name_leaves,
        every_date_moves,
        no_age_above_the_cap_leaves,
        the_order_of_rows_tells_nothing,
        no_pseudonym_is_found_by_trying,
        two_recipients_join_nobody,
        notes_name_nobody,
        notes_tell_ages_in_decades,
        a_hidden_identifier_stops_the_release,
        a_text_that_was_not_read_does_not_leave,
        level_five_leaves_no_row,
        a_tampered_release_is_noticed,
        a_second_release_is_subtracted,
    )
}
