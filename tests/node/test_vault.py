"""Vault: what is stored comes out whole and unchanged, or an error does."""

import hashlib
import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from hdex.node.errors import AlreadyExists, NotFound, VaultDamaged, VaultSealed
from hdex.node.keys import MemoryKeys
from hdex.node.stream import CHUNK_BYTES
from hdex.node.vault import Stored, Vault

EDGES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 7]


@pytest.fixture
def keys() -> MemoryKeys:
    return MemoryKeys()


@pytest.fixture
def vault(tmp_path: Path, keys: MemoryKeys) -> Vault:
    return Vault(tmp_path / "vault", keys)


def content(size: int) -> bytes:
    return hashlib.shake_128(b"seed").digest(size)


def only_file(folder: Path) -> Path:
    (path,) = (folder / "vault").glob("*/*.hdv")
    return path


@pytest.mark.parametrize("size", EDGES)
def test_what_is_stored_comes_out(vault: Vault, size: int) -> None:
    data = content(size)
    stored = vault.put("stents", "release@1", data)
    assert stored == Stored("stents", "release@1", size, hashlib.sha256(data).hexdigest())
    assert vault.read("stents", "release@1") == data
    assert vault.stat("stents", "release@1") == stored
    assert list(map(len, vault.chunks("stents", "release@1")))[:-1] == [CHUNK_BYTES] * (
        max(1, -(-size // CHUNK_BYTES)) - 1
    )


def test_pieces_of_any_size_make_the_same_item(vault: Vault) -> None:
    data = content(2 * CHUNK_BYTES + 99)
    pieces = (data[start : start + 70_001] for start in range(0, len(data), 70_001))
    vault.put("p", "n", pieces)
    assert vault.read("p", "n") == data
    vault.put("p", "empty", iter(()))
    assert vault.read("p", "empty") == b""


@settings(max_examples=60, deadline=None)
@given(start=st.integers(0, 3 * CHUNK_BYTES), length=st.integers(0, 2 * CHUNK_BYTES))
def test_a_range_is_the_slice(shared: tuple[Vault, bytes], start: int, length: int) -> None:
    vault, data = shared
    assert vault.read_range("p", "n", start, length) == data[start : start + length]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Vault, bytes]:
    vault = Vault(tmp_path_factory.mktemp("v"), MemoryKeys())
    data = content(2 * CHUNK_BYTES + 12345)
    vault.put("p", "n", data)
    return vault, data


def test_nothing_is_written_twice(vault: Vault) -> None:
    vault.put("p", "n", b"first")
    with pytest.raises(AlreadyExists):
        vault.put("p", "n", b"second")
    assert vault.read("p", "n") == b"first"


def test_what_is_absent_is_not_found(vault: Vault) -> None:
    vault.put("p", "n", b"x")
    for product, name in (("p", "other"), ("other", "n")):
        assert not vault.contains(product, name)
        with pytest.raises(NotFound):
            vault.read(product, name)
    with pytest.raises(NotFound):
        vault.read_range("p", "n", -1, 2)


def test_a_reopened_vault_has_the_same_items(vault: Vault, tmp_path: Path, keys: MemoryKeys) -> None:
    vault.put("b", "2", b"22")
    vault.put("a", "1", b"1")
    again = Vault(tmp_path / "vault", keys)
    assert [(item.product, item.name, item.size) for item in again.items()] == [("a", "1", 1), ("b", "2", 2)]
    assert [item.name for item in again.items("b")] == ["2"]


def test_a_shredded_product_is_gone_and_the_others_stay(vault: Vault, tmp_path: Path, keys: MemoryKeys) -> None:
    vault.put("a", "1", b"1")
    vault.put("b", "1", b"2")
    kept = {path: path.read_bytes() for path in (tmp_path / "vault").glob("*/*.hdv")}
    vault.shred("a")
    for attempt in (vault.read, vault.stat, lambda p, n: vault.put(p, n, b"again")):
        with pytest.raises(VaultSealed):
            attempt("a", "1")
    for path, stored in kept.items():  # a copy of the file does not help
        path.write_bytes(stored)
    with pytest.raises(VaultSealed):
        vault.read("a", "1")
    assert vault.read("b", "1") == b"2"


def test_frames_come_out_equal(vault: Vault) -> None:
    frame = pl.DataFrame({"年龄": [63, None, 71], "sex": ["F", "M", ""], "day": [1.5, float("inf"), -0.0]})
    vault.put_frame("p", "frame", frame)
    assert_frame_equal(vault.read_frame("p", "frame"), frame)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("flip")
    vault = Vault(folder / "vault", MemoryKeys())
    vault.put("p", "n", content(3000))
    path = only_file(folder)
    stored = bytearray(path.read_bytes())
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(stored)
    with pytest.raises(VaultDamaged):
        vault.read("p", "n")


@pytest.mark.parametrize("keep", [0, 3, 4, 8, 100, CHUNK_BYTES, -1, -17, -CHUNK_BYTES])
def test_a_cut_file_is_found(vault: Vault, tmp_path: Path, keep: int) -> None:
    vault.put("p", "n", content(2 * CHUNK_BYTES + 5))
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(VaultDamaged):
        vault.read("p", "n")


def test_a_file_in_anothers_place_is_found(vault: Vault, tmp_path: Path) -> None:
    vault.put("p", "one", b"1")
    first = only_file(tmp_path)
    vault.put("p", "two", b"2")
    (second,) = set((tmp_path / "vault").glob("*/*.hdv")) - {first}
    second.write_bytes(first.read_bytes())
    with pytest.raises(VaultDamaged):
        vault.read("p", "two")


def test_no_plaintext_and_no_name_is_on_the_disk_as_a_path(vault: Vault, tmp_path: Path) -> None:
    vault.put("../../etc", "../passwd", b"Zhang San" * 100)
    path = only_file(tmp_path)
    assert path.resolve().is_relative_to(tmp_path / "vault")
    assert b"Zhang San" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_dead_writers_remains_are_swept(tmp_path: Path, keys: MemoryKeys) -> None:
    folder = tmp_path / "vault"
    Vault(folder, keys)
    (folder / "dead.tmp").write_bytes(b"half")
    Vault(folder, keys)
    assert os.listdir(folder) == []


def test_a_failing_source_stores_nothing(vault: Vault, tmp_path: Path) -> None:
    def source() -> object:
        yield content(CHUNK_BYTES + 1)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        vault.put("p", "n", source())  # type: ignore[arg-type]  # a generator that breaks
    assert not vault.contains("p", "n")
    assert not list((tmp_path / "vault").glob("*.tmp"))
