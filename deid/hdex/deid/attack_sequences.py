"""Dates of one patient told together: how fine they may read before the days between them give him away.

A secret shift hides when something happened, not how long after it the next thing did. So the attack by sequence
(`attack_trajectory`) is run on every release that shows two dates of a patient or more, in one row or in several: dates
move to month, quarter, half year and year until it finds no more than classes of k allow, and what it still follows by
years is refused. Where a patient has several rows the first step is the policy's `event_dates`: the attacker tried here
knows three consecutive events, a real one may know thirty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from hdex.deid.attack_linkage import Attempt, Siege
from hdex.deid.attack_trajectory import trajectory
from hdex.deid.attackers import Known, known_columns, profiles
from hdex.deid.columns import ColumnProfile
from hdex.deid.errors import RiskTooHigh
from hdex.deid.hierarchy import DATE_STEPS, Hierarchy, as_text, date_labels, label_step
from hdex.deid.policy import Finest, Policy

STEPS: tuple[Finest, ...] = tuple(Finest)  # day, month, quarter, half, year: finest first
FOLLOWED = "share of patients followed by the days between their dates"
NEXT = "leave out dates or columns that tell what happened, or release one row and one date a patient"
PERSON, EVENT, DAY = "\0person", "\0event", "\0day"


@dataclass(frozen=True, slots=True)
class Story:
    """A table on its way out, and what of it is dated. `source`: the original row of every row that is shown."""

    original: pl.DataFrame
    treated: pl.DataFrame  # all rows, dates moved by the secret shift
    source: pl.Series
    patient: str
    dates: tuple[str, ...]  # columns of moved dates that no lattice generalises
    others: tuple[str, ...]  # dates that are quasi-identifiers: labels already
    columns: Sequence[ColumnProfile]
    seed: int = field(repr=False)
    ladders: Mapping[str, Hierarchy] = field(default_factory=dict)  # of quasi-identifiers: what their labels hold

    @property
    def has_several_rows(self) -> bool:
        """Whether a patient of the original has more than one row."""
        return self.original[self.patient].n_unique() < self.original.height


@dataclass(frozen=True, slots=True)
class Hidden:
    """The labelled table with its dates as fine as they may read. step: what they were coarsened to, "" for nothing."""

    labelled: pl.DataFrame
    step: str = ""
    attempt: Attempt | None = None  # None: no patient has two dates that can be told to be his


def hide(story: Story, labelled: pl.DataFrame, policy: Policy) -> Hidden:
    """Coarsen dates until the attack by sequence stays below its bound; raise RiskTooHigh where not even years do."""
    if not story.has_several_rows and len(story.dates) + len(story.others) < 2:
        return Hidden(labelled)
    steps = STEPS[STEPS.index(policy.event_dates) :] if story.has_several_rows else STEPS
    steps = steps if story.dates else steps[:1]  # labels of the lattice stay as they are
    attempt = None
    for step in steps:
        told = coarser(story, labelled, step)
        attempt = follow(story, told, k=policy.k)
        if attempt is None or attempt.is_within:
            return Hidden(told, "" if told.equals(labelled) else str(step), attempt)
    found, asked = (attempt.rate, attempt.bound) if attempt else (1.0, 0.0)
    raise RiskTooHigh(FOLLOWED, found=found, asked=asked, preset=policy.name, next_step=NEXT)


def coarser(story: Story, labelled: pl.DataFrame, step: Finest) -> pl.DataFrame:
    """The table with every date that reads finer than `step` told by it."""
    known = next((one for one in DATE_STEPS if one == step), None)
    if known is None:
        return labelled
    finer = [name for name in story.dates if is_finer(labelled[name], step)]
    return labelled.with_columns(date_labels(story.treated[name], known).alias(name) for name in finer)


def is_finer(labels: pl.Series, step: Finest) -> bool:
    """Whether date labels tell more than `step`; what cannot be read is taken for days."""
    order = [str(one) for one in STEPS]
    return order.index(label_step(labels) or "day") < order.index(step)


def follow(story: Story, labelled: pl.DataFrame, *, k: int) -> Attempt | None:
    """The attack by who knows three consecutive dates of a patient, and which event each was.

    None where rows of one patient cannot be told to be his: several rows and no pseudonym.
    """
    shown = labelled[story.source.to_list()]
    owners = story.original[story.patient].cast(pl.String)
    if story.patient not in shown.columns and story.has_several_rows:
        return None
    people = shown[story.patient] if story.patient in shown.columns else pl.int_range(shown.height, eager=True)
    dates = [name for name in (*story.dates, *story.others) if is_dated(shown[name])]
    codes = events(story, shown)
    raw = trail(story.original, owners, dates, codes)
    told = trail(shown, people.cast(pl.String), dates, codes)
    if raw.is_empty() or told.is_empty():
        return None
    whose = trail(shown, owners.gather(story.source), dates, codes)[PERSON].to_list()
    known = [Known(name, event=True) for name in (DAY, EVENT, *codes)]
    ladders = {name: story.ladders[name] for name in codes if name in story.ladders}
    siege = Siege.lay(raw, told, known, patient=PERSON, k=k, seed=story.seed, owners=whose, ladders=ladders)
    return trajectory(siege)


def is_dated(labels: pl.Series) -> bool:
    """Whether labels read as spans of days: an attacker cannot use what is told as `*`."""
    return label_step(labels) is not None


def events(story: Story, shown: pl.DataFrame) -> list[str]:
    """Columns that say what an event was, where a patient has several: what some named attacker knows of events."""
    if not story.has_several_rows:
        return []
    elements = {one.name: one.element for one in story.columns}
    there = [name for name in shown.columns if name in story.original.columns and name != story.patient]
    found = {
        one.column: None
        for profile in profiles()
        for one in known_columns(profile, there, elements=elements)
        if one.event and one.column not in (*story.dates, *story.others)
    }
    return list(found)


def trail(frame: pl.DataFrame, people: pl.Series, dates: Sequence[str], codes: Sequence[str]) -> pl.DataFrame:
    """One row per date that is there: whose, which column it stood in, the day or its label, and what else is known."""
    parts = [
        pl.DataFrame(
            [people.alias(PERSON), as_text(frame[name]).alias(DAY), *(frame[code] for code in codes)]
        ).with_columns(pl.lit(name).alias(EVENT))
        for name in dates
    ]
    return pl.concat(parts).drop_nulls([DAY, PERSON]) if parts else pl.DataFrame()
