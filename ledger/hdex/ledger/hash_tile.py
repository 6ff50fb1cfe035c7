"""Hash tiles of C2SP tlog-tiles: paths, and the bytes of one tile. Pure, no I/O.

Source: c2sp.org/tlog-tiles. Tile n of level l holds MTH(D[(n*256 + i) * 256**l : (n*256 + i + 1) * 256**l]), i < 256.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hdex.ledger.merkle import Tree

WIDTH = 256
MAX_LEVEL = 63
_PATH = re.compile(r"([0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TileName:
    """Which tile: `width` is 256 for a full one."""

    level: int
    index: int
    width: int = WIDTH


def parse_tile_path(path: str) -> TileName | None:
    """Return the tile of `<L>/<N>[.p/<W>]`, None when the path is not the one spelling of a tile."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    name = TileName(int(found[1]), int(found[2].replace("x", "").replace("/", "")), int(found[3] or WIDTH))
    return name if tile_path(name) == path else None


def tile_path(name: TileName) -> str:
    """Return `<L>/<N>[.p/<W>]`: the index in groups of three digits, all but the last after an x."""
    groups = [f"{name.index % 1000:03}"]
    rest = name.index // 1000
    while rest:
        groups.insert(0, f"x{rest % 1000:03}")
        rest //= 1000
    return f"{name.level}/{'/'.join(groups)}" + (f".p/{name.width}" if name.width < WIDTH else "")


def hash_tile(name: TileName, size: int, leaf_hashes: Callable[[int, int], Sequence[bytes]]) -> bytes | None:
    """Return the tile's hashes, 32 bytes each, None when a log of `size` leaves does not hold it.

    leaf_hashes: those with start <= index < stop. A hash of level l costs 256**l of them.
    """
    span = WIDTH**name.level
    first = name.index * WIDTH
    if not 0 < name.width <= WIDTH or (first + name.width) * span > size:
        return None
    if name.level == 0:
        return b"".join(leaf_hashes(first, first + name.width))
    starts = range(first * span, (first + name.width) * span, span)
    return b"".join(Tree(leaf_hashes(start, start + span)).root() for start in starts)
