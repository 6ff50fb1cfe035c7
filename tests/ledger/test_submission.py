"""The body of add-checkpoint and the paths and bytes of hash tiles, as C2SP writes them."""

import base64
from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.ledger import merkle
from hdex.ledger.errors import WitnessRefused
from hdex.ledger.hash_tile import TileName, hash_tile, parse_tile_path, tile_path
from hdex.ledger.submission import MAX_BODY_BYTES, Submission, format_submission, parse_submission

# c2sp.org/tlog-witness, "Example request body"
PROOF = (
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=",
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=",
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=",
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=",
)
CHECKPOINT = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9"
    "nTo+zyWE+xeMcTOAYQ8=\n"
    "— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QU"
    "XTS5Rovnzv++qbSzm9Q=\n"
)
EXAMPLE = ("old 20852014\n" + "".join(line + "\n" for line in PROOF) + "\n" + CHECKPOINT).encode()


def test_the_published_body_is_read_and_written_byte_for_byte() -> None:
    found = parse_submission(EXAMPLE)
    assert found == Submission(20852014, tuple(base64.b64decode(line) for line in PROOF), CHECKPOINT)
    assert format_submission(found.old_size, found.proof, found.checkpoint) == EXAMPLE


@given(st.integers(0, 2**62), st.lists(st.binary(min_size=32, max_size=32), max_size=63), st.text(max_size=200))
def test_what_is_written_is_read_back(old: int, proof: list[bytes], checkpoint: str) -> None:
    body = format_submission(old, proof, checkpoint)
    assert parse_submission(body) == Submission(old, tuple(proof), checkpoint)


BAD = {
    "nothing": b"",
    "no empty line": b"old 3\n",
    "a leading zero": EXAMPLE.replace(b"old 2", b"old 02"),
    "a sign": EXAMPLE.replace(b"old 2", b"old +2"),
    "two spaces": EXAMPLE.replace(b"old 2", b"old  2"),
    "another word": EXAMPLE.replace(b"old 2", b"new 2"),
    "Arabic digits": "old ٣\n\n".encode() + CHECKPOINT.encode(),
    "a hash of 31 bytes": b"old 3\n" + base64.b64encode(bytes(31)) + b"\n\nx\n",
    "no base64": b"old 3\n?\n\nx\n",
    "base64 with a line break of another system": EXAMPLE.replace(b"=\n", b"=\r\n", 1),
    "64 hashes": format_submission(3, [bytes(32)] * 64, CHECKPOINT),
    "no UTF-8": b"old 3\n\n\xff\n",
    "too long": b"old 3\n\n" + b"x" * MAX_BODY_BYTES,
}


@pytest.mark.parametrize("case", BAD)
def test_another_body_is_refused_with_400(case: str) -> None:
    with pytest.raises(WitnessRefused) as refused:
        parse_submission(BAD[case])
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (TileName(0, 1234067), "0/x001/x234/067"),  # the index of the specification's example
        (TileName(0, 0), "0/000"),
        (TileName(1, 999, 17), "1/999.p/17"),
        (TileName(63, 1000), "63/x001/000"),
    ],
)
def test_a_tile_has_one_path(name: TileName, path: str) -> None:
    assert tile_path(name) == path
    assert parse_tile_path(path) == name


@pytest.mark.parametrize(
    "path",
    ["", "0", "0/1", "00/000", "64/000", "0/x000/001", "0/000/000", "0/000.p/0", "0/000.p/256", "0/000.p/01",
     "entries/000", "0/x001", "-1/000", "0/000.p/", "0/000/", "0/../000"],
)  # fmt: skip
def test_another_path_names_no_tile(path: str) -> None:
    assert parse_tile_path(path) is None


LEAVES = [sha256(number.to_bytes(4, "big")).digest() for number in range(70_000)]


def leaves(start: int, stop: int) -> Sequence[bytes]:
    return LEAVES[start:stop]


def test_a_tree_of_70000_has_the_tiles_of_the_specifications_example() -> None:
    def has(level: int, index: int, width: int = 256) -> bool:
        return hash_tile(TileName(level, index, width), 70_000, leaves) is not None

    assert has(0, 272)
    assert not has(0, 273)
    assert has(0, 273, 112)
    assert not has(0, 273, 113)
    assert has(1, 0)
    assert has(1, 1, 17)
    assert not has(1, 1, 18)
    assert has(2, 0, 1)
    assert not has(2, 0, 2)
    assert not has(3, 0, 1)
    assert hash_tile(TileName(0, 0), 256, leaves) is not None
    assert hash_tile(TileName(1, 0, 1), 256, leaves) is not None
    assert hash_tile(TileName(1, 0, 1), 255, leaves) is None


def test_a_tiles_hashes_are_those_of_the_tree() -> None:
    assert hash_tile(TileName(0, 3, 7), 70_000, leaves) == b"".join(LEAVES[768:775])
    second = hash_tile(TileName(1, 1, 2), 70_000, leaves) or b""
    assert second[32:] == merkle.root(LEAVES[65_536 + 256 : 65_536 + 512])
    assert hash_tile(TileName(2, 0, 1), 70_000, leaves) == merkle.root(LEAVES[:65_536])
