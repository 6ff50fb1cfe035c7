"""Look for planted identifiers in everything that left the hospitals: files of the others, pages, opened products."""

import json
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from hdex.node.demo.identifying import stands_alone

SHORTEST = 4  # a shorter Latin text is found everywhere
SHORTEST_HAN = 2
SHORTEST_IN_BINARY = 6  # bytes; of 500 names of four bytes one stands by chance in every 12 MB of ciphertext
ENCODINGS = ("utf-8", "gb18030")
PIECE = 1 << 22
OVERLAP = 512


def searchable(identifiers: Iterable[str]) -> list[str]:
    """Return the identifiers long enough to be looked for, with the form JSON may give them."""
    kept = {text for text in identifiers if len(text) >= (SHORTEST if text.isascii() else SHORTEST_HAN)}
    escaped = {json.dumps(text)[1:-1] for text in kept}
    return sorted(kept | escaped)


def found_in_files(folders: Iterable[Path], identifiers: list[str]) -> set[str]:
    """Return the identifiers that stand in any file below the folders, in UTF-8 or GB18030.

    In bytes that are no text in either, only identifiers of six bytes or more are looked for: shorter ones, such as
    names of two Han characters in GB18030, stand in ciphertext by chance.
    """
    files = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
    texts: dict[str, list[str]] = {"": [], **{encoding: [] for encoding in ENCODINGS}}
    for data in map(Path.read_bytes, files):
        for encoding, text in readings(data):
            texts[encoding].extend(pieces(text))
    found = found_in_texts(texts[""], identifiers)
    for encoding in ENCODINGS:
        long = [one for one in identifiers if len(one.encode(encoding)) >= SHORTEST_IN_BINARY]
        found |= found_in_texts(texts[encoding], long)
    return found


def readings(data: bytes) -> Iterable[tuple[str, str]]:
    """Yield (encoding, what these bytes may say in it); the encoding is "" where the bytes are text in it."""
    for encoding in ENCODINGS[:1] if data.isascii() else ENCODINGS:
        try:
            yield "", data.decode(encoding)
        except UnicodeDecodeError:
            yield encoding, data.decode(encoding, errors="replace")


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
