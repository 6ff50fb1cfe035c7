"""Look for planted identifiers in everything that left the hospitals: files of the others, pages, opened products."""

import json
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from hdex.node.demo.identifying import stands_alone

SHORTEST = 4  # a shorter Latin text is found everywhere
SHORTEST_HAN = 2
PIECE = 1 << 22
OVERLAP = 512


def searchable(identifiers: Iterable[str]) -> list[str]:
    """Return the identifiers long enough to be looked for, with the form JSON may give them."""
    kept = {text for text in identifiers if len(text) >= (SHORTEST if text.isascii() else SHORTEST_HAN)}
    escaped = {json.dumps(text)[1:-1] for text in kept}
    return sorted(kept | escaped)


def found_in_files(folders: Iterable[Path], identifiers: list[str]) -> set[str]:
    """Return the identifiers that stand in any file below the folders, in UTF-8 or GB18030."""
    files = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
    return found_in_texts((text for path in files for text in texts_of(path.read_bytes())), identifiers)


def texts_of(data: bytes) -> Iterable[str]:
    """Yield what these bytes may say, in pieces: as UTF-8, and as GB18030 where that says something else."""
    yield from pieces(data.decode("utf-8", errors="replace"))
    if not data.isascii():
        yield from pieces(data.decode("gb18030", errors="replace"))


def found_in_frame(frame: pl.DataFrame, identifiers: list[str]) -> set[str]:
    """Return the identifiers that stand in any cell of a frame."""
    cells = (cell for name in frame.columns for cell in frame[name].cast(pl.String).to_list())
    return found_in_texts(cells, identifiers)


def found_in_texts(texts: Iterable[str | None], identifiers: list[str]) -> set[str]:
    """Return the identifiers that occur in any of the texts. All texts in one pass: the automaton is built once."""
    series = pl.Series([text for text in texts if text], dtype=pl.String)
    if series.is_empty() or not identifiers:
        return set()
    suspects = series.filter(series.str.contains_any(identifiers))
    hits = suspects.str.extract_many(identifiers, overlapping=True).explode().drop_nulls()
    return {hit for hit in hits.unique().to_list() if stands_alone(hit, suspects)}


def pieces(text: str) -> Iterable[str]:
    """Yield a long text in overlapping pieces."""
    for start in range(0, max(1, len(text)), PIECE):
        yield text[max(0, start - OVERLAP) : start + PIECE]
