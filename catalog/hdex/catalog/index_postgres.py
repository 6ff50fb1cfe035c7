"""The Index port over PostgreSQL, by URL (`postgresql://host/database`, or any text that libpq takes).

Words stand in two `tsvector` columns with a GIN index each: words and stems (a stem is written `=stem`), and pairs of
Han characters. Their weights are the fields: A title, B keywords, D body. They are made here and not by a dictionary
of the server, so that every index finds the same. Several exchanges may share one database.

Passwords stand in a file that libpq reads (`passfile=` in the URL, or ~/.pgpass), never in the URL itself.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hdex.catalog.asked import terms
from hdex.catalog.canonical import canonical
from hdex.catalog.errors import IndexUnavailable
from hdex.catalog.facets import FACETS
from hdex.catalog.index_batches import made_of_all
from hdex.catalog.index_postgres_rows import made, names_of, row_of
from hdex.catalog.index_postgres_text import question
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.listing_bytes import read_listing
from hdex.catalog.ports import FacetCount, Index, Listing, Page, Place, Query
from hdex.catalog.product import DataProduct
from hdex.catalog.spelling import edits_allowed, pieces
from hdex.catalog.words import WORDS_VERSION, SearchWords, search_words

SCHEMA_VERSION = 1
_CONNECT_S = 10
_FETCHED = 25  # manifests that are asked of the server at a time: each may have megabytes
_INLINE = ("words", "han", *(f"f_{name}" for name in FACETS))  # read for every hit: what stands elsewhere costs a look
_MADE = ("issued_ms", *_INLINE)  # columns that are made from the document
_RELATIONS = (
    *("hdex_catalogue", "hdex_words", "hdex_product", "hdex_product_words", "hdex_product_han"),
    *("hdex_product_newest", "hdex_name", "hdex_name_pieces"),
)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS hdex_catalogue (schema_version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS hdex_words (version TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hdex_product (
  key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id TEXT COLLATE "C" NOT NULL UNIQUE, document BYTEA NOT NULL,
  envelope BYTEA NOT NULL, state TEXT NOT NULL, issued_ms BIGINT NOT NULL,
  {", ".join(f"f_{name} TEXT[] NOT NULL" for name in FACETS)},
  words TSVECTOR NOT NULL, han TSVECTOR NOT NULL);
ALTER TABLE hdex_product {", ".join(f"ALTER COLUMN {name} SET STORAGE MAIN" for name in _INLINE)};
CREATE INDEX IF NOT EXISTS hdex_product_words ON hdex_product USING gin (words) WHERE state = 'LISTED';
CREATE INDEX IF NOT EXISTS hdex_product_han ON hdex_product USING gin (han) WHERE state = 'LISTED';
CREATE INDEX IF NOT EXISTS hdex_product_newest ON hdex_product (issued_ms DESC, id) WHERE state = 'LISTED';
CREATE TABLE IF NOT EXISTS hdex_name (
  key BIGINT NOT NULL REFERENCES hdex_product ON DELETE CASCADE, name TEXT NOT NULL, pieces TEXT[] NOT NULL,
  PRIMARY KEY (key, name));
CREATE INDEX IF NOT EXISTS hdex_name_pieces ON hdex_name USING gin (pieces);
"""
_PUT = sa.text(
    f"INSERT INTO hdex_product (id, document, envelope, state, {', '.join(_MADE)})"  # noqa: S608  # our own names
    " VALUES (:id, :document, :envelope, 'LISTED', :issued_ms, CAST(:words AS tsvector), CAST(:han AS tsvector), "
    + ", ".join(f":f_{name}" for name in FACETS)
    + ") ON CONFLICT (id) DO UPDATE SET document = excluded.document, envelope = excluded.envelope, state = 'LISTED', "
    + ", ".join(f"{name} = excluded.{name}" for name in _MADE)
    + " RETURNING key"
)
_REMAKE = sa.text(  # but not what was published since its document was read: that has its words already
    f"UPDATE hdex_product p SET {', '.join(f'{name} = made.{name}' for name in _MADE)}"  # noqa: S608  # our own names
    ' FROM json_to_recordset(CAST(:rows AS json)) AS made (id TEXT COLLATE "C", digest TEXT, issued_ms BIGINT,'
    f" words TSVECTOR, han TSVECTOR, {', '.join(f'f_{name} TEXT[]' for name in FACETS)})"
    " WHERE p.id = made.id AND encode(sha256(p.document), 'hex') = made.digest RETURNING p.key"
)
_NAMES = sa.text(  # what is held already stays untouched: its index is dear to write
    "WITH asked AS MATERIALIZED (SELECT p.key, held.key AS name, ARRAY(SELECT json_array_elements_text(held.value))"
    ' AS pieces FROM json_to_recordset(CAST(:names AS json)) AS made (id TEXT COLLATE "C", names JSON)'
    " JOIN hdex_product p ON p.id = made.id AND p.key = ANY(CAST(:keys AS bigint[])), json_each(made.names) AS held),"
    " gone AS (DELETE FROM hdex_name WHERE key = ANY(CAST(:keys AS bigint[]))"
    " AND NOT EXISTS (SELECT FROM asked WHERE asked.key = hdex_name.key AND asked.name = hdex_name.name))"
    " INSERT INTO hdex_name SELECT key, name, pieces FROM asked"
    " EXCEPT SELECT key, name, pieces FROM hdex_name WHERE key = ANY(CAST(:keys AS bigint[]))"
    " ON CONFLICT (key, name) DO UPDATE SET pieces = excluded.pieces"
)


class PostgresIndex:
    """Listings in one table of a database. Safe for many threads and processes.

    Raises IndexUnavailable when the server does not answer.
    """

    def __init__(self, url: str, *, connections: int = 8) -> None:
        self._engine = sa.create_engine(
            "postgresql+psycopg://",
            connect_args={"connect_timeout": _CONNECT_S, "application_name": "hdex"},
            pool_size=connections,
            pool_pre_ping=True,  # a restarted server is no matter
        )
        sa.event.listen(self._engine, "do_connect", lambda _dialect, _record, given, _named: _take(given, url))
        with self._transaction() as db:
            db.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('hdex_catalogue'))")  # CREATE IF NOT EXISTS races
            _make_tables(db)
            held = db.exec_driver_sql("SELECT schema_version FROM hdex_catalogue").scalar()
            if held is None:
                db.execute(sa.text("INSERT INTO hdex_catalogue VALUES (:version)"), {"version": SCHEMA_VERSION})
            elif held != SCHEMA_VERSION:
                raise IndexUnavailable(f"the database has tables of version {held}, {SCHEMA_VERSION} is known here")
            is_new = _has_new_words(db)
        if not is_new:
            self.rebuild(unless_new=True)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def publish(self, product: DataProduct, envelope: bytes) -> None:
        """Keep this version in the place of the one held."""
        document = product.document()
        words = search_words(document)
        with self._writing() as db:
            put_product(db, document, envelope, words)

    def mark(self, product_id: str, state: ProductState) -> None:
        """Keep how the version held stands."""
        with self._writing() as db:
            sql = sa.text("UPDATE hdex_product SET state = :state WHERE id = :id")
            db.execute(sql, {"state": state.value, "id": _plain(product_id)})

    def get(self, product_id: str) -> Listing | None:
        """Return the newest version kept."""
        with self._transaction() as db:
            sql = sa.text("SELECT document, envelope, state FROM hdex_product WHERE id = :id")
            row = db.execute(sql, {"id": _plain(product_id)}).first()
        return read_listing(bytes(row[0]), bytes(row[1]), row[2]) if row else None

    def find(self, query: Query) -> Page:
        """Return live listings that hold every term of the text, best first."""
        asked = terms(query.text)
        if query.text.strip() and not asked:
            return Page()  # punctuation only: nothing can hold it
        sql, values = question(query, asked)
        with self._transaction() as db:
            db.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            db.exec_driver_sql("SET LOCAL jit = off")  # compiling a question takes longer than answering it
            rows = db.execute(sa.text(sql), values).all()
            places = [Place(row.score, row.issued_ms, row.id) for row in rows if row.kind == "hit"]
            page = places[: query.limit]
            hits = _listings(db, [place.id for place in page])
        follows = page[-1] if len(places) > len(page) and page else None
        counts = sorted((row.kind, row.id, row.score) for row in rows if row.kind != "hit")
        total = next((count for kind, _, count in counts if kind == "total"), 0)
        facets = {name: tuple(FacetCount(value, n) for kind, value, n in counts if kind == name) for name in FACETS}
        return Page(tuple(hits), total, facets, follows)

    def names_like(self, word: str) -> Mapping[str, int]:
        """Return names that share a piece with `word`, counted."""
        most = edits_allowed(word)
        if not most:
            return {}
        sql = sa.text(
            "SELECT n.name, count(*) FROM hdex_name n JOIN hdex_product p ON p.key = n.key AND p.state = 'LISTED'"
            " WHERE n.pieces && :pieces AND abs(char_length(n.name) - :size) <= :most GROUP BY n.name"
        )
        with self._transaction() as db:
            rows = db.execute(sql, {"pieces": sorted(pieces(word)), "size": len(word), "most": most})
            return {str(name): int(count) for name, count in rows}

    def rebuild(self, *, unless_new: bool = False) -> int:
        """Make all words anew from the manifests, in one transaction; return how many products were.

        unless_new: leave them where they are as this program makes them, by another process meanwhile.

        Until it commits, readers have the answers of before. Whoever publishes or marks a product waits for it only
        where that product has been made anew already. Raises IndexUnreadable for a damaged manifest.
        """
        with self._writing() as db:
            db.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")  # others go on publishing
            db.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('hdex_catalogue_rebuild'))")  # one at a time
            return 0 if unless_new and _has_new_words(db) else _remake(db)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Yield a connection; commit at its end, on the server's disk, whatever its configuration says."""
        with self._transaction() as db:
            db.exec_driver_sql("SET LOCAL synchronous_commit TO on")
            yield db

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Yield a connection; commit at its end. Raises IndexUnavailable."""
        try:
            with self._engine.begin() as db:
                yield db
        except sa.exc.SQLAlchemyError as error:
            raise IndexUnavailable(f"PostgreSQL does not keep the catalogue ({type(error).__name__})") from error


def _take(given: list[Any], url: str) -> None:
    given[:] = [url]  # as libpq reads it, not as SQLAlchemy would


def _make_tables(db: Connection) -> None:
    """Make what is missing. Where nothing is, no lock is taken that a reader or a rebuild would feel."""
    held = sa.text("SELECT bool_and(to_regclass(name) IS NOT NULL) FROM unnest(CAST(:names AS text[])) AS name")
    if not db.execute(held, {"names": list(_RELATIONS)}).scalar():
        db.exec_driver_sql(_SCHEMA)


def _has_new_words(db: Connection) -> bool:
    """Return whether the words are as this program makes them."""
    return db.exec_driver_sql("SELECT version FROM hdex_words").scalar() == WORDS_VERSION


def put_product(db: Connection, document: dict[str, Any], envelope: bytes, words: SearchWords) -> None:
    """Keep a checked document as a live product, with its words and names."""
    values = row_of(document, words) | {"document": canonical(document), "envelope": envelope}
    key = db.execute(_PUT, values).scalar_one()
    db.execute(_NAMES, {"keys": [key], "names": json.dumps([names_of(document, words)])})


def _remake(db: Connection) -> int:
    """Make what is kept of every product anew, a batch at a time; return how many there are."""
    about = db.exec_driver_sql("SELECT count(*) FROM hdex_product").scalar_one()
    sql = sa.text("SELECT document FROM hdex_product ORDER BY key")
    rows = db.execute(sql, execution_options={"yield_per": _FETCHED})  # a cursor of the server's
    count = 0
    with closing(made_of_all(made, ((bytes(row.document),) for row in rows), about)) as batches:
        for batch in batches:
            made_rows, names = zip(*(one for _, one in batch), strict=True)
            keys = db.execute(_REMAKE, {"rows": _array(made_rows)}).scalars().all()  # theirs alone are locked
            db.execute(_NAMES, {"keys": keys, "names": _array(names)})
            count += len(batch)
    db.exec_driver_sql("DELETE FROM hdex_words")
    db.execute(sa.text("INSERT INTO hdex_words VALUES (:version)"), {"version": WORDS_VERSION})
    return count


def _array(texts: Sequence[str]) -> str:
    return f"[{','.join(texts)}]"


def _listings(db: Connection, ids: Sequence[str]) -> list[Listing]:
    sql = sa.text("SELECT id, document, envelope, state FROM hdex_product WHERE id = ANY(:ids)")
    held = {row.id: row for row in db.execute(sql, {"ids": list(ids)})} if ids else {}
    return [read_listing(bytes(held[id].document), bytes(held[id].envelope), held[id].state) for id in ids]


def _plain(text: str) -> str:
    """Return a text as PostgreSQL takes it: without what no id can hold."""
    return text.replace("\x00", " ").encode("utf-8", "replace").decode()


_: type[Index] = PostgresIndex
