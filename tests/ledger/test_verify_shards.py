"""Audits over New Year: a shard that continues another is linked to it, and its grants may stand in the one before."""

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.ledger.evidence_story import log_signer, make_event, origin, save, trust, usual_consortium

from hdex.ledger.bundle import Evidence, LogEvidence
from hdex.ledger.event import Action, Decision, canonical
from hdex.ledger.note import Signer
from hdex.ledger.ports import Anchor
from hdex.ledger.shard import link_to
from hdex.ledger.shard_sqlite import Shards
from hdex.ledger.trust import Trust, TrustedLog
from hdex.ledger.verify import verify_evidence
from hdex.ledger.verify_full import LogCopy, audit_log
from hdex.node.auditor_full import audit_folder
from hdex.node.auditor_logs import anchored_as

NODE = "hospital-a"
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
ALLOW = Decision.ALLOW


def signer(name: str) -> Signer:
    return Signer(name, log_signer(NODE).seed)


def two_years(folder: Path, *, granted: bool = True) -> Trust:
    """Write a log over New Year: a grant in the old year, a release under it in the new one."""
    now = NEW_YEAR - timedelta(days=40)
    shards = Shards(folder, NODE, signer=signer, clock=lambda: now)
    log = shards.open()
    if granted:
        log.append(canonical(make_event(NODE, 0, Action.GRANT_ISSUE, grant="g", decision=ALLOW)))
    log.append(canonical(make_event(NODE, 1, Action.AUDIT_READ, decision=ALLOW)))
    now = NEW_YEAR + timedelta(hours=1)
    release = make_event(NODE, 0, Action.EXPORT, grant="g", decision=ALLOW)
    log.append(canonical(replace(release, time="2027-01-01T01:00:00.000Z")))
    log.close()
    base = trust(witnesses=0)
    (first, *_) = base.logs
    second = TrustedLog(NODE, replace(first.verifier, name=f"hdex/{NODE}/2027"))
    return replace(base, logs=(first, second))


def test_a_folder_of_two_years_is_audited_as_one_log(tmp_path: Path) -> None:
    asked = two_years(tmp_path)
    named: list[str] = []

    def no_anchors(name: str) -> list[Anchor]:
        named.append(name)
        return []

    report = audit_folder(tmp_path, asked, anchors=no_anchors, say=lambda done: None)
    assert report.verified, report.first_offence
    assert f"{NODE}: its log of 2027 continues that before it" in report.checked
    assert [told for told in report.not_checked if "grants of" in told] == []
    assert named == [NODE, f"{NODE}/2027"]


def test_a_grant_that_no_year_issued_is_found(tmp_path: Path) -> None:
    report = audit_folder(tmp_path, two_years(tmp_path, granted=False), anchors=None, say=lambda done: None)
    assert "not issued before it" in str((report.first_offence or {})["why"])


def test_an_old_year_that_lost_its_last_entry_is_found_by_the_new_one(tmp_path: Path) -> None:
    asked = two_years(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    two_years(other, granted=False)
    (other / "log.db").replace(tmp_path / "log.db")
    report = audit_folder(tmp_path, asked, anchors=None, say=lambda done: None)
    assert not report.verified
    assert "2026 ends at 1 entries, the next shard continues" in str((report.first_offence or {})["why"])


def test_a_damaged_old_year_is_found(tmp_path: Path) -> None:
    asked = two_years(tmp_path)
    with sqlite3.connect(tmp_path / "log.db") as opened:
        opened.execute("UPDATE leaf SET body = replace(body, 'allow', 'deny') WHERE position = 1")
    opened.close()
    assert (audit_folder(tmp_path, asked, anchors=None, say=lambda done: None).first_offence or {})["index"] == 1


def later_shard() -> Evidence:
    """The evidence of three logs, of which the first continues an earlier shard whose grants it uses."""
    told = usual_consortium()
    head = told.logs[NODE].checkpoint()
    entries = [link_to(head, NEW_YEAR - timedelta(days=41))]
    entries += [canonical(make_event(NODE, 20, Action.EXPORT, grant="old", decision=ALLOW))]
    return replace(told.evidence(), logs=(LogEvidence(NODE, origin(NODE), tuple(entries)),))


def test_a_later_shard_alone_is_not_blamed_for_grants_of_the_one_before(tmp_path: Path) -> None:
    evidence = later_shard()
    asked = trust(witnesses=0)
    pairs = [(entry, None) for entry in evidence.logs[0].entries]
    report = audit_log(asked.logs[0], LogCopy(pairs, None), asked)
    said = "hospital-a: the grants of 1 releases: their issue is not in the file"
    assert said in report.not_checked
    whole = verify_evidence(save(tmp_path / "e.zip", replace(evidence, witnesses=())), asked)
    assert said in whole.not_checked
    assert "grant" not in str(whole.first_offence)


@pytest.mark.parametrize(("first", "name"), [(True, "hospital-a/2026"), (False, "hospital-a")])
def test_only_a_later_shard_is_anchored_under_its_year(first: bool, name: str) -> None:
    log = later_shard().logs[0]
    assert anchored_as(log.node, log.origin, log.entries[0 if first else 1]) == name
