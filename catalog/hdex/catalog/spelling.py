"""What a misspelt word may have meant: names that share three letters in a row, then the edits that lie between."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

SHORTEST = 4  # letters; below that every word is near to many
TWO_EDITS_FROM = 8
SHORTEST_HAN = 3


def trigrams(word: str) -> frozenset[str]:
    """Return the threes of neighbouring characters; the beginning and the end count as characters."""
    padded = f"\x02{word}\x03"
    return frozenset(padded[at : at + 3] for at in range(len(padded) - 2))


def pieces(word: str) -> frozenset[str]:
    """Return what a name shares with its near misspellings: trigrams, or single characters where it is Han."""
    return trigrams(word) if word.isascii() else frozenset(word)


def edits_allowed(word: str) -> int:
    """Return how many edits a word may be away: none where it is too short to say."""
    if not word.isascii():
        return int(len(word) >= SHORTEST_HAN)
    return 0 if len(word) < SHORTEST or word.isdigit() else 1 + (len(word) >= TWO_EDITS_FROM)


def edits(one: str, other: str, most: int) -> int:
    """Return how many letters must be put in, left out, replaced or swapped with a neighbour; `most` + 1 where more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, there in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != there))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == there:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


def nearest(word: str, names: Mapping[str, int]) -> str | None:
    """Return the nearest of `names` (name -> products that bear it), the commoner first; None where none is near."""
    most = edits_allowed(word)
    ranked = ((edits(word, name, most), -count, name) for name, count in names.items() if name != word)
    best = min(ranked, default=(most + 1, 0, ""))
    return best[2] if best[0] <= most else None


class Names:
    """Names with how many products bear each, found by what they share with a word. Not safe for threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._holding: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, names: Iterable[str], count: int = 1) -> None:
        """Count names of a product."""
        for name in names:
            if not self._counts[name]:
                for piece in pieces(name):
                    self._holding[piece].add(name)
            self._counts[name] += count

    def remove(self, names: Iterable[str]) -> None:
        """Count them no more."""
        for name in names:
            self._counts[name] -= 1
            if not self._counts[name]:
                del self._counts[name]
                for piece in pieces(name):
                    self._holding[piece].discard(name)

    def like(self, word: str) -> dict[str, int]:
        """Return the names that share a piece with `word` and are about as long."""
        most = edits_allowed(word)
        if not most:
            return {}
        found = {name for piece in pieces(word) for name in self._holding.get(piece, ())}
        return {name: self._counts[name] for name in found if abs(len(name) - len(word)) <= most}
