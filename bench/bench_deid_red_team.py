"""The red team on generated tables: what each attack reaches before and after, and what it costs in CPU seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import polars as pl

from hdex.deid import hierarchy
from hdex.deid.attack_canaries import FORMS, canaries, escaped
from hdex.deid.attack_differencing import differences
from hdex.deid.attack_linkage import Siege, linkage
from hdex.deid.attack_membership import membership
from hdex.deid.attack_pseudonym import brute_force, resident_ids
from hdex.deid.attack_trajectory import trajectory
from hdex.deid.attackers import Known
from hdex.deid.detector_rules import RulesDetector
from hdex.deid.lattice import anonymize
from hdex.deid.policy import preset
from hdex.deid.pseudonym import derive_keys, pseudonyms
from hdex.deid.text import Identity, Surrogates, redact_notes

T = TypeVar("T")
SEED, ROWS, TARGETS = 7, 100_000, 1000
PATIENTS, EVENTS, IDS = 5_000, 20, 50_000
QUASI = ("age", "sex", "town", "seen")
KNOWN = [Known(name) for name in QUASI]
FIELD = {"name": "names", "resident_id": "ids", "record": "ids", "phone": "phones", "email": "emails"}


def measure() -> dict[str, object]:
    """Return rates and CPU seconds; no peer attacks released tables by their labels, so there is no ratio."""
    return {
        "seed": SEED,
        "rows": ROWS,
        "targets": TARGETS,
        "presets": {name: one_preset(name) for name in ("controlled", "registered", "public")},
        "trajectory": sequences(),
        "differencing": subtraction(),
        "pseudonyms": tried(),
        "canaries": planted(),
    }


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What a piece of work answers, and its CPU seconds."""
    began = time.process_time()
    answer = work()
    return answer, round(time.process_time() - began, 3)


def people(rows: int, seed: int = SEED) -> pl.DataFrame:
    """A table of patients with four quasi-identifiers."""
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "age": random.integers(18, 95, rows),
            "sex": random.choice(["F", "M"], rows),
            "town": [f"{number:05}" for number in random.integers(10_000, 10_400, rows)],
            "seen": pl.Series(random.integers(18_600, 19_700, rows)).cast(pl.Int32).cast(pl.Date),
        }
    )


def released(frame: pl.DataFrame, name: str) -> tuple[pl.DataFrame, list[int]]:
    """A release under a preset's k and suppression, and the original row of each of its rows."""
    policy = preset(name)
    ladders = {column: hierarchy.automatic(frame[column]) for column in QUASI}
    made = anonymize(frame, ladders, k=policy.k, suppression=policy.suppression, max_average=policy.max_average)
    return made.frame, np.flatnonzero(made.kept.to_numpy()).tolist()


def one_preset(name: str) -> dict[str, object]:
    """Linkage with and without knowing who is who, and membership."""
    frame, k = people(ROWS), preset(name).k
    inside, outside = frame.head(ROWS // 2), frame.tail(ROWS // 2)
    out, source = released(inside, name)
    raw = linkage(Siege.lay(inside, inside, KNOWN, k=k, targets=TARGETS, seed=SEED))
    siege = Siege.lay(inside, out, KNOWN, k=k, targets=TARGETS, seed=SEED)
    found, seconds = timed(lambda: linkage(siege))
    told = linkage(Siege.lay(inside, out, KNOWN, k=k, targets=TARGETS, seed=SEED, owners=source))
    return {
        "k": k,
        "linkage_before": raw.rate,
        "linkage_after": told.rate,
        "linkage_after_not_knowing_who_is_who": found.rate,
        "bound": found.bound,
        "within_bound": found.is_within and told.is_within,
        "linkage_cpu_s": seconds,
        "membership_auc": membership(siege, outside).rate,
        "membership_auc_of_who_holds_the_population": membership(siege, outside, population=frame).rate,
    }


def sequences() -> dict[str, object]:
    """Three consecutive events behind a secret shift, told by day and by quarter."""
    random = np.random.default_rng(SEED)
    rows = PATIENTS * EVENTS
    who = np.repeat(np.arange(PATIENTS), EVENTS)
    day = pl.Series(random.integers(18_600, 19_700, rows)).cast(pl.Int32)
    raw = pl.DataFrame(
        {"id": who.astype(str), "day": day.cast(pl.Date), "drug": random.choice([f"d{i}" for i in range(60)], rows)}
    )
    shift = random.integers(-60, 61, PATIENTS)[who]
    moved = raw.with_columns(day=(day + pl.Series(shift).cast(pl.Int32)).cast(pl.Date), id=pl.lit("x") + pl.col("id"))
    quarter = moved.with_columns(hierarchy.date_labels(moved["day"], "quarter").alias("day"))
    answer: dict[str, object] = {"patients": PATIENTS, "events": rows}
    for name, out in (("by_day", moved), ("by_quarter", quarter)):
        known = [Known("day", event=True), Known("drug", event=True)]
        siege = Siege.lay(raw, out, known, patient="id", seed=SEED, owners=out["id"].str.slice(1).to_list())
        found, seconds = timed(lambda siege=siege: trajectory(siege))  # type: ignore[misc]  # one siege per turn
        answer[name] = None if found is None else {"rate": found.rate, "targets": found.targets, "cpu_s": seconds}
    return answer


def subtraction() -> dict[str, object]:
    """One patient fewer, seen through two generalisations."""
    frame = people(ROWS)
    fine, _ = released(frame, "controlled")
    coarse, _ = released(frame.tail(ROWS - 1), "registered")
    found, seconds = timed(lambda: differences(fine, coarse, QUASI))
    same, again = timed(lambda: differences(fine, fine.tail(fine.height - 1), QUASI))
    return {"across_generalisations": found, "cpu_s": seconds, "one_fewer": same, "one_fewer_cpu_s": again}


def tried() -> dict[str, object]:
    """All ids of a small space against an unkeyed digest and against our pseudonyms."""
    import hashlib

    days = [f"19{year}0{month}15" for year in range(40, 90) for month in range(1, 10)]
    space = [one for one, _ in zip(resident_ids(["110101"], days, range(1000)), range(IDS), strict=False)]
    ids = pl.Series("id", space[::50])
    open_to_all = pl.Series([hashlib.sha256(one.encode()).hexdigest() for one in ids])
    keyed = pseudonyms(ids, derive_keys(bytes(32), recipient="a", project="p").pseudonym)
    fallen, seconds = timed(lambda: brute_force(open_to_all, space))
    return {
        "ids_tried": len(space),
        "unkeyed_fallen": len(fallen) / len(ids),
        "ours_fallen": len(brute_force(keyed, space)) / len(ids),
        "cpu_s": seconds,
    }


def planted() -> dict[str, object]:
    """500 canaries in twelve forms, redacted with and without their patient's record."""
    left: dict[str, list[str]] = {"known": [], "strangers": []}
    for lang in ("en", "zh"):
        mine = [one for one in canaries(500) if one.lang == lang]
        notes = pl.Series("note", [one.note for one in mine])
        for name in left:
            values = [{FIELD[one.kind]: (one.value,)} if name == "known" else {} for one in mine]
            people_of = [Identity(patient=str(n), **fields) for n, fields in enumerate(values)]  # type: ignore[arg-type]
            done = redact_notes(notes, people_of, detector=RulesDetector(), surrogate=Surrogates(bytes(32)), lang=lang)
            left[name] += [f"{one.kind}/{one.form}/{lang}" for one in escaped(done.texts.to_list(), mine)]
    return {
        "planted": 500,
        "forms": len(FORMS),
        "escaped_of_known_patients": len(left["known"]),
        "escaped_of_strangers": len(left["strangers"]),
        "where": sorted({*left["known"], *left["strangers"]}),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
