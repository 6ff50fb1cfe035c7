"""What each site's rows were worth to a study: the exact Shapley value over all coalitions, and its evidence.

The worth of a coalition is what a model of its members' cached updates scores; the empty coalition scores the start
model. A copy of a data set at a second site would earn a share again: sites whose updates repeat one another are
found first and hold one share together. An auditor recomputes the split from the scores, whose digest is logged.
Sources: Shapley 1953; Jia et al. 2019 (data valuation); Song, Tong, Wei 2019 (from cached updates).
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import rfc8785

from hdex.federated.errors import StudyInvalid
from hdex.federated.statistics import Floats

MOST_SITES = 12  # 4,096 coalitions
SAME = 1.0 - 1e-6  # cosine of two updates beyond which they come from the same rows
Coalition = frozenset[str]
Score = Callable[[Floats], float]  # model -> utility, higher is better


@dataclass(frozen=True, slots=True)
class Scores:
    """The worth of every coalition of players; a player is one site, or sites that hold copies."""

    study_digest: str
    players: tuple[tuple[str, ...], ...]  # each sorted, in order of their first site
    worth: Mapping[Coalition, float]  # of first sites; all 2^n coalitions

    def __post_init__(self) -> None:
        names = self.names
        if not 1 <= len(names) <= MOST_SITES:
            raise StudyInvalid(f"{len(names)} players; 1 to {MOST_SITES} can be valued exactly")
        if set(self.worth) != set(coalitions(names)):
            raise StudyInvalid("the worth of every coalition must be given, and of no other")
        if not all(math.isfinite(value) for value in self.worth.values()):
            raise StudyInvalid("a coalition's worth is not a finite number")

    @property
    def names(self) -> tuple[str, ...]:
        """Each player by its first site."""
        return tuple(player[0] for player in self.players)

    def document(self) -> dict[str, Any]:
        """Return the JSON document that an auditor is given."""
        worth = {"+".join(sorted(coalition)): value for coalition, value in self.worth.items()}
        players = [list(player) for player in self.players]
        return {"study_digest": self.study_digest, "players": players, "worth": worth}

    def digest(self) -> str:
        """Return SHA-256 of the canonical document as hex: what the ledger keeps."""
        return hashlib.sha256(rfc8785.dumps(self.document())).hexdigest()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Scores":
        """Return the scores of a document. Raises StudyInvalid."""
        try:
            players = tuple(tuple(map(str, player)) for player in document["players"])
            by_text = {"+".join(sorted(one)): one for one in coalitions([player[0] for player in players])}
            worth = {by_text[name]: float(value) for name, value in document["worth"].items()}
            return cls(str(document["study_digest"]), players, worth)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise StudyInvalid("the scores' document misses a field or has one of another shape") from error


def coalitions(names: Sequence[str]) -> Iterator[Coalition]:
    """Yield every coalition, the empty one first."""
    for size in range(len(names) + 1):
        yield from map(frozenset, combinations(sorted(names), size))


def shapley(scores: Scores) -> dict[str, float]:
    """Return site -> exact Shapley value; copies share one value equally. The values sum to the whole's worth."""
    worth = {coalition: Fraction(value) for coalition, value in scores.worth.items()}
    names, found = scores.names, dict[str, float]()
    for player in scores.players:
        value = _value(player[0], names, worth) / len(player)
        found |= dict.fromkeys(player, float(value))
    return found


def _value(name: str, names: Sequence[str], worth: Mapping[Coalition, Fraction]) -> Fraction:
    n, total = len(names), Fraction(0)
    others = [other for other in names if other != name]
    for coalition in coalitions(others):
        size = len(coalition)
        weight = Fraction(math.factorial(size) * math.factorial(n - size - 1), math.factorial(n))
        total += weight * (worth[coalition | {name}] - worth[coalition])
    return total


def split_cents(scores: Scores, amount_cents: int) -> dict[str, int]:
    """Return site -> cents of an amount, in proportion to values above zero; the whole amount is given out.

    Largest remainders first, ties by name. Where nobody has a value above zero everybody gets the same.
    """
    if type(amount_cents) is not int or amount_cents < 0:
        raise StudyInvalid("an amount is whole cents from 0")
    values = {site: max(Fraction(0), Fraction(value)) for site, value in shapley(scores).items()}
    total = sum(values.values())
    shares = {site: value / total if total else Fraction(1, len(values)) for site, value in values.items()}
    cents = {site: math.floor(share * amount_cents) for site, share in shares.items()}
    left = amount_cents - sum(cents.values())
    by_remainder = sorted(shares, key=lambda site: (cents[site] - shares[site] * amount_cents, site))
    return {site: cents[site] + (site in by_remainder[:left]) for site in sorted(cents)}


def duplicates(updates: Mapping[str, Sequence[Floats]]) -> tuple[tuple[str, ...], ...]:
    """Return sites grouped by whose updates repeat one another in every round, each group sorted.

    updates: site -> one vector per round. Copies of the same rows give the same direction whatever their number.
    """
    groups: list[list[str]] = []
    for site in sorted(updates):
        for group in groups:
            if _repeat(updates[site], updates[group[0]]):
                group.append(site)
                break
        else:
            groups.append([site])
    return tuple(map(tuple, groups))


def _repeat(one: Sequence[Floats], other: Sequence[Floats]) -> bool:
    if len(one) != len(other) or not one:
        return False
    return all(_cosine(a, b) > SAME for a, b in zip(one, other, strict=True))


def _cosine(one: Floats, other: Floats) -> float:
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norm if norm > 0 else 0.0


def score_coalitions(
    study_digest: str, start: Floats, updates: Mapping[str, Sequence[Floats]], weights: Mapping[str, int], score: Score
) -> Scores:
    """Return the worth of every coalition from cached updates: no site is asked again.

    start: the model before round 1. updates: site -> its update of each round. weights: site -> rows. A coalition's
    model is the start plus, in each round, its members' updates averaged by rows. Copies count once.
    """
    if set(updates) != set(weights) or len({len(rounds) for rounds in updates.values()}) > 1:
        raise StudyInvalid("every site needs its rows and one update for each round")
    players = duplicates(updates)
    if len(players) > MOST_SITES:
        raise StudyInvalid(f"{len(players)} players; at most {MOST_SITES} can be valued exactly")
    worth = {one: score(_model(start, updates, weights, one)) for one in coalitions([p[0] for p in players])}
    return Scores(study_digest, players, worth)


def _model(
    start: Floats, updates: Mapping[str, Sequence[Floats]], weights: Mapping[str, int], members: Coalition
) -> Floats:
    total = sum(weights[site] for site in members)
    if not total:
        return start
    return np.asarray(start + sum(weights[site] / total * np.sum(updates[site], axis=0) for site in sorted(members)))
