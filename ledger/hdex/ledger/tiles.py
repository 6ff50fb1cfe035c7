"""Merkle trees kept as tiles of 256 hashes: what is read for a root or a proof grows with the logarithm of the log.

Tile n of level l holds the roots of the complete subtrees over 256**l leaves each, numbers n * 256 to n * 256 + 255.
What is not full yet, at most 255 hashes a level, is the edge; the root over everything follows from the edge alone. A
full tile is believed when it hashes to its place one level up, so that in the end the signed head vouches for it.
Source: c2sp.org/tlog-tiles. Pure, no I/O: tiles come from a function.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from threading import Lock
from typing import Protocol

from hdex.ledger.errors import StoreCorrupt, TileUnknown
from hdex.ledger.merkle import HASH_SIZE, NODE, Proofs, node_hash

HEIGHT = 8
WIDTH = 1 << HEIGHT
FULL = WIDTH * HASH_SIZE
MAX_LEVEL = 63
KEPT, KEPT_NODES = 256, 4096  # tiles in memory, 16 KiB each; nodes of the edges
Fetch = Callable[[int, int], bytes | None]
_PATH = re.compile(r"(\d{1,2}|entries)/((?:x\d{3}/)*\d{3})(?:\.p/(\d{1,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree's size and the edges of its levels. Raises StoreCorrupt when they do not fit together."""

    size: int = 0
    edges: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        expected = [(self.size >> HEIGHT * level) % WIDTH * HASH_SIZE for level in range(levels_of(self.size))]
        if [len(edge) for edge in self.edges] != expected:
            raise StoreCorrupt(f"the tiles do not hold the hashes of {self.size} entries")

    def grown(self, leaf_hashes: Sequence[bytes]) -> tuple["Frontier", tuple["Tile", ...]]:
        """Return the frontier with these leaves added, and the tiles that they filled. Raises ValueError."""
        return _grown(self, tuple(leaf_hashes))

    def partial(self) -> list["Tile"]:
        """Return the edges as tiles, those that hold something."""
        return [Tile(n, self.size >> HEIGHT * (n + 1), edge) for n, edge in enumerate(self.edges) if edge]


@dataclass(frozen=True, slots=True)
class Tile:
    """Hashes side by side, 32 bytes each; 256 in a full tile."""

    level: int
    number: int
    hashes: bytes


@lru_cache(maxsize=4)  # log and store ask the same of one group: each for itself, computed once
def _grown(frontier: Frontier, leaf_hashes: tuple[bytes, ...]) -> tuple[Frontier, tuple[Tile, ...]]:
    if any(len(leaf) != HASH_SIZE for leaf in leaf_hashes):
        raise ValueError(f"a leaf hash has {HASH_SIZE} bytes")
    edges, full, level, fresh = list(frontier.edges), list[Tile](), 0, b"".join(leaf_hashes)
    while fresh:
        data = (edges[level] if level < len(edges) else b"") + fresh
        number, cut = frontier.size >> HEIGHT * (level + 1), len(data) - len(data) % FULL
        made = [Tile(level, number + i // FULL, data[i : i + FULL]) for i in range(0, cut, FULL)]
        edges[level : level + 1] = [data[cut:]]
        full += made
        fresh, level = b"".join(fold(tile.hashes) for tile in made), level + 1
    return Frontier(frontier.size + len(leaf_hashes), tuple(edges)), tuple(full)


class TiledTree(Proofs):
    """A tree over stored tiles. Immutable: `grown` returns the next one, so readers are never in a writer's way."""

    __slots__ = ("_fetch", "_frontier", "_known")

    def __init__(self, frontier: Frontier, fetch: Fetch, known: "_Known | None" = None) -> None:
        self._frontier, self._fetch = frontier, fetch
        self._known = _Known() if known is None else known

    def __len__(self) -> int:
        return self._frontier.size

    def grown(self, leaf_hashes: Sequence[bytes]) -> "TiledTree":
        """Return the tree with these leaves. What they fill must be stored before the new tree is asked for it."""
        return TiledTree(self._frontier.grown(leaf_hashes)[0], self._fetch, self._known)

    def leaf(self, index: int) -> bytes:
        """Return one leaf hash. Raises IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"leaf {index} is not in a tree of {len(self)}")
        return self._node(0, index)

    def leaves(self, start: int, stop: int) -> list[bytes]:
        """Return the leaf hashes with start <= index < stop, those that there are."""
        held = self.hashes(0, start, min(stop, len(self)))
        return [held[i : i + HASH_SIZE] for i in range(0, len(held), HASH_SIZE)]

    def hashes(self, level: int, start: int, stop: int) -> bytes:
        """Return the hashes of one level with start <= index < stop, side by side. Raises StoreCorrupt."""
        parts = []
        while start < stop:
            number, offset = divmod(start, WIDTH)
            taken = min(WIDTH - offset, stop - start)
            parts.append(self._tile(level, number)[0][offset * HASH_SIZE : (offset + taken) * HASH_SIZE])
            start += taken
        return b"".join(parts)

    def count(self, level: int) -> int:
        """Return how many hashes a level has."""
        return self._frontier.size >> HEIGHT * level

    def _node(self, height: int, index: int) -> bytes:
        level, rest = divmod(height, HEIGHT)
        number, offset = divmod(index << rest, WIDTH)
        ladder = self._tile(level, number)
        if len(ladder) > 1:
            return ladder[rest][(offset >> rest) * HASH_SIZE : ((offset >> rest) + 1) * HASH_SIZE]
        if rest == 0:
            return ladder[0][offset * HASH_SIZE : (offset + 1) * HASH_SIZE]
        nodes = self._known.nodes  # complete subtrees of the edge: the next tree asks for most of them again
        found = nodes.get((height, index))
        if found is None:
            found = node_hash(self._node(height - 1, 2 * index), self._node(height - 1, 2 * index + 1))
            if len(nodes) >= KEPT_NODES:
                nodes.clear()
            nodes[height, index] = found
        return found

    def _tile(self, level: int, number: int) -> tuple[bytes, ...]:
        """Return a tile with all levels of hashes inside it up to its root; of the edge its hashes only."""
        if number == self.count(level) >> HEIGHT:
            return (self._frontier.edges[level],)
        known = self._known.get(level, number)
        if known is not None:
            return known
        data = self._fetch(level, number)
        if data is None or len(data) != FULL:
            raise StoreCorrupt(f"tile {number} of level {level} is not in the store")
        ladder = tuple(ladder_of(data))
        if ladder[-1] != self.hashes(level + 1, number, number + 1):
            raise StoreCorrupt(f"tile {number} of level {level} is not the one that was signed")
        self._known.put(level, number, ladder)
        return ladder


class _Known:
    """The tiles looked at last, verified."""

    def __init__(self) -> None:
        self._lock = Lock()  # guards _held
        self._held: OrderedDict[tuple[int, int], tuple[bytes, ...]] = OrderedDict()
        self.nodes: dict[tuple[int, int], bytes] = {}  # (height, index); the log's writer and readers share it

    def get(self, level: int, number: int) -> tuple[bytes, ...] | None:
        with self._lock:
            found = self._held.get((level, number))
            if found is not None:
                self._held.move_to_end((level, number))
            return found

    def put(self, level: int, number: int, ladder: tuple[bytes, ...]) -> None:
        with self._lock:
            self._held[level, number] = ladder
            if len(self._held) > KEPT:
                self._held.popitem(last=False)


class TileSource(Protocol):
    """A log as far as tiles are made of it."""

    @property
    def size(self) -> int:
        """How many entries are durable."""
        ...

    def tile_hashes(self, level: int, start: int, stop: int) -> bytes:
        """Return hashes of one level, side by side."""
        ...

    def entries(self, start: int, stop: int) -> list[bytes]:
        """Return leaves."""
        ...


def tile(log: TileSource, path: str) -> bytes:
    """Return what stands under `tile/<path>` of a log: hashes of a level, or entries with their lengths before them.

    path: `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`. Raises TileUnknown (404) for one that is not spelled in the one
    way, or that the log does not hold yet.
    """
    level, number, width = parse_path(path)
    start = number * WIDTH
    if start + width > log.size >> HEIGHT * max(level, 0):
        raise TileUnknown(f"the log of {log.size} entries does not hold this tile")
    if level >= 0:
        return log.tile_hashes(level, start, start + width)
    found = log.entries(start, start + width)
    if any(len(entry) >= 1 << 16 for entry in found):
        raise TileUnknown("an entry is longer than a bundle can say")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in found)


def parse_path(path: str) -> tuple[int, int, int]:
    """Return (level, number, width) of a tile's path, level -1 for entries. Raises TileUnknown."""
    found = _PATH.fullmatch(path)
    if found is not None:
        level = -1 if found[1] == "entries" else int(found[1])
        number, width = int(found[2].replace("x", "").replace("/", "")), int(found[3] or WIDTH)
        if level <= MAX_LEVEL and 0 < width <= WIDTH and format_path(level, number, width) == path:
            return level, number, width
    raise TileUnknown("there is no tile of this name")


def format_path(level: int, number: int, width: int = WIDTH) -> str:
    """Return a tile's path: the number in groups of three digits, all but the last after an x."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03}")
    end = "" if width == WIDTH else f".p/{width}"
    return f"{'entries' if level < 0 else level}/{'/'.join(groups)}{end}"


def levels_of(size: int) -> int:
    """Return how many levels of tiles a tree of this size has."""
    return -(-size.bit_length() // HEIGHT)


def fold(hashes: bytes) -> bytes:
    """Return the root over hashes side by side, a power of two of them."""
    *_, root = ladder_of(hashes)
    return root


def ladder_of(hashes: bytes) -> Iterable[bytes]:
    """Yield the hashes, then those over each two of them, up to one."""
    yield hashes
    while len(hashes) > HASH_SIZE:
        pairs = range(0, len(hashes), 2 * HASH_SIZE)  # two hashes side by side are what a node hashes
        hashes = b"".join([sha256(NODE + hashes[i : i + 64]).digest() for i in pairs])
        yield hashes
