"""Arrows with guards: which state follows which, and what must be true before it does. Pure.

A table holds every arrow once; what is not in it is refused with the state found and the arrows allowed there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from hdex.catalog.errors import GuardUnmet, TransitionForbidden

State = TypeVar("State", bound=StrEnum)
Arrow = TypeVar("Arrow", bound=StrEnum)
Evidence = TypeVar("Evidence")


@dataclass(frozen=True)  # no slots: a frozen generic with slots cannot be made by its subscripted name (3.11)
class Rule(Generic[Evidence]):
    """One condition of an arrow: its name, what must be true, and what to do where it is not."""

    name: str
    holds: Callable[[Evidence], bool]
    next_step: str


@dataclass(frozen=True, slots=True)
class Step(Generic[State, Evidence]):
    """Where an arrow leads, and under which rules."""

    target: State
    rules: tuple[Rule[Evidence], ...]


@dataclass(frozen=True, slots=True)
class Table(Generic[State, Arrow, Evidence]):
    """Every arrow of one kind of record."""

    steps: Mapping[tuple[State, Arrow], Step[State, Evidence]]

    def advance(self, state: State, arrow: Arrow, evidence: Evidence) -> State:
        """Return the state after `arrow`. Raises TransitionForbidden, GuardUnmet."""
        step = self.steps.get((state, arrow))
        if step is None:
            allowed = self.allowed_from(state)
            says = f"{arrow.value} does not fit {state.value}; allowed: {', '.join(allowed) or 'nothing'}"
            raise TransitionForbidden(says, found=state.value, allowed=allowed)
        for rule in step.rules:
            if not rule.holds(evidence):
                says = f"{arrow.value} asks for more than there is: rule {rule.name} does not hold"
                raise GuardUnmet(says, rule=rule.name, next_step=rule.next_step)
        return step.target

    def allowed_from(self, state: State) -> tuple[str, ...]:
        """Return the arrows that leave a state."""
        return tuple(sorted(arrow.value for found, arrow in self.steps if found == state))

    def rules_of(self, state: State, arrow: Arrow) -> tuple[str, ...]:
        """Return the names of the rules that an arrow was held against."""
        return tuple(rule.name for rule in self.steps[state, arrow].rules)
