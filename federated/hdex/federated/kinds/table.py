"""Every kind of question by its name: the one place where a new kind is registered."""

from collections.abc import Mapping
from typing import Any

from hdex.federated.errors import StudyInvalid
from hdex.federated.kinds.kind import Asked, Kind
from hdex.federated.kinds.regression import Regression

KINDS: Mapping[str, Kind[Any]] = {
    kind.name: kind for kind in (*(Regression(name) for name in ("linear", "logistic", "poisson")),)
}


def kind_of(asked: Asked) -> Kind[Any]:
    """Return the kind a study names, or raise StudyInvalid."""
    return kind_named(asked.kind)


def kind_named(name: str) -> Kind[Any]:
    """Return the kind of this name, or raise StudyInvalid."""
    if name not in KINDS:
        raise StudyInvalid(f"kind {name!r}; known are {', '.join(KINDS)}")
    return KINDS[name]
