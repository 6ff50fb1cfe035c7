"""Which index the catalogue of an exchange has: a file of its data folder, or PostgreSQL by URL."""

from pathlib import Path

from hdex.catalog.ports import Index
from hdex.node.errors import ConfigInvalid
from hdex.node.exchange.journals import require_postgres_url


def open_index(url: str, folder: Path) -> Index:
    """Return the index; an empty URL means SQLite. Raises ConfigInvalid, IndexUnreadable, IndexUnavailable."""
    if not url:
        from hdex.catalog.index_sqlite import SqliteIndex

        return SqliteIndex(folder / "catalogue.db")
    require_postgres_url("catalogue_index", url)
    try:
        from hdex.catalog.index_postgres import PostgresIndex

        return PostgresIndex(url)
    except ImportError as error:
        raise ConfigInvalid("catalogue_index names PostgreSQL: install hdex[postgres]") from error
