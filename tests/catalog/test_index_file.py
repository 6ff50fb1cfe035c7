"""The SQLite index as a file: carried over, made anew, cut off, damaged."""

import os
import sqlite3
from pathlib import Path

import pytest
from tests.catalog.samples import federated_only, sample_catalogue, sample_product

from hdex.catalog import index_sqlite_file
from hdex.catalog.canonical import canonical
from hdex.catalog.errors import IndexUnreadable
from hdex.catalog.index_sqlite import SqliteIndex
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.ports import Query


def ids(index: SqliteIndex, text: str = "") -> list[str]:
    return [hit.product.id for hit in index.find(Query(text=text, limit=100)).hits]


def filled(path: Path, count: int = 20) -> SqliteIndex:
    index = SqliteIndex(path)
    for product in sample_catalogue(count):
        index.publish(product, product.id.encode())
    return index


def test_listings_survive_reopening_and_an_abandoned_process(tmp_path: Path) -> None:
    first = filled(tmp_path / "index.sqlite", 5)
    first.mark("hospital-c.hiv-stents", ProductState.SUSPENDED)
    second = SqliteIndex(tmp_path / "index.sqlite")  # the first was never closed, as after kill -9
    assert second.find(Query(text="颈动脉")).total == 1
    assert second.find(Query()).total == 4


def test_what_another_process_wrote_is_found(tmp_path: Path) -> None:
    first, second = filled(tmp_path / "index.sqlite", 3), SqliteIndex(tmp_path / "index.sqlite")
    assert len(ids(second, "carotid")) == 2
    first.mark("hospital-c.hiv-stents", ProductState.REVOKED)
    first.publish(sample_product(id="a.new"), b"")
    assert ids(second, "carotid") == ["a.new", "hospital-a.carotid-stents"]
    assert second.names_like("cartoid") == {"carotid": 2}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_file_of_an_earlier_version_is_carried_over(tmp_path: Path, version: int) -> None:
    """Version 1 knew listed and withdrawn only; version 2 ranked by bm25; in version 3 what is long stood first."""
    column = {1: "withdrawn INTEGER NOT NULL"}.get(version, "state TEXT NOT NULL")
    states = {1: (0, 1)}.get(version, ("LISTED", "REVOKED"))
    former = sqlite3.connect(tmp_path / "index.sqlite")
    former.execute("PRAGMA journal_mode = WAL")
    former.execute(f"CREATE TABLE product (key INTEGER PRIMARY KEY, id TEXT, document BLOB, envelope BLOB, {column})")
    for state, product in zip(states, (sample_product(), federated_only()), strict=True):
        row = (product.id, canonical(product.document()), b"signed", state)
        former.execute("INSERT INTO product VALUES (NULL, ?, ?, ?, ?)", row)
    former.execute(f"PRAGMA user_version = {version}")
    former.commit()
    former.close()
    index = SqliteIndex(tmp_path / "index.sqlite")
    assert ids(index, "carotid") == ids(index) == ["hospital-a.carotid-stents"]
    held = index.get("hospital-c.hiv-stents")
    assert held is not None
    assert (held.state, held.envelope) == (ProductState.REVOKED, b"signed")
    index.close()
    assert ids(SqliteIndex(tmp_path / "index.sqlite")) == ["hospital-a.carotid-stents"]


def test_words_are_made_anew_when_the_way_they_are_made_has_changed(tmp_path: Path) -> None:
    index = filled(tmp_path / "index.sqlite")
    before = index.find(Query(text="diabetes follow"))
    index._db.execute("UPDATE meta SET value = 'of before' WHERE name = 'words'")
    index._db.execute("INSERT INTO words (words) VALUES ('delete-all')")
    index.close()
    assert SqliteIndex(tmp_path / "index.sqlite").find(Query(text="diabetes follow")) == before


@pytest.mark.parametrize("cut", ["_fill", "_sync", "replace"])
def test_a_rebuild_cut_anywhere_leaves_a_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    index = filled(tmp_path / "index.sqlite")
    before = index.find(Query(text="diabetes"))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os if cut == "replace" else index_sqlite_file, cut, die)
        with pytest.raises(KeyboardInterrupt):
            index.rebuild()
    assert index.find(Query(text="diabetes")) == before
    index.close()
    again = SqliteIndex(tmp_path / "index.sqlite")
    assert again.find(Query(text="diabetes")) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".new") == []


def test_a_damaged_listing_stops_a_rebuild_and_the_file_stays(tmp_path: Path) -> None:
    index = filled(tmp_path / "index.sqlite", 3)
    index._db.execute("UPDATE product SET document = '{' WHERE id = 'hospital-c.hiv-stents'")
    with pytest.raises(IndexUnreadable, match="damaged"):
        index.rebuild()
    assert index.find(Query(text="颈动脉", level=2)).total == 1


def test_a_damaged_or_newer_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"not a database, " * 100)
    with pytest.raises(IndexUnreadable, match=r"index\.sqlite"):
        SqliteIndex(tmp_path / "index.sqlite")
    newer = SqliteIndex(tmp_path / "newer.sqlite")
    newer._db.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(IndexUnreadable, match="version 99"):
        SqliteIndex(tmp_path / "newer.sqlite")
