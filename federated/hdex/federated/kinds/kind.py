"""What a kind of question is: what a site sums, how the sum is encoded, and what the coordinator makes of it.

A kind has two halves. At a site: `rows` reads the columns, `sums` gives the vector of one step at one point. At the
coordinator: `inquire` returns a state machine that asks steps and absorbs pooled vectors until it has an answer. Both
are pure; Paillier or plain sums, simulation, Grid and node run every kind the same way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hdex.federated.disclosure import Breach
from hdex.federated.disclosure_cells import Partition
from hdex.federated.disclosure_regimes import Regime
from hdex.federated.errors import StudyInvalid

Floats = NDArray[np.float64]
Arrays = Mapping[str, Floats]  # a round's public point: one-dimensional arrays by name


@dataclass(frozen=True, slots=True)
class Encoding:
    """Fixed point of one step's vector: |sum of one site| < 2^(value_bits - 1 - fraction_bits)."""

    value_bits: int
    fraction_bits: int

    def document(self) -> dict[str, int]:
        """Return the JSON document that a study pins."""
        return {"value_bits": self.value_bits, "fraction_bits": self.fraction_bits}


COUNTS = Encoding(32, 0)  # whole numbers up to 2.1e9
MOMENTS = Encoding(104, 50)  # sums of squares of raw columns up to 4.5e15
RAW = Encoding(192, 60)  # sums of squares of anything up to 2.7e39
CENTRED = Encoding(104, 60)  # sums near one per row, squares of whole numbers exact up to a deviation of 2^30
NEWTON = Encoding(64, 40)  # standardised sums up to 8.3 million
WIDE = Encoding(88, 50)  # exponentials of standardised sums up to 1.3e11


class Asked(Protocol):
    """The part of a study that says what is asked."""

    @property
    def kind(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def features(self) -> tuple[str, ...]: ...
    @property
    def standardize(self) -> str: ...
    @property
    def l2(self) -> float: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
    @property
    def levels(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def sites(self) -> tuple[str, ...]: ...
    @property
    def max_rounds(self) -> int: ...


class Stakes(Protocol):
    """What disclosure rules ask of a site's rows."""

    @property
    def n(self) -> int:
        """Rows behind the sums."""
        ...

    @property
    def events(self) -> int:
        """Rows in the smaller outcome class; all rows where there is no outcome."""
        ...

    @property
    def parameters(self) -> int:
        """Numbers fitted to the rows."""
        ...

    @property
    def summed(self) -> Sequence[Floats]:
        """Columns whose values enter a sum as they are, one array each: what dominance is judged on."""
        ...


@dataclass(frozen=True, slots=True)
class Cell:
    """How many people stand behind one number of an answer."""

    name: str
    count: int
    floor: str = "cell"  # the field of Regime that it is held against
    may_be_empty: bool = True


class Answer(Protocol):
    """What a settled inquiry found: pooled numbers only."""

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        ...

    def cells(self) -> Sequence[Cell]:
        """Return how many people stand behind what is told."""
        ...


@runtime_checkable
class Coarsenable(Protocol):
    """An answer that can be told with less in it: cells left blank, steps joined."""

    def told(self, floors: Regime) -> Answer:
        """Return the answer with everything on too few left out. Raises DisclosureRefused where that cannot be done."""
        ...


class Inquiry(Protocol):
    """The coordinator's half: ask `step` at `point`, sum over the sites, `absorb`; until `settled`."""

    @property
    def round(self) -> int:
        """The round to run next, from 1."""
        ...

    @property
    def step(self) -> str:
        """The step to ask next."""
        ...

    @property
    def point(self) -> Arrays | None:
        """Where to ask it."""
        ...

    @property
    def settled(self) -> bool:
        """Whether `answer` is there."""
        ...

    def absorb(self, total: Floats) -> None:
        """Take the pooled vector of the current step. Raises NotConverged, DesignSingular or DisclosureRefused."""
        ...

    def answer(self) -> Answer:
        """Return the answer of a settled inquiry."""
        ...


R = TypeVar("R", bound=Stakes)


@runtime_checkable
class Guarded(Protocol):
    """A kind of which a site looks at more than its rows before it answers a step."""

    def breaches(self, rows: Any, asked: Asked, step: str, point: Arrays | None, floors: Regime) -> list[Breach]:
        """Return what answering `step` at `point` with these rows would break."""
        ...


class Kind(Protocol[R]):
    """One kind of question."""

    @property
    def name(self) -> str:
        """What a study calls the kind."""
        ...

    @property
    def algorithm(self) -> str:
        """Return the id under which sites allow the code."""
        ...

    @property
    def steps(self) -> Mapping[str, Encoding]:
        """Step -> encoding; the first is round 1's."""
        ...

    def check(self, asked: Asked) -> None:
        """Raise StudyInvalid unless target, features, options and levels make one question."""
        ...

    def columns(self, asked: Asked) -> tuple[str, ...]:
        """Return the columns that are read at a site."""
        ...

    def length(self, asked: Asked, step: str) -> int:
        """Return the length of the vector of `step`: the key holder knows it from the study alone."""
        ...

    def check_point(self, asked: Asked, step: str, point: Arrays | None) -> None:
        """Raise StudyInvalid unless `point` is one that an honest coordinator may ask `step` at."""
        ...

    def rows(self, frame: pl.DataFrame, asked: Asked) -> R:
        """Return a site's rows; raise StudyInvalid naming a column that does not fit."""
        ...

    def sums(self, rows: R, asked: Asked, step: str, point: Arrays | None) -> Floats:
        """Return a site's vector."""
        ...

    def inquire(self, asked: Asked) -> Inquiry:
        """Return the coordinator's state machine before round 1."""
        ...


@runtime_checkable
class Partitioning(Protocol):
    """A kind that tells numbers of cells: bins, groups, grid points."""

    def partitions(self, rows: Any, asked: Asked) -> Sequence[Partition]:
        """Return the cells of `rows`, which are complete: one label for each row of the frame they were read from."""
        ...


def require_options(asked: Asked, *, needed: Sequence[str] = (), allowed: Sequence[str] = ()) -> None:
    """Raise StudyInvalid for an option the kind does not know, or one it needs and does not find."""
    if unknown := sorted(set(asked.options) - {*needed, *allowed}):
        known = ", ".join([*needed, *allowed]) or "none"
        raise StudyInvalid(f"kind {asked.kind} knows no option {', '.join(unknown)}; known are: {known}")
    if missing := [name for name in needed if name not in asked.options]:
        raise StudyInvalid(f"kind {asked.kind} needs the option {', '.join(missing)}")


def require_no_target(asked: Asked) -> None:
    """Raise StudyInvalid when a kind without outcome is given one."""
    if asked.target:
        raise StudyInvalid(f"kind {asked.kind} has no target; name its columns as features")


def require_numbers(asked: Asked) -> None:
    """Raise StudyInvalid when a kind of numbers is given a column with declared levels."""
    if asked.levels:
        raise StudyInvalid(f"kind {asked.kind} takes numbers; a column with levels is for crosstab")


def require_levels(asked: Asked, name: str, at_least: int = 2) -> tuple[str, ...]:
    """Return the declared levels of a column, or raise StudyInvalid."""
    levels = asked.levels.get(name, ())
    if len(levels) < at_least:
        raise StudyInvalid(f"kind {asked.kind} needs {at_least} declared levels or more of column {name}")
    return levels


def require_no_point(step: str, point: Arrays | None) -> None:
    """Raise StudyInvalid when a step without parameters is given some."""
    if point is not None:
        raise StudyInvalid(f"step {step} takes no point")


def require_arrays(point: Arrays | None, shapes: Mapping[str, int]) -> Arrays:
    """Return the point with exactly these finite arrays, or raise StudyInvalid."""
    if point is None or set(point) != set(shapes):
        raise StudyInvalid(f"the point must hold {', '.join(shapes)}")
    for name, size in shapes.items():
        if point[name].shape != (size,):
            raise StudyInvalid(f"{name} of the point does not have {size} numbers")
        if not np.isfinite(point[name]).all():
            raise StudyInvalid("the point is not finite")
    return point


def require_length(total: Floats, length: int, step: str) -> None:
    """Raise StudyInvalid when a pooled vector is not the step's: the journal belongs to other code."""
    if len(total) != length:
        raise StudyInvalid(f"{len(total)} sums for step {step}; {length} are needed")
