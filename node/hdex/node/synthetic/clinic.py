"""The invented cohort: carotid stents, covariates, and restenosis within a year by a logistic model that is known."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from hdex.node.synthetic.people import sources

FIRST_IMPLANT, IMPLANT_DAYS = date(2021, 1, 4), 1_000  # the follow-up of the last one ends before 2025
COEFFICIENTS = {  # log odds per unit, on the scale of the analysis view
    "age": 0.03,
    "male": 0.20,
    "smoker": 0.65,
    "diabetes": 0.75,
    "ldl": 0.40,
    "systolic": 0.014,
    "stent_size": -0.35,
}
INTERCEPT = -4.6  # some 18 in 100 have a restenosis within a year
SIZES = (6.0, 7.0, 8.0, 9.0, 10.0)

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cohort:
    """One hospital's patients, one entry per patient in every array."""

    implant: list[date]
    birth: list[date]
    age: Floats  # full years at implantation
    male: Flags
    smoking: list[str]  # never, former, current
    diabetes: Flags
    hypertension: Flags
    ldl: Floats  # mmol/L
    hba1c: Floats  # %
    systolic: Floats  # mm[Hg]
    bmi: Floats  # kg/m2
    stent: list[int]  # index into the products of names.toml
    size: Floats  # mm
    restenosis: Flags
    restenosis_day: npt.NDArray[np.int64]  # days after implantation
    hiv: Flags


def cohort(rng: np.random.Generator, patients: int, *, shift: float, hiv: int) -> Cohort:
    """Return `patients` people; shift moves the hospital's case mix a little, hiv of them carry HIV."""
    implant = [FIRST_IMPLANT + timedelta(int(day)) for day in rng.integers(0, IMPLANT_DAYS, patients)]
    years = np.clip(rng.normal(67 + shift, 9, patients), 41, 93.9)
    birth = [day - timedelta(int(age * 365.2425)) for day, age in zip(implant, years, strict=True)]
    age = np.array([full_years(born, day) for born, day in zip(birth, implant, strict=True)], dtype=np.float64)
    male = rng.random(patients) < 0.66
    smoking = _smoking(rng, male)
    diabetes = rng.random(patients) < 0.33 + 0.02 * shift
    ldl = _drawn(rng, patients, (2.9 + 0.1 * shift, 0.8, 0.9, 6.8), 2)
    systolic = _drawn(rng, patients, (141 + shift, 17, 96, 212), 0)
    size = _sizes(rng, male)
    values = {"age": age, "male": male, "smoker": np.array(smoking) == "current", "diabetes": diabetes, "ldl": ldl}
    restenosis = rng.random(patients) < chance(values | {"systolic": systolic, "stent_size": size})
    high, low = _drawn(rng, patients, (7.5, 1.0, 5.8, 13), 1), _drawn(rng, patients, (5.6, 0.3, 4.3, 6.4), 1)
    weights = [product["weight"] for product in sources()["stents"]]
    return Cohort(
        implant=implant,
        birth=birth,
        age=age,
        male=male,
        smoking=smoking,
        diabetes=diabetes,
        hypertension=rng.random(patients) < 1 / (1 + np.exp(-(systolic - 135) / 12)),
        ldl=ldl,
        hba1c=np.where(diabetes, high, low),
        systolic=systolic,
        bmi=_drawn(rng, patients, (25.3, 3.4, 16.5, 43), 1),
        stent=rng.choice(len(weights), patients, p=np.array(weights) / sum(weights)).tolist(),
        size=size,
        restenosis=restenosis,
        restenosis_day=rng.integers(45, 355, patients),
        hiv=np.isin(np.arange(patients), rng.permutation(patients)[:hiv]),
    )


def chance(values: dict[str, npt.NDArray[np.generic]]) -> Floats:
    """Return the probability of restenosis within a year by the true model."""
    linear = INTERCEPT + sum(COEFFICIENTS[name] * value.astype(np.float64) for name, value in values.items())
    return np.asarray(1 / (1 + np.exp(-linear)), dtype=np.float64)


def full_years(birth: date, at: date) -> int:
    """Return the age in full years."""
    return at.year - birth.year - ((at.month, at.day) < (birth.month, birth.day))


def _drawn(rng: np.random.Generator, size: int, shape: tuple[float, float, float, float], digits: int) -> Floats:
    """Return normal values: (mean, deviation, least, most), rounded as a laboratory does."""
    mean, deviation, least, most = shape
    return np.asarray(np.round(np.clip(rng.normal(mean, deviation, size), least, most), digits), dtype=np.float64)


def _smoking(rng: np.random.Generator, male: Flags) -> list[str]:
    drawn = rng.random(len(male))
    current, former = np.where(male, 0.40, 0.12), np.where(male, 0.66, 0.18)
    words = np.where(drawn < current, "current", np.where(drawn < former, "former", "never"))
    return [str(word) for word in words]


def _sizes(rng: np.random.Generator, male: Flags) -> Floats:
    """Return stent diameters in mm; women's arteries are narrower."""
    index = np.clip(np.round(rng.normal(np.where(male, 2.3, 1.5), 0.9)), 0, len(SIZES) - 1).astype(int)
    return np.asarray(np.array(SIZES)[index], dtype=np.float64)
