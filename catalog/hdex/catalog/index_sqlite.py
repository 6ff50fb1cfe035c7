"""The Index port over SQLite: one file. FTS5 says which products hold a term in which field; numpy columns count.

The full-text table is contentless and holds the words of live products only: what is withdrawn has left it when
`mark` returns. Each term is one scan per field; looking rows up one by one afterwards took minutes at 100,000
products. The score is that of `asked.score` and not bm25, which depends on all other products and which no other
index counts alike.
"""

import sqlite3
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydantic_core

from hdex.catalog import index_sqlite_file as file
from hdex.catalog.asked import WEIGHTS, Term, TermKind, terms
from hdex.catalog.canonical import canonical
from hdex.catalog.columnar import Columns, Ints
from hdex.catalog.index_rows import Row, row_of
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.listing_bytes import read_document, read_listing
from hdex.catalog.ports import Index, Listing, Page, Query
from hdex.catalog.product import DataProduct
from hdex.catalog.spelling import Names
from hdex.catalog.words import search_words

Scores = npt.NDArray[np.uint8]
KEPT_SCANS = 256  # terms whose scan is kept until words change: a byte a product each
KEPT_LISTINGS = 512


class SqliteIndex:
    """Listings in one SQLite file; every write is synced before it returns. Safe for many threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._names: Names | None = None
        self._open()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def publish(self, product: DataProduct, envelope: bytes) -> None:
        """Keep this version in the place of the one held."""
        document = product.document()
        with self._transaction() as db:
            key = self._forget(db, product.id)
            words = search_words(document)
            row = row_of(document, ProductState.LISTED, words)
            key = file.insert_row(db, row, canonical(document), envelope, key=key)
            file.insert_words(db, key, words)
        self._changed(key, row)

    def mark(self, product_id: str, state: ProductState) -> None:
        """Keep how the version held stands."""
        with self._transaction() as db:
            key = self._forget(db, product_id)
            if key is None:
                return
            (document,) = db.execute("SELECT document FROM product WHERE key = ?", (key,)).fetchone()
            held = read_document(document)
            words = search_words(held)
            row = row_of(held, state, words)
            db.execute("UPDATE product SET state = ?, names = ? WHERE key = ?", (row.state, row.names, key))
            if state == ProductState.LISTED:
                file.insert_words(db, key, words)
        self._changed(key, row)

    def get(self, product_id: str) -> Listing | None:
        """Return the newest version kept."""
        with self._lock:
            sql = "SELECT document, envelope, state FROM product WHERE id = ?"
            row = self._db.execute(sql, (product_id,)).fetchone()
        return read_listing(*row) if row else None

    def find(self, query: Query) -> Page:
        """Return live listings that hold every term of the text, best first."""
        asked = terms(query.text)
        if query.text.strip() and not asked:
            return Page()  # punctuation only: nothing can hold it
        with self._lock:
            self._refresh()
            found = self._columns.find(query, *self._scored(asked))
            hits = [self._hit(slot) for slot in found.slots]
        return Page(tuple(hits), found.total, found.facets, found.follows)

    def names_like(self, word: str) -> Mapping[str, int]:
        """Return names that share a piece with `word`, counted."""
        with self._lock:
            self._refresh()
            if self._names is None:
                self._names = Names()
                rows = self._db.execute("SELECT names FROM product WHERE state = 'LISTED'")
                for name, count in Counter(name for (names,) in rows for name in names.split()).items():
                    self._names.add((name,), count)
            return self._names.like(word)

    def rebuild(self) -> int:
        """Make the file anew from its manifests and swap it in; return how many products it holds."""
        with self._lock:
            self._db.close()
            try:
                return file.rebuild(self._path)
            finally:
                self._open()

    def _open(self) -> None:
        self._db = file.open_file(self._path)
        self._load()

    def _load(self) -> None:
        """Read what is counted of every product into memory."""
        self._columns, self._size = Columns(), 1
        rows = self._db.execute("SELECT key, id, state, issued_ms, facets FROM product ORDER BY key DESC")
        for key, id, state, issued, facets in rows:
            values = pydantic_core.from_json(facets, cache_strings="all")
            self._columns.put(key, id, issued, values, live=state == ProductState.LISTED)
            self._size = max(self._size, key + 1)
        self._forget_answers()

    def _refresh(self) -> None:
        """Read anew where another process has written to the file since."""
        version = self._data_version()
        if version != self._version:
            self._load()

    def _data_version(self) -> int:
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def _forget_answers(self) -> None:
        self._version = self._data_version()
        self._scans: OrderedDict[Term, Scores] = OrderedDict()
        self._listings: OrderedDict[int, Listing] = OrderedDict()
        self._names = None

    def _changed(self, key: int, row: Row) -> None:
        with self._lock:
            values = pydantic_core.from_json(row.facets)
            self._columns.put(key, row.id, row.issued_ms, values, live=row.state == ProductState.LISTED)
            self._size = max(self._size, key + 1)
            self._scans.clear()
            self._listings.pop(key, None)
            self._names = None

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

    def _forget(self, db: sqlite3.Connection, product_id: str) -> int | None:
        """Let a product not be found any more; return its key, None where none is held."""
        held = db.execute("SELECT key, document, state FROM product WHERE id = ?", (product_id,)).fetchone()
        if held is None:
            return None
        key, document, state = held
        if state == ProductState.LISTED:
            file.forget_words(db, key, search_words(read_document(document)))
        return int(key)

    def _hit(self, key: int) -> Listing:
        if key in self._listings:
            self._listings.move_to_end(key)
            return self._listings[key]
        sql = "SELECT document, envelope, state FROM product WHERE key = ?"
        held = self._listings[key] = read_listing(*self._db.execute(sql, (key,)).fetchone())
        if len(self._listings) > KEPT_LISTINGS:
            self._listings.popitem(last=False)
        return held

    def _scored(self, asked: Sequence[Term]) -> tuple[Ints | None, Ints | None]:
        """Return the slots that hold every term and their scores; None, None where nothing is asked."""
        if not asked:
            return None, None
        scans = [self._scan(term) for term in asked]
        slots = np.flatnonzero(reduce(np.logical_and, scans))
        return slots, reduce(np.add, (scan[slots].astype(np.int64) for scan in scans))

    def _scan(self, term: Term) -> Scores:
        """Return for every slot what the best field that holds the term weighs, 0 where none does."""
        if term in self._scans:
            self._scans.move_to_end(term)
            return self._scans[term]
        weights = np.zeros(self._size, np.uint8)
        for name in sorted(WEIGHTS, key=WEIGHTS.__getitem__):
            # in one text: a row at a time would cost more than the scan
            sql = "SELECT group_concat(rowid) FROM words WHERE words MATCH ?"
            (rows,) = self._db.execute(sql, (match_expression(term, name),)).fetchone()
            if rows:
                weights[np.fromstring(rows, np.int64, sep=",")] = WEIGHTS[name]
        self._scans[term] = weights
        if len(self._scans) > KEPT_SCANS:
            self._scans.popitem(last=False)
        return weights


def match_expression(term: Term, name: str) -> str:
    """Return the FTS5 expression that asks a term of one field. Tokens are quoted: nothing that is typed is syntax."""
    star = " *" * (term.kind in {TermKind.WORD, TermKind.PAIR} and term.is_prefix)
    text = f'"{" ".join(term.tokens)}"{star}'
    if term.kind in {TermKind.PAIR, TermKind.HAN_PHRASE}:
        return f"{{han_{name}}} : {text}"
    if term.kind == TermKind.PHRASE:
        return f"{{{name}}} : {text}"
    return f'({{{name}}} : {text}) OR ({{{name} stem_{name}}} : "{term.stem}")'


_: type[Index] = SqliteIndex
