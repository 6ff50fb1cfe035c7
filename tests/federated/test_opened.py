"""The coordinator believes a sum only as far as the key holder proves it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.federated.samples import Consortium, consortium, keypair

from hdex.federated.draft import Question
from hdex.federated.errors import DecryptRefused, FederatedError, OpeningInvalid, error_document, error_from_document
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.keyholder import KeyHolder
from hdex.federated.opened import proven_sum
from hdex.federated.paillier import PackSpec, aggregate, encrypt, open_vector
from hdex.federated.ports import OpenedSum
from hdex.federated.run import run_study

Lie = Callable[[OpenedSum], OpenedSum]
COUNT = Question("", ("age",), "DUO:0000006", kind="count")


class LyingKeyHolder:
    """A key holder that opens by the rules and then says something else."""

    def __init__(self, party: Consortium, lie: Lie) -> None:
        self._inner, self._lie = party.keyholder, lie

    def open_sum(self, study_id: str, round_number: int, contributions: list[bytes]) -> OpenedSum:
        return self._lie(self._inner.open_sum(study_id, round_number, contributions))


def other_proof() -> bytes:
    """A true opening, under the same key, of other ciphertexts that hold other numbers."""
    public, private = keypair()
    spec = PackSpec(104, 50, 3, 2048)
    return open_vector(private, aggregate([encrypt(public, np.ones(3), spec)] * 3)).to_bytes(public)


def at(place: int) -> Lie:
    def lie(said: OpenedSum) -> OpenedSum:
        changed = bytearray(said.proof)
        changed[place] ^= 1
        return replace(said, proof=bytes(changed))

    return lie


LIES: dict[str, Lie] = {
    "one more patient": lambda said: replace(said, values=said.values + 1.0),
    "nothing": lambda said: replace(said, values=np.zeros_like(said.values)),
    "not a number": lambda said: replace(said, values=said.values * np.nan),
    "a value too few": lambda said: replace(said, values=said.values[:-1]),
    "no proof": lambda said: replace(said, proof=b""),
    "a proof of other ciphertexts": lambda said: replace(said, proof=other_proof()),
    "a proof cut short": lambda said: replace(said, proof=said.proof[:-1]),
    "a proof and more": lambda said: replace(said, proof=said.proof + b"\x00"),
    "another mark": at(0),
    "another count": at(7),
    "another plaintext": at(200),
    "another randomness": at(-1),
}


@pytest.mark.parametrize("case", LIES)
def test_a_sum_that_is_not_proven_is_refused_and_not_journaled(case: str) -> None:
    party, journal = consortium(question=COUNT), MemoryJournal()
    with pytest.raises(OpeningInvalid) as caught:
        run_study(
            party.envelope,
            grid=InprocGrid(party.handlers()),
            decryptor=LyingKeyHolder(party, LIES[case]),
            journal=journal,
        )
    assert journal.rounds(party.study.id) == []
    assert "840" not in str(caught.value)


def test_after_a_lie_the_same_round_of_an_honest_key_holder_is_taken() -> None:
    party, journal = consortium(question=COUNT), MemoryJournal()
    asked: dict[str, Any] = {"journal": journal}
    lying = LyingKeyHolder(party, LIES["nothing"])
    with pytest.raises(OpeningInvalid):
        run_study(party.envelope, grid=InprocGrid(party.handlers()), decryptor=lying, **asked)
    run_study(party.envelope, grid=InprocGrid(party.handlers()), decryptor=party.keyholder, **asked)
    assert 840 in journal.rounds(party.study.id)[0].state
    assert set(party.computations().values()) == {1}


def test_a_key_holder_that_is_restarted_proves_the_same() -> None:
    party = consortium(question=COUNT)
    said: list[OpenedSum] = []

    def keep(opened: OpenedSum) -> OpenedSum:
        said.append(opened)
        return opened

    keeping = LyingKeyHolder(party, keep)
    run_study(party.envelope, grid=InprocGrid(party.handlers()), decryptor=keeping, journal=MemoryJournal())
    again = KeyHolder(party.keyholder._store, admit=lambda s, e: None, bits=2048)
    with pytest.raises(DecryptRefused):
        again.open_sum("study-1", 1, [b"others"])
    proof = party.keyholder._store.get("opening/study-1/1")
    assert proof == said[0].proof


def test_a_sum_of_fewer_than_said_is_not_proven() -> None:
    public, private = keypair()
    spec = PackSpec(24, 8, 3, 2048)
    product, study = aggregate([encrypt(public, np.array([1.0]), spec)] * 2), consortium().study
    proof = open_vector(private, product).to_bytes(public)
    assert proven_sum(study, product, proof, contributors=2).tolist() == [2.0]
    with pytest.raises(OpeningInvalid):
        proven_sum(study, product, proof, contributors=3)


def test_the_error_crosses_to_another_process_as_itself() -> None:
    error: FederatedError = error_from_document(error_document(OpeningInvalid("no proof")))
    assert type(error) is OpeningInvalid
    assert str(error) == "no proof"
