"""Trackers: whoever asks sums of populations of a choice and does algebra on the answers learns nobody's value."""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.federated.disclosure_register import PopulationAudit, smallest_solved

THRESHOLD, PEOPLE = 10, 80
ATTACKS = 200 if os.environ.get("HDEX_SOAK") else 40  # of each of five kinds
Population = frozenset[str]
Allows = Callable[[Population], bool]


@dataclass
class Attacker:
    """Asks sums through a gate and solves for one target by least squares."""

    allows: Allows
    values: dict[str, float]
    asked: list[Population] = field(default_factory=list)

    def ask(self, *members: str) -> None:
        population = frozenset(members)
        if population and self.allows(population):
            self.asked.append(population)

    def recovers(self, target: str) -> bool:
        """Return whether the answers determine the target's value, and the value found is the true one."""
        if not self.asked:
            return False
        people = sorted(self.values)
        matrix = np.array([[float(person in population) for person in people] for population in self.asked])
        answers = matrix @ np.array([self.values[person] for person in people])
        unit = np.array([float(person == target) for person in people])
        weights, *_ = np.linalg.lstsq(matrix.T, unit, rcond=None)
        if np.abs(matrix.T @ weights - unit).max() > 1e-6:
            return False
        return bool(abs(weights @ answers - self.values[target]) < 1e-3)


Attack = Callable[[Attacker, list[str], random.Random], None]


def individual(attacker: Attacker, people: list[str], source: random.Random) -> None:
    """Everybody, and everybody but the target."""
    attacker.ask(*people)
    attacker.ask(*people[1:])


def padded(attacker: Attacker, people: list[str], source: random.Random) -> None:
    """A crowd with the target and without, padded with others (Denning's tracker)."""
    size = source.randrange(12, 50)
    crowd = people[1 : 1 + size]
    attacker.ask(*crowd)
    attacker.ask(people[0], *crowd)


def general(attacker: Attacker, people: list[str], source: random.Random) -> None:
    """T, its complement, and both with the target's class: 4 questions (Denning, Denning, Schwartz 1979)."""
    half = set(source.sample(people[1:], source.randrange(20, 60)))
    rest = set(people) - half
    for population in (half, rest, half | {people[0]}, rest | {people[0]}):
        attacker.ask(*population)


def double(attacker: Attacker, people: list[str], source: random.Random) -> None:
    """Two trackers of which one holds the other."""
    inner = people[1 : source.randrange(15, 30)]
    outer = [*inner, *people[30 : source.randrange(45, 70)]]
    for population in (inner, outer, [*inner, people[0]], [*outer, people[0]]):
        attacker.ask(*population)


def blocks(attacker: Attacker, people: list[str], source: random.Random) -> None:
    """Unions of disjoint crowds: every two differ by many, together they give the target away."""
    sizes = [source.randrange(10, 20) for _ in range(3)]
    rest = people[1:]
    one, two, three = (rest[sum(sizes[:i]) : sum(sizes[: i + 1])] for i in range(3))
    for population in ([*one, *two], [*one, *three], [*two, *three], [people[0], *one, *two, *three]):
        attacker.ask(*population)


ATTACKS_BY_NAME: dict[str, Attack] = {f.__name__: f for f in (individual, padded, general, double, blocks)}


def run(attack: Attack, number: int, gate: Callable[[], Allows]) -> bool:
    source = random.Random(number)
    people = [f"p{index:03}" for index in range(PEOPLE)]
    source.shuffle(people)
    attacker = Attacker(gate(), {person: source.uniform(80, 200) for person in people})
    attack(attacker, people, source)
    return attacker.recovers(people[0])


def audited() -> Allows:
    audit = PopulationAudit(THRESHOLD)

    def allows(population: Population) -> bool:
        if audit.breach(population):
            return False
        audit.add(population)
        return True

    return allows


def by_size_alone() -> Allows:
    return lambda population: len(population) >= THRESHOLD


@pytest.mark.parametrize("name", ATTACKS_BY_NAME)
def test_of_all_tracker_attacks_none_recovers_a_value(name: str) -> None:
    attack = ATTACKS_BY_NAME[name]
    assert sum(run(attack, number, audited) for number in range(ATTACKS)) == 0
    assert sum(run(attack, number, by_size_alone) for number in range(10)) == 10  # the attacks are live


def test_pairwise_distance_alone_would_not_stop_the_blocks() -> None:
    def pairwise() -> Allows:
        audit = PopulationAudit(THRESHOLD)

        def allows(population: Population) -> bool:
            if audit.missing(population):
                return False
            audit.add(population)
            return True

        return allows

    assert all(run(blocks, number, pairwise) for number in range(10))


def test_the_rules_have_names() -> None:
    everybody = frozenset(f"p{number}" for number in range(40))
    audit = PopulationAudit(THRESHOLD, [everybody])
    assert audit.breach(everybody) == ""
    assert audit.breach(frozenset(sorted(everybody)[:9])) == "population.small"
    assert audit.breach(everybody - {"p1"}) == "population.too_close"
    assert audit.breach(frozenset(sorted(everybody)[:20])) == ""


@given(st.lists(st.frozensets(st.sampled_from([f"p{n}" for n in range(40)])), max_size=12))
@settings(max_examples=60, deadline=None)
def test_what_passes_the_audit_determines_nobody(asked: list[Population]) -> None:
    """An oracle by floating point: no unit vector lies in the row space of what was released."""
    allows = audited()
    released = [population for population in asked if population and allows(population)]
    people = [f"p{n}" for n in range(40)]
    if not released:
        return
    matrix = np.array([[float(person in population) for person in people] for population in released])
    projection = np.linalg.pinv(matrix) @ matrix
    assert not np.any(np.abs(np.diag(projection) - 1.0) < 1e-9)


def test_the_smallest_solved_equation_counts_people() -> None:
    everybody = {f"p{n}" for n in range(30)}
    assert smallest_solved([everybody]) == 30
    assert smallest_solved([everybody, everybody - {"p1", "p2"}]) == 2
    assert smallest_solved([]) == 0
