"""The fingerprint's bars: cells a second, z of a leak by its size and by what was done to it, innocents accused.

Each copy is checked first: who made it is named, no sum has moved. Writes fingerprint.json and fingerprint.svg, curves
of z against leaked rows. BENCH_QUICK=1 tries every step on few rows and proves no number.
"""

import math
import os
from pathlib import Path

import numpy as np
import polars as pl
import results_file
from results_file import figure, measure

from hdex.node.fingerprint import NAMED_FROM, Grain, Secrets, marked, names, numbers, weights
from hdex.node.fingerprint_match import align

QUICK = os.environ.get("BENCH_QUICK") == "1"
SEED, REPEATS = 7, 3 if QUICK else 9
ROWS, INNOCENT = (5_000, 2_000) if QUICK else (100_000, 100_000)
SIZES = (50, 100, 200, 500, 1_000, 2_000)
DRAWS = 1 if QUICK else 5
GRAINS = {"systolic": Grain(1.0, (140.0,)), "diastolic": Grain(1.0), "ldl": Grain(0.01), "bmi": Grain(0.1)}
SECRETS = Secrets(b"s" * 32, b"r" * 32)
BUYERS = {f"c-{n}": SECRETS.buyer(f"c-{n}") for n in range(20)}
GUILTY = "c-3"
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e")


def sample() -> pl.DataFrame:
    """Return a release as hospitals have them, four columns of numbers."""
    rng = np.random.default_rng(SEED)
    return pl.DataFrame(
        {
            "systolic": np.clip(rng.normal(130, 18, ROWS).round(), 70, 230).astype(np.int64),
            "diastolic": rng.normal(80, 11, ROWS).round().astype(np.int64),
            "ldl": rng.normal(3, 0.9, ROWS).round(2),
            "bmi": rng.normal(26, 4, ROWS).round(1),
        }
    )


def z_of_guilty(leak: pl.DataFrame, release: pl.DataFrame) -> float:
    """Return z of who made the leak; fails when somebody else is named."""
    found = names(BUYERS, weights(leak, release, align(leak, release, GRAINS), GRAINS, SECRETS))
    assert all(contract == GUILTY for contract, z in found if z >= NAMED_FROM)
    return dict(found)[GUILTY]


def colluded(release: pl.DataFrame, count: int) -> tuple[float, float]:
    """Return (lowest z of those who averaged their copies, highest of the others)."""
    copies = [marked(release, GRAINS, SECRETS, BUYERS[f"c-{n}"]) for n in range(count)]
    mean = release.with_columns(pl.Series(n, np.mean([numbers(one[n]) for one in copies], axis=0)) for n in GRAINS)
    told = dict(names(BUYERS, weights(mean, release, align(mean, release, GRAINS), GRAINS, SECRETS)))
    guilty = [told[f"c-{n}"] for n in range(count)]
    return min(guilty), max(z for contract, z in told.items() if int(contract[2:]) >= count)


def accused(copy: pl.DataFrame, release: pl.DataFrame) -> tuple[int, float]:
    """Return (innocent buyers named, highest z among them): signs that had nothing to do with the leak."""
    leak = copy.sample(500, seed=SEED)
    found = weights(leak, release, align(leak, release, GRAINS), GRAINS, SECRETS)
    told = np.concatenate([weight[weight != 0] for weight in found.values()])
    power, rng, highest, wrong = math.sqrt(float(told @ told)), np.random.default_rng(SEED), 0.0, 0
    for _ in range(INNOCENT // 1000):
        coins = rng.integers(0, 2, (1000, len(told)), dtype=np.int8) * 2.0 - 1.0
        z = coins @ told / power
        highest, wrong = max(highest, float(z.max())), wrong + int((z >= NAMED_FROM).sum())
    return wrong, highest


def curves(copy: pl.DataFrame, release: pl.DataFrame) -> dict[str, list[float]]:
    """Return the median z by leaked rows, for each thing that was done to the leak."""
    done = {
        "as it was": lambda leak: leak,
        "two columns": lambda leak: leak.select("systolic", "ldl"),
        "three columns": lambda leak: leak.drop("bmi"),
        "rounded to 2 steps": lambda leak: rounded(leak, 2),
        "rounded to 5 steps": lambda leak: rounded(leak, 5),
    }
    return {
        name: [
            float(np.median([z_of_guilty(deed(copy.sample(size, seed=SEED + n)), release) for n in range(DRAWS)]))
            for size in SIZES
        ]
        for name, deed in done.items()
    }


def rounded(leak: pl.DataFrame, steps: int) -> pl.DataFrame:
    """Return a leak with its numbers rounded to so many steps."""
    return leak.with_columns((pl.col(n) / g.step / steps).round() * steps * g.step for n, g in GRAINS.items())


def drawing(found: dict[str, list[float]]) -> str:
    """Return the curves as SVG: leaked rows (logarithmic) across, z up, the line from which somebody is named."""
    top = max(10.0, *(z for line in found.values() for z in line)) * 1.05
    left, right, low, high = 60, 620, 340, 30

    def at(rows: float, z: float) -> str:
        share = math.log(rows / SIZES[0]) / math.log(SIZES[-1] / SIZES[0])
        return f"{left + share * (right - left):.1f},{low - max(0.0, z) / top * (low - high):.1f}"

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 400" font-family="sans-serif" font-size="13">',
        '<rect width="820" height="400" fill="white"/>',
        f'<polyline points="{at(SIZES[0], NAMED_FROM)} {at(SIZES[-1], NAMED_FROM)}" stroke="#888"/>',
        f'<text x="{right + 8}" y="{low - NAMED_FROM / top * (low - high):.0f}">named from z = 6</text>',
        f'<text x="{left}" y="18">z of who leaked, by leaked rows of {ROWS:,} x {len(GRAINS)}</text>',
    ]
    for size in SIZES:
        parts.append(f'<text x="{at(size, 0).split(",")[0]}" y="{low + 20}" text-anchor="middle">{size}</text>')
    for z in range(0, int(top), 10):
        parts.append(f'<text x="{left - 8}" y="{at(SIZES[0], z).split(",")[1]}" text-anchor="end">{z}</text>')
    for number, (name, line) in enumerate(found.items()):
        points = " ".join(at(size, z) for size, z in zip(SIZES, line, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[number]}" stroke-width="2"/>')
        parts.append(f'<text x="{right + 8}" y="{60 + 20 * number}" fill="{COLOURS[number]}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Measure and write."""
    release = sample()
    copy = marked(release, GRAINS, SECRETS, BUYERS[GUILTY])
    moved = max(abs(numbers(copy[n]).mean() / numbers(release[n]).mean() - 1) for n in GRAINS)
    assert moved < 1e-4
    cells = ROWS * len(GRAINS)
    seconds = measure(lambda: marked(release, GRAINS, SECRETS, BUYERS[GUILTY]), repeats=REPEATS)
    alignment = measure(lambda: z_of_guilty(copy.sample(500, seed=SEED), release), repeats=REPEATS)
    lines = curves(copy, release)
    lowest, other = colluded(release, 10)
    wrong, highest = accused(copy, release)
    path = results_file.write(
        "fingerprint",
        rows=ROWS,
        columns=len(GRAINS),
        embed=figure([cells / one / 1e6 for one in seconds], "Mcell/s"),
        trace_500_rows=figure(alignment, "s"),
        means_moved_at_most=moved,
        leaked_rows=SIZES,
        z=lines,
        colluders_of_10={"lowest_z": lowest, "highest_z_of_others": other},
        innocents={"buyers": INNOCENT, "named": wrong, "highest_z": highest},
        bars={
            "at least 5 Mcell/s": cells / float(np.median(seconds)) / 1e6 >= 5,
            "z of 6 at 500 rows": lines["as it was"][SIZES.index(500)] >= NAMED_FROM,
            "at most one of 100,000 accused": wrong <= 1,
        },
    )
    Path(path).with_suffix(".svg").write_text(drawing(lines), encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
