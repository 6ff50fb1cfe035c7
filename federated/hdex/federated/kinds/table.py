"""Every kind of question by its name: the one place where a new kind is registered."""

from collections.abc import Mapping
from typing import Any

from hdex.federated.errors import StudyInvalid
from hdex.federated.kinds.counting import CrosstabKind, HistogramKind
from hdex.federated.kinds.cox import Cox
from hdex.federated.kinds.kind import Asked, Kind
from hdex.federated.kinds.quantile import QuantileKind
from hdex.federated.kinds.regression import Regression
from hdex.federated.kinds.summary import Moments, Tally, TTest
from hdex.federated.kinds.survival import KaplanMeier
from hdex.federated.kinds.training import STRATEGIES, Training

_ALL: tuple[Kind[Any], ...] = (
    Tally(),
    *(Moments(name) for name in ("sum", "mean", "variance")),
    HistogramKind(),
    QuantileKind(),
    CrosstabKind(),
    TTest(),
    *(Regression(name) for name in ("linear", "logistic", "poisson")),
    KaplanMeier(),
    Cox(),
    *(Training(name) for name in STRATEGIES),
)
KINDS: Mapping[str, Kind[Any]] = {kind.name: kind for kind in _ALL}


def kind_of(asked: Asked) -> Kind[Any]:
    """Return the kind a study names, or raise StudyInvalid."""
    return kind_named(asked.kind)


def kind_named(name: str) -> Kind[Any]:
    """Return the kind of this name, or raise StudyInvalid."""
    if name not in KINDS:
        raise StudyInvalid(f"kind {name!r}; known are {', '.join(KINDS)}")
    return KINDS[name]
