"""What an index keeps of each product, made by helpers: as made here, in order, and none of them is left behind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.catalog.samples import sample_product

from hdex.catalog import index_postgres_rows, index_rows
from hdex.catalog.canonical import canonical
from hdex.catalog.errors import IndexUnreadable
from hdex.catalog.index_batches import BATCH, BATCH_BYTES, FEW, Make, made_of_all
from hdex.catalog.index_rows import made

MANY = FEW + 1
MAKERS: list[Make[object]] = [index_rows.made, index_postgres_rows.made]
Source = tuple[bytes, int]  # document, number


def sources(count: int) -> list[Source]:
    """Return documents as an index holds them, each with an id of its own."""
    base = sample_product().document()
    return [(canonical(base | {"id": f"hospital-a.p{number}"}), number) for number in range(count)]


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def children() -> list[str]:
    """Return the processes of this one, by Linux's own table."""
    return Path("/proc/self/task").joinpath(str(os.getpid()), "children").read_text().split()


class ByHelpersOnly:
    """A function as helpers find it, which does not work here: what they leave would be made by it."""

    def __init__(self, make: Make[object]) -> None:
        self.__module__, self.__qualname__ = make.__module__, make.__qualname__

    def __call__(self, document: bytes) -> object:
        raise AssertionError("no helper has made this")


@pytest.mark.parametrize("make", MAKERS)
def test_helpers_make_what_would_be_made_here_in_order(make: Make[object]) -> None:
    rows = sources(2 * BATCH + 3)
    batches = list(made_of_all(ByHelpersOnly(make), iter(rows), MANY))
    assert [len(batch) for batch in batches] == [BATCH, BATCH, 3]
    assert [one for batch in batches for one in batch] == [(source, make(source[0])) for source in rows]


def test_no_helper_is_left_when_the_work_ends_or_is_given_up() -> None:
    before = children()
    list(made_of_all(made, iter(sources(10)), MANY))
    assert children() == before
    given_up = made_of_all(made, iter(sources(5 * BATCH)), MANY)
    next(given_up)
    assert len(children()) == len(before) + 2
    given_up.close()
    assert children() == before


def test_no_helper_is_left_where_one_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    before, start = children(), subprocess.Popen
    left = [start]  # one may start
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **given: left.pop()(*a, **given))
    with pytest.raises(IndexError):
        list(made_of_all(made, iter(sources(3)), MANY))
    assert children() == before


@pytest.mark.parametrize("count", [1, MANY])
def test_only_a_few_batches_are_read_ahead(count: int) -> None:
    read = 0

    def told() -> Iterator[Source]:
        nonlocal read
        for source in sources(9 * BATCH):
            read += 1
            yield source

    answered = 0
    for batch in made_of_all(made, told(), count):
        answered += len(batch)
        assert read <= answered + (4 if count == MANY else 0) * BATCH
    assert answered == 9 * BATCH


def test_a_batch_of_large_documents_ends_sooner() -> None:
    document = canonical(sample_product().document() | {"x": "x" * (BATCH_BYTES // 3)})
    assert [len(batch) for batch in made_of_all(made, [(document, 0)] * 7, 7)] == [3, 3, 1]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("damaged", [b"{", b"[]", b"{}", b'{"id":"a","issued":7,"title":1}', b'{"title":{"en":null}}'])
def test_a_damaged_listing_is_said_by_the_helpers_work_too(make: Make[object], damaged: bytes) -> None:
    rows = sources(4)
    rows[2] = (damaged, 2)
    with pytest.raises(IndexUnreadable, match="damaged"):
        list(made_of_all(make, iter(rows), MANY))


def test_work_whose_helpers_die_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    rows = sources(BATCH + 1)
    answers = [one for batch in made_of_all(made, iter(rows), MANY) for one in batch]
    assert answers == [(source, made(source[0])) for source in rows]


def test_a_helper_ends_with_its_parent() -> None:
    command = [sys.executable, "-I", "-m", "hdex.catalog.index_batches", made.__module__, made.__qualname__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.communicate(b"", timeout=60)[0] == b""
    assert child.returncode == 0
