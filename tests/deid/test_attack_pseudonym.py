"""Unkeyed digests fall to whoever tries all ids; keyed pseudonyms do not, and two recipients' do not join."""

import base64
import hashlib

import polars as pl
import pytest

from hdex.deid.attack_pseudonym import brute_force, join_rate, resident_ids
from hdex.deid.errors import ArgumentInvalid
from hdex.deid.identifiers import resident_id_valid
from hdex.deid.pseudonym import derive_keys, pseudonyms

SPACE = list(resident_ids(["110101", "310104"], ["19490101", "19871231"], range(0, 1000, 10)))
IDS = pl.Series("id", SPACE[::7])
WAYS = {
    "sha256 in hex": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "md5 in capitals": lambda text: hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper(),
    "sha1 cut to 16": lambda text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:16],
    "base32 cut to 24": lambda text: base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:24],
    "base64": lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("="),
}


def test_the_space_is_made_of_valid_ids() -> None:
    assert len(set(SPACE)) == 400
    assert all(resident_id_valid(one) for one in SPACE)


@pytest.mark.parametrize("way", WAYS)
def test_every_unkeyed_digest_falls(way: str) -> None:
    hidden = pl.Series("id", [WAYS[way](one) for one in IDS])
    assert brute_force(hidden, SPACE) == dict(zip(hidden, IDS, strict=True))


def test_no_pseudonym_of_ours_falls_without_its_key() -> None:
    key = derive_keys(bytes(range(32)), recipient="a", project="p").pseudonym
    assert brute_force(pseudonyms(IDS, key), SPACE) == {}


def test_an_attacker_who_stole_a_key_is_the_same_attack() -> None:
    def salted(text: str) -> bytes:
        return hashlib.sha256(b"salt of all" + text.encode()).digest()

    hidden = pl.Series([salted(one).hex() for one in IDS])
    assert brute_force(hidden, SPACE) == {}
    assert len(brute_force(hidden, SPACE, digests=[salted])) == len(IDS)


def test_two_recipients_join_nobody() -> None:
    frames = [
        pl.DataFrame({"id": pseudonyms(IDS, derive_keys(bytes(range(32)), recipient=who, project="p").pseudonym)})
        for who in ("a", "b", "a")
    ]
    assert join_rate(frames[0], frames[1], on="id") == 0.0
    assert join_rate(frames[0], frames[2], on="id") == 1.0
    assert join_rate(frames[0].head(0), frames[1], on="id") == 0.0
    with pytest.raises(ArgumentInvalid, match="not in both"):
        join_rate(frames[0], frames[1], on="shoe")
