"""A fingerprint per buyer in published numbers: which cells carry it, how it is set, and how it is read back. Pure.

A secret of the provider chooses pairs of cells in a column; a key of the buyer gives each pair a sign: one cell of the
pair moves up by the column's step, the other down. So no sum of a column moves, and who does not hold the secret sees
cells that are off by one last digit, but not which. Streams of bytes come from AES-256 in counter mode under keys that
HKDF derives: no Python runs per cell, and a row is known by its place in the release, which is written once.

Reading: a leaked table, aligned with the release (`fingerprint_match`), gives each pair a weight. For a buyer who had
nothing to do with the leak the signs are coin tosses that the weights know nothing of, whatever was done to the table:
z = sum(sign * weight) / sqrt(sum(weight^2)) has variance 1 and P(z >= t) <= exp(-t^2/2) (Hoeffding), 1.5e-8 at t = 6.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from hdex.node.stream import derive

SHARE = 0.25  # of the eligible cells that are chosen
NAMED_FROM = 6.0  # z below which nobody is named
ON_GRID = 1e-6  # of a step: how far a cell may be from a whole number of steps
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grain:
    """How one column may be marked: its last published digit, and values no cell may reach or cross."""

    step: float
    thresholds: tuple[float, ...] = ()

    @property
    def decimals(self) -> int:
        """Decimals of the step."""
        return max(0, -math.floor(math.log10(self.step) + 1e-9))


Grains = Mapping[str, Grain]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What chooses the cells of one release. `release` is its digest: two releases share no choice."""

    secret: bytes
    release: bytes

    def __repr__(self) -> str:
        return "Secrets()"

    def cells(self, column: str) -> bytes:
        """Return the key that chooses the cells of a column."""
        return derive(self.secret, salt=self.release, info=b"hdex/fingerprint/cells/v1\n" + column.encode())

    def buyer(self, contract: str) -> bytes:
        """Return the key that gives one contract's signs."""
        return derive(self.secret, salt=self.release, info=b"hdex/fingerprint/buyer/v1\n" + contract.encode())


def marked(frame: pl.DataFrame, grains: Grains, secrets: Secrets, buyer_key: bytes) -> pl.DataFrame:
    """Return the frame as one buyer gets it; cells that are not chosen are the very same values."""
    columns = [
        marked_column(frame[name], grain, secrets.cells(name), buyer_key=buyer_key) for name, grain in grains.items()
    ]
    return frame.with_columns(columns)


def marked_column(column: pl.Series, grain: Grain, key: bytes, *, buyer_key: bytes) -> pl.Series:
    """Return one column as a buyer gets it: of each pair one cell a step higher, one a step lower."""
    values = numbers(column)
    pairs = chosen(values, grain, key)
    moves = (signs(buyer_key, column.name, len(pairs)) * grain.step)[:, None] * np.array([1.0, -1.0])
    changed = np.round(values[pairs] + moves, grain.decimals)
    if column.null_count():  # an empty cell stays empty, one that is not a number stays that
        untouched = np.ones(len(values), dtype=bool)
        untouched[pairs] = False
        values[pairs] = changed
        return column.zip_with(pl.Series(untouched), pl.Series(column.name, values).cast(column.dtype))
    cells = column.to_numpy(writable=True)
    cells[pairs] = changed
    return pl.Series(column.name, cells, dtype=column.dtype)


def chosen(values: Floats, grain: Grain, key: bytes) -> Rows:
    """Return the rows of the chosen cells, shape (pairs, 2): what the provider's secret and the release decide."""
    drawn = np.flatnonzero(np.frombuffer(keystream(key, len(values)), dtype=np.uint8) < round(SHARE * 256))
    with np.errstate(invalid="ignore"):
        least, most = np.fmin.reduce(values, initial=math.inf), np.fmax.reduce(values, initial=-math.inf)
        rows = drawn[eligible(values[drawn], grain, (least, most))]
    return rows[: len(rows) // 2 * 2].reshape(-1, 2)


def eligible(cells: Floats, grain: Grain, bounds: tuple[float, float]) -> NDArray[np.bool_]:
    """Return which cells may be marked: on the published grid, a step inside the column's bounds, off thresholds.

    Decided by the release alone, alike in both directions: who is marked which way cannot be told from it.
    """
    steps = cells / grain.step
    may: NDArray[np.bool_] = np.abs(steps - np.rint(steps)) <= ON_GRID
    may &= (cells - grain.step >= bounds[0]) & (cells + grain.step <= bounds[1])
    for threshold in grain.thresholds:
        may &= np.abs(cells - threshold) > grain.step * (1 + ON_GRID)
    return may


def signs(buyer_key: bytes, column: str, count: int) -> Floats:
    """Return a buyer's signs of the pairs of a column, +1 or -1."""
    key = derive(buyer_key, salt=b"", info=b"hdex/fingerprint/signs/v1\n" + column.encode())
    drawn = np.frombuffer(keystream(key, -(-count // 8)), dtype=np.uint8)
    return np.unpackbits(drawn, count=count).astype(np.float64) * 2.0 - 1.0


@dataclass(frozen=True, slots=True)
class Sightings:
    """A leaked table held against the release: entry n says leaked row `leaked[n]` is `weight[n]` of row `row[n]`."""

    leaked: Rows
    row: Rows
    weight: Floats


Weights = dict[str, Floats]  # column -> what the leaked table says of each of its pairs


def weights(leak: pl.DataFrame, release: pl.DataFrame, seen: Sightings, grains: Grains, secrets: Secrets) -> Weights:
    """Return the weight of every pair of chosen cells that the leaked table tells of."""
    found: Weights = {}
    for name, grain in grains.items():
        if name not in leak.columns:
            continue
        values = numbers(release[name])
        pairs = chosen(values, grain, secrets.cells(name))
        moved = (numbers(leak[name])[seen.leaked] - values[seen.row]) / grain.step
        told = np.isfinite(moved)
        if not told.any() or not len(pairs):
            continue
        moved = np.where(told, moved - moved[told].mean(), 0.0)  # a constant added to a column hides nobody
        by_row = np.bincount(seen.row, weights=moved * seen.weight, minlength=len(values)).astype(np.float64)
        found[name] = by_row[pairs[:, 0]] - by_row[pairs[:, 1]]
    return found


def z_of(found: Weights, buyer_key: bytes) -> float:
    """Return how far beyond chance a leaked table agrees with one buyer's signs; 0 where it tells nothing."""
    power = math.sqrt(sum(float(weight @ weight) for weight in found.values()))
    if not power:
        return 0.0
    return sum(float(signs(buyer_key, name, len(weight)) @ weight) for name, weight in found.items()) / power


def told_cells(found: Weights) -> int:
    """Return how many pairs the leaked table tells of."""
    return sum(int(np.count_nonzero(weight)) for weight in found.values())


def numbers(column: pl.Series) -> Floats:
    """Return a column as floats of its own memory, NaN for empty and for what is no number."""
    values: Floats = column.cast(pl.Float64, strict=False).fill_null(math.nan).to_numpy(writable=True)
    return values


def keystream(key: bytes, count: int) -> bytes:
    """Return `count` bytes of AES-256-CTR from counter 0; a key serves one stream."""
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(count))


def names(candidates: Mapping[str, bytes], found: Weights) -> Sequence[tuple[str, float]]:
    """Return (contract, z) of every candidate, the likeliest first. candidates: contract -> buyer key."""
    told = [(contract, z_of(found, key)) for contract, key in candidates.items()]
    return sorted(told, key=lambda one: (-one[1], one[0]))
