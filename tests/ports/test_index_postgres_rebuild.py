"""How PostgreSQL's index is made anew: bounded, in one transaction, while others read and write."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, cast

import psycopg
import pytest
from tests.catalog.samples import sample_catalogue, sample_product
from tests.ports.conftest import opened
from tests.ports.postgres_server import Server

from hdex.catalog import index_batches
from hdex.catalog.canonical import canonical
from hdex.catalog.errors import IndexUnavailable, IndexUnreadable
from hdex.catalog.facets import FACETS
from hdex.catalog.index_postgres import SCHEMA_VERSION, PostgresIndex
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.ports import Page, Query
from hdex.catalog.terms import Text
from hdex.catalog.words import WORDS_VERSION

pytestmark = pytest.mark.xdist_group("index")  # one PostgreSQL server for all of these

COUNT = 60
BATCH = 7
LOOK_S = 0.002
QUERIES = [Query(text=text, limit=100) for text in ("", "糖尿病", "diabetes", "follow-up cohort", "随访")]
Db = psycopg.Connection[Any]


@pytest.fixture(autouse=True)
def small_batches_by_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(index_batches, "FEW", 10)
    monkeypatch.setattr(index_batches, "BATCH", BATCH)


@pytest.fixture
def db(index_server: Server) -> Iterator[Db]:
    """A connection beside the index."""
    with psycopg.connect(index_server.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def index(request: pytest.FixtureRequest, tmp_path: Path) -> PostgresIndex:
    """Products in every state, all with words and names."""
    index = cast(PostgresIndex, opened("postgres", request, tmp_path))
    states = list(ProductState)
    for number, product in enumerate(sample_catalogue(COUNT)):
        index.publish(product, product.id.encode())
        index.mark(product.id, states[number // 2 % len(states)] if number % 2 else ProductState.LISTED)
    return index


def kept(db: Db) -> list[tuple[Any, ...]]:
    """Return everything that the tables hold, but for keys."""
    facets = ", ".join(f"f_{name}" for name in FACETS)
    sql = f"SELECT id, document, envelope, state, issued_ms, words::text, han::text, {facets} FROM hdex_product"
    names = "SELECT p.id, n.name, n.pieces FROM hdex_name n JOIN hdex_product p USING (key) ORDER BY id, name"
    return [*db.execute(sql + " ORDER BY id").fetchall(), *db.execute(names).fetchall()]


def spoil(db: Db) -> list[tuple[Any, ...]]:
    """Leave words, facets, times and names that no program of today makes; return what the tables hold."""
    facets = ", ".join(f"f_{name} = '{{former}}'" for name in FACETS)
    db.execute(f"UPDATE hdex_product SET words = '''former'':1A', han = '', issued_ms = key, {facets}")
    db.execute("DELETE FROM hdex_name WHERE key % 3 = 0")
    db.execute("UPDATE hdex_name SET pieces = '{for}' WHERE key % 3 = 1")
    db.execute("INSERT INTO hdex_name SELECT key, 'former', '{for}' FROM hdex_product")
    return kept(db)


def answers(index: PostgresIndex) -> list[Page]:
    return [index.find(query) for query in QUERIES]


def children() -> set[str]:
    """Return the processes of this one, by Linux's own table: those of every thread."""
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


def memory() -> int:
    """Return what this process holds in memory, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@contextmanager
def impatient(server: Server) -> Iterator[PostgresIndex]:
    """Yield an index of the same tables that does not wait for others for ever."""
    index = PostgresIndex(f"{server.url}&options=-c%20lock_timeout%3D20s")
    yield index
    index.close()


def until(holds: Callable[[], object]) -> None:
    deadline = monotonic() + 60
    while not holds():
        assert monotonic() < deadline


def waiting(db: Db) -> list[int]:
    """Return the processes of the server that wait for a lock."""
    sql = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' ORDER BY query_start"
    return [pid for (pid,) in db.execute(sql)]


@contextmanager
def stopped_halfway(index: PostgresIndex, server: Server, db: Db) -> Iterator[tuple[Future[int], ThreadPoolExecutor]]:
    """Yield a rebuild that waits for a product in the middle, which somebody else holds until the end."""
    with ThreadPoolExecutor(4) as threads, psycopg.connect(server.url) as holder:  # which ends before they do
        holder.execute("SELECT 1 FROM hdex_product ORDER BY key OFFSET %s LIMIT 1 FOR UPDATE", [COUNT // 2])
        rebuilding = threads.submit(index.rebuild)
        until(lambda: waiting(db) or rebuilding.done())
        assert not rebuilding.done()
        yield rebuilding, threads
        holder.rollback()


@pytest.mark.parametrize("few", [10, COUNT])
def test_everything_is_made_anew_as_it_was_published_whatever_its_state(
    index: PostgresIndex, db: Db, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(index_batches, "FEW", few)  # by helpers, and without any
    published, before = kept(db), answers(index)
    assert all(page.total for page in before)
    assert spoil(db) != published
    assert answers(index) != before
    assert index.rebuild() == COUNT
    assert kept(db) == published
    assert answers(index) == before


def test_what_comes_back_after_a_rebuild_is_found_by_its_words_and_names(index: PostgresIndex, db: Db) -> None:
    index.publish(sample_product(id="a.glaucoma", title=Text("Glaucoma", "青光眼")), b"")
    index.mark("a.glaucoma", ProductState.SUSPENDED)
    spoil(db)
    index.rebuild()
    assert index.find(Query(text="glaucoma")).total == 0
    index.mark("a.glaucoma", ProductState.LISTED)
    assert index.find(Query(text="glaucoma 青光")).total == 1
    assert index.names_like("glaucmoa")["glaucoma"] == 1


def test_a_rebuild_whose_connection_is_cut_leaves_everything_as_before(
    index: PostgresIndex, index_server: Server, db: Db
) -> None:
    published, processes = kept(db), children()
    before = spoil(db)
    with stopped_halfway(index, index_server, db) as (rebuilding, _):
        assert len(children() - processes) == 2
        db.execute("SELECT pg_terminate_backend(%s)", waiting(db))
        with pytest.raises(IndexUnavailable):
            rebuilding.result()
        assert children() == processes
    assert kept(db) == before
    assert index.rebuild() == COUNT
    assert kept(db) == published


def test_readers_have_the_answers_of_before_until_a_rebuild_is_whole(
    index: PostgresIndex, index_server: Server, db: Db
) -> None:
    spoil(db)
    before = answers(index)
    with stopped_halfway(index, index_server, db):
        assert answers(index) == before
        with impatient(index_server) as other:  # opening waits for nobody either
            assert answers(other) == before
    assert answers(index) != before


def test_what_others_write_during_a_rebuild_stays_and_waits_only_for_what_is_made_anew(
    index: PostgresIndex, index_server: Server, db: Db
) -> None:
    first, *_, marked, last = [id for (id,) in db.execute("SELECT id FROM hdex_product ORDER BY key")]
    held = {product.id: product for product in sample_catalogue(COUNT)}
    spoil(db)
    with stopped_halfway(index, index_server, db) as (rebuilding, threads):
        with impatient(index_server) as other:
            other.publish(replace(held[last], version="2.0.0", title=Text("Later version", "新版")), b"2")
            other.publish(sample_product(id="a.new", title=Text("Newcomer", "新来者")), b"new")
            other.mark(marked, ProductState.LISTED)
        publishing = threads.submit(index.publish, replace(held[first], title=Text("Earlier", "先前")), b"first")
        until(lambda: len(waiting(db)) == 2)
        assert not rebuilding.done()
    assert rebuilding.result() == COUNT
    publishing.result()
    for text, id in (("later version 新版", last), ("newcomer", "a.new"), ("earlier", first)):
        assert [hit.product.id for hit in index.find(Query(text=text)).hits] == [id]
    assert index.find(Query(text=held[marked].title.en)).total
    assert index.names_like("laetr") == {"later": 1}
    assert db.execute("SELECT count(*) FROM hdex_name WHERE name = 'former'").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM hdex_product WHERE 'former' = ANY(f_level)").fetchone() == (0,)


@pytest.mark.parametrize("few", [10, COUNT])
def test_a_damaged_listing_stops_a_rebuild_and_everything_stays(
    index: PostgresIndex, db: Db, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(index_batches, "FEW", few)
    db.execute("UPDATE hdex_product SET document = '{' WHERE key = (SELECT max(key) FROM hdex_product)")
    before, processes = spoil(db), children()
    with pytest.raises(IndexUnreadable, match="damaged"):
        index.rebuild()
    assert kept(db) == before
    assert children() == processes


def test_a_rebuild_holds_a_few_manifests_in_memory_and_not_all(index: PostgresIndex, db: Db) -> None:
    large = canonical(sample_product(id="a.large").document() | {"x": "LONG"}).decode()
    columns = f"envelope, state, issued_ms, words, han, {', '.join(f'f_{name}' for name in FACETS)}"
    given = "replace(replace(%s, 'a.large', 'a.large' || number), 'LONG', repeat('x', 500000))"
    rows = f"SELECT 'a.large' || number, convert_to({given}, 'UTF8'), {columns}"
    of = "FROM generate_series(1, 300) AS number, (SELECT * FROM hdex_product ORDER BY key LIMIT 1) AS one"
    db.execute(f"INSERT INTO hdex_product (id, document, {columns}) {rows} {of}", [large])
    before = peak = memory()
    with ThreadPoolExecutor(1) as threads:
        rebuilding = threads.submit(index.rebuild)
        while wait([rebuilding], LOOK_S).not_done:
            peak = max(peak, memory())
    assert rebuilding.result() == COUNT + 300
    assert peak - before < 200_000  # kB: all manifests would be 300,000 and more


def test_opening_makes_what_is_missing_and_refuses_other_tables(
    index: PostgresIndex, index_server: Server, db: Db
) -> None:
    db.execute("DROP INDEX hdex_product_words")
    PostgresIndex(index_server.url).close()
    assert db.execute("SELECT to_regclass('hdex_product_words') IS NOT NULL").fetchone() == (True,)
    db.execute("UPDATE hdex_catalogue SET schema_version = 99")
    try:
        with pytest.raises(IndexUnavailable, match="version 99"):
            PostgresIndex(index_server.url)
    finally:
        db.execute("UPDATE hdex_catalogue SET schema_version = %s", [SCHEMA_VERSION])


def test_words_of_another_version_are_made_anew_when_the_index_is_opened_and_others_are_not(
    index: PostgresIndex, index_server: Server, db: Db
) -> None:
    published, spoilt = kept(db), spoil(db)
    PostgresIndex(index_server.url).close()
    assert kept(db) == spoilt
    db.execute("UPDATE hdex_words SET version = 'former'")
    with ThreadPoolExecutor(2) as threads:  # two exchanges start at once
        for other in threads.map(PostgresIndex, [index_server.url] * 2):
            other.close()
    assert kept(db) == published
    assert db.execute("SELECT version FROM hdex_words").fetchall() == [(WORDS_VERSION,)]
    db.execute("DROP TABLE hdex_words")  # as in a database from before words had a version
    spoil(db)
    PostgresIndex(index_server.url).close()
    assert kept(db) == published
