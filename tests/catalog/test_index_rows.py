"""What an index keeps of each product, made by helpers: as made here, in order, and none of them is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.catalog.samples import sample_product

from hdex.catalog import index_rows
from hdex.catalog.canonical import canonical
from hdex.catalog.errors import IndexUnreadable
from hdex.catalog.index_rows import BATCH, FEW, Source, made, made_of_all
from hdex.catalog.lifecycle import ProductState

MANY = FEW + 1


def sources(count: int) -> list[Source]:
    """Return documents as a file holds them, each with an id of its own; every third is withdrawn."""
    base = sample_product().document()
    states = (ProductState.LISTED, ProductState.LISTED, ProductState.REVOKED)
    return [
        (canonical(base | {"id": f"hospital-a.p{number}"}), b"{}", states[number % 3].value) for number in range(count)
    ]


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def children() -> list[str]:
    """Return the processes of this one, by Linux's own table."""
    return Path("/proc/self/task").joinpath(str(os.getpid()), "children").read_text().split()


def test_helpers_make_what_would_be_made_here_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sources(2 * BATCH + 3)
    expected = [made(document, state) for document, _, state in rows]
    monkeypatch.setattr(index_rows, "made", None)  # what the helpers leave would be made by it
    found = list(made_of_all(iter(rows), MANY))
    assert [source for source, _ in found] == rows
    assert [answer for _, answer in found] == expected


def test_no_helper_is_left_when_the_work_ends_or_is_given_up() -> None:
    before = children()
    list(made_of_all(iter(sources(10)), MANY))
    assert children() == before
    given_up = made_of_all(iter(sources(5 * BATCH)), MANY)
    next(given_up)
    given_up.close()
    assert children() == before


def test_a_damaged_listing_is_said_by_the_helpers_work_too() -> None:
    rows = sources(4)
    rows[2] = (b"{", b"{}", ProductState.LISTED.value)
    with pytest.raises(IndexUnreadable, match="damaged"):
        list(made_of_all(iter(rows), MANY))


def test_work_whose_helpers_die_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    rows = sources(BATCH + 1)
    assert [answer for _, answer in made_of_all(iter(rows), MANY)] == [made(one[0], one[2]) for one in rows]


def test_a_helper_ends_with_its_parent() -> None:
    command = [sys.executable, "-I", "-m", "hdex.catalog.index_rows"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.communicate(b"", timeout=60)[0] == b""
    assert child.returncode == 0
