"""A receipt replays to the same sums, and no field of it or of the logs can change unnoticed."""

import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.federated.samples import SITES, Consortium, consortium

from hdex.federated.contribution import Contribution
from hdex.federated.disclosure_regimes import regime, strictest
from hdex.federated.disclosure_release import verdict
from hdex.federated.errors import DisclosureRefused, StudyInvalid
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal import sum_digest
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.kinds.table import kind_named
from hdex.federated.ports import OpenedSum
from hdex.federated.receipts import Receipt, RoundReceipt, parse_events, replay
from hdex.federated.run import run_study

Logs = dict[str, list[dict[str, Any]]]


class KeepingDecryptor:
    """The key holder, with what it was given kept as a coordinator keeps it."""

    def __init__(self, party: Consortium) -> None:
        self._inner = party.decryptor
        self.kept: list[tuple[bytes, ...]] = []
        self.proofs: list[bytes] = []

    def open_sum(self, study_id: str, round_number: int, contributions: list[bytes]) -> OpenedSum:
        self.kept.append(tuple(contributions))
        opened = self._inner.open_sum(study_id, round_number, contributions)
        self.proofs.append(opened.proof)
        return opened


@dataclass(frozen=True)
class Told:
    receipt: Receipt
    logs: Logs
    result: dict[str, Any]


@cache
def told() -> Told:
    """Return a study that ran, with what every participant logs of it."""
    party = consortium()
    decryptor, journal = KeepingDecryptor(party), MemoryJournal()
    result = run_study(party.envelope, grid=InprocGrid(party.handlers()), decryptor=decryptor, journal=journal)
    records = journal.rounds(party.study.id)
    rounds = tuple(map(RoundReceipt, records, decryptor.kept, decryptor.proofs))
    return Told(Receipt(party.envelope, rounds), logs_of(Receipt(party.envelope, rounds)), result.document())


def logs_of(receipt: Receipt) -> Logs:
    study = receipt.study
    logs: Logs = {name: [] for name in (*SITES, "exchange", "keyholder")}
    for one in receipt.rounds:
        for reply in one.record.replies:
            asked = {"policy_digest": study.digest(), "request_digest": one.record.broadcast_digest}
            logs[reply.site].append({"action": "round.join", "decision": "allow", **asked})
            logs[reply.site].append(
                {"action": "round.submit", "decision": "allow", **asked, "result_digest": reply.digest}
            )
        logs["keyholder"].append({"action": "aggregate.decrypt", "decision": "allow", "request_digest": study.digest()})
        logs["exchange"].append({"action": "round.seal", "decision": "allow", "result_digest": one.record.digest()})
    said = {"request_digest": study.digest(), "policy_digest": "cd" * 32}
    logs["exchange"].append({"action": "study.approve", "decision": "allow", **said})
    return logs


def test_every_aggregate_digest_is_recomputed() -> None:
    found = replay(told().receipt, told().logs)
    assert found.offences == ()
    assert found.recomputed == found.rounds == told().result["rounds"]
    assert found.verified
    assert found.document()["aggregate_digests"] == {"recomputed": found.rounds, "of": found.rounds}
    assert found.document()["sums"] == {"proven": found.rounds, "of": found.rounds}


def test_the_file_holds_the_receipt() -> None:
    data = told().receipt.to_bytes()
    assert Receipt.from_bytes(data) == told().receipt
    assert Receipt.from_bytes(data).to_bytes() == data


def with_round(receipt: Receipt, **changes: Any) -> Receipt:
    first, *others = receipt.rounds
    return replace(receipt, rounds=(replace(first, **changes), *others))


def flipped(receipt: Receipt) -> Receipt:
    """One bit of one ciphertext, with the header's digest mended: only the signature and the sum tell."""
    import hashlib

    one = Contribution.from_bytes(receipt.rounds[0].contributions[0])
    payload = one.payload[:-1] + bytes([one.payload[-1] ^ 1])
    header = replace(one.header, payload=hashlib.sha256(payload).hexdigest())
    forged = Contribution(header, one.signature, payload).to_bytes()
    return with_round(receipt, contributions=(forged, *receipt.rounds[0].contributions[1:]))


def of_record(**changes: Any) -> Callable[[Receipt], Receipt]:
    return lambda receipt: with_round(receipt, record=replace(receipt.rounds[0].record, **changes))


def of_other_sum(receipt: Receipt) -> Receipt:
    """The key holder and the coordinator agree on another sum: only the proof tells."""
    first = receipt.rounds[0].record
    state = (first.state[0] + 1.0, *first.state[1:])
    return of_record(state=state, sum_digest=sum_digest(np.array(state)))(receipt)


FORGED: dict[str, tuple[Callable[[Receipt], Receipt], str]] = {
    "a ciphertext": (flipped, "signature"),
    "a site left out": (lambda r: with_round(r, contributions=r.rounds[0].contributions[:2]), "roster"),
    "a site twice": (lambda r: with_round(r, contributions=r.rounds[0].contributions[:1] * 3), "roster"),
    "contributions of another round": (lambda r: with_round(r, contributions=r.rounds[1].contributions),
                                       "another question"),
    "the aggregate's digest": (of_record(aggregate_digest="00" * 32), "not the one in the journal"),
    "the opened sum": (of_record(state=(1.0, 2.0)), "does not have its digest"),
    "the opened sum with its digest": (lambda r: of_other_sum(r), "another sum is said"),
    "no proof": (lambda r: with_round(r, proof=b""), "without a proof"),
    "a proof cut short": (lambda r: with_round(r, proof=r.rounds[0].proof[:-1]), "does not hold"),
    "a bit of the proof": (lambda r: with_round(r, proof=r.rounds[0].proof[:-1] + b"\x00"), "does not hold"),
    "the proof of another round": (lambda r: with_round(r, proof=r.rounds[1].proof), "does not hold"),
    "the question": (of_record(broadcast_digest="00" * 32), "another question"),
    "the round's number": (of_record(round=9), "another round"),
    "a round left out": (lambda r: replace(r, rounds=r.rounds[1:]), "another round"),
    "no contribution": (lambda r: with_round(r, contributions=()), "cannot be summed"),
    "no bytes of a contribution": (lambda r: with_round(r, contributions=(b"HCT1",) * 3), "cannot be summed"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
def test_what_is_forged_in_a_receipt_is_found(case: str) -> None:
    forge, words = FORGED[case]
    found = replay(forge(told().receipt), told().logs)
    assert not found.verified
    assert any(words in offence for offence in found.offences), found.offences


def lost(node: str, action: str) -> Callable[[Logs], object]:
    return lambda logs: logs.update({node: [event for event in logs[node] if event["action"] != action]})


UNLOGGED: dict[str, tuple[Callable[[Logs], object], str]] = {
    "a submission": (lost("hospital-b", "round.submit"), "hospital-b has not logged"),
    "a seal": (lost("exchange", "round.seal"), "has not sealed"),
    "the openings": (lost("keyholder", "aggregate.decrypt"), "fewer sums"),
    "the verdict": (lost("exchange", "study.approve"), "no disclosure verdict"),
    "a whole log": (lambda logs: logs.pop("hospital-c"), "hospital-c has not logged"),
    "too much epsilon": (lambda logs: logs["hospital-a"][0].update(epsilon=0.5), "more epsilon than promised"),
    "a denied seal": (lambda logs: [e.update(decision="deny") for e in logs["exchange"]], "has not sealed"),
}


@pytest.mark.parametrize("case", UNLOGGED)
def test_what_is_not_in_the_logs_is_found(case: str) -> None:
    change, words = UNLOGGED[case]
    logs = {node: [dict(event) for event in events] for node, events in told().logs.items()}
    change(logs)
    found = replay(told().receipt, logs)
    assert not found.verified
    assert any(words in offence for offence in found.offences), found.offences


def test_an_empty_receipt_verifies_nothing() -> None:
    assert not replay(replace(told().receipt, rounds=()), told().logs).verified


def test_a_damaged_file_is_unreadable() -> None:
    data = told().receipt.to_bytes()
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w"):
        pass
    for broken in (b"", b"PK", data[: len(data) // 2], empty.getvalue()):
        with pytest.raises(StudyInvalid):
            Receipt.from_bytes(broken)


@pytest.mark.parametrize("at", ["method", "flags", "stream"])
def test_a_member_that_cannot_be_unpacked_is_no_traceback(at: str) -> None:
    """An unknown method, the flag of encryption, a broken stream of one packed member (APPNOTE.TXT 4.3, 4.4)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("study.json", b"{}" * 500)
    data, name = bytearray(buffer.getvalue()), len("study.json")
    central = data.index(b"PK\x01\x02")
    if at == "method":
        data[8:10] = data[central + 10 : central + 12] = (99).to_bytes(2, "little")
    elif at == "flags":
        data[6] |= 1
        data[central + 8] |= 1
    else:
        data[30 + name] = 0xFF  # a block type that deflate does not have
    with pytest.raises(StudyInvalid):
        Receipt.from_bytes(bytes(data))


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(*named: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in named:
            archive.writestr(name, data)
    return buffer.getvalue()


def verifies(data: bytes) -> bool:
    try:
        return replay(Receipt.from_bytes(data), told().logs).verified
    except StudyInvalid:
        return False


def test_one_bit_of_any_member_is_found() -> None:
    """Each member with bits flipped at three places by a fixed seed, cut, lengthened and left out."""
    whole, source = members(told().receipt.to_bytes()), random.Random(9)
    assert verifies(zipped(*whole.items()))
    kinds = {name.rpartition("/")[2] for name in whole}
    assert kinds == {"study.json", "record.json", "0000.bin", "0001.bin", "0002.bin", "proof"}
    for name, data in whole.items():
        if not name.startswith(("study", "rounds/0001", "rounds/0003")):
            continue
        forged = [data[:-1], data + b" ", data + b"\n"]
        for _ in range(3):
            at = source.randrange(len(data))
            forged.append(data[:at] + bytes([data[at] ^ 1 << source.randrange(8)]) + data[at + 1 :])
        for one in forged:
            assert not verifies(zipped(*(whole | {name: one}).items())), name
        assert not verifies(zipped(*((n, d) for n, d in whole.items() if n != name))), name


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_more_is_found() -> None:
    whole = list(members(told().receipt.to_bytes()).items())
    for more in (("notes.txt", b""), ("rounds/0001/0003.bin2", b"x"), ("rounds/9/x/y", b""), whole[0]):
        assert not verifies(zipped(*whole, more))


def test_lines_that_are_no_events_say_nothing() -> None:
    assert parse_events([b"{", b"[]", b'{"action": "x"}']) == [{"action": "x"}]


def test_the_verdict_names_floors_and_breaches_and_no_count() -> None:
    study, result = told().receipt.study, told().result
    fine = verdict(study, result, strictest())
    fine.require()
    poor = verdict(study, {**result, "n": 31, "events": 7}, regime("eu"))
    assert [breach.rule for breach in poor.breaches] == ["parameter_share", "events_per_parameter"]
    assert "31" not in str(poor.document()["breaches"])
    assert fine.digest() != poor.digest()
    with pytest.raises(DisclosureRefused):
        poor.require()
    few = verdict(study, {**result, "n": 12}, regime("eu"))
    assert "residual_df" in [breach.rule for breach in few.breaches]


def packs(kind: str) -> dict[str, dict[str, int]]:
    return {step: encoding.document() for step, encoding in kind_named(kind).steps.items()}


def test_a_kind_without_two_outcomes_has_no_rarer_one() -> None:
    study, result = told().receipt.study, told().result
    for kind, events in (("linear", 800), ("poisson", 2400)):
        asked = replace(study, kind=kind, pack=packs(kind))
        assert verdict(asked, {**result, "n": 800, "events": events}, strictest()).breaches == ()
