"""A hostile coordinator chooses where sums are taken: where one patient would make them up, the site refuses."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.federated.samples import FEATURES, SITES, TARGET, consortium, now, tables
from tests.federated.test_survival import FEATURES as COVARIATES
from tests.federated.test_survival import FRAMES, GRID

from hdex.federated.broadcast import Broadcast
from hdex.federated.contributor import Contributor
from hdex.federated.draft import Question
from hdex.federated.errors import DisclosureRefused
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.run import run_study
from hdex.federated.statistics import Point

P = len(FEATURES)
SCALE = np.array([9.0, 4.0, 0.5, 16.0])
HONEST = Point(np.array([-0.5, 0.4, 0.2, 0.2, 0.3]), np.array([66.0, 26.0, 0.5, 135.0]), SCALE)


def reading(row: int) -> Point:
    """Return a point at which only one row of the first site is undecided: its weight is the information."""
    x = tables()[SITES[0]].select(FEATURES).to_numpy()[row]
    direction = np.array([1.0, 0.3, 0.1, 0.7]) * 2_000
    return Point(np.array([0.0, *direction]), x, SCALE)


def asked_at(point: Point) -> None:
    party = consortium()
    site = Contributor(SITES[0], party.sites[SITES[0]], clock=now)
    for number, (step, at) in enumerate((("moments", None), ("refine", point)), 1):
        site.answer(party.envelope, Broadcast(party.study.id, party.study.digest(), number, 1, step, at).to_bytes())


def test_an_honest_point_is_answered() -> None:
    asked_at(HONEST)


@pytest.mark.parametrize("row", [0, 17, 101])
def test_a_point_that_would_read_one_patient_is_refused(row: int) -> None:
    with pytest.raises(DisclosureRefused) as refused:
        asked_at(reading(row))
    assert refused.value.rule in ("dominance", "p_percent")


def cox(grid: list[int], **options: str) -> dict[str, Any]:
    asked = {"time": "months", "grid": grid, **options}
    question = Question("died", COVARIATES, "DUO:0000006", kind="cox", options=asked)
    frames = {site: frame for site, (_, frame) in zip(SITES, FRAMES.items(), strict=True)}
    party = consortium(frames, secure="plain", question=question)
    grid_of = InprocGrid(party.handlers())
    done = run_study(party.envelope, grid=grid_of, decryptor=party.decryptor, journal=MemoryJournal())
    return done.document()


def test_a_grid_finer_than_the_patients_needs_strata_or_coarser_points() -> None:
    """With a common baseline the coordinator sees the sums of each grid point: of a single patient, his covariates."""
    with pytest.raises(DisclosureRefused, match="strata = site"):
        cox(GRID)
    assert cox(GRID, strata="site")["n"] == cox([12, 24, 36, 60])["n"]


def test_an_outcome_that_one_patient_makes_up_is_not_summed() -> None:
    rich = {
        site: frame.with_columns(cost=pl.when(pl.int_range(pl.len()) == 3).then(1e9).otherwise(1.0))
        for site, frame in tables().items()
    }
    question = Question("cost", ("age", "bmi"), "DUO:0000006", kind="linear")
    party = consortium(rich, secure="plain", question=question)
    with pytest.raises(DisclosureRefused) as refused:
        run_study(party.envelope, grid=InprocGrid(party.handlers()), decryptor=party.decryptor, journal=MemoryJournal())
    assert refused.value.rule == "dominance"
    assert TARGET not in refused.value.detail
