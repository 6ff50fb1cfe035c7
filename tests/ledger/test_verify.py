"""An auditor with one file and a trust file finds every rewriting, and says what was and was not checked."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ledger.evidence_story import (
    CHAIN,
    NODES,
    START,
    Consortium,
    log_signer,
    make_event,
    origin,
    rewrite,
    save,
    trust,
    usual_consortium,
    usual_events,
    witness_signer,
)

from hdex.ledger.bundle import Evidence, LogEvidence, read_evidence
from hdex.ledger.errors import EvidenceUnreadable
from hdex.ledger.event import Action, Decision, Event, canonical
from hdex.ledger.note import add_signatures, cosign, format_checkpoint, parse_note, sign_note
from hdex.ledger.trust import read_trust, trust_from_document
from hdex.ledger.verify import AuditReport, verify_evidence


def audit(path: Path, evidence: Evidence, **policy: float) -> AuditReport:
    return verify_evidence(save(path / "evidence.zip", evidence), trust(**policy))


def change_entry(index: int) -> Callable[[list[bytes]], None]:
    def change(entries: list[bytes]) -> None:
        entries[index] = entries[index].replace(b'"rows":', b'"rows":9')

    return change


def edit(evidence: Evidence, node: str, **changes: object) -> Evidence:
    logs = tuple(replace(log, **changes) if log.node == node else log for log in evidence.logs)  # type: ignore[arg-type]
    return replace(evidence, logs=logs)


def log_evidence(evidence: Evidence, node: str) -> LogEvidence:
    return next(log for log in evidence.logs if log.node == node)


def published(events: dict[str, list[Event]]) -> Evidence:
    found = Consortium()
    for node in NODES:
        found.write(node, events.get(node, usual_events(node)))
        found.publish(node)
    return found.evidence()


def test_honest_logs_are_verified_and_the_report_says_what_was_not_checked(tmp_path: Path) -> None:
    report = audit(tmp_path, usual_consortium().evidence())
    assert report.verified, report.first_offence
    assert report.first_offence is None
    assert "hospital-a: its newest checkpoint, of size 17, is cosigned by hospital-b, hospital-c" in report.checked
    assert any("1 operator: demonstration" in sentence for sentence in report.checked)
    assert any("the chain itself was not contacted" in sentence for sentence in report.not_checked)
    assert set(report.document()) == {"verified", "checked", "not_checked", "first_offence"}


@pytest.mark.parametrize("index", [2, 7, 8, 13])
def test_a_rewritten_resigned_and_reanchored_log_is_found_at_its_first_wrong_entry(tmp_path: Path, index: int) -> None:
    report = audit(tmp_path, rewrite(usual_consortium().evidence(), "hospital-b", change_entry(index)))
    assert not report.verified
    assert report.first_offence is not None
    assert report.first_offence["log"] == "hospital-b"
    assert report.first_offence["index"] == index
    assert report.first_offence["contradicted_by"] == "hospital-a, hospital-c"


def drop_last(entries: list[bytes]) -> None:
    del entries[12:]


def insert_one(entries: list[bytes]) -> None:
    entries.insert(5, entries[4])


@pytest.mark.parametrize(("change", "index"), [(drop_last, 12), (insert_one, 5)])
def test_dropped_and_inserted_entries_are_found_where_they_begin(
    tmp_path: Path, change: Callable[[list[bytes]], None], index: int
) -> None:
    report = audit(tmp_path, rewrite(usual_consortium().evidence(), "hospital-a", change))
    assert report.first_offence is not None
    assert (report.first_offence["log"], report.first_offence["index"]) == ("hospital-a", index)
    assert report.first_offence["contradicted_by"] == "hospital-b, hospital-c"


def test_without_mirrors_the_wrong_entry_lies_between_two_cosigned_roots(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    old = log_evidence(evidence, "hospital-a").checkpoints[:1]
    forged = rewrite(evidence, "hospital-a", change_entry(12))
    forged = edit(forged, "hospital-a", checkpoints=old + log_evidence(forged, "hospital-a").checkpoints)
    forged = replace(forged, witnesses=tuple(replace(one, mirror=()) for one in forged.witnesses))
    report = audit(tmp_path, forged)
    assert report.first_offence is not None
    assert report.first_offence["index"] == 8
    assert "from 8 to 16" in str(report.first_offence["why"])
    assert report.first_offence["contradicted_by"] == "hospital-b, hospital-c"


def test_earlier_evidence_names_entry_and_cosigner_when_witnesses_are_silent(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    earlier = save(tmp_path / "earlier.zip", evidence)
    forged = replace(rewrite(evidence, "hospital-c", change_entry(9)), witnesses=())
    path = save(tmp_path / "forged.zip", forged)
    report = verify_evidence(path, trust(), earlier=earlier)
    assert report.first_offence is not None
    assert (report.first_offence["log"], report.first_offence["index"]) == ("hospital-c", 9)
    assert report.first_offence["contradicted_by"] == "hospital-a, hospital-b"
    alone = verify_evidence(path, trust()).first_offence
    assert alone is not None
    assert "0 witnesses cosigned" in str(alone["why"])
    assert verify_evidence(earlier, trust(), earlier=earlier).verified


def test_cosignatures_moved_onto_a_forged_checkpoint_do_not_hide_the_wrong_entry(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    genuine = parse_note(log_evidence(evidence, "hospital-a").checkpoints[-1])
    forged = rewrite(evidence, "hospital-a", change_entry(3))
    lines = [signature.line() for signature in genuine.signatures[1:]]
    notes = tuple(add_signatures(note, lines) for note in log_evidence(forged, "hospital-a").checkpoints)
    report = audit(tmp_path, edit(forged, "hospital-a", checkpoints=notes))
    assert report.first_offence is not None
    assert (report.first_offence["index"], report.first_offence["contradicted_by"]) == (3, "hospital-b, hospital-c")


def test_a_witness_alone_cannot_accuse_an_honest_log(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    lie = format_checkpoint(origin("hospital-a"), 17, bytes(32))
    own = sign_note(lie, log_signer("hospital-b"))
    accusation = add_signatures(own, [cosign(own, witness_signer("hospital-b"), START)])
    told = tuple(
        replace(one, checkpoint=accusation) if (one.witness, one.node) == ("hospital-b", "hospital-a") else one
        for one in evidence.witnesses
    )
    report = audit(tmp_path, replace(evidence, witnesses=told))
    assert report.first_offence is not None
    assert report.first_offence["contradicted_by"] is None
    assert "said to be of hospital-b does not verify" in str(report.first_offence["why"])


def test_a_mirror_that_is_not_of_its_own_checkpoint_is_said_and_not_used(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    told = tuple(replace(one, mirror=(bytes(32),) * 17) for one in evidence.witnesses)
    report = audit(tmp_path, replace(evidence, witnesses=told))
    assert report.verified
    assert any("the mirror of hospital-b" in sentence for sentence in report.not_checked)


def test_a_changed_byte_without_re_signing_is_found_at_its_entry(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    entries = list(log_evidence(evidence, "hospital-a").entries)
    change_entry(6)(entries)
    report = audit(tmp_path, edit(evidence, "hospital-a", entries=tuple(entries)))
    assert report.first_offence is not None
    assert report.first_offence["index"] == 6


READ = {"action": Action.PRODUCT_READ, "decision": Decision.ALLOW}


def access_log(*more: dict[str, object]) -> list[Event]:
    base: list[dict[str, object]] = [{"action": Action.GRANT_ISSUE, "grant": "g"}, {**READ, "grant": "g"}]
    return [
        make_event("hospital-a", number, Action(str(fields.pop("action"))), **fields)
        for number, fields in enumerate(dict(one) for one in [*base, *more])
    ]


@pytest.mark.parametrize(
    ("more", "index", "why"),
    [
        ([{"action": Action.EXPORT}], 2, "has no decision"),
        ([{"action": Action.AGGREGATE_DECRYPT}], 2, "has no decision"),
        ([READ], 2, "names no grant"),
        ([{**READ, "grant": "never"}], 2, "not issued before"),
        ([{**READ, "grant": "late"}, {"action": Action.GRANT_ISSUE, "grant": "late"}], 2, "not issued before"),
        ([{"action": Action.GRANT_REVOKE, "grant": "g"}, {**READ, "grant": "g"}], 3, "revoked before"),
        ([{"action": Action.CONTRACT_COMPLETE, "grant": "g"}, {**READ, "grant": "g"}], 3, "revoked before"),
        ([{"action": Action.SHARE_READ, "decision": Decision.ALLOW}], 2, "names no grant"),
    ],
)
def test_an_access_without_decision_or_live_grant_is_found(
    tmp_path: Path, more: list[dict[str, object]], index: int, why: str
) -> None:
    report = audit(tmp_path, published({"hospital-a": access_log(*more)}))
    assert report.first_offence is not None
    assert (report.first_offence["log"], report.first_offence["index"]) == ("hospital-a", index)
    assert why in str(report.first_offence["why"])


def test_a_grant_issued_in_another_log_counts_when_its_time_is_before(tmp_path: Path) -> None:
    reading = make_event("hospital-b", 5, Action.ROUND_SUBMIT, decision=Decision.ALLOW, grant="g")
    assert audit(tmp_path, published({"hospital-a": access_log(), "hospital-b": [reading]})).verified


def test_time_may_not_run_backwards_beyond_the_tolerance(tmp_path: Path) -> None:
    events = [make_event("hospital-a", second, Action.AUDIT_READ) for second in (0, 300, 290, 100)]
    report = audit(tmp_path, published({"hospital-a": events}), clock_tolerance_s=60)
    assert report.first_offence is not None
    assert report.first_offence["index"] == 3


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda e: edit(e, "hospital-a", checkpoints=()), "no checkpoint"),
        (
            lambda e: edit(e, "hospital-a", checkpoints=log_evidence(e, "hospital-a").checkpoints[:1]),
            "of size 8, not 17",
        ),
        (lambda e: replace(e, chain={**CHAIN, "chain_id": 1}), "another chain_id"),
        (lambda e: replace(e, chain={**CHAIN, "contract": "0xBAD"}), "another contract"),
        (lambda e: replace(e, logs=()), "no log that the trust file names"),
        (
            lambda e: replace(e, logs=(*e.logs, LogEvidence("hospital-x", "hdex/hospital-x/2026", ()))),
            "knows no log of this origin",
        ),
        (
            lambda e: edit(
                e,
                "hospital-a",
                anchors=tuple(replace(anchor, root=bytes(32)) for anchor in log_evidence(e, "hospital-a").anchors),
            ),
            "no prefix of the log",
        ),
        (
            lambda e: edit(
                e,
                "hospital-a",
                anchors=tuple(
                    replace(anchor, time=START.replace(year=2025)) for anchor in log_evidence(e, "hospital-a").anchors
                ),
            ),
            "younger than the anchor",
        ),
    ],
)
def test_spoilt_evidence_is_not_verified(tmp_path: Path, spoil: Callable[[Evidence], Evidence], why: str) -> None:
    report = audit(tmp_path, spoil(usual_consortium().evidence()))
    assert not report.verified
    assert report.first_offence is not None
    assert why in str(report.first_offence["why"])


def test_an_entry_that_is_no_event_or_of_another_node_is_found(tmp_path: Path) -> None:
    for bad in (b'{"a":1}', canonical(make_event("hospital-b", 1, Action.AUDIT_READ))):
        found = Consortium()
        found.write("hospital-a", access_log())
        found.logs["hospital-a"].append(bad)
        for node in NODES:
            found.publish(node)
        report = audit(tmp_path, found.evidence())
        assert report.first_offence is not None
        assert report.first_offence["index"] == 2


def test_missing_anchors_witnesses_and_logs_are_said(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    some = replace(evidence, logs=evidence.logs[:1], witnesses=())
    report = audit(tmp_path, edit(some, "hospital-a", anchors=()))
    assert report.verified
    said = " ".join(report.not_checked)
    assert "hospital-b: the file holds 0 logs" in said
    assert "no anchor of this log" in said
    assert "what hospital-b itself last cosigned is not in the file" in said


def test_evidence_survives_its_file_and_the_file_is_always_the_same(tmp_path: Path) -> None:
    evidence = usual_consortium().evidence()
    first, second = save(tmp_path / "1.zip", evidence), save(tmp_path / "2.zip", evidence)
    assert read_evidence(first) == replace(evidence, witnesses=read_evidence(first).witnesses)
    assert set(read_evidence(first).witnesses) == set(evidence.witnesses)
    assert first.read_bytes() == second.read_bytes()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("member", ["manifest.json", "logs/hospital-a/entries.jsonl", "logs/hospital-a/anchors.json"])
@pytest.mark.parametrize("content", [None, b"", b"[", b"{}", b"[7]", b"[" * 100_000, b'{"format":"hdex-evidence/9"}'])
def test_a_file_with_a_missing_or_foreign_part_is_unreadable_or_unverified(
    tmp_path: Path, member: str, content: bytes | None
) -> None:
    whole = save(tmp_path / "whole.zip", usual_consortium().evidence())
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(broken, "w") as target:
        for name in source.namelist():
            if name != member:
                target.writestr(name, source.read(name))
            elif content is not None:
                target.writestr(name, content)
    try:
        assert not verify_evidence(broken, trust()).verified
    except EvidenceUnreadable:
        return


def test_every_cut_and_flip_of_the_file_is_unreadable_or_unverified(tmp_path: Path) -> None:
    raw = save(tmp_path / "whole.zip", usual_consortium().evidence()).read_bytes()
    broken = tmp_path / "broken.zip"
    for cut in range(0, len(raw), 997):
        broken.write_bytes(raw[:cut])
        with pytest.raises(EvidenceUnreadable):
            verify_evidence(broken, trust())
    for place in range(50, len(raw) // 2, 611):
        broken.write_bytes(raw[:place] + bytes([raw[place] ^ 0x40]) + raw[place + 1 :])
        try:
            verify_evidence(broken, trust())
        except EvidenceUnreadable:
            continue


def test_a_missing_evidence_or_trust_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(EvidenceUnreadable):
        verify_evidence(tmp_path / "none.zip", trust())
    with pytest.raises(EvidenceUnreadable):
        read_trust(tmp_path / "none.json")


GOOD = {"policy": {"witnesses": 0}, "logs": [], "witnesses": []}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {**GOOD, "extra": 1},
        {**GOOD, "policy": {"witnesses": 1}},
        {**GOOD, "policy": {"witnesses": -1}},
        {**GOOD, "policy": {"witnesses": 0, "typo": 1}},
        {**GOOD, "logs": [{"node": "a", "origin": "a", "log_key": "00"}]},
        {**GOOD, "logs": [{"node": "a", "origin": "a", "log_key": "00" * 32}] * 2},
        {**GOOD, "witnesses": [{"name": "w w", "key": "00" * 32}]},
        {**GOOD, "witnesses": 7},
    ],
)
def test_a_malformed_trust_file_is_unreadable(tmp_path: Path, document: object) -> None:
    path = tmp_path / "trust.json"
    path.write_text(json.dumps(document))
    with pytest.raises(EvidenceUnreadable):
        read_trust(path)
    path.write_text(json.dumps(GOOD))
    assert read_trust(path) == trust_from_document(GOOD)
