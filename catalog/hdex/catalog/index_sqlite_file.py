"""The file of the SQLite index: its tables, how words stand in them, and how a file is made anew.

A file is made anew from the manifests it holds when its tables or the way words are made have changed: beside the old
one, which it replaces in one step once it is whole. Whenever that is cut off, one of the two is there, whole.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from hdex.catalog.errors import IndexUnreadable
from hdex.catalog.index_batches import made_of_all
from hdex.catalog.index_rows import Row, made, standing, texts
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.words import WORDS_VERSION, SearchWords

SCHEMA_VERSION = 4
FIELDS = ("title", "keywords", "body")
WORD_COLUMNS = tuple(f"{kind}{name}" for name in FIELDS for kind in ("", "stem_", "han_"))
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS product (
  key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, issued_ms INTEGER NOT NULL,
  facets TEXT NOT NULL, names TEXT NOT NULL, document BLOB NOT NULL, envelope BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5({", ".join(WORD_COLUMNS)}, content='', columnsize=0,
  tokenize='ascii');
"""  # what is long stands last: what is behind it is read through it. Words come folded: the tokenizer changes nothing
_PUT = "INSERT OR REPLACE INTO product VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_NEW = "INSERT INTO product VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # half the work: nothing to look for and replace
_PLACES = ", ".join("?" * len(WORD_COLUMNS))
_INSERT = f"INSERT INTO words (rowid, {', '.join(WORD_COLUMNS)}) VALUES (?, {_PLACES})"  # noqa: S608  # our own names
_DELETE = f"INSERT INTO words (words, rowid, {', '.join(WORD_COLUMNS)}) VALUES ('delete', ?, {_PLACES})"  # noqa: S608
_FORMER = {  # schema version -> document, state and envelope of every product
    1: "SELECT document, CASE withdrawn WHEN 1 THEN 'REVOKED' ELSE 'LISTED' END, envelope FROM product ORDER BY key",
    2: "SELECT document, state, envelope FROM product ORDER BY key",
    3: "SELECT document, state, envelope FROM product ORDER BY key",
    4: "SELECT document, state, envelope FROM product ORDER BY key",
}
Source = tuple[bytes, str, bytes]  # document, state, envelope


def open_file(path: Path) -> sqlite3.Connection:
    """Return the file, made or made anew where that is due. Raises IndexUnreadable."""
    beside(path).unlink(missing_ok=True)  # what a cut left
    try:
        found = _version(path)
        if found > SCHEMA_VERSION:
            raise IndexUnreadable(f"index version {found} is found, {SCHEMA_VERSION} is the newest known here")
        if 0 < found < SCHEMA_VERSION:
            rebuild(path)
        db = _connect(path)
        held = db.execute("SELECT value FROM meta WHERE name = 'words'").fetchone()
        if held is not None and held[0] != WORDS_VERSION:
            db.close()
            rebuild(path)
            db = _connect(path)
    except sqlite3.DatabaseError as error:
        raise IndexUnreadable(f"{path.name}: not a catalogue index, or damaged") from error
    return db


def rebuild(path: Path) -> int:
    """Make the file anew from its manifests and swap it in; return how many products it holds.

    Nobody else may have the file open. Raises IndexUnreadable, and then the old file stays.
    """
    new = beside(path)
    new.unlink(missing_ok=True)
    try:
        count = _copy(path, new)
    except sqlite3.DatabaseError as error:
        new.unlink(missing_ok=True)
        raise IndexUnreadable(f"{path.name}: cannot be read to make it anew") from error
    os.replace(new, path)
    _sync(path.parent)
    return count


def beside(path: Path) -> Path:
    """Return where a new file grows."""
    return path.with_name(path.name + ".new")


def insert_words(db: sqlite3.Connection, key: int, words: SearchWords) -> None:
    """Let a product be found."""
    db.execute(_INSERT, (key, *texts(words)))


def forget_words(db: sqlite3.Connection, key: int, words: SearchWords) -> None:
    """Let it not be found any more: a contentless table can only forget words that it is told again."""
    db.execute(_DELETE, (key, *texts(words)))


def insert_row(db: sqlite3.Connection, row: Row, document: bytes, envelope: bytes, *, key: int | None = None) -> int:
    """Keep a product, in the place of `key` where one is given; return its key."""
    return int(db.execute(_PUT, (key, *row, document, envelope)).lastrowid or 0)


def _version(path: Path) -> int:
    if not path.exists():
        return 0
    db = sqlite3.connect(path)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    finally:
        db.close()


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA cache_size = -65536")  # KiB: the words of 100,000 products
    _create(db)
    return db


def _create(db: sqlite3.Connection) -> None:
    db.executescript(_SCHEMA)
    db.execute("INSERT OR IGNORE INTO meta VALUES ('words', ?)", (WORDS_VERSION,))
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _copy(path: Path, new: Path) -> int:
    """Write a whole new file; leave the old one without a journal, which would be taken for the new one's."""
    old = sqlite3.connect(path, isolation_level=None)
    db = sqlite3.connect(new, isolation_level=None)
    try:
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        old.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")  # nobody reads it before it is synced as a whole
        db.execute("PRAGMA cache_size = -65536")
        _create(db)
        _set(db, automerge=0, hashsize=64 * 1024 * 1024)  # one merge at the end, not one every thousand products
        db.execute("BEGIN")
        version = int(old.execute("PRAGMA user_version").fetchone()[0])
        with closing(old.execute(_FORMER[version])) as rows:  # a cursor left open keeps the file locked
            count = _fill(db, rows, old.execute("SELECT count(*) FROM product").fetchone()[0])
        db.execute("COMMIT")
        db.execute("INSERT INTO words (words) VALUES ('optimize')")
        _set(db, automerge=4, hashsize=1024 * 1024)  # as FTS5 has them
    finally:
        old.close()
        db.close()
    _sync(new)
    return count


def _set(db: sqlite3.Connection, **options: int) -> None:
    for name, value in options.items():
        db.execute("INSERT INTO words (words, rank) VALUES (?, ?)", (name, value))


def _fill(db: sqlite3.Connection, rows: Iterator[Source], count: int) -> int:
    held = 0
    with closing(made_of_all(made, rows, count)) as batches:
        for batch in batches:
            products, words = [], []
            for key, ((document, state, envelope), one) in enumerate(batch, held + 1):
                row, found = standing(one, ProductState(state))
                products.append((key, *row, document, envelope))
                if found is not None:
                    words.append((key, *found))
            db.executemany(_PUT_NEW, products)
            db.executemany(_INSERT, words)
            held += len(batch)
    return held


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
