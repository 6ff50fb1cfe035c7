"""One suite over both stores of documents."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hdex.node.documents import Documents, MemoryDocuments, SqliteDocuments
from hdex.node.errors import AlreadyExists, NotFound

Factory = Callable[[Path], Documents]


@pytest.fixture(params=["memory", "sqlite"])
def documents(request: pytest.FixtureRequest, tmp_path: Path) -> Documents:
    return MemoryDocuments() if request.param == "memory" else SqliteDocuments(tmp_path / "documents.db")


def test_a_document_comes_back_as_it_was(documents: Documents) -> None:
    documents.put("request", "r1", {"purpose": "DUO:0000042", "名": "字"})
    assert documents.get("request", "r1") == {"purpose": "DUO:0000042", "名": "字"}


def test_put_replaces_and_keeps_the_order(documents: Documents) -> None:
    documents.put("request", "r1", {"n": 1})
    documents.put("request", "r2", {"n": 2})
    documents.put("request", "r1", {"n": 3})
    assert documents.all("request") == [{"n": 3}, {"n": 2}]


def test_many_are_put_at_once_and_replace_what_was(documents: Documents) -> None:
    documents.put("fact", "a", {"n": 1})
    documents.put_all("fact", {"a": {"n": 2}, "b": {"n": 3}})
    documents.put_all("fact", {})
    assert documents.all("fact") == [{"n": 2}, {"n": 3}]


def test_add_accepts_the_same_again_and_refuses_another(documents: Documents) -> None:
    documents.add("agreement", "a", {"n": 1})
    documents.add("agreement", "a", {"n": 1})
    with pytest.raises(AlreadyExists):
        documents.add("agreement", "a", {"n": 2})
    assert documents.get("agreement", "a") == {"n": 1}


def test_what_was_never_stored_is_not_found(documents: Documents) -> None:
    with pytest.raises(NotFound):
        documents.get("agreement", "a")
    assert documents.all("agreement") == []


def test_documents_outlive_the_process(tmp_path: Path) -> None:
    SqliteDocuments(tmp_path / "d.db").put("k", "a", {"n": 1})
    assert SqliteDocuments(tmp_path / "d.db").get("k", "a") == {"n": 1}


def test_what_is_removed_is_gone_and_its_neighbours_stay(documents: Documents) -> None:
    for key in ("a", "b", "c"):
        documents.put("k", key, {"n": key})
    documents.remove("k", ["a", "c", "never there"])
    assert documents.keys("k") == ["b"]
    with pytest.raises(NotFound):
        documents.get("k", "a")


def test_no_file_holds_what_was_removed(tmp_path: Path) -> None:
    documents = SqliteDocuments(tmp_path / "d.db")
    documents.put("k", "a", {"secret": "a-word-found-nowhere-else"})
    documents.remove("k", ["a"])
    assert all(b"found-nowhere-else" not in path.read_bytes() for path in tmp_path.iterdir())


def test_what_many_store_at_the_same_time_is_all_there(documents: Documents) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: documents.put("k", str(n % 50), {"n": n % 50}), range(200)))
    assert sorted(row["n"] for row in documents.all("k")) == list(range(50))


def test_those_who_share_a_transaction_that_fails_have_stored_nothing(tmp_path: Path) -> None:
    documents = SqliteDocuments(tmp_path / "d.db")
    documents.put("k", "a", {"n": 1})
    with pytest.raises(sqlite3.Error):
        documents._write([("k", "a", "{}"), ("k", "b", object())])  # type: ignore[list-item]  # no value of SQLite's
    assert documents.all("k") == [{"n": 1}]
    documents.put("k", "b", {"n": 2})
    assert documents.keys("k") == ["a", "b"]
