"""generate: raw, identifiable exports of invented hospitals, by seed; and the truth about them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from hdex.node.synthetic.clinic import COEFFICIENTS, INTERCEPT
from hdex.node.synthetic.dialects import SCRIPTS, write, writings
from hdex.node.synthetic.tables import Record, record

SHARES = (0.36, 0.34, 0.30)
HIV_SHARE = 0.095  # of the third hospital
LEAST_HIV = 64
TRUTH_FILE = "truth.json"


@dataclass(frozen=True, slots=True)
class HospitalTruth:
    """What was planted in one hospital's export. For the demo's search only; never handed to a node."""

    folder: str
    patients: int
    events: int  # restenosis within a year
    without_consent: int  # for health research by a company
    hiv: int
    identifiers: dict[str, list[str]]  # kind -> planted values


@dataclass(frozen=True, slots=True)
class Truth:
    """What the generator knows and no export says."""

    seed: int
    hospitals: dict[str, HospitalTruth]
    coefficients: dict[str, float]
    intercept: float

    def identifiers(self) -> set[str]:
        """Return every planted identifier."""
        return {value for one in self.hospitals.values() for found in one.identifiers.values() for value in found}

    @staticmethod
    def load(path: Path) -> "Truth":
        """Return the truth as `generate` stored it."""
        document = json.loads(path.read_text(encoding="utf-8"))
        hospitals = {name: HospitalTruth(**one) for name, one in document.pop("hospitals").items()}
        return Truth(hospitals=hospitals, **document)


def generate(out: Path, *, seed: int, hospitals: int = 3, patients: int = 2_550) -> Truth:
    """Write `out`/hospital-a, hospital-b, ... and truth.json beside them; return the truth. Same seed, same bytes."""
    found: dict[str, HospitalTruth] = {}
    for index, count in enumerate(_counts(hospitals, patients)):
        name = f"hospital-{chr(ord('a') + index)}"
        script = SCRIPTS[index % len(SCRIPTS)]
        hiv = min(count, max(LEAST_HIV, round(count * HIV_SHARE))) if index == 2 else 0
        rng = np.random.default_rng([seed, index])
        whole = record(rng, count, letter=chr(ord("A") + index), script=script, shift=index - 1.0, hiv=hiv)
        write(whole.tables, writings()[index % len(writings())], out / name)
        found[name] = _truth(whole, name)
    truth = Truth(seed, found, dict(COEFFICIENTS), INTERCEPT)
    (out / TRUTH_FILE).write_text(json.dumps(asdict(truth), ensure_ascii=False), encoding="utf-8")
    return truth


def _counts(hospitals: int, patients: int) -> list[int]:
    shares = np.array(SHARES if hospitals == len(SHARES) else [1 / hospitals] * hospitals)
    counts = np.floor(shares * patients).astype(int)
    counts[0] += patients - counts.sum()
    return [int(count) for count in counts]


def _truth(whole: Record, name: str) -> HospitalTruth:
    patient, events = whole.tables["patient"], whole.tables["diagnosis"].filter(pl.col("code") == "T82.8")
    kinds = ("name", "resident_id", "phone", "address", "record_number", "contact_name", "contact_phone", "key")
    identifiers = {kind: patient[kind].unique(maintain_order=True).to_list() for kind in kinds}
    identifiers["serial"] = whole.tables["implant"]["serial"].to_list()
    return HospitalTruth(
        folder=name,
        patients=patient.height,
        events=events.height,
        without_consent=len(whole.without_consent),
        hiv=len(whole.hiv),
        identifiers=identifiers,
    )
