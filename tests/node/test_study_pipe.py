"""The pipe between the exchange and a study's process: whole messages or none, and the channel at its end."""

import io
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.node.exchange.pipe import LARGEST, Pipe, join, split
from hdex.node.exchange.study_child import PipeChannel

NAMES = st.text(max_size=12).filter(lambda name: name not in {"kind", "payload", "self"})
HEADS = st.dictionaries(NAMES, st.integers() | st.text(max_size=20), max_size=4)


@given(messages=st.lists(st.tuples(st.text(max_size=10), st.binary(max_size=300), HEADS), max_size=8))
def test_messages_come_out_as_they_went_in(messages: list[tuple[str, bytes, dict[str, Any]]]) -> None:
    wire = io.BytesIO()
    sender = Pipe(io.BytesIO(), wire)
    for kind, payload, head in messages:
        sender.send(kind, payload, **head)
    receiver = Pipe(io.BytesIO(wire.getvalue()), io.BytesIO())
    for kind, payload, head in messages:
        packet = receiver.receive()
        assert packet is not None
        assert (packet.kind, packet.payload, packet.head) == (kind, payload, {"kind": kind, **head})
    assert receiver.receive() is None


@given(payload=st.binary(max_size=200), cut=st.integers(0, 400))
def test_a_message_that_is_cut_is_the_end_and_never_half_a_message(payload: bytes, cut: int) -> None:
    wire = io.BytesIO()
    Pipe(io.BytesIO(), wire).send("frame", payload, site="hospital-a")
    data = wire.getvalue()
    packet = Pipe(io.BytesIO(data[: min(cut, len(data) - 1)]), io.BytesIO()).receive()
    assert packet is None


@pytest.mark.parametrize("sizes", [(LARGEST + 1, 0), (2, LARGEST + 1), (2**32 - 1, 2**32 - 1)])
def test_a_length_beyond_all_bounds_ends_the_conversation(sizes: tuple[int, int]) -> None:
    assert Pipe(io.BytesIO(struct.pack(">II", *sizes) + b"{}"), io.BytesIO()).receive() is None


@given(parts=st.lists(st.binary(max_size=64), max_size=8))
def test_parts_are_split_where_they_were_joined(parts: list[bytes]) -> None:
    sizes, payload = join(parts)
    assert split(sizes, payload) == parts


def test_many_threads_may_send_without_mixing_their_messages() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as writer:
        sender, receiver = Pipe(io.BytesIO(), writer), Pipe(reader, io.BytesIO())
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(sender.send, "frame", bytes([n]) * 100, n=n) for n in range(32)]
            found = [receiver.receive() for _ in range(32)]
            for job in jobs:
                job.result()
    assert sorted(packet.head["n"] for packet in found if packet) == list(range(32))
    assert all(set(packet.payload) == {packet.head["n"]} for packet in found if packet)


def test_the_childs_channel_knows_the_sites_and_waits_no_longer_than_asked() -> None:
    wire = io.BytesIO()
    channel = PipeChannel(Pipe(io.BytesIO(), wire))
    with pytest.raises(TimeoutError):
        channel.receive(0.001)
    for kind, payload, head in (("sites", b"", {"sites": ["a", "b"]}), ("frame", b"bytes", {"site": "a"})):
        other = io.BytesIO()
        Pipe(io.BytesIO(), other).send(kind, payload, **head)
        packet = Pipe(io.BytesIO(other.getvalue()), io.BytesIO()).receive()
        assert packet is not None
        channel.arrived(packet)
    assert channel.sites() == {"a", "b"}
    assert channel.receive(1) == ("a", b"bytes")
