"""What each site was worth to a trained network, from the updates it sent: every coalition scored, no site asked again.

It needs single sites' updates, so it is for sums that were plain: a simulation, or a pilot among sites that agreed to
it. Where sums are encrypted nobody has them, and that is what the encryption is for.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from hdex.federated.contribution import Contribution, plain_values
from hdex.federated.errors import StudyInvalid
from hdex.federated.kinds.training import Recipe, Trained, Training, network_of
from hdex.federated.plain import PlainAdder
from hdex.federated.ports import OpenedSum
from hdex.federated.shapley import MOST_SITES, Scores, score_coalitions
from hdex.federated.statistics import Floats
from hdex.federated.study import Study

AVERAGED = ("fedavg", "fedprox")  # kinds whose model is the start and the mean updates
_HEAD = 3  # numbers before the update in a site's vector


class KeepingAdder(PlainAdder):
    """Adds plain contributions and keeps the updates in them."""

    def __init__(self) -> None:
        self.updates: dict[str, list[Floats]] = {}
        self.rows: dict[str, int] = {}

    def open_sum(self, study_id: str, round_number: int, contributions: list[bytes]) -> OpenedSum:
        """Return the sum."""
        total = super().open_sum(study_id, round_number, contributions)
        for one in map(Contribution.from_bytes, contributions):
            if one.header.step == "train":
                vector, site = plain_values(one.payload), one.header.site
                self.rows[site] = round(float(vector[0]))
                self.updates.setdefault(site, []).append(vector[_HEAD:] / max(vector[0], 1.0))
        return total


def can_value(kind: str, secure: str, *, sites: int) -> bool:
    """Return whether each site of such a study can be valued."""
    return kind in AVERAGED and secure == "plain" and sites <= MOST_SITES


def require_valued(kind: str, secure: str) -> None:
    """Raise StudyInvalid where sites cannot be valued, however few they are."""
    if not can_value(kind, secure, sites=1):
        raise StudyInvalid(f"contributions are valued of {' and '.join(AVERAGED)} over plain sums")


def coalition_scores(study: Study, trained: Trained, kept: KeepingAdder, frames: Mapping[str, pl.DataFrame]) -> Scores:
    """Return the worth of every coalition: minus the mean log-loss of its model over all rows of all sites."""
    network = network_of(study)
    x, y = pooled(study, frames.values())
    x = (x - trained.centre) / trained.scale

    def score(weights: Floats) -> float:
        return -network.loss(weights, x, y) / len(y)

    start = network.start(Recipe.of(study).seed)
    return score_coalitions(study.digest(), start, kept.updates, kept.rows, score)


def pooled(study: Study, frames: Iterable[pl.DataFrame]) -> tuple[Floats, Floats]:
    """Return design and outcome of all sites' complete rows."""
    rows = [Training(study.kind).rows(frame, study) for frame in frames]
    return np.concatenate([one.x for one in rows]), np.concatenate([one.y for one in rows])
