"""Quorums of witnesses in groups, C2SP policy files, and keys that were replaced."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.ledger.errors import EvidenceUnreadable, NoteInvalid
from hdex.ledger.note import (
    SignatureType,
    Signer,
    Verifier,
    add_signatures,
    cosign,
    format_checkpoint,
    sign_note,
)
from hdex.ledger.policy import Group, Quorum, any_of, format_policy, parse_policy
from hdex.ledger.testimony import authenticate, cosigners
from hdex.ledger.trust import Trust, policy_of, read_trust, trust_from_document

ORIGIN = "hdex/hospital-a/2026"
END = datetime(2026, 6, 1, tzinfo=UTC)


def signer(name: str, which: str = "") -> Signer:
    return Signer(name, sha256(f"{name} {which}".encode()).digest())


def vkey(name: str) -> str:
    return Verifier(name, signer(name).public_key, SignatureType.COSIGNATURE_V1).vkey


NAMES = ("X1", "X2", "X3", "Y1", "Y2", "Y3")
# c2sp.org/tlog-policy, "Example policy", with keys filled in, a comment and other white space
EXAMPLE = "\n".join(
    [
        f"log {Verifier(ORIGIN, signer(ORIGIN).public_key).vkey} https://hospital-a.test/",
        "",
        "# the X-witnesses are operated by one organisation",
        *(f"witness {name}\t{vkey(name)}" for name in NAMES[:3]),
        "  group X-witnesses 2 X1 X2 X3",
        *(f"witness {name} {vkey(name)} https://{name}.test/" for name in NAMES[3:]),
        "group Y-witnesses any Y1 Y2 Y3",
        "group X-and-Y all X-witnesses Y-witnesses",
        "quorum X-and-Y",
        "",
    ]
)


def test_the_published_example_asks_for_two_of_x_and_one_of_y() -> None:
    quorum = parse_policy(EXAMPLE).quorum
    for count in range(len(NAMES) + 1):
        for names in combinations(NAMES, count):
            enough = sum(name[0] == "X" for name in names) >= 2 and any(name[0] == "Y" for name in names)
            assert quorum.met(names) is enough, names
    assert quorum.least() == 3


def test_a_policy_is_written_as_it_is_read() -> None:
    policy = parse_policy(EXAMPLE)
    assert parse_policy(format_policy(policy)) == policy
    assert [log.name for log in policy.logs] == [ORIGIN]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("quorum X-and-Y\n", ""), "no quorum line"),
        (("quorum X-and-Y", "quorum X-and-Y\nquorum none"), "single quorum"),
        (("quorum X-and-Y", "quorum Z"), "no line before it defines"),
        (("group X-witnesses 2", "group X-witnesses 4"), "4 of 3"),
        (("group X-witnesses 2", "group X-witnesses 0"), "number from 1"),
        (("group X-witnesses 2", "group X-witnesses +2"), "number from 1"),
        (("2 X1 X2 X3", "2 X1 X1 X3"), "listed twice"),
        (("any Y1 Y2 Y3", "any Y1 Y2 X3"), "listed twice"),
        (("witness X2", "witness X1"), "defined twice"),
        (("witness X2", "witness none"), "defined twice, or is none"),
        ((vkey("X2"), vkey("X1")), "under this or another name"),
        (("any Y1 Y2 Y3", "any Y1 Y2 Y4"), "no line before it defines"),
        (("quorum X-and-Y", "quorum\fX-and-Y"), "control character"),
        (("witness Y1", "wittness Y1"), "no log, witness, group"),
        ((f"log {Verifier(ORIGIN, signer(ORIGIN).public_key).vkey}", f"log {vkey('Z')}"), "does not sign with"),
    ],
)
def test_a_broken_policy_is_refused_with_its_line(change: tuple[str, str], why: str) -> None:
    assert change[0] in EXAMPLE
    with pytest.raises(EvidenceUnreadable, match=why):
        parse_policy(EXAMPLE.replace(*change))


def test_no_witness_is_asked_for_by_quorum_none() -> None:
    assert parse_policy("quorum none\n").quorum.met([])
    assert any_of(["a"], 0).least() == 0


@given(st.integers(1, 6), st.sets(st.sampled_from(NAMES)))
def test_k_of_n_counts_each_known_witness_once(k: int, cosigned: set[str]) -> None:
    assert any_of(NAMES, k).met([*cosigned, *cosigned, "stranger"]) is (len(cosigned) >= k)
    assert any_of(NAMES, k).least() == k


def test_a_group_cannot_name_itself_or_a_later_one() -> None:
    for groups in ([Group("g", 1, ("g",))], [Group("g", 1, ("h",)), Group("h", 1, ("X1",))]):
        with pytest.raises(EvidenceUnreadable, match="not defined before"):
            Quorum(NAMES, tuple(groups), "g")


def document(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "policy": {"witnesses": 1},
        "logs": [{"node": "hospital-a", "origin": ORIGIN, "log_key": signer(ORIGIN).public_key.hex()}],
        "witnesses": [
            {"name": name, "key": signer(name).public_key.hex()} for name in ("hospital-a", "hospital-b", "hospital-c")
        ],
    }
    return found | changes


def test_a_trust_file_names_groups_and_its_least_number_of_witnesses_follows() -> None:
    groups = [
        {"name": "neighbours", "threshold": "any", "members": ["hospital-b", "hospital-c"]},
        {"name": "both", "threshold": "all", "members": ["neighbours", "hospital-a"]},
    ]
    trust = trust_from_document(document(policy={"groups": groups, "quorum": "both"}))
    assert trust.min_witnesses == 2
    assert trust.is_witnessed_by(["hospital-a", "hospital-c"])
    assert not trust.is_witnessed_by(["hospital-b", "hospital-c"])
    assert not trust_from_document(document()).is_witnessed_by([])
    assert (trust.asked, trust_from_document(document()).asked) == ("the witnesses of both", "1 witnesses")
    for broken in ({"quorum": "both", "witnesses": 1}, {"groups": groups}, {"groups": groups, "quorum": "nobody"}):
        with pytest.raises(EvidenceUnreadable):
            trust_from_document(document(policy=broken))


def test_a_policy_file_is_a_trust_file(tmp_path: Path) -> None:
    path = tmp_path / "trust.policy"
    path.write_text(EXAMPLE, encoding="utf-8")
    trust = read_trust(path)
    assert (trust.logs[0].node, trust.min_witnesses) == ("hospital-a", 3)
    assert trust.is_witnessed_by(["X1", "X2", "Y3"])
    path.write_text(format_policy(policy_of(trust_from_document(document()))), encoding="utf-8")
    assert read_trust(path).is_witnessed_by(["hospital-c"])
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(EvidenceUnreadable):
        read_trust(path)


# keys that were replaced


def rotated() -> Trust:
    """Return a trust file in which the log and hospital-b have changed their keys at END."""
    until = "2026-06-01T00:00:00Z"
    found = document()
    found["logs"][0]["earlier"] = [{"key": signer(ORIGIN, "old").public_key.hex(), "until": until}]
    found["witnesses"][1]["earlier"] = [{"key": signer("hospital-b", "old").public_key.hex(), "until": until}]
    return trust_from_document(found)


def checkpoint(log: Signer, cosigned: Sequence[tuple[Signer, datetime]]) -> str:
    note = sign_note(format_checkpoint(ORIGIN, 7, bytes(32)), log)
    return add_signatures(note, [cosign(note, witness, time) for witness, time in cosigned])


def test_old_keys_hold_for_old_checkpoints() -> None:
    trust, before = rotated(), END - timedelta(days=1)
    log = trust.logs[0]
    old = checkpoint(signer(ORIGIN, "old"), [(signer("hospital-b", "old"), before), (signer("hospital-c"), before)])
    assert authenticate(old, log, trust).cosigners == ("hospital-b", "hospital-c")
    new = checkpoint(signer(ORIGIN), [(signer("hospital-b"), END + timedelta(days=1))])
    assert authenticate(new, log, trust).cosigners == ("hospital-b",)


def test_a_replaced_log_key_signs_nothing_new() -> None:
    trust, after = rotated(), END + timedelta(days=1)
    log = trust.logs[0]
    for cosigned in ([], [(signer("hospital-c"), after)], [(signer("hospital-b", "old"), after)]):
        with pytest.raises(NoteInvalid, match="replaced key"):
            authenticate(checkpoint(signer(ORIGIN, "old"), cosigned), log, trust)


def test_a_replaced_witness_key_counts_up_to_its_end_and_its_owner_once() -> None:
    trust, before, after = rotated(), END - timedelta(days=1), END + timedelta(days=1)
    log, old, new = trust.logs[0], signer("hospital-b", "old"), signer("hospital-b")
    assert cosigners(checkpoint(signer(ORIGIN), [(old, after)]), log, trust) == []
    assert cosigners(checkpoint(signer(ORIGIN), [(old, before), (new, after)]), log, trust) == ["hospital-b"]


def test_a_log_never_vouches_for_itself_with_a_replaced_key() -> None:
    found = document()
    until = "2026-06-01T00:00:00Z"
    found["witnesses"][0]["earlier"] = [{"key": signer("hospital-a", "old").public_key.hex(), "until": until}]
    trust = trust_from_document(found)
    own = checkpoint(signer(ORIGIN), [(signer("hospital-a", "old"), END - timedelta(days=1))])
    assert cosigners(own, trust.logs[0], trust) == []


@pytest.mark.parametrize("until", ["2026-06-01T00:00:00", "yesterday", 7, None])
def test_the_end_of_an_earlier_key_is_a_time_with_its_zone(until: object) -> None:
    found = document()
    found["logs"][0]["earlier"] = [{"key": "00" * 32, "until": until}]
    with pytest.raises(EvidenceUnreadable):
        trust_from_document(found)
