"""Tiles: the same roots and proofs as the whole tree, from few reads, and a wrong tile is never believed."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.ledger import merkle
from hdex.ledger.errors import StoreCorrupt, TileUnknown
from hdex.ledger.log import Log
from hdex.ledger.merkle import Tree, leaf_hash
from hdex.ledger.note import Signer, format_checkpoint, sign_note
from hdex.ledger.store_memory import MemoryLogStore
from hdex.ledger.store_sqlite import SqliteLogStore
from hdex.ledger.tiles import FULL, WIDTH, Frontier, TiledTree, fold, format_path, parse_path, tile

MANY = 66_300  # a level of 256 full tiles, one of one full tile, and an edge on each
LEAVES = [leaf_hash(b"%d" % number) for number in range(MANY)]
WHOLE = Tree(LEAVES)
ORIGIN = "hdex/hospital-a/2026"
SIGNER = Signer(ORIGIN, bytes(range(32)))


class Shelf:
    """Full tiles in a dictionary that counts how often it is asked."""

    def __init__(self, size: int, step: int = 5000) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.asked: list[tuple[int, int]] = []
        self.frontier = Frontier()
        for start in range(0, size, step):
            self.frontier, full = self.frontier.grown(LEAVES[start : min(start + step, size)])
            self.tiles |= {(one.level, one.number): one.hashes for one in full}

    def fetch(self, level: int, number: int) -> bytes | None:
        self.asked.append((level, number))
        return self.tiles.get((level, number))

    def tree(self) -> TiledTree:
        self.asked.clear()
        return TiledTree(self.frontier, self.fetch)


SHELF = Shelf(MANY)


@pytest.mark.parametrize(  # source: c2sp.org/tlog-tiles, "Merkle Tree" and its example of an index
    ("level", "number", "width", "path"),
    [
        (0, 1234067, 256, "0/x001/x234/067"),
        (1, 0, 256, "1/000"),
        (0, 273, 112, "0/273.p/112"),
        (63, 999_999, 1, "63/x999/999.p/1"),
        (-1, 1000, 256, "entries/x001/000"),
        (-1, 0, 255, "entries/000.p/255"),
    ],
)
def test_a_tile_has_one_path(level: int, number: int, width: int, path: str) -> None:
    assert format_path(level, number, width) == path
    assert parse_path(path) == (level, number, width)


@pytest.mark.parametrize(
    "path",
    """|0|0/1|0/0001|00/001|64/001|0/x000/001|0/001.p/0|0/001.p/256|0/001.p/01|0/001.p/300|0/001/|/0/001|-1/001|entries/1
data/001|0/x001|0/001.p|0/００１|0/001 """.replace("\n", "|").split("|"),
)
def test_another_spelling_is_no_tile(path: str) -> None:
    with pytest.raises(TileUnknown):
        parse_path(path)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1200), st.lists(st.integers(1, 600), max_size=8), st.data())
def test_roots_and_proofs_are_those_of_the_whole_tree(size: int, steps: list[int], data: st.DataObject) -> None:
    frontier, tiles, done = Frontier(), dict[tuple[int, int], bytes](), 0
    for step in [*steps, size]:
        frontier, full = frontier.grown(LEAVES[done : min(done + step, size)])
        tiles |= {(one.level, one.number): one.hashes for one in full}
        done = min(done + step, size)
    tree = TiledTree(frontier, lambda level, number: tiles.get((level, number)))
    assert len(tree) == size
    assert tree.root() == WHOLE.root(size)
    assert tree.leaves(0, size + 5) == LEAVES[:size]
    assert all(len(one) == FULL and fold(one) for one in tiles.values())
    if size:
        new = data.draw(st.integers(1, size))
        index, old = data.draw(st.integers(0, new - 1)), data.draw(st.integers(1, new))
        assert tree.root(new) == WHOLE.root(new)
        assert tree.inclusion_proof(index, new) == WHOLE.inclusion_proof(index, new)
        assert tree.consistency_proof(old, new) == WHOLE.consistency_proof(old, new)
        assert tree.leaf(index) == LEAVES[index]


@pytest.mark.parametrize("size", [255, 256, 257, 65_535, 65_536, 65_537, MANY])
def test_where_tiles_and_levels_begin_nothing_changes(size: int) -> None:
    tree = Shelf(size).tree()
    assert tree.root() == WHOLE.root(size)
    for index in (0, 254, 255, size - 1):
        if index < size:
            assert tree.inclusion_proof(index, size) == WHOLE.inclusion_proof(index, size)
    assert tree.consistency_proof(255, size) == WHOLE.consistency_proof(255, size)


def test_the_root_reads_no_tile_and_a_proof_one_a_level() -> None:
    tree = SHELF.tree()
    assert tree.root() == WHOLE.root()
    assert SHELF.asked == []
    proof = tree.inclusion_proof(31_415, MANY)
    merkle.verify_inclusion(LEAVES[31_415], 31_415, MANY, proof, WHOLE.root())
    assert len(set(SHELF.asked)) <= 3
    SHELF.asked.clear()
    tree.inclusion_proof(31_415, MANY)
    assert SHELF.asked == []  # kept, verified


@pytest.mark.parametrize("place", [(0, 100), (0, 0), (1, 0)])
def test_a_changed_tile_is_not_believed(place: tuple[int, int]) -> None:
    shelf = Shelf(MANY)
    wrong = bytearray(shelf.tiles[place])
    wrong[7] ^= 1
    shelf.tiles[place] = bytes(wrong)
    tree = shelf.tree()
    assert tree.root() == WHOLE.root()
    with pytest.raises(StoreCorrupt, match=f"tile {place[1]} of level {place[0]}"):
        tree.inclusion_proof(place[1] * WIDTH + 3, MANY)


@pytest.mark.parametrize("put", [None, b"", bytes(FULL - 1), bytes(FULL + 32)])
def test_a_tile_that_is_gone_or_of_another_length_is_said(put: bytes | None) -> None:
    shelf = Shelf(600)
    shelf.tiles.pop((0, 1))
    if put is not None:
        shelf.tiles[0, 1] = put
    with pytest.raises(StoreCorrupt, match="tile 1 of level 0"):
        shelf.tree().leaves(0, 600)


@pytest.mark.parametrize("edges", [(), (bytes(32),), (bytes(64), bytes(32)), (bytes(31),), (bytes(64), b"")])
def test_edges_that_do_not_fit_the_size_are_refused(edges: tuple[bytes, ...]) -> None:
    with pytest.raises(StoreCorrupt):
        Frontier(2 if edges != (bytes(64), bytes(32)) else 3, edges)


def test_a_leaf_hash_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        Frontier().grown([bytes(31)])


def a_log(store: MemoryLogStore | SqliteLogStore, size: int) -> Log:
    leaves = [b"%d" % number for number in range(size)]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    store.append(0, leaves, sign_note(format_checkpoint(ORIGIN, size, merkle.root(hashes)), SIGNER))
    return Log(store, ORIGIN, SIGNER)


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Log:
    return a_log(MemoryLogStore() if request.param == "memory" else SqliteLogStore(tmp_path / "log.db"), 1000)


def test_a_log_hands_out_full_and_partial_tiles_of_every_level(log: Log) -> None:
    assert tile(log, "0/000") == b"".join(LEAVES[:256])
    assert tile(log, "0/003.p/232") == b"".join(LEAVES[768:1000])
    assert tile(log, "0/000.p/5") == b"".join(LEAVES[:5])
    assert tile(log, "1/000.p/3") == b"".join(merkle.root(LEAVES[i : i + 256]) for i in (0, 256, 512))
    bundle = tile(log, "entries/003.p/2")
    assert bundle == b"\0\x03768\0\x03769"


@pytest.mark.parametrize(
    "path", ["0/003", "0/003.p/233", "0/004.p/1", "1/000", "1/000.p/4", "2/000.p/1", "entries/003"]
)
def test_what_the_log_does_not_hold_yet_is_unknown(log: Log, path: str) -> None:
    with pytest.raises(TileUnknown):
        tile(log, path)
    with pytest.raises(ValueError, match="are asked"):
        log.tile_hashes(0, 900, 1001)


def test_a_log_grows_over_the_edges_of_tiles_and_reopens(tmp_path: Path) -> None:
    log = Log(SqliteLogStore(tmp_path / "log.db"), ORIGIN, SIGNER)
    for number in range(530):
        receipt = log.append(b"%d" % number)
        assert receipt.root == WHOLE.root(number + 1)
    log.close()
    again = Log(SqliteLogStore(tmp_path / "log.db"), ORIGIN, SIGNER)
    assert again.checkpoint() == receipt.checkpoint
    assert again.inclusion(17, 530) == WHOLE.inclusion_proof(17, 530)
    assert again.check() == 530


def test_opening_reads_edges_not_the_log(tmp_path: Path) -> None:
    a_log(SqliteLogStore(tmp_path / "log.db"), 1000).close()

    class Watched(SqliteLogStore):
        fetched = 0

        def tile(self, level: int, number: int) -> bytes | None:
            self.fetched += 1
            return super().tile(level, number)

    store = Watched(tmp_path / "log.db")
    log = Log(store, ORIGIN, SIGNER)
    assert store.fetched == 0
    log.inclusion(3, 1000)
    assert store.fetched <= 2


def test_a_file_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    leaves = [b"%d" % number for number in range(700)]
    head = sign_note(format_checkpoint(ORIGIN, 700, WHOLE.root(700)), SIGNER)
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE leaf (position INTEGER PRIMARY KEY, hash BLOB NOT NULL, body BLOB NOT NULL)")
        old.execute("CREATE TABLE head (only INTEGER PRIMARY KEY CHECK (only = 0), note TEXT NOT NULL)")
        old.executemany("INSERT INTO leaf VALUES (?, ?, ?)", [(i, LEAVES[i], leaf) for i, leaf in enumerate(leaves)])
        old.execute("INSERT INTO head VALUES (0, ?)", (head,))
    old.close()
    log = Log(SqliteLogStore(path), ORIGIN, SIGNER)
    assert log.checkpoint() == head
    assert log.check() == 700
    log.append(b"700")
    log.close()
    assert Log(SqliteLogStore(path), ORIGIN, SIGNER).root_at(701) == WHOLE.root(701)
