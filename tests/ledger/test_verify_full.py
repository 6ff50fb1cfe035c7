"""A full audit re-hashes a log and holds it against its heads, its witnesses and the chain, in one pass."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.ledger.evidence_story import (
    START,
    Consortium,
    log_signer,
    make_event,
    origin,
    trust,
    usual_consortium,
    witness_signer,
)

from hdex.ledger.errors import EvidenceUnreadable
from hdex.ledger.event import Action, Decision, Event, canonical
from hdex.ledger.log import Log
from hdex.ledger.merkle import leaf_hash
from hdex.ledger.note import add_signatures, cosign
from hdex.ledger.ports import Anchor
from hdex.ledger.store_sqlite import SqliteLogStore
from hdex.ledger.trust import Trust
from hdex.ledger.verify import AuditReport
from hdex.ledger.verify_full import LogCopy, audit_log
from hdex.ledger.verify_sqlite import open_log, shard_files

NODE = "hospital-a"


def copy_of(told: Consortium, entries: Sequence[bytes] | None = None, *, stored: bool = True) -> LogCopy:
    log = told.logs[NODE]
    held = log.entries(0, log.size)
    hashes = [leaf_hash(entry) for entry in held]
    found = held if entries is None else entries
    pairs = [(entry, hashes[n] if stored and n < len(hashes) else None) for n, entry in enumerate(found)]
    return LogCopy(pairs, log.checkpoint(), log.cosigned(), told.anchors[NODE])


def audit(copy: LogCopy, asked: Trust | None = None) -> AuditReport:
    asked = asked or trust()
    log = asked.log(origin(NODE))
    assert log is not None
    return audit_log(log, copy, asked)


def offence(copy: LogCopy) -> tuple[object, object, str]:
    found = audit(copy).first_offence
    assert found is not None
    return found["index"], found["contradicted_by"], str(found["why"])


def test_an_honest_log_holds() -> None:
    report = audit(copy_of(usual_consortium()))
    assert report.verified, report.first_offence
    assert report.checked == [
        "hospital-a: 17 entries are canonical events of this node, hashed again one by one",
        "hospital-a: times grow within the bounds of witnesses and chain; "
        "every release has a decision and a live grant",
        "hospital-a: 3 signed checkpoints, the newest of size 17, hold",
        "hospital-a: its checkpoint of size 17 is cosigned by hospital-b, hospital-c",
        "hospital-a: 2 anchors, as the chain itself holds them, are prefixes of the log",
    ]
    assert not [told for told in report.not_checked if "the chain itself was not contacted" in told]


@pytest.mark.parametrize("index", [0, 7, 8, 16])
def test_one_changed_entry_is_found_at_its_index(index: int) -> None:
    told = usual_consortium()
    entries = told.logs[NODE].entries(0, 17)
    entries[index] = canonical(make_event(NODE, index, Action.POLICY_CHANGE))
    assert offence(copy_of(told, entries))[:2] == (index, "hospital-b, hospital-c")
    found = offence(copy_of(told, entries, stored=False))
    assert found[0] == (0 if index < 8 else 8)  # the newest root that held, where nobody told the hashes
    assert found[1] == "hospital-b, hospital-c"


def test_a_log_that_lost_its_end_is_found() -> None:
    told = usual_consortium()
    index, by, why = offence(copy_of(told, told.logs[NODE].entries(0, 12)))
    assert (index, by) == (12, "hospital-b, hospital-c")
    assert "of size 17, the log holds 12 entries" in why


def test_an_anchor_of_another_root_is_found_and_the_chain_named() -> None:
    copy = copy_of(usual_consortium())
    wrong = Anchor(9, bytes(32), bytes(32), 7, START + timedelta(minutes=1), bytes(32))
    index, by, why = offence(replace(copy, anchors=[*(copy.anchors or ()), wrong]))
    assert (index, by) == (8, "the chain")
    assert "the anchor of size 9 in block 7" in why


def test_the_chain_not_asked_and_the_chain_empty_are_said() -> None:
    copy = copy_of(usual_consortium())
    assert any("the chain was not asked" in told for told in audit(replace(copy, anchors=None)).not_checked)
    assert any("the chain holds no anchor" in told for told in audit(replace(copy, anchors=[])).not_checked)


def test_a_log_that_nobody_cosigned_is_not_verified() -> None:
    report = audit(replace(copy_of(usual_consortium()), cosigned=[]))
    assert "no checkpoint is cosigned by 2 witnesses" in str((report.first_offence or {})["why"])
    assert audit(replace(copy_of(usual_consortium()), cosigned=[]), trust(witnesses=0)).verified


def test_entries_after_the_newest_cosignature_are_said() -> None:
    told = usual_consortium()
    told.write(NODE, [make_event(NODE, 17, Action.AUDIT_READ)])
    report = audit(copy_of(told))
    assert report.verified, report.first_offence
    assert "hospital-a: the last 1 entries: 2 witnesses have not cosigned them" in report.not_checked


def test_a_head_under_another_key_is_found() -> None:
    copy = copy_of(usual_consortium())
    other = usual_consortium().logs["hospital-b"].checkpoint()
    assert "another origin" in offence(replace(copy, head=other))[2]


def written(*events: Event) -> LogCopy:
    told = Consortium()
    told.now = START + timedelta(seconds=40)
    told.write(NODE, events)
    told.publish(NODE)
    return copy_of(told)


ISSUE = make_event(NODE, 0, Action.GRANT_ISSUE, grant="g")
ALLOW = Decision.ALLOW
BACK = make_event(NODE, 2, Action.CONTRACT_COMPLETE, grant="g")
REVOKE = make_event(NODE, 2, Action.GRANT_REVOKE, grant="g")


@pytest.mark.parametrize(
    ("events", "index", "why"),
    [
        ([make_event(NODE, 0, Action.EXPORT, grant="g")], 0, "no decision"),
        ([make_event(NODE, 0, Action.EXPORT, decision=Decision.ALLOW)], 0, "names no grant"),
        ([make_event(NODE, 0, Action.EXPORT, decision=Decision.ALLOW, grant="g")], 0, "not issued before"),
        ([ISSUE, REVOKE, make_event(NODE, 3, Action.EXPORT, decision=Decision.ALLOW, grant="g")], 2, "revoked before"),
        (
            [ISSUE, BACK, make_event(NODE, 3, Action.SHARE_READ, decision=ALLOW, grant="g")],
            2,
            "revoked before",
        ),
        ([ISSUE, make_event("hospital-b", 1, Action.AUDIT_READ)], 1, "another node"),
        ([make_event(NODE, 0, Action.AUDIT_READ), make_event(NODE, -200, Action.AUDIT_READ)], 1, "before that of"),
        ([make_event(NODE, 200, Action.AUDIT_READ)], 0, "younger than a cosignature"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_found(events: list[Event], index: int, why: str) -> None:
    found = offence(written(*events))
    assert found[0] == index
    assert why in found[2]


def test_an_entry_dated_back_behind_a_cosignature_is_found() -> None:
    told = Consortium()
    told.now = START + timedelta(seconds=1000)
    told.write(NODE, [make_event(NODE, 990, Action.AUDIT_READ)])
    told.publish(NODE)
    told.write(NODE, [make_event(NODE, 875, Action.AUDIT_READ)])  # within the tolerance of its neighbour
    told.publish(NODE)
    copy = replace(copy_of(told), anchors=[])
    assert offence(copy)[::2] == (1, "the entry is older than a cosignature that was made before it")


def test_one_witness_with_a_wrong_clock_accuses_nobody() -> None:
    told = usual_consortium()
    note = told.logs[NODE].checkpoint()
    late = add_signatures(note, [cosign(note, witness_signer("hospital-b"), START + timedelta(days=9))])
    copy = copy_of(told)
    assert audit(replace(copy, cosigned=[*copy.cosigned, late])).verified


def stored(path: Path) -> Path:
    """A log in files, cosigned by nobody."""
    log = Log(SqliteLogStore(path / "log.db"), origin(NODE), log_signer(NODE))
    for number in range(5):
        log.append(canonical(make_event(NODE, number, Action.AUDIT_READ)))
    log.close()
    return path


def of_file(path: Path) -> AuditReport:
    asked = trust(witnesses=0)
    with open_log(shard_files(path)[0]) as file:
        log = asked.log(file.origin())
        assert log is not None
        return audit_log(log, LogCopy(file.entries(), file.head(), file.cosigned()), asked)


def test_a_folder_is_audited_without_changing_it(tmp_path: Path) -> None:
    before = (stored(tmp_path) / "log.db").read_bytes()
    report = of_file(tmp_path)
    assert report.verified, report.first_offence
    assert (tmp_path / "log.db").read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    ["UPDATE leaf SET body = replace(body, '-3', '-9') WHERE position = 3", "DELETE FROM leaf WHERE position = 3"],
)
def test_an_entry_damaged_or_gone_on_disk_is_found_at_its_index(tmp_path: Path, damage: str) -> None:
    with sqlite3.connect(stored(tmp_path) / "log.db") as opened:
        opened.execute(damage)
    opened.close()
    found = of_file(tmp_path).first_offence or {}
    assert found["index"] == 3


@pytest.fixture(params=["missing", "empty", "no database"])
def unreadable(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "no database":
        (tmp_path / "log.db").write_bytes(b"nothing of the kind" * 100)
    if request.param == "empty":
        sqlite3.connect(tmp_path / "log.db").close()
    return tmp_path


def test_a_folder_without_a_whole_log_is_unreadable(unreadable: Path) -> None:
    with pytest.raises(EvidenceUnreadable):
        of_file(unreadable)
