"""Delivery container: the buyer gets exactly what the provider signed, in any number of attempts, or an error."""

import hashlib
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from Crypto.Protocol import HPKE as OtherHPKE
from Crypto.Protocol.DH import import_x25519_private_key
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from hdex.node.container import (
    LENGTH,
    MAGIC,
    Header,
    Opener,
    Sealer,
    header_digest,
    pieces,
    plaintext_root,
    split_prologue,
)
from hdex.node.container_file import Receiver, open_container, open_frame
from hdex.node.errors import AlreadyExists, ContainerInvalid, NotFound
from hdex.node.keys import KeyKind, public_of
from hdex.node.signed import key_id, sign
from hdex.node.stream import TAG_BYTES, ChunkCipher

SIGN, BUYER, SECRET = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
PROVIDER_PUBLIC = public_of(KeyKind.ED25519, SIGN)
BUYER_PUBLIC = public_of(KeyKind.X25519, BUYER)
CHUNK = 64  # small chunks, so that properties see many


def content(size: int, seed: bytes = b"seed") -> bytes:
    return hashlib.shake_128(seed).digest(size)


def source_of(data: bytes) -> Any:
    return lambda start, length: data[start : start + length]


def header_of(data: bytes, **changed: Any) -> Header:
    made = Header(
        product="hospital-a/stents",
        version="1.0.0",
        contract="c-1",
        provider="hospital-a",
        consumer="buyer-heartline",
        consumer_key_id=key_id(BUYER_PUBLIC),
        bytes=len(data),
        root=plaintext_root(pieces(source_of(data), len(data), CHUNK)),
        rows=3,
        columns=("age", "性别"),
        expires="2027-01-01T00:00:00.000Z",
        chunk_bytes=CHUNK,
    )
    return replace(made, **changed)


def sealer_of(data: bytes, secret: bytes = SECRET, **changed: Any) -> Sealer:
    return Sealer(header_of(data, **changed), source_of(data), to=BUYER_PUBLIC, sign_key=SIGN, secret=secret)


def opener_of(sealer: Sealer) -> Opener:
    return Opener(sealer.prologue, hpke_private=BUYER, provider_public=PROVIDER_PUBLIC)


def open_all(sealer: Sealer, chunks: list[bytes]) -> bytes:
    opener = opener_of(sealer)
    opened = b"".join(opener.open_chunk(index, chunk) for index, chunk in enumerate(chunks))
    opener.finish()
    return opened


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=5 * CHUNK))
def test_what_was_sealed_comes_out(data: bytes) -> None:
    sealer = sealer_of(data)
    assert open_all(sealer, list(sealer.stream())) == data


def test_a_range_sent_again_is_the_same_bytes_and_opens_under_either_key_message() -> None:
    data = content(5 * CHUNK + 3)
    first, second = sealer_of(data), sealer_of(data)
    assert list(first.stream()) == list(second.stream())
    assert list(first.stream(2, 4)) == list(second.stream())[2:4]
    assert first.prologue != second.prologue  # HPKE is randomised, the file key is not
    assert open_all(first, list(second.stream())) == data


@pytest.mark.parametrize(
    "changed", [{"contract": "c-2"}, {"version": "1.0.1"}, {"expires": "x"}, {"rows": 4}, {"product": "p"}]
)
def test_two_headers_never_share_a_key(changed: dict[str, Any]) -> None:
    data = content(2 * CHUNK)
    one, other = sealer_of(data), sealer_of(data, **changed)
    assert one.chunk(0) != other.chunk(0)
    with pytest.raises(ContainerInvalid):
        opener_of(one).open_chunk(0, other.chunk(0))


def test_two_providers_secrets_give_two_keys() -> None:
    data = content(CHUNK)
    assert sealer_of(data).chunk(0) != sealer_of(data, secret=bytes(32)).chunk(0)


@settings(max_examples=100, deadline=None)
@given(st.permutations(list(range(6))))
def test_reordered_chunks_are_refused(order: list[int]) -> None:
    sealer = sealer_of(content(5 * CHUNK + 1))
    chunks = list(sealer.stream())
    if order == sorted(order):
        return
    with pytest.raises(ContainerInvalid):
        open_all(sealer, [chunks[index] for index in order])


@pytest.mark.parametrize("keep", range(5))
def test_a_cut_delivery_is_refused(keep: int) -> None:
    sealer = sealer_of(content(5 * CHUNK))
    with pytest.raises(ContainerInvalid, match="missing"):
        open_all(sealer, list(sealer.stream())[:keep])


def test_a_cut_delivery_cannot_pass_as_a_shorter_one() -> None:
    """A middle chunk was sealed as not the last: with a shorter header it does not open as the last."""
    data = content(3 * CHUNK)
    long, short = sealer_of(data), sealer_of(data[: 2 * CHUNK])
    with pytest.raises(ContainerInvalid):
        open_all(short, list(long.stream())[:2])


@pytest.mark.parametrize(("index", "last", "bound_to"), [(1, False, b"a"), (0, True, b"a"), (0, False, b"b")])
def test_a_chunk_opens_only_in_its_place(index: int, last: bool, bound_to: bytes) -> None:
    sealed = ChunkCipher(SECRET, b"a").seal(0, b"plain", last=False)
    assert ChunkCipher(SECRET, b"a").open(0, sealed, last=False) == b"plain"
    with pytest.raises(InvalidTag):
        ChunkCipher(SECRET, bound_to).open(index, sealed, last=last)


def test_spliced_chunks_of_another_delivery_are_refused() -> None:
    one, other = sealer_of(content(3 * CHUNK)), sealer_of(content(3 * CHUNK, b"other"))
    mixed = [one.chunk(0), other.chunk(1), one.chunk(2)]
    with pytest.raises(ContainerInvalid, match="chunk 1"):
        open_all(one, mixed)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_bit_anywhere_is_refused(data: st.DataObject) -> None:
    sealer = sealer_of(content(3 * CHUNK + 5))
    whole = bytearray(sealer.prologue + b"".join(sealer.stream()))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ContainerInvalid):
        read_back(bytes(whole), len(sealer.prologue), sealer.header)


def read_back(whole: bytes, prologue: int, header: Header) -> bytes:
    opener = Opener(whole[:prologue], hpke_private=BUYER, provider_public=PROVIDER_PUBLIC)
    stream = io.BytesIO(whole[prologue:])
    opened = b"".join(opener.open_chunk(n, stream.read(header.sealed_length(n))) for n in range(header.chunks))
    opener.finish()
    return opened


def test_a_provider_who_signs_another_root_is_found_out() -> None:
    data = content(2 * CHUNK)
    sealer = sealer_of(data, root="00" * 32)
    with pytest.raises(ContainerInvalid, match="root"):
        open_all(sealer, list(sealer.stream()))


def test_another_buyer_cannot_open_it() -> None:
    with pytest.raises(ContainerInvalid, match="another key"):
        Opener(sealer_of(b"x").prologue, hpke_private=bytes([9]) * 32, provider_public=PROVIDER_PUBLIC)
    with pytest.raises(ContainerInvalid, match="another key"):
        Sealer(header_of(b"x"), source_of(b"x"), to=PROVIDER_PUBLIC, sign_key=SIGN, secret=SECRET)


def test_another_providers_signature_is_refused() -> None:
    with pytest.raises(ContainerInvalid, match="not signed"):
        Opener(sealer_of(b"x").prologue, hpke_private=BUYER, provider_public=public_of(KeyKind.ED25519, bytes(32)))


def with_header(sealer: Sealer, document: dict[str, Any]) -> bytes:
    header = json.dumps(sign("container", document, "hospital-a", SIGN)).encode()
    _, sealed_key = split_prologue(sealer.prologue)
    return MAGIC + LENGTH.pack(len(header)) + header + LENGTH.pack(len(sealed_key)) + sealed_key


@pytest.mark.parametrize(
    "change",
    [
        {"format": "hdex-container/9"},
        {"suite": "none"},
        {"chunk_bytes": 0},
        {"chunk_bytes": 1 << 40},
        {"bytes": -1},
        {"bytes": 1 << 50},
        {"bytes": "3"},
        {"rows": True},
        {"columns": "age"},
        {"extra": 1},
        {"contract": "c-2"},
    ],
    ids=str,
)
def test_a_signed_but_wrong_header_is_refused(change: dict[str, Any]) -> None:
    sealer = sealer_of(content(CHUNK))
    prologue = with_header(sealer, {**sealer.header.document(), **change})
    with pytest.raises(ContainerInvalid):
        Opener(prologue, hpke_private=BUYER, provider_public=PROVIDER_PUBLIC)


DEEP = b"HDX1" + LENGTH.pack(100_000) + b"[" * 100_000 + LENGTH.pack(80) + bytes(80)


@pytest.mark.parametrize(
    "rubbish", [b"", b"HDX1", b"HDX1\xff\xff\xff\xff", b"PAR1" + bytes(99), b"HDX1" + bytes(99), DEEP]
)
def test_rubbish_is_no_container(rubbish: bytes) -> None:
    with pytest.raises(ContainerInvalid):
        Opener(rubbish, hpke_private=BUYER, provider_public=PROVIDER_PUBLIC)


def test_the_sealed_key_is_hpke_as_another_library_speaks_it() -> None:
    """RFC 9180 base mode, X25519, HKDF-SHA256, AES-256-GCM: opened by an independent implementation."""
    sealer = sealer_of(content(CHUNK))
    _, sealed_key = split_prologue(sealer.prologue)
    info = sealer.header.contract.encode() + b"\n" + header_digest(sealer.header)
    receiver = OtherHPKE.new(
        receiver_key=import_x25519_private_key(BUYER), aead_id=OtherHPKE.AEAD.AES256_GCM, enc=sealed_key[:32], info=info
    )
    assert len(receiver.unseal(sealed_key[32:])) == 32


def test_no_key_shows() -> None:
    sealer = sealer_of(b"x")
    assert SECRET.hex() not in repr(sealer) + repr(opener_of(sealer)) + repr(vars(sealer))


# ---- on disk --------------------------------------------------------------------------------------------------------


def receiver(path: Path) -> Receiver:
    return Receiver(path, hpke_private=BUYER, provider_public=PROVIDER_PUBLIC)


def receive(path: Path, sealer: Sealer, stop: int | None = None) -> Receiver:
    """Take the delivery from where it stands up to chunk `stop`."""
    taking = receiver(path)
    taking.begin(sealer.prologue, contract="c-1")
    for index in range(taking.next_index, sealer.header.chunks if stop is None else stop):
        taking.accept(index, sealer.chunk(index))
    return taking


def test_a_delivered_file_opens_in_one_line(tmp_path: Path) -> None:
    frame = pl.DataFrame({"age": [60, 70, 80], "性别": ["女", "男", "女"]})
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    taking = receive(tmp_path / "stents.hdx", sealer_of(buffer.getvalue()))
    assert taking.complete
    path = taking.finish()
    assert_frame_equal(open_frame(path, BUYER, PROVIDER_PUBLIC), frame)
    assert b"PAR1" not in path.read_bytes()


@pytest.mark.parametrize("stop", [0, 1, 4, 5])
def test_a_broken_delivery_goes_on_where_it_stopped(tmp_path: Path, stop: int) -> None:
    data, path = content(5 * CHUNK), tmp_path / "d.hdx"
    receive(path, sealer_of(data), stop)
    again = receive(path, sealer_of(data), stop)  # nothing is taken twice
    assert again.next_index == stop
    done = receive(path, sealer_of(data))
    assert open_container(done.finish(), BUYER, PROVIDER_PUBLIC) == data
    assert os.listdir(tmp_path) == ["d.hdx"]


@pytest.mark.parametrize("cut", [1, TAG_BYTES, CHUNK, CHUNK + TAG_BYTES + 1, 10**6])
def test_a_torn_tail_is_cut_and_asked_for_again(tmp_path: Path, cut: int) -> None:
    data, path = content(5 * CHUNK), tmp_path / "d.hdx"
    receive(path, sealer_of(data), 4)
    part = tmp_path / "d.hdx.part"
    part.write_bytes(part.read_bytes()[:-cut])
    assert receiver(path).next_index <= 3
    assert open_container(receive(path, sealer_of(data)).finish(), BUYER, PROVIDER_PUBLIC) == data


def test_a_chunk_damaged_on_disk_is_asked_for_again(tmp_path: Path) -> None:
    data, path = content(5 * CHUNK), tmp_path / "d.hdx"
    sealer = sealer_of(data)
    receive(path, sealer, 4)
    part = tmp_path / "d.hdx.part"
    stored = bytearray(part.read_bytes())
    stored[len(sealer.prologue) + CHUNK + TAG_BYTES + 3] ^= 1  # in chunk 1
    part.write_bytes(stored)
    assert receiver(path).next_index == 1


def test_a_bad_chunk_is_not_kept(tmp_path: Path) -> None:
    sealer = sealer_of(content(3 * CHUNK))
    taking = receive(tmp_path / "d.hdx", sealer, 1)
    for index, chunk in ((1, sealer.chunk(2)), (2, sealer.chunk(2)), (1, b""), (7, sealer.chunk(1))):
        with pytest.raises(ContainerInvalid):
            taking.accept(index, chunk)
    assert taking.next_index == 1
    with pytest.raises(ContainerInvalid, match="missing"):
        taking.finish()


def test_a_resumed_delivery_must_be_the_same_one(tmp_path: Path) -> None:
    path = tmp_path / "d.hdx"
    receive(path, sealer_of(content(3 * CHUNK)), 1)
    with pytest.raises(ContainerInvalid, match="changed"):
        receiver(path).begin(sealer_of(content(3 * CHUNK, b"other")).prologue, contract="c-1")
    with pytest.raises(ContainerInvalid, match="contract"):
        receiver(path).begin(sealer_of(content(3 * CHUNK)).prologue, contract="c-2")


def test_a_finished_delivery_is_not_overwritten(tmp_path: Path) -> None:
    path = receive(tmp_path / "d.hdx", sealer_of(b"x")).finish()
    with pytest.raises(AlreadyExists):
        receiver(path)


def test_bytes_after_the_end_are_refused(tmp_path: Path) -> None:
    path = receive(tmp_path / "d.hdx", sealer_of(b"x")).finish()
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(ContainerInvalid, match="after the last"):
        open_container(path, BUYER, PROVIDER_PUBLIC)


def test_an_absent_or_strange_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        open_container(tmp_path / "none.hdx", BUYER, PROVIDER_PUBLIC)
    (tmp_path / "strange.hdx").write_bytes(b"PAR1")
    with pytest.raises(ContainerInvalid):
        open_container(tmp_path / "strange.hdx", BUYER, PROVIDER_PUBLIC)


def test_nothing_is_accepted_before_the_header(tmp_path: Path) -> None:
    with pytest.raises(ContainerInvalid, match="not begun"):
        receiver(tmp_path / "d.hdx").accept(0, b"x")
