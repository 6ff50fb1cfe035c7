"""Count, sum, mean, variance and the t-test: two rounds of encrypted sums, exact for whole numbers.

Round 1 takes raw moments. From them the coordinator chooses a public shift and a power of two as scale for each column;
round 2 sums (x - shift) / scale and its square, which no longer cancel. Shift and scale are dyadic: for whole numbers
every sum is exact, and the answer is the pooled one rounded once (fractions, not floating point).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import polars as pl

from hdex.federated.disclosure_cells import Labels, Partition
from hdex.federated.errors import NotConverged, StudyInvalid
from hdex.federated.kinds.columns import read_columns
from hdex.federated.kinds.kind import (
    CENTRED,
    COUNTS,
    RAW,
    Arrays,
    Asked,
    Encoding,
    Inquiry,
    require_arrays,
    require_levels,
    require_no_point,
    require_no_target,
    require_numbers,
    require_options,
)
from hdex.federated.kinds.sample import Compared, Sample, Summary, compare
from hdex.federated.statistics import Floats

_GRID_BITS = 3  # the shift is a multiple of scale / 8
_LEAST_SPREAD = 1e-7  # of the mean: below, raw moments do not resolve a deviation


@dataclass(frozen=True, slots=True)
class Values:
    """A site's values: one array per column and group, missing ones left out."""

    groups: tuple[tuple[Floats, ...], ...]  # column, then group
    missing: tuple[int, ...]  # per column
    height: int
    labels: Labels | None = None  # the group of each row with a value, where there are groups

    @property
    def n(self) -> int:
        """Rows behind the thinnest column or group."""
        return min((len(values) for groups in self.groups for values in groups), default=0)

    @property
    def events(self) -> int:
        return self.n

    @property
    def parameters(self) -> int:
        return 1

    @property
    def summed(self) -> Sequence[Floats]:
        return [values for groups in self.groups for values in groups]


@dataclass(frozen=True, slots=True)
class Tally:
    """Count: values and missing ones of each column, in one round."""

    name: str = "count"
    algorithm: str = "count.sums.v1"

    @property
    def steps(self) -> Mapping[str, Encoding]:
        return {"count": COUNTS}

    def check(self, asked: Asked) -> None:
        require_options(asked)
        require_no_target(asked)

    def columns(self, asked: Asked) -> tuple[str, ...]:
        return asked.features

    def length(self, asked: Asked, step: str) -> int:
        return 2 * len(asked.features)

    def check_point(self, asked: Asked, step: str, point: Arrays | None) -> None:
        require_no_point(step, point)

    def rows(self, frame: pl.DataFrame, asked: Asked) -> Values:
        return ungrouped(frame, asked)

    def sums(self, rows: Values, asked: Asked, step: str, point: Arrays | None) -> Floats:
        return np.array([*(len(groups[0]) for groups in rows.groups), *rows.missing], dtype=np.float64)

    def inquire(self, asked: Asked) -> Inquiry:
        return TallyInquiry(asked)


class TallyInquiry:
    """One round."""

    step, point = "count", None

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._total: Floats | None = None
        self.round = 1

    @property
    def settled(self) -> bool:
        return self._total is not None

    def absorb(self, total: Floats) -> None:
        self._total, self.round = total, self.round + 1

    def answer(self) -> Summary:
        assert self._total is not None, "nothing was counted"
        width = len(self._asked.features)
        pairs = zip(self._asked.features, self._total[:width], self._total[width:], strict=True)
        return Summary("count", tuple(Sample(name, int(n), int(missing)) for name, n, missing in pairs))


@dataclass(frozen=True, slots=True)
class Moments:
    """Sum, mean and variance: of each column, missing values of each left out for itself."""

    name: str  # sum, mean or variance

    @property
    def algorithm(self) -> str:
        return f"{self.name}.sums.v1"

    @property
    def steps(self) -> Mapping[str, Encoding]:
        return {"moments": RAW, "centred": CENTRED}

    def check(self, asked: Asked) -> None:
        require_options(asked)
        require_no_target(asked)
        require_numbers(asked)

    def columns(self, asked: Asked) -> tuple[str, ...]:
        return asked.features

    def length(self, asked: Asked, step: str) -> int:
        return vector_length(step, len(asked.features), 1)

    def check_point(self, asked: Asked, step: str, point: Arrays | None) -> None:
        check_point(step, point, len(asked.features))

    def rows(self, frame: pl.DataFrame, asked: Asked) -> Values:
        return ungrouped(frame, asked)

    def sums(self, rows: Values, asked: Asked, step: str, point: Arrays | None) -> Floats:
        return sums(rows, step, point)

    def inquire(self, asked: Asked) -> Inquiry:
        return MomentsInquiry(asked, names=asked.features, groups=("",))


@dataclass(frozen=True, slots=True)
class TTest:
    """Two groups compared: Welch's and Student's test. Target: the value; one feature with two declared levels."""

    name: str = "t-test"
    algorithm: str = "t-test.sums.v1"

    @property
    def steps(self) -> Mapping[str, Encoding]:
        return {"moments": RAW, "centred": CENTRED}

    def check(self, asked: Asked) -> None:
        require_options(asked)
        if not asked.target or asked.target in asked.levels or len(asked.features) != 1:
            raise StudyInvalid("kind t-test needs a numeric target and one feature, the column of the two groups")
        if len(require_levels(asked, asked.features[0])) != 2:
            raise StudyInvalid(f"kind t-test compares two groups; {asked.features[0]} has more declared levels")

    def columns(self, asked: Asked) -> tuple[str, ...]:
        return (*asked.features, asked.target)

    def length(self, asked: Asked, step: str) -> int:
        return vector_length(step, 1, 2)

    def check_point(self, asked: Asked, step: str, point: Arrays | None) -> None:
        check_point(step, point, 1)

    def rows(self, frame: pl.DataFrame, asked: Asked) -> Values:
        columns = read_columns(frame, self.columns(asked), asked)
        value, group = columns[asked.target], columns[asked.features[0]]
        whole = ~np.isnan(value) & ~np.isnan(group)
        parts = tuple(value[whole & (group == code)] for code in (0, 1))
        return Values((parts,), (int((~whole).sum()),), len(value), group[whole].astype(np.int64))

    def partitions(self, rows: Values, asked: Asked) -> Sequence[Partition]:
        return () if rows.labels is None else (Partition(rows.labels),)

    def sums(self, rows: Values, asked: Asked, step: str, point: Arrays | None) -> Floats:
        return sums(rows, step, point)

    def inquire(self, asked: Asked) -> Inquiry:
        return MomentsInquiry(asked, names=(asked.target,), groups=asked.levels[asked.features[0]])


def ungrouped(frame: pl.DataFrame, asked: Asked) -> Values:
    """Return each column's values, the missing ones left out."""
    columns = list(read_columns(frame, asked.features, asked).values())
    missing = tuple(int(np.isnan(column).sum()) for column in columns)
    return Values(tuple((column[~np.isnan(column)],) for column in columns), missing, frame.height)


def vector_length(step: str, columns: int, groups: int) -> int:
    """Return the length of a step's vector."""
    return columns + 3 * columns * groups if step == "moments" else 2 * columns * groups


def check_point(step: str, point: Arrays | None, columns: int) -> None:
    """Raise StudyInvalid unless the point is a dyadic shift and a scale for each column."""
    if step == "moments":
        return require_no_point(step, point)
    arrays = require_arrays(point, {"shift": columns, "scale": columns})
    if not (arrays["scale"] > 0).all():
        raise StudyInvalid("a scale is not positive")
    return None


def sums(rows: Values, step: str, point: Arrays | None) -> Floats:
    """Return missing per column and n, sum, sum of squares per column and group; or the centred sums."""
    if point is None:
        cells = [(len(v), math.fsum(v), math.fsum(v * v)) for groups in rows.groups for v in groups]
        return np.array([*rows.missing, *(number for cell in cells for number in cell)], dtype=np.float64)
    centred = []
    for column, groups in enumerate(rows.groups):
        for values in groups:
            u = (values - point["shift"][column]) / point["scale"][column]
            centred += [math.fsum(u), math.fsum(u * u)]
    return np.array(centred, dtype=np.float64)


class MomentsInquiry:
    """Two rounds."""

    def __init__(self, asked: Asked, *, names: Sequence[str], groups: Sequence[str]) -> None:
        self._asked = asked
        self._names = tuple(names)
        self._groups = tuple(groups)
        self._samples: tuple[Sample, ...] = ()
        self.round = 1
        self.step = "moments"
        self.point: Arrays | None = None

    @property
    def settled(self) -> bool:
        return bool(self._samples)

    def absorb(self, total: Floats) -> None:
        if self.step == "moments":
            self._choose(total)
        else:
            self._finish(total)
        self.round += 1

    def answer(self) -> Summary | Compared:
        assert self._samples, "the sums are not complete"
        if self._asked.kind == "t-test":
            return compare(self._samples)
        return Summary(self._asked.kind, self._samples)

    def _choose(self, total: Floats) -> None:
        width = len(self._names)
        self._missing = [int(value) for value in total[:width]]
        self._cells = total[width:].reshape(width, len(self._groups), 3)
        self._counts = self._cells[:, :, 0].astype(int)
        if not self._counts.all():
            raise NotConverged("a column or group has no value at any site; leave it out")
        pairs = [shift_and_scale(*column.sum(axis=0)) for column in self._cells]
        self.step = "centred"
        self.point = {"shift": np.array([pair[0] for pair in pairs]), "scale": np.array([pair[1] for pair in pairs])}

    def _finish(self, total: Floats) -> None:
        assert self.point is not None
        centred = total.reshape(len(self._names), len(self._groups), 2)
        samples = []
        for column, name in enumerate(self._names):
            for group, level in enumerate(self._groups):
                n = int(self._counts[column, group])
                first, second = (Fraction(float(value)) for value in centred[column, group])
                shift, scale = (Fraction(float(self.point[key][column])) for key in ("shift", "scale"))
                mean = shift + scale * first / n
                variance = scale**2 * (second - first**2 / n) / (n - 1) if n > 1 else None
                samples.append(Sample(level or name, n, self._missing[column], mean=mean, variance=variance))
        self._samples = tuple(samples)


def shift_and_scale(n: float, total: float, square: float) -> tuple[float, float]:
    """Return a dyadic shift near the mean and a power of two near the deviation.

    A column whose deviation raw moments cannot resolve gets a scale by its size; a constant zero gets 1.
    """
    mean = total / n
    spread = math.sqrt(max(square / n - mean * mean, (_LEAST_SPREAD * mean) ** 2)) or 1.0
    exponent = max(-1000, min(1000, math.floor(math.log2(spread))))
    grid = math.ldexp(1.0, exponent - _GRID_BITS)
    return round(mean / grid) * grid, math.ldexp(1.0, exponent)
