"""The models of privacy a caller asks for by name, beside k: what every class that leaves must meet."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hdex.deid.closeness import BetaLikeness, Closeness, DeltaDisclosure, EnhancedBetaLikeness
from hdex.deid.diversity import Diversity, EntropyDiversity, Model, RecursiveDiversity
from hdex.deid.errors import ArgumentInvalid
from hdex.deid.presence import DeltaPresence, KMap

MEMBERS = "\0in_sample"  # a column of our own, beside whatever the table calls its columns
MODELS: dict[str, tuple[str, Callable[..., Model]]] = {  # name -> what is asked, how it is made
    "entropy-l": ("L", EntropyDiversity),
    "recursive-l": ("C,RANK", lambda column, c, rank: RecursiveDiversity(column, c, int(rank))),
    "t-equal": ("T", lambda column, t: Closeness(column, t, is_ordered=False)),
    "t-ordered": ("T", lambda column, t: Closeness(column, t, is_ordered=True)),
    "beta": ("BETA", BetaLikeness),
    "enhanced-beta": ("BETA", EnhancedBetaLikeness),
    "delta-disclosure": ("DELTA", DeltaDisclosure),
    "delta-disclosure-present": ("DELTA", lambda column, delta: DeltaDisclosure(column, delta, present_only=True)),
    "k-map": ("K", lambda column, k: KMap(column, int(k))),
    "delta-presence": ("LEAST,MOST", DeltaPresence),
}
OF_POPULATION = ("k-map", "delta-presence")
WHOLE = ("K", "RANK")


@dataclass(frozen=True, slots=True)
class Protection:
    """What is asked of every class beside k. Raises ArgumentInvalid for what cannot be asked together."""

    sensitive: str | None = None
    least_values: int | None = None  # distinct l
    distance: float | None = None  # t
    further: tuple[str, ...] = ()  # such as entropy-l=2; MODELS lists them
    population: Path | None = None  # the table of people it was drawn from, for k-map and delta-presence

    def __post_init__(self) -> None:
        about = any(isinstance(model, KMap | DeltaPresence) for model in self.models())
        if about and self.population is None:
            raise ArgumentInvalid(f"{' and '.join(OF_POPULATION)} need the table of the population")
        if not about and self.population is not None:
            raise ArgumentInvalid(f"a population is for {' or '.join(OF_POPULATION)}: name one of them")
        if about and self.sensitive is not None:
            raise ArgumentInvalid(f"{' and '.join(OF_POPULATION)} know no sensitive column: ask for one of both")

    def models(self) -> list[Model]:
        """Every one of them holds in every class."""
        asked = diversity(self.sensitive, self.least_values, self.distance)
        return [*asked, *(model_of(text, self.sensitive) for text in self.further)]


def diversity(sensitive: str | None, least_values: int | None, distance: float | None) -> list[Diversity]:
    """The models asked for, each of which every class satisfies."""
    if sensitive is None:
        if least_values is not None or distance is not None:
            raise ArgumentInvalid("l and t need the name of a sensitive column")
        return []
    asked = [(least_values, None)] if least_values is not None else []
    both: list[tuple[int | None, float | None]] = [*asked, *([(None, distance)] if distance is not None else [])]
    return [Diversity(sensitive, values, near) for values, near in both]


def model_of(text: str, sensitive: str | None) -> Model:
    """The model a text such as `recursive-l=3,2` asks for. Raises ArgumentInvalid, saying which there are."""
    name, _, value = text.partition("=")
    if name not in MODELS:
        raise ArgumentInvalid(f"model {name} is not there; there is {', '.join(f'{n}={MODELS[n][0]}' for n in MODELS)}")
    form, make = MODELS[name]
    if sensitive is None and name not in OF_POPULATION:
        raise ArgumentInvalid(f"model {name} needs the name of a sensitive column")
    try:
        numbers = [float(part) for part in value.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(form.split(",")) or not all(map(math.isfinite, numbers)):
        raise ArgumentInvalid(f"model {name} is asked as {name}={form} with numbers, found is {text}")
    for letter, number in zip(form.split(","), numbers, strict=True):
        if letter in WHOLE and number != int(number):
            raise ArgumentInvalid(f"{letter} of model {name} is {number:g}, asked is a whole number")
    return make(sensitive or MEMBERS, *numbers)
