"""Which journal the studies of an exchange have: a file beside each study, or PostgreSQL by URL."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from hdex.federated.journal_sqlite import SqliteJournal
from hdex.federated.ports import Journal
from hdex.node.errors import ConfigInvalid

SCHEMES = ("postgresql", "postgres")


def open_journal(url: str, folder: Path) -> Journal:
    """Return the journal of the study in `folder`; an empty URL means SQLite. Raises ConfigInvalid."""
    if not url:
        return SqliteJournal(folder / "journal.db")
    require_postgres_url("studies_journal", url)
    try:
        from hdex.federated.journal_postgres import PostgresJournal
    except ImportError as error:
        raise ConfigInvalid("studies_journal names PostgreSQL: install hdex[postgres]") from error
    return PostgresJournal(url)


def require_postgres_url(key: str, url: str) -> None:
    """Raise ConfigInvalid unless the URL is PostgreSQL's and carries no password: configurations are read by many."""
    try:
        parts = urlsplit(url)
        secret = parts.password is not None or "password" in parse_qs(parts.query)
    except ValueError as error:
        raise ConfigInvalid(f"{key} is not a URL") from error
    if parts.scheme not in SCHEMES:
        raise ConfigInvalid(f"{key} must be empty (SQLite) or begin with postgresql://")
    if secret:
        raise ConfigInvalid(f"{key} holds a password: keep it in a file that the URL names, ?passfile=...")
