"""How likely somebody is to be singled out in a table, and what its classes tell.

Prosecutor, journalist and marketer risk: El Emam, Guide to the De-Identification of Personal Health Information, 2013;
Dankar, El Emam, PAIS 2010. All count patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.deid.closeness import disclosures, equal_distances, gains, largest, ordered_distances
from hdex.deid.diversity import Model, distances, distinct_values, encode_sensitive, entropies, unprotected
from hdex.deid.errors import ArgumentInvalid
from hdex.deid.numbering import Codes, distinct, number_rows, number_tuples, number_values
from hdex.deid.risk_population import expected_inverse, population_uniques
from hdex.deid.sensitive import Sensitive, Shares, count_cells

SMALL_CELL = 10  # patients; a smaller cell is not published
CEILINGS = (0.05, 0.1, 0.2, 0.33)  # prosecutor risks the presets allow


@dataclass(frozen=True, slots=True)
class RiskProfile:
    """Risk of one table over its quasi-identifiers. Sizes count patients; shares are 0-1.

    prosecutor: the attacker knows that the target is in the table; marketer: the share of all patients an attacker
    who goes for everybody gets right. l, t: the worst class of the worst sensitive column; None without one.
    """

    k: int  # patients of the smallest class; 0 for an empty table
    classes: int
    patients: int
    rows: int
    unique_rows: int  # rows of classes of one patient
    prosecutor_max: float
    prosecutor_avg: float
    marketer: float
    l: int | None  # noqa: E741  the models' own name
    t: float | None
    class_sizes: dict[int, int]  # size -> number of classes

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        return {**asdict(self), "class_sizes": {str(size): count for size, count in self.class_sizes.items()}}


def measure(
    frame: pl.DataFrame,
    quasi: Sequence[str],
    *,
    patient: str | None = None,
    sensitive: Sequence[str] | str | None = None,
) -> RiskProfile:
    """Return the risk of `frame` for an attacker who knows the columns `quasi`.

    patient: column whose distinct values count as people; None: every row is one. No quasi-identifier: one class.
    """
    columns = [sensitive] if isinstance(sensitive, str) else list(sensitive or [])
    require_columns(frame, [*quasi, *columns, *([patient] if patient else [])])
    groups, count = number_rows(frame, quasi)
    sizes = patients_per_class(frame, groups, count, patient)
    patients = frame.height if patient is None else frame[patient].n_unique()
    rows = np.bincount(groups, minlength=count)
    values, number = np.unique(sizes, return_counts=True)
    least, farthest = weakest(frame, columns, groups, count)
    average = float((rows / sizes).sum() / frame.height) if frame.height else 0.0
    smallest = int(sizes.min()) if count else 0
    return RiskProfile(
        k=smallest,
        classes=count,
        patients=patients,
        rows=frame.height,
        unique_rows=int(rows[sizes == 1].sum()),
        prosecutor_max=1 / smallest if smallest else 0.0,
        prosecutor_avg=average,
        marketer=min(count / patients, 1.0) if patients else 0.0,
        l=least,
        t=farthest,
        class_sizes={int(size): int(n) for size, n in zip(values, number, strict=True)},
    )


def unprotected_classes(frame: pl.DataFrame, quasi: Sequence[str], model: Model, *, whole: pl.Series) -> int:
    """Number of classes that miss `model`; `whole`: the sensitive column before rows were suppressed."""
    require_columns(frame, [*quasi, model.sensitive])
    groups, count = number_rows(frame, quasi)
    both = encode_sensitive(pl.concat([whole, frame[model.sensitive]]))
    shares = np.bincount(both.codes[: len(whole)], minlength=len(both.shares)) / max(len(whole), 1)
    own = Sensitive(both.codes[len(whole) :], shares, both.is_ordered)
    return int(unprotected(model, groups, own, np.ones(frame.height, dtype=np.int64), count).sum())


def require_columns(frame: pl.DataFrame, asked: Sequence[str]) -> None:
    """Raise ArgumentInvalid for columns the table does not have."""
    missing = sorted(set(asked) - set(frame.columns))
    if missing:
        raise ArgumentInvalid(f"columns {', '.join(missing)} are not in the table")


def patients_per_class(frame: pl.DataFrame, groups: Codes, count: int, patient: str | None) -> Codes:
    """Distinct patients in every class."""
    if patient is None:
        return np.bincount(groups, minlength=count)
    return np.bincount(patient_pairs(groups, frame[patient])[0], minlength=count)


def patient_pairs(groups: Codes, patients: pl.Series) -> tuple[Codes, Codes]:
    """Distinct (class, patient) pairs."""
    ids, width = number_values(patients)
    if width == len(ids):
        return groups, ids
    pairs = distinct(groups * max(width, 1) + ids)
    return pairs // max(width, 1), pairs % max(width, 1)


def weakest(frame: pl.DataFrame, columns: Sequence[str], groups: Codes, count: int) -> tuple[int | None, float | None]:
    """Fewest distinct values and farthest distance over classes and sensitive columns."""
    if not columns or count == 0:
        return None, None
    weights = np.ones(frame.height, dtype=np.int64)
    coded = [encode_sensitive(frame[name]) for name in columns]
    least = min(int(distinct_values(groups, one, weights, count).min()) for one in coded)
    farthest = max(float(distances(groups, one, weights, count).max()) for one in coded)
    return least, farthest


@dataclass(frozen=True, slots=True)
class Census:
    """Patients of a table by equivalence class."""

    frame: pl.DataFrame
    columns: dict[str, tuple[Codes, int]]  # numbered quasi-identifiers
    groups: Codes  # class of every row
    count: int  # classes
    pairs: tuple[Codes, Codes] | None  # (class, patient) where a patient has several rows, else None: rows are patients
    sizes: Codes  # patients of every class
    patients: int


def full_profile(
    frame: pl.DataFrame,
    quasi: Sequence[str],
    *,
    patient: str | None = None,
    sensitive: Sequence[str] = (),
    population: pl.DataFrame | int | None = None,
) -> dict[str, object]:
    """Return every risk of `frame` over the columns `quasi` as JSON values; counts and shares are of patients.

    population: the table of people it was drawn from (with the columns `quasi`; `patient` counts people there too when
    it has that column), or their number. None: nothing is known of it, and journalist risk is the prosecutor's.
    Measures that have no meaning for an empty table are 0 or None.
    """
    names = list(dict.fromkeys(quasi))
    require_columns(frame, [*names, *sensitive, *([patient] if patient else [])])
    census = take_census(frame, names, patient)
    sizes = {size: number for size, number in enumerate(np.bincount(census.sizes).tolist()) if number}
    risks = patient_risks(census)
    alone = int((risks == 1.0).sum())
    rows = np.bincount(census.groups, minlength=census.count)
    return {
        "rows": frame.height,
        "patients": census.patients,
        "quasi": names,
        "k": min(sizes, default=0),
        "classes": census.count,
        "class_sizes": {str(size): number for size, number in sizes.items()},
        "unique_patients": alone,
        "unique_rows": int(rows[census.sizes == 1].sum()),
        "prosecutor": spread_of(risks)
        | {"above": {f"{ceiling:g}": share(risks > ceiling + 1e-12) for ceiling in CEILINGS}},
        **outside_risks(census, sizes, population, patient, prosecutor=risks),
        "small_cells": small_cells(census),
        "sensitive": {name: sensitive_risks(census, name) for name in sensitive},
    }


def take_census(frame: pl.DataFrame, names: Sequence[str], patient: str | None) -> Census:
    """Number classes and patients once; all else is counted from this."""
    columns = {name: number_values(frame[name]) for name in names}
    groups, count = number_tuples(list(columns.values()), frame.height)
    if patient is None:
        return Census(frame, columns, groups, count, None, np.bincount(groups, minlength=count), frame.height)
    ids, people = number_values(frame[patient])
    if people == frame.height:
        return Census(frame, columns, groups, count, None, np.bincount(groups, minlength=count), people)
    keys = distinct(groups * people + ids)
    pairs = keys // people, keys % people
    return Census(frame, columns, groups, count, pairs, np.bincount(pairs[0], minlength=count), people)


def patient_risks(census: Census, worth: Shares | None = None) -> Shares:
    """Of every patient the highest risk among his classes: 1 / patients of the class, or `worth` of the class."""
    risk = 1 / census.sizes if worth is None else worth
    if census.pairs is None:
        return risk[census.groups]
    classes, ids = census.pairs
    if len(ids) == census.patients:
        return risk[classes]
    highest = np.zeros(census.patients)
    np.maximum.at(highest, ids, risk[classes])
    return highest


def spread_of(risks: Shares) -> dict[str, object]:
    """Highest and mean risk."""
    return {"max": float(risks.max(initial=0.0)), "average": float(risks.mean()) if len(risks) else 0.0}


def share(found: NDArray[np.bool_]) -> float:
    """Share of patients."""
    return float(found.mean()) if len(found) else 0.0


def outside_risks(
    census: Census,
    sizes: dict[int, int],
    population: pl.DataFrame | int | None,
    patient: str | None,
    *,
    prosecutor: Shares,
) -> dict[str, object]:
    """Risks that depend on who else lives outside the table."""
    if census.patients == 0 or population is None:
        known: dict[str, object] = {"basis": "none"}
        return {"journalist": known | spread_of(prosecutor), "marketer": mean(prosecutor), "population_uniques": None}
    if isinstance(population, pl.DataFrame):
        return against_table(census, population, patient)
    uniques = population_uniques(sizes, population)
    risks = patient_risks(census, expected_inverse(census.sizes, uniques.sampling_fraction))
    estimated: dict[str, object] = {"basis": "estimate"}
    return {
        "journalist": estimated | spread_of(risks),
        "marketer": mean(risks),
        "population_uniques": asdict(uniques),
    }


def mean(risks: Shares) -> float:
    """Expected share of the patients an attacker who goes for everybody gets right."""
    return float(risks.mean()) if len(risks) else 0.0


def against_table(census: Census, population: pl.DataFrame, patient: str | None) -> dict[str, object]:
    """Journalist and marketer risk against a table of the population, and its true uniques.

    The journalist's average is the larger of classes / people of these classes and of the mean of 1 / people. A class
    with more patients than the population table has people counts as if those were all; `unmatched` says how many
    patients were in such classes.
    """
    names = list(census.columns)
    require_columns(population, names)
    both = pl.concat([census.frame.select(names), population.select(names)], how="vertical_relaxed")
    groups, count = number_rows(both, names)
    rows = census.frame.height
    whom = patient if patient in population.columns else None
    people = patients_per_class(population, groups[rows:], count, whom)
    found = np.zeros(census.count, dtype=np.int64)
    found[census.groups] = people[groups[:rows]]
    short = found < census.sizes
    known = np.maximum(found, census.sizes)
    risks = patient_risks(census, 1 / known)
    average = max(mean(risks), census.count / int(known.sum()))
    alone = int((people == 1).sum())
    total = int(people.sum())
    return {
        "journalist": {
            "basis": "table",
            "max": float(risks.max(initial=0.0)),
            "average": average,
            "unmatched": int(np.maximum(census.sizes - found, 0)[short].sum()),
        },
        "marketer": mean(risks),
        "population_uniques": {
            "count": float(alone),
            "share": alone / total if total else 0.0,
            "estimator": "table",
            "sampling_fraction": min(census.patients / total, 1.0) if total else 1.0,
        },
    }


def small_cells(census: Census) -> dict[str, object]:
    """Values of single columns that fewer than SMALL_CELL patients have: what a count by that column would show."""
    counted = {}
    for name, (codes, width) in census.columns.items():
        patients = patients_by_value(census, codes, width)
        small = (patients > 0) & (patients < SMALL_CELL)
        counted[name] = {"cells": int(small.sum()), "patients": int(patients[small].sum())}
    return {"below": SMALL_CELL, "columns": counted}


def patients_by_value(census: Census, codes: Codes, width: int) -> Codes:
    """Patients of every value of a column; where they are surely SMALL_CELL or more, some larger number."""
    if census.pairs is None:
        return np.bincount(codes, minlength=width)
    classes, ids = census.pairs
    of_class = np.zeros(census.count, dtype=np.int64)
    of_class[census.groups] = codes
    values = of_class[classes]
    pairs = np.bincount(values, minlength=width)
    surely = SMALL_CELL * int(np.bincount(ids).max(initial=1))  # one patient has at most so many pairs / SMALL_CELL
    few = pairs < surely
    inside = few[values]
    exact = np.bincount(distinct(values[inside] * census.patients + ids[inside]) // census.patients, minlength=width)
    return np.where(few, exact, pairs)


def sensitive_risks(census: Census, name: str) -> dict[str, object]:
    """The models every class of the table satisfies for one sensitive column: its worst class under each.

    l: distinct values; l_entropy: exp of the entropy; t, t_equal: distances by the column's type and by equal ground
    distance; delta: over values present, None where a class lacks a value of the table (then no delta holds by the
    definition) in delta_strict; beta: largest relative gain; homogeneous_patients: in classes of one value.
    """
    sensitive = encode_sensitive(census.frame[name])
    if census.count == 0:
        return dict.fromkeys(("l", "l_entropy", "t", "t_equal", "delta", "delta_strict", "beta"), None) | {
            "values": 0,
            "homogeneous_patients": 0,
        }
    cells = count_cells(census.groups, sensitive, None, census.count)
    values = np.bincount(cells.group, minlength=census.count)
    equal = equal_distances(cells, sensitive)
    delta = float(disclosures(cells, sensitive).max())
    present = int((sensitive.shares > 0).sum())
    return {
        "values": present,
        "l": int(values.min()),
        "l_entropy": float(np.exp(entropies(cells).min())),
        "t": float((ordered_distances(cells, sensitive) if sensitive.is_ordered else equal).max()),
        "t_equal": float(equal.max()),
        "delta": delta,
        "delta_strict": delta if int(values.min()) == present else None,
        "beta": float(largest(cells, gains(cells, sensitive)).max()),
        "homogeneous_patients": int((patient_risks(census, (values == 1).astype(np.float64)) > 0).sum()),
    }
