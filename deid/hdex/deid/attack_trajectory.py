"""The attack by sequence: who had this drug, 41 days later that result, and was back a week after.

A secret shift moves all days of a patient alike, so the days between his events stay: they are the attacker's key.
k over demographics says little here, which is why every longitudinal release is attacked this way too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from hdex.deid.attack_labels import Kind, interval_of, kind_of
from hdex.deid.attack_linkage import Attempt, Haystack, Masks, Numbers, Siege, bound_of
from hdex.deid.attackers import Known
from hdex.deid.errors import ArgumentInvalid
from hdex.deid.hierarchy import as_text

MOST_PAIRS = 4_000_000  # (target, patient) pairs looked at in one step: bounds the memory of a join
AIM, STEP, CODE, LOW, HIGH, PERSON = "aim", "step", "code", "low", "high", "person"


@dataclass(frozen=True, slots=True)
class Trails:
    """What the attacker knows of his targets' events, and all events of the release."""

    known: pl.DataFrame  # aim, step, low, high: a few consecutive events of every target, in their order
    codes: pl.DataFrame  # aim, step, code: released codes that the event may read as
    released: pl.DataFrame  # person, code, low, high


def trajectory(siege: Siege, *, events: int = 3) -> Attempt | None:
    """Point at one released patient for every target, by up to `events` consecutive events of his.

    Needs a patient column in both tables and a column marked `event` that both have; None without. Targets: patients
    with two events or more, as many of the drawn ones as fit into memory.
    """
    if events < 2:
        raise ArgumentInvalid(f"events is {events}, asked is 2 or more: one event has no sequence")
    told = [one for one in siege.known if one.event]
    if siege.patient is None or siege.patient not in siege.released.columns or not told:
        return None
    day = next((one for one in told if kind_of(siege.original[one.column]) is Kind.DATE), None)
    trails = follow(siege, day, [one for one in told if one is not day], events)
    aims = trails.known[AIM].unique(maintain_order=True).to_numpy()
    if len(aims) == 0:
        return None
    return pointed(siege, trails, within_memory(trails, aims))


def follow(siege: Siege, day: Known | None, told: Sequence[Known], events: int) -> Trails:
    """Both tables as events: code, and interval of days."""
    haystack = replace_known(siege, told).haystack()
    codes = codes_of(haystack, siege.released.height)
    people = pl.Series(PERSON, haystack.people)
    low, high = intervals(siege.released, day, exact=True)
    released = pl.DataFrame({PERSON: people, CODE: codes, LOW: low, HIGH: high}).unique(maintain_order=True)
    chosen = recalled(siege, day, events)
    wanted = siege.original[chosen["row"].to_list()]
    masks: Masks = {}
    values = wanted.select(as_text(wanted[one.column]) for one in told).rows() if told else [()] * wanted.height
    fitting = [np.unique(codes[haystack.fitting(value, masks)]).tolist() for value in values]
    read = chosen.select(AIM, STEP).with_columns(pl.Series(CODE, fitting, dtype=pl.List(pl.Int64))).explode(CODE)
    return Trails(chosen.select(AIM, STEP, LOW, HIGH), read.drop_nulls(), released)


def replace_known(siege: Siege, told: Sequence[Known]) -> Siege:
    """The same siege for an attacker who knows these columns only."""
    return replace(siege, known=tuple(told))


def codes_of(haystack: Haystack, rows: int) -> Numbers:
    """The tuple of every released row."""
    begins, order = haystack.rows
    codes = np.empty(rows, dtype=np.int64)
    codes[order] = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
    return codes


def intervals(frame: pl.DataFrame, day: Known | None, *, exact: bool) -> tuple[pl.Series, pl.Series]:
    """First and last day that every row's date may mean; all alike where no date is known."""
    if day is None:
        nothing = pl.repeat(0.0, frame.height, eager=True)
        return nothing, nothing
    texts = as_text(frame[day.column])
    known = texts.drop_nulls().unique(maintain_order=True)
    spans = [interval_of(text, Kind.DATE) if exact else interval_of(text, Kind.DATE, day.reads) for text in known]
    lows, highs = (pl.Series([None if span is None else span[i] for span in spans], dtype=pl.Float64) for i in (0, 1))
    low, high = (texts.replace_strict(known, part, default=None, return_dtype=pl.Float64) for part in (lows, highs))
    return low.floor(), high.floor()


def recalled(siege: Siege, day: Known | None, events: int) -> pl.DataFrame:
    """A few consecutive events of every target: aim, step, row of the original, low, high."""
    people = siege.original[str(siege.patient)].cast(pl.String)
    wanted = people[siege.aims.tolist()]
    low, high = intervals(siege.original, day, exact=False)
    rows = pl.int_range(siege.original.height, eager=True)
    mine = pl.DataFrame({"who": people, "row": rows, LOW: low, HIGH: high})
    mine = mine.drop_nulls().join(pl.DataFrame({"who": wanted, AIM: siege.aims}), on="who")
    mine = mine.sort(AIM, LOW, "row").unique(
        [AIM, LOW, HIGH] if day else [AIM, "row"], keep="first", maintain_order=True
    )
    sizes = mine.group_by(AIM, maintain_order=True).len().filter(pl.col("len") > 1)
    random = np.random.default_rng(siege.seed + 2)
    spare = np.maximum(sizes["len"].to_numpy().astype(np.int64) - events, 0)
    starts = sizes.select(AIM, pl.Series("start", (random.random(len(spare)) * (spare + 1)).astype(np.int64)))
    placed = mine.with_columns(pl.int_range(pl.len()).over(AIM).alias(STEP)).join(starts, on=AIM, maintain_order="left")
    placed = placed.with_columns(pl.col(STEP) - pl.col("start"))
    return placed.filter(pl.col(STEP).is_between(0, events - 1)).select(AIM, STEP, "row", LOW, HIGH)


def within_memory(trails: Trails, aims: Numbers) -> Numbers:
    """As many targets as a join over their rarest event can hold, in the order drawn; one at least."""
    cost = np.cumsum(rarest(trails).sort(AIM)["count"].to_numpy()) if len(aims) else np.zeros(0)
    return np.sort(aims)[: max(int(np.searchsorted(cost, MOST_PAIRS, side="right")), 1)]


def rarest(trails: Trails) -> pl.DataFrame:
    """The event of every target that the fewest released events look like: aim, step, count."""
    counts = trails.released.group_by(CODE).len()
    seen = trails.codes.join(counts, on=CODE, how="left").group_by(AIM, STEP).agg(pl.col("len").sum().alias("count"))
    every = (
        trails.known.select(AIM, STEP).join(seen, on=[AIM, STEP], how="left").with_columns(pl.col("count").fill_null(0))
    )
    return every.sort(AIM, "count", STEP).unique(AIM, keep="first", maintain_order=True)


def matched(trails: Trails, aims: Numbers) -> pl.DataFrame:
    """(aim, person) of every released patient whose events fit: same codes, same days between."""
    known = trails.known.filter(pl.col(AIM).is_in(aims.tolist()))
    anchor = rarest(trails).filter(pl.col(AIM).is_in(aims.tolist())).select(AIM, STEP)
    read = trails.codes.join(anchor, on=[AIM, STEP], how="semi").select(AIM, CODE)
    left = read.join(trails.released, on=CODE).select(
        AIM, PERSON, pl.col(LOW).alias("low0"), pl.col(HIGH).alias("high0")
    )
    base = known.join(anchor, on=[AIM, STEP]).select(AIM, pl.col(LOW).alias("from"), pl.col(HIGH).alias("to"))
    others = known.join(anchor, on=[AIM, STEP], how="anti").join(base, on=AIM)
    gaps = others.select(
        AIM, STEP, (pl.col(LOW) - pl.col("to")).alias("least"), (pl.col(HIGH) - pl.col("from")).alias("most")
    )
    order = gaps.with_columns(pl.int_range(pl.len()).over(AIM).alias("turn")).join(trails.codes, on=[AIM, STEP])
    turns = gaps.group_by(AIM).len().with_columns(pl.col("len"))
    for turn in range(int(turns["len"].to_numpy().max(initial=0))):
        has_turn = turns.filter(pl.col("len") > turn).select(AIM)
        asked = left.join(has_turn, on=AIM, how="semi").unique()
        now = order.filter(pl.col("turn") == turn).select(AIM, CODE, "least", "most")
        found = asked.join(now, on=AIM).join(trails.released, on=[PERSON, CODE])
        near = found.filter(
            (pl.col(LOW) - pl.col("high0") <= pl.col("most")) & (pl.col(HIGH) - pl.col("low0") >= pl.col("least"))
        )
        kept = near.select(AIM, PERSON, "low0", "high0").unique()
        left = pl.concat([left.join(has_turn, on=AIM, how="anti"), kept])
    return left.select(AIM, PERSON).unique().sort(AIM, PERSON)


def pointed(siege: Siege, trails: Trails, aims: Numbers) -> Attempt:
    """One draw among the patients left for every target."""
    left = matched(trails, aims).group_by(AIM, maintain_order=True).agg(PERSON)
    random = np.random.default_rng(siege.seed + 3)
    owner = owners_by_person(siege)
    hits = 0
    for aim, people in left.iter_rows():
        draw = random.random()
        is_his = owner is None or owner.get(people[int(draw * len(people))]) == siege.true_owner(aim)
        hits += is_his and (owner is not None or draw < 1 / len(people))
    count = len(aims)
    return Attempt("trajectory", hits / count, siege.by_chance, bound_of(siege.k, count), count, hits)


def owners_by_person(siege: Siege) -> dict[int, object] | None:
    """Number of a released patient -> who he is, where that is known."""
    if siege.owners is None:
        return None
    people = Haystack.of(siege.original, siege.released, [], patient=siege.patient).people
    return dict(zip(people.tolist(), siege.owners, strict=True))
