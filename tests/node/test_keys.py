"""Keys: the file gives them to who knows the passphrase, and to nobody else."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.node.errors import AlreadyExists, KeyUnreadable, NotFound, VaultSealed
from hdex.node.keys import (
    STANDARD,
    KeyKind,
    KeyProvider,
    MemoryKeys,
    chain_address,
    data_key,
    data_key_name,
    generate,
    public_of,
    read_passphrase,
)
from hdex.node.keystore import KeyStore

PASS = b"correct horse"
VECTORS = json.loads((Path(__file__).parents[1] / "vectors/keys.json").read_text())
Factory = Callable[[Path], KeyProvider]


def file_store(folder: Path) -> KeyProvider:
    return KeyStore.create(folder / "keys.json", PASS)


def memory_store(folder: Path) -> KeyProvider:
    return MemoryKeys(STANDARD)


@pytest.fixture(params=[file_store, memory_store], ids=["file", "memory"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> KeyProvider:
    made: KeyProvider = request.param(tmp_path)
    return made


@pytest.mark.parametrize("vector", VECTORS["public"], ids=lambda v: v["name"])
def test_public_halves_are_the_published_ones(vector: dict[str, str]) -> None:
    assert public_of(KeyKind(vector["kind"]), bytes.fromhex(vector["secret"])).hex() == vector["public"]


@pytest.mark.parametrize("vector", VECTORS["address"], ids=lambda v: v["address"])
def test_chain_addresses_are_the_published_ones(vector: dict[str, str]) -> None:
    assert chain_address(public_of(KeyKind.SECP256K1, bytes.fromhex(vector["secret"]))) == vector["address"]


def test_every_standard_key_is_there_and_no_two_are_equal(provider: KeyProvider) -> None:
    assert provider.names() == sorted(STANDARD)
    assert len({provider.secret(name) for name in STANDARD}) == len(STANDARD)
    assert len(provider.public("chain")) == 64
    assert len(provider.public("sign")) == 32


def test_a_key_is_added_once(provider: KeyProvider) -> None:
    secret = provider.add("data:p1", KeyKind.MASTER)
    assert provider.secret("data:p1") == secret
    with pytest.raises(AlreadyExists):
        provider.add("data:p1", KeyKind.MASTER)


def test_a_given_key_must_have_the_right_length(provider: KeyProvider) -> None:
    with pytest.raises(KeyUnreadable):
        provider.add("short", KeyKind.MASTER, b"short")


def test_a_shredded_key_is_gone_and_its_name_is_not_used_again(provider: KeyProvider) -> None:
    data_key(provider, "stents")
    provider.shred(data_key_name("stents"))
    for attempt in (provider.secret, provider.shred, lambda name: provider.add(name, KeyKind.MASTER)):
        with pytest.raises(VaultSealed):
            attempt(data_key_name("stents"))
    with pytest.raises(VaultSealed):
        data_key(provider, "stents")


def test_an_absent_key_is_not_found(provider: KeyProvider) -> None:
    with pytest.raises(NotFound):
        provider.secret("nothing")
    with pytest.raises(NotFound):
        provider.shred("nothing")


def test_a_master_key_has_no_public_half(provider: KeyProvider) -> None:
    with pytest.raises(NotFound):
        provider.public("pseudonym")


def test_a_product_keeps_its_data_key(provider: KeyProvider) -> None:
    assert data_key(provider, "a") == data_key(provider, "a") != data_key(provider, "b")


def test_repr_shows_no_key(provider: KeyProvider) -> None:
    shown = f"{provider!r} {provider!s}"
    assert not any(provider.secret(name).hex() in shown for name in provider.names())
    assert len(shown) < 300


def test_the_file_opens_again_with_the_passphrase_only(tmp_path: Path) -> None:
    made = KeyStore.create(tmp_path / "k.json", PASS)
    assert KeyStore.open(tmp_path / "k.json", PASS).secret("sign") == made.secret("sign")
    with pytest.raises(KeyUnreadable, match="passphrase"):
        KeyStore.open(tmp_path / "k.json", b"wrong")


def test_no_secret_stands_in_the_file(tmp_path: Path) -> None:
    made = KeyStore.create(tmp_path / "k.json", PASS)
    stored = (tmp_path / "k.json").read_bytes()
    for name in made.names():
        assert made.secret(name) not in stored
        assert made.secret(name).hex().encode() not in stored
    assert (tmp_path / "k.json").stat().st_mode & 0o777 == 0o600


def test_a_keystore_is_never_overwritten(tmp_path: Path) -> None:
    KeyStore.create(tmp_path / "k.json", PASS)
    with pytest.raises(AlreadyExists):
        KeyStore.create(tmp_path / "k.json", PASS)


def test_rotation_keeps_the_keys_and_changes_the_passphrase(tmp_path: Path) -> None:
    store = KeyStore.create(tmp_path / "k.json", PASS)
    before, wrapped = store.secret("sign"), json.loads((tmp_path / "k.json").read_text())["keys"]["sign"]
    store.rotate(b"another")
    assert store.secret("sign") == before == KeyStore.open(tmp_path / "k.json", b"another").secret("sign")
    assert json.loads((tmp_path / "k.json").read_text())["keys"]["sign"] != wrapped
    with pytest.raises(KeyUnreadable):
        KeyStore.open(tmp_path / "k.json", PASS)


def test_who_opened_before_a_rotation_cannot_write_after_it(tmp_path: Path) -> None:
    store = KeyStore.create(tmp_path / "k.json", PASS)
    stale = KeyStore.open(tmp_path / "k.json", PASS)
    store.rotate(b"another")
    with pytest.raises(KeyUnreadable, match="open it again"):
        stale.add("data:x", KeyKind.MASTER)


def test_two_processes_see_each_others_keys(tmp_path: Path) -> None:
    one = KeyStore.create(tmp_path / "k.json", PASS)
    two = KeyStore.open(tmp_path / "k.json", PASS)
    secret = one.add("data:x", KeyKind.MASTER)
    two.add("data:y", KeyKind.MASTER)
    assert two.secret("data:x") == secret
    assert "data:y" in one.names()


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("keys") / "k.json"
    return path, KeyStore.create(path, PASS, kinds={"sign": KeyKind.ED25519}).secret("sign")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_flipped_bit_never_gives_another_key(sealed: tuple[Path, bytes], data: st.DataObject) -> None:
    path, secret = sealed
    stored = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(stored) - 1))
    stored[position] ^= 1 << data.draw(st.integers(0, 7))
    changed = path.with_name("changed.json")
    changed.write_bytes(stored)
    changed.chmod(0o600)
    try:
        found = KeyStore.open(changed, PASS).secret("sign")
    except (KeyUnreadable, NotFound, VaultSealed):
        return
    assert found == secret  # the flip hit white space or the text of a comment


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\xfe", b'{"format": "other", "suite": "intl"}'])
def test_what_is_no_keystore_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k.json").write_bytes(content)
    (tmp_path / "k.json").chmod(0o600)
    with pytest.raises(KeyUnreadable):
        KeyStore.open(tmp_path / "k.json", PASS)


def test_a_hostile_file_does_not_exhaust_memory(tmp_path: Path) -> None:
    KeyStore.create(tmp_path / "k.json", PASS)
    state = json.loads((tmp_path / "k.json").read_text())
    state["kdf"]["memory_kib"] = 2**31
    (tmp_path / "k.json").write_text(json.dumps(state))
    with pytest.raises(KeyUnreadable):
        KeyStore.open(tmp_path / "k.json", PASS)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622, 0o644])
def test_a_passphrase_file_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "pass").write_bytes(PASS)
    (tmp_path / "pass").chmod(mode)
    with pytest.raises(KeyUnreadable, match="chmod 600"):
        read_passphrase(tmp_path / "pass")


def test_a_passphrase_file_gives_the_passphrase_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "pass").write_bytes(PASS + b"\r\n")
    (tmp_path / "pass").chmod(0o600)
    assert read_passphrase(tmp_path / "pass") == PASS


@pytest.mark.parametrize(
    "make", [lambda path: None, lambda path: os.mkfifo(path, 0o600), lambda path: path.touch(0o600)]
)
def test_an_absent_empty_or_strange_passphrase_file_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "pass")
    with pytest.raises(KeyUnreadable):
        read_passphrase(tmp_path / "pass")


def test_fresh_keys_differ() -> None:
    assert len({generate(kind) for kind in KeyKind for _ in range(5)}) == 20
