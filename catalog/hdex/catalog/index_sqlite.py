"""The Index port over SQLite: one file, FTS5 with bm25, Chinese as pairs of characters in columns of their own.

The full-text table is contentless: it can be dropped and rebuilt from the documents at any time, and is when the
way words are made has changed (WORDS_VERSION).
"""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hdex.catalog.documents import canonical, from_document
from hdex.catalog.errors import CatalogError, IndexUnreadable
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.ports import FacetCount, Index, Listing, Page, Query
from hdex.catalog.product import DataProduct
from hdex.catalog.words import asked_pairs, latin_words, search_words

SCHEMA_VERSION = 2
WORDS_VERSION = "1"
LONGEST_PAIRS = 60

_SCHEMA = """
CREATE TABLE IF NOT EXISTS product (
  key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, document BLOB NOT NULL, envelope BLOB NOT NULL,
  state TEXT NOT NULL, level TEXT NOT NULL, provider TEXT NOT NULL, issued TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS product_mode (key INTEGER NOT NULL, mode TEXT NOT NULL, PRIMARY KEY (key, mode))
  WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS product_by_issued ON product (state, issued DESC, id);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(title, body, han_title, han_body, content='',
  tokenize='unicode61 remove_diacritics 2', prefix='1 2 3');
"""
_FROM_1 = """
BEGIN;
DROP INDEX product_by_issued;
ALTER TABLE product ADD COLUMN state TEXT NOT NULL DEFAULT 'LISTED';
UPDATE product SET state = 'REVOKED' WHERE withdrawn = 1;
ALTER TABLE product DROP COLUMN withdrawn;
PRAGMA user_version = 2;
COMMIT;
"""
_RANK = "bm25(words, 8.0, 1.0, 8.0, 1.0)"


class SqliteIndex:
    """Listings in one SQLite file; every write is synced before it returns. Safe for many threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._open()
        except sqlite3.DatabaseError as error:
            raise IndexUnreadable(f"{path.name}: not a catalogue index, or damaged") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def publish(self, product: DataProduct, envelope: bytes) -> None:
        """Keep this version in the place of the one held."""
        with self._transaction() as db:
            self._forget(db, product.id)
            values = (product.id, canonical(product.document()), envelope)
            facets = (str(product.level), product.provider.id, product.issued)
            cursor = db.execute(
                "INSERT INTO product (id, document, envelope, state, level, provider, issued)"
                " VALUES (?, ?, ?, 'LISTED', ?, ?, ?)",
                (*values, *facets),
            )
            key = cursor.lastrowid
            modes = [(key, mode.value) for mode in product.delivery_modes]
            db.executemany("INSERT OR IGNORE INTO product_mode VALUES (?, ?)", modes)
            db.execute(f"INSERT INTO words (rowid, {_COLUMNS}) VALUES (?, ?, ?, ?, ?)", (key, *_columns(product)))  # noqa: S608

    def mark(self, product_id: str, state: ProductState) -> None:
        """Keep how the version held stands."""
        with self._transaction() as db:
            db.execute("UPDATE product SET state = ? WHERE id = ?", (state.value, product_id))

    def get(self, product_id: str) -> Listing | None:
        """Return the newest version kept."""
        with self._lock:
            sql = "SELECT document, envelope, state FROM product WHERE id = ?"
            row = self._db.execute(sql, (product_id,)).fetchone()
        return _listing(*row) if row else None

    def find(self, query: Query) -> Page:
        """Return live listings in which every word of the text occurs, best first."""
        match = match_expression(query.text)
        if match is None and query.text.strip():
            return Page((), 0, dict.fromkeys(_FACETS, ()))  # punctuation only: nothing can hold it
        with self._lock:
            hits = self._hits(query, match)
            total = self._count(query, match)
            facets = {name: self._facet(name, query, match) for name in _FACETS}
        return Page(tuple(_listing(*row) for row in hits), total, facets)

    def rebuild(self) -> None:
        """Make the full-text table anew from the documents."""
        with self._transaction() as db:
            db.execute("INSERT INTO words (words) VALUES ('delete-all')")
            for key, document in db.execute("SELECT key, document FROM product").fetchall():
                product = from_document(DataProduct, json.loads(document))
                db.execute(f"INSERT INTO words (rowid, {_COLUMNS}) VALUES (?, ?, ?, ?, ?)", (key, *_columns(product)))  # noqa: S608
            db.execute("INSERT OR REPLACE INTO meta VALUES ('words', ?)", (WORDS_VERSION,))

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > SCHEMA_VERSION:
            raise IndexUnreadable(f"index version {found} is found, {SCHEMA_VERSION} is the newest known here")
        if found == 1:
            self._db.executescript(_FROM_1)
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        held = self._db.execute("SELECT value FROM meta WHERE name = 'words'").fetchone()
        if held is None or held[0] != WORDS_VERSION:
            self.rebuild()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _forget(self, db: sqlite3.Connection, product_id: str) -> None:
        row = db.execute("SELECT key, document FROM product WHERE id = ?", (product_id,)).fetchone()
        if row is None:
            return
        key, old = row[0], from_document(DataProduct, json.loads(row[1]))
        # a contentless table can only forget words that it is told again
        sql = f"INSERT INTO words (words, rowid, {_COLUMNS}) VALUES ('delete', ?, ?, ?, ?, ?)"  # noqa: S608
        db.execute(sql, (key, *_columns(old)))
        db.execute("DELETE FROM product_mode WHERE key = ?", (key,))
        db.execute("DELETE FROM product WHERE key = ?", (key,))

    def _hits(self, query: Query, match: str | None) -> list[tuple[bytes, bytes, str]]:
        # bm25 in the same scan as MATCH: ranking by a second look-up per row is a thousand times slower
        source, order = _source(match)
        where, values = _conditions(query, match)
        sql = f"SELECT p.document, p.envelope, p.state FROM {source} WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608
        return self._db.execute(sql, (*values, query.limit, query.offset)).fetchall()

    def _count(self, query: Query, match: str | None) -> int:
        where, values = _conditions(query, match)
        sql = f"SELECT count(*) FROM {_source(match)[0]} WHERE {where}"  # noqa: S608
        return int(self._db.execute(sql, values).fetchone()[0])

    def _facet(self, name: str, query: Query, match: str | None) -> tuple[FacetCount, ...]:
        where, values = _conditions(query, match, without=name)
        column, join = _FACETS[name]
        sql = (  # every part of it is written in this file
            f"SELECT {column}, count(*) FROM {_source(match)[0]} {join}"  # noqa: S608
            f" WHERE {where} GROUP BY {column} ORDER BY {column}"
        )
        return tuple(FacetCount(value, count) for value, count in self._db.execute(sql, values))


_COLUMNS = "title, body, han_title, han_body"
_FACETS = {
    "level": ("p.level", ""),
    "provider": ("p.provider", ""),
    "mode": ("m.mode", "JOIN product_mode m ON m.key = p.key"),
}
_FILTERS = {
    "level": "p.level = ?",
    "provider": "p.provider = ?",
    "mode": "p.key IN (SELECT key FROM product_mode WHERE mode = ?)",
}


def match_expression(text: str) -> str | None:
    """Return the FTS5 expression that asks every word of `text`; None where there is none.

    Words are quoted, so nothing that a visitor types is syntax.
    """
    latin = [f'{{title body}} : "{word}"*' for word in latin_words(text)]
    pairs = [f'{{han_title han_body}} : "{pair}"' + "*" * (len(pair) == 1) for pair in asked_pairs(text)]
    return " AND ".join([*latin, *pairs][:LONGEST_PAIRS]) or None


def _source(match: str | None) -> tuple[str, str]:
    if match is None:
        return "product p", "p.issued DESC, p.id"
    return "words JOIN product p ON p.key = words.rowid", f"{_RANK}, p.issued DESC, p.id"


def _conditions(query: Query, match: str | None, *, without: str = "") -> tuple[str, list[str]]:
    chosen = {"level": query.level, "provider": query.provider, "mode": query.mode}
    asked = {name: str(value) for name, value in chosen.items() if value is not None and name != without}
    parts = ["words MATCH ?"] if match is not None else []
    values = [match] if match is not None else []
    return " AND ".join([*parts, "p.state = 'LISTED'", *(_FILTERS[name] for name in asked)]), [*values, *asked.values()]


def _columns(product: DataProduct) -> tuple[str, str, str, str]:
    words = search_words(product)
    return " ".join(words.title), " ".join(words.body), " ".join(words.han_title), " ".join(words.han_body)


def _listing(document: bytes, envelope: bytes, state: str) -> Listing:
    try:
        product, standing = from_document(DataProduct, json.loads(document)), ProductState(state)
    except (CatalogError, ValueError) as error:
        raise IndexUnreadable("a listing in the index is damaged") from error
    return Listing(product, envelope, standing)


_: type[Index] = SqliteIndex
