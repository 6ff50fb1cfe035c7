"""Evidence on one question: some entries, each proven under a cosigned head, and no more of the log than that."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.evidence_story import (
    NODES,
    START,
    make_event,
    origin,
    rewrite,
    save,
    trust,
    usual_consortium,
    usual_events,
)

from hdex.ledger.accesses import matching
from hdex.ledger.bundle import FORMAT, FORMAT_2, Absence, Evidence, LogEvidence, LogExtract, read_evidence
from hdex.ledger.bundle_extract import answer, extract, question
from hdex.ledger.errors import EvidenceUnreadable
from hdex.ledger.event import Action, Decision, canonical
from hdex.ledger.ports import EventQuery
from hdex.ledger.verify import AuditReport, verify_evidence

DENIED = EventQuery(decision="deny")
READS = EventQuery(action="product.read", decision="allow")


def narrowed(evidence: Evidence, query: EventQuery) -> Evidence:
    extracts = tuple(answer(log, query, evidence.witnesses) for log in evidence.logs)
    witnesses = tuple(replace(one, mirror=()) for one in evidence.witnesses)
    return replace(evidence, logs=(), witnesses=witnesses, extracts=extracts, question=question(query))


def audit(path: Path, evidence: Evidence, **policy: float) -> AuditReport:
    return verify_evidence(save(path / "extract.zip", evidence), trust(**policy))


def edit(evidence: Evidence, **changes: object) -> Evidence:
    """Change the first extract, of hospital-a."""
    first = replace(evidence.extracts[0], **changes)  # type: ignore[arg-type]
    return replace(evidence, extracts=(first, *evidence.extracts[1:]))


def test_an_extract_verifies_and_says_that_completeness_was_not_checked(tmp_path: Path) -> None:
    evidence = narrowed(usual_consortium().evidence(), READS)
    report = audit(tmp_path, evidence)
    assert report.verified, report.first_offence
    assert "hospital-a: 14 entries are canonical events proven to be in its log of 17" in report.checked
    assert "hospital-a: its newest checkpoint, of size 17, is cosigned by hospital-b, hospital-c" in report.checked
    assert "hospital-a: 2 anchors, the newest of size 17 in block 2, are prefixes of the log" in report.checked
    assert any("whether one that answers the question was left out" in told for told in report.not_checked)


def test_an_extract_holds_the_grants_it_names_and_nothing_else_of_the_log(tmp_path: Path) -> None:
    path = save(tmp_path / "e.zip", narrowed(usual_consortium().evidence(), EventQuery(action="product.read")))
    found = read_evidence(path).extracts[0]
    actions = [json.loads(one.entry)["action"] for one in found.entries]
    assert actions == ["grant.issue", *["product.read"] * 12, "grant.revoke", "product.read"]
    with zipfile.ZipFile(path) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"catalogue.publish" not in everything
    assert sha256(b"\0" + canonical(usual_events("hospital-a")[0])).hexdigest().encode() not in everything.replace(
        found.entries[0].proof[0].hex().encode(), b""
    )  # a leaf hash is shown only where it is the sibling on a path


def test_whole_evidence_is_still_written_in_format_1(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    assert (evidence.format, narrowed(evidence, DENIED).format) == (FORMAT, FORMAT_2)
    with zipfile.ZipFile(save(tmp_path / "e.zip", evidence)) as archive:
        assert sorted(json.loads(archive.read("manifest.json"))) == ["chain", "exported", "format", "logs"]


def test_an_extract_survives_its_file(tmp_path: Path) -> None:
    evidence = narrowed(usual_consortium().evidence(), DENIED)
    evidence = replace(evidence, absent=(Absence("exchange", "log", "peer-unavailable"),))
    assert read_evidence(save(tmp_path / "e.zip", evidence)) == evidence
    assert evidence.question == {"decision": "deny"}


def changed(entry: bytes) -> bytes:
    return entry.replace(b'"decision":"deny"', b'"decision":"allow"')


SPOILT: dict[str, tuple[Callable[[LogExtract], dict[str, object]], str]] = {
    "an entry changed": (
        lambda found: {"entries": tuple(replace(one, entry=changed(one.entry)) for one in found.entries)},
        "not proven",
    ),
    "another index": (
        lambda found: {"entries": tuple(replace(one, index=one.index - 1) for one in found.entries)},
        "not proven",
    ),
    "a proof too short": (
        lambda found: {"entries": tuple(replace(one, proof=one.proof[:-1]) for one in found.entries)},
        "fewer than",
    ),
    "a proof too long": (
        lambda found: {"entries": tuple(replace(one, proof=(*one.proof, bytes(32))) for one in found.entries)},
        "more than",
    ),
    "a hash of 31 bytes": (
        lambda found: {"entries": tuple(replace(one, proof=(bytes(31), *one.proof[1:])) for one in found.entries)},
        "31 bytes",
    ),
    "an entry twice": (lambda found: {"entries": (found.entries[0], *found.entries)}, "twice"),
    "out of order": (lambda found: {"entries": found.entries[::-1]}, "ascending"),
    "an index beyond": (
        lambda found: {"entries": (replace(found.entries[-1], index=17),)},
        "not in a tree of size 17",
    ),
    "no links": (lambda found: {"links": ()}, "no prefix"),
    "a head unsigned": (lambda found: {"head": found.head.replace("\n17\n", "\n18\n")}, "does not verify"),
    "an anchor forged": (
        lambda found: {"anchors": tuple(replace(one, root=bytes(32)) for one in found.anchors)},
        "no prefix",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_extract_is_not_verified(tmp_path: Path, name: str) -> None:
    spoil, why = SPOILT[name]
    evidence = narrowed(usual_consortium().evidence(), DENIED)
    report = audit(tmp_path, edit(evidence, **spoil(evidence.extracts[0])))
    assert not report.verified
    assert report.first_offence is not None
    assert why in str(report.first_offence["why"])
    assert report.first_offence["log"] == "hospital-a"


def test_an_extract_of_a_rewritten_log_is_contradicted_by_its_witnesses(tmp_path: Path) -> None:
    def allow(entries: list[bytes]) -> None:
        entries[14] = changed(entries[14])

    forged = rewrite(usual_consortium().evidence(), "hospital-a", allow)
    report = audit(tmp_path, narrowed(forged, READS), witnesses=0)
    assert report.first_offence is not None
    assert report.first_offence["contradicted_by"] == "hospital-b"
    assert "what hospital-b cosigned is not this log" in str(report.first_offence["why"])
    alone = audit(tmp_path, replace(narrowed(forged, READS), witnesses=()))
    assert "0 witnesses cosigned the head" in str((alone.first_offence or {})["why"])


def test_a_head_smaller_than_what_a_witness_cosigned_is_found(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    old = tuple(replace(log, entries=log.entries[:8], checkpoints=log.checkpoints[:1]) for log in evidence.logs)
    report = audit(tmp_path, narrowed(replace(evidence, logs=old), READS))
    assert "it is of size 17, the extract's head of size 8" in str((report.first_offence or {})["why"])


def test_a_release_after_its_revocation_is_found_in_an_extract(tmp_path: Path) -> None:
    found = usual_consortium()
    late = make_event("hospital-a", 99, Action.PRODUCT_READ, grant="hospital-a-g", decision=Decision.ALLOW)
    found.write("hospital-a", [late])
    found.publish("hospital-a")
    report = audit(tmp_path, narrowed(found.evidence(), EventQuery(since=START + timedelta(seconds=90))))
    assert report.first_offence is not None
    assert (report.first_offence["index"], report.first_offence["log"]) == (17, "hospital-a")
    assert "revoked before it" in str(report.first_offence["why"])


def test_a_grant_that_the_file_does_not_show_is_said_and_not_held_against_the_log(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    only = tuple(extract(log, [5], [17]) for log in evidence.logs)
    report = audit(tmp_path, replace(evidence, logs=(), extracts=only))
    assert report.verified, report.first_offence
    assert "hospital-a: the grants of 1 releases: their issue is not in the file" in report.not_checked


def test_earlier_evidence_refutes_another_entry_at_its_index(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    earlier = save(tmp_path / "earlier.zip", evidence)

    def allow(entries: list[bytes]) -> None:
        entries[14] = changed(entries[14])

    forged = narrowed(rewrite(evidence, "hospital-a", allow), EventQuery(action="export"))
    path = save(tmp_path / "forged.zip", replace(forged, witnesses=()))
    report = verify_evidence(path, trust(witnesses=0), earlier=earlier)
    wrong = [report.first_offence or {}]
    assert [(one["index"], one["log"]) for one in wrong] == [(14, "hospital-a")]
    honest = save(tmp_path / "honest.zip", narrowed(evidence, EventQuery(action="export")))
    told = verify_evidence(honest, trust(), earlier=earlier)
    assert told.verified, told.first_offence
    assert "hospital-a: 1 entries were compared with the earlier evidence" in told.checked


def test_whole_logs_and_extracts_stand_in_one_file(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    mixed = replace(evidence, logs=evidence.logs[1:], extracts=(answer(evidence.logs[0], READS, evidence.witnesses),))
    assert audit(tmp_path, mixed).verified


def test_who_was_away_is_said(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    gone = (Absence("hospital-c", "log", "peer-unavailable"), Absence("chain", "chain", "chain-unavailable"))
    left = tuple(replace(log, anchors=()) for log in evidence.logs[:2])
    report = audit(tmp_path, replace(evidence, logs=left, absent=gone, chain={}))
    assert report.verified, report.first_offence
    said = "hospital-c: its log could not be read when the evidence was collected (peer-unavailable)"
    assert said in report.not_checked
    assert "the anchors: the file holds none, the chain was away when it was made" in report.not_checked


def test_anchors_of_an_unnamed_chain_count_for_nothing(tmp_path: Path) -> None:
    report = audit(tmp_path, replace(usual_consortium().evidence(), chain={}))
    assert not report.verified


def test_two_parts_of_one_name_are_unreadable(tmp_path: Path) -> None:
    path = save(tmp_path / "e.zip", usual_consortium().evidence())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("logs/hospital-a/entries.jsonl", b"")
    with pytest.raises(EvidenceUnreadable, match="one name"):
        read_evidence(path)


def test_more_entries_than_proofs_are_unreadable(tmp_path: Path) -> None:
    path = save(tmp_path / "e.zip", narrowed(usual_consortium().evidence(), DENIED))
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["logs/hospital-a/entries.jsonl"] += parts["logs/hospital-a/entries.jsonl"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(EvidenceUnreadable, match=r"entries and . proofs"):
        read_evidence(path)


def test_a_log_without_a_checkpoint_has_no_extract() -> None:
    with pytest.raises(EvidenceUnreadable, match="without a checkpoint"):
        extract(LogEvidence("hospital-a", origin("hospital-a"), ()), [])


@given(st.sets(st.integers(0, 16)))
def test_every_choice_of_entries_is_proven(chosen: set[int]) -> None:
    evidence = STORY
    parts = tuple(extract(log, sorted(chosen), [8, 17]) for log in evidence.logs)
    assert [one.index for one in parts[0].entries] == sorted(chosen)
    assert all(anchor.size in {8, 17} for part in parts for anchor in part.anchors)
    assert all(len(one.proof) <= 5 for part in parts for one in part.entries)


STORY = usual_consortium().evidence()
EVENTS = usual_events(NODES[0])


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        (EventQuery(), list(range(17))),
        (EventQuery(product="stents"), [0]),
        (EventQuery(grant="hospital-a-g", action="product.read", decision="deny"), [16]),
        (EventQuery(first=15), [15, 16]),
        (EventQuery(first=3, limit=2), [3, 4]),
        (EventQuery(since=START + timedelta(seconds=15)), [15, 16]),
        (EventQuery(until=START + timedelta(seconds=1)), [0]),
        (EventQuery(actor=("0" * 64,)), []),
        (EventQuery(contract="other"), []),
    ],
)
def test_a_query_finds_what_it_asks_for(query: EventQuery, indexes: list[int]) -> None:
    assert matching(EVENTS, query) == indexes


def test_grants_come_with_the_releases_that_name_them() -> None:
    log = STORY.logs[0]
    assert [one.index for one in answer(log, EventQuery(until=START + timedelta(seconds=3))).entries] == [0, 1, 2, 15]
    assert [one.index for one in answer(log, EventQuery(product="stents")).entries] == [0]
