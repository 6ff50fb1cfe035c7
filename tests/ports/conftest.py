"""The adapters of the Index port, each empty; those of PostgreSQL on a server of the tests' own."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.ports.postgres_server import Server, binaries, running_server

from hdex.catalog.index_memory import MemoryIndex
from hdex.catalog.index_postgres import PostgresIndex
from hdex.catalog.index_sqlite import SqliteIndex
from hdex.catalog.ports import Index

ADAPTERS = ("memory", "sqlite", "postgres")


@pytest.fixture(scope="session")
def index_server() -> Iterator[Server]:
    """A real PostgreSQL server."""
    if binaries() is None:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed")
    with running_server() as server:
        yield server


def opened(name: str, request: pytest.FixtureRequest, folder: Path) -> Index:
    """Return an empty index."""
    if name == "memory":
        return MemoryIndex()
    if name == "sqlite":
        return SqliteIndex(folder / "index.sqlite")
    server: Server = request.getfixturevalue("index_server")
    with psycopg.connect(server.url) as connection:
        connection.execute("DROP TABLE IF EXISTS hdex_catalogue, hdex_words, hdex_name, hdex_product")
    index = PostgresIndex(server.url, connections=2)
    request.addfinalizer(index.close)
    return index


@pytest.fixture(params=ADAPTERS)
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Index:
    return opened(request.param, request, tmp_path)


@pytest.fixture
def every(request: pytest.FixtureRequest, tmp_path: Path) -> list[Index]:
    """All adapters, to be told the same."""
    return [opened(name, request, tmp_path) for name in ADAPTERS]
