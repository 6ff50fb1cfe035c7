"""A log of two years in one evidence file: each year's first entry vouches for the end of the year before."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.ledger.evidence_story import NODES, log_signer, make_event, trust_document, witness_signer
from tests.node.auditor_stage import directory

from hdex.ledger.bundle import FORMAT_2, Evidence, read_evidence, write_evidence
from hdex.ledger.chain_memory import MEMORY_CHAIN_ID, MemoryChain, MemoryLedger
from hdex.ledger.event import Action, Decision, canonical, format_time
from hdex.ledger.merkle import leaf_hash, root
from hdex.ledger.note import Signer, format_checkpoint, note_hash, parse_checkpoint, sign_note
from hdex.ledger.ports import EventQuery
from hdex.ledger.shard import origin_of
from hdex.ledger.shard_sqlite import Shards
from hdex.ledger.store_memory import MemoryWitnessStore
from hdex.ledger.trust import Trust, trust_from_document
from hdex.ledger.verify import AuditReport, verify_evidence
from hdex.ledger.witness import Witness
from hdex.node.auditor import Auditor
from hdex.node.auditor_desk import named
from hdex.node.auditor_full import audit_node
from hdex.node.auditor_logs import ShownLog
from hdex.node.config import ChainPeer

A = NODES[0]
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
RELEASES = EventQuery(action="export")
CHAIN = {"chain_id": MEMORY_CHAIN_ID, "contract": "0xC0ffee", "operator": "1 operator: demonstration"}


class Years:
    """Three hospitals over New Year, each the others' witness, and a chain; they show themselves as over the wire."""

    def __init__(self, folder: Path, *, granted: bool = True) -> None:
        self.now = NEW_YEAR - timedelta(minutes=5)
        self.given = 0  # entries that were read
        self.hidden: dict[str, int] = {}  # node -> entries of its old year that it does not show any more
        self.ledger = MemoryLedger("admin", "1 operator: demonstration", clock=self.clock)
        keys = {origin_of(node, year): log_signer(node).public_key for node in NODES for year in (2026, 2027)}
        self.witnesses = {
            name: Witness(witness_signer(name), MemoryWitnessStore(), logs=keys, clock=self.clock) for name in NODES
        }
        self.shards = {node: self.open(folder / node, node) for node in NODES}
        self.logs = {node: shards.open() for node, shards in self.shards.items()}
        for node in NODES:
            MemoryChain(self.ledger, "admin").enroll(node, node, b"\x01" * 32)
            if granted:
                self.write(node, Action.GRANT_ISSUE, grant="g", decision=Decision.ALLOW)
            self.write(node, Action.CATALOGUE_PUBLISH, product="stents")
            self.publish(node, node)
            self.write(node, Action.AUDIT_READ, decision=Decision.ALLOW)  # nobody cosigns it before the year ends
        self.now = NEW_YEAR + timedelta(minutes=5)
        for node in NODES:
            self.write(node, Action.EXPORT, grant="g", product="stents", decision=Decision.ALLOW)
            self.publish(node, f"{node}/2027")

    def open(self, folder: Path, node: str) -> Shards:
        folder.mkdir()
        return Shards(folder, node, signer=lambda origin: Signer(origin, log_signer(node).seed), clock=self.clock)

    def clock(self) -> datetime:
        return self.now

    def write(self, node: str, action: Action, **fields: object) -> None:
        event = make_event(node, self.logs[node].size, action, **fields)
        self.logs[node].append(canonical(replace(event, time=format_time(self.now))))

    def publish(self, node: str, name: str) -> None:
        """Have the others cosign the newest head, and anchor it under `name`."""
        log = self.logs[node]
        note, hashes = log.checkpoint(), log.leaf_hashes(0, log.size)
        others = [witness for name, witness in self.witnesses.items() if name != node]
        log.add_cosignatures(note, [witness.add_checkpoint(0, [], note, hashes) for witness in others])
        head = parse_checkpoint(note)
        MemoryChain(self.ledger, node).anchor(name, head.size, head.root, note_hash(note))

    def read(self, node: str, *, year: int = 0, start: int = 0, end: int = 0) -> ShownLog:
        log = self.shards[node].read(year or 2027)
        notes, entries = log.cosigned(), log.entries(0, log.size)
        log.close()
        if year == 2026 and node in self.hidden:
            entries = entries[: -self.hidden[node]]
        head = format_checkpoint(log.origin, len(entries), root([leaf_hash(entry) for entry in entries]))
        if parse_checkpoint(notes[-1]).size != len(entries):
            notes.append(sign_note(head, Signer(log.origin, log_signer(node).seed)))
        return ShownLog(tuple(notes), (2026, 2027), self.counted(entries[start : end or None]))

    def counted(self, entries: list[bytes]) -> Iterator[bytes]:
        for entry in entries:
            self.given += 1
            yield entry

    def mirror(self, witness: str, origin: str, *, head_only: bool = False) -> tuple[str, list[bytes]]:
        found = self.witnesses[witness]
        return found.latest(origin) or "", [] if head_only else found.mirror(origin)

    def auditor(self) -> Auditor:
        chain = MemoryChain(self.ledger, "auditor")
        contract = ChainPeer("http://127.0.0.1:1", "0xC0ffee", MEMORY_CHAIN_ID)
        return Auditor(directory(), self, chain=lambda: chain, contract=contract, clock=self.clock)

    def trust(self) -> Trust:
        return trust_from_document(self.auditor().trust(2))


def audited(years: Years, path: Path, query: EventQuery | None = None) -> AuditReport:
    years.auditor().export(path, query)
    return verify_evidence(path, years.trust())


def test_all_years_are_in_the_evidence_and_each_vouches_for_the_one_before(tmp_path: Path) -> None:
    years = Years(tmp_path)
    report = audited(years, tmp_path / "e.zip")
    assert report.verified, report.first_offence
    evidence = read_evidence(tmp_path / "e.zip")
    assert [log.origin for log in evidence.logs] == [origin_of(node, year) for node in NODES for year in (2026, 2027)]
    assert (len(evidence.witnesses), evidence.format) == (12, FORMAT_2)
    assert all(log.anchors for log in evidence.logs)
    for told in ("its log of 2027 continues that of 2026",
                 "its end in 2026, of size 3, is the first entry of its witnessed log of 2027"):  # fmt: skip
        assert f"{A}: {told}" in report.checked
    assert [told for told in report.not_checked if "grants of" in told] == []
    write_evidence(tmp_path / "again.zip", evidence)
    assert read_evidence(tmp_path / "again.zip") == evidence


def test_a_release_under_last_year_s_grant_is_proven_with_that_grant(tmp_path: Path) -> None:
    report = audited(Years(tmp_path), tmp_path / "e.zip", RELEASES)
    assert report.verified, report.first_offence
    parts = [part for part in read_evidence(tmp_path / "e.zip").extracts if part.node == A]
    assert [[one.index for one in part.entries] for part in parts] == [[0], [0, 1]]
    assert [told for told in report.not_checked if "grants of" in told] == []


def test_a_year_that_holds_nothing_of_a_question_stays_behind(tmp_path: Path) -> None:
    years = Years(tmp_path)
    assert audited(years, tmp_path / "e.zip", EventQuery(contract="none")).verified
    assert {part.origin for part in read_evidence(tmp_path / "e.zip").extracts} == {
        origin_of(node, 2027) for node in NODES
    }


@pytest.mark.parametrize("query", [None, RELEASES])
def test_an_old_year_that_lost_its_end_is_contradicted_by_the_new_one(tmp_path: Path, query: EventQuery | None) -> None:
    years = Years(tmp_path)
    years.hidden[A] = 1
    report = audited(years, tmp_path / "e.zip", query)
    assert report.first_offence is not None
    assert (report.first_offence["log"], report.first_offence["index"]) == (A, 0)
    assert "continues another end" in str(report.first_offence["why"])
    full = audit_node(years.auditor(), A, years.trust(), say=lambda done: None)
    assert "ends at 2 entries, the next shard continues" in str((full.first_offence or {})["why"])


@pytest.mark.parametrize("query", [None, RELEASES])
def test_with_all_years_in_hand_a_release_that_no_year_granted_is_found(
    tmp_path: Path, query: EventQuery | None
) -> None:
    report = audited(Years(tmp_path, granted=False), tmp_path / "e.zip", query)
    if query is None:
        assert "not issued before it" in str((report.first_offence or {})["why"])
    else:  # an extract cannot show that there is no grant
        assert f"{A}: the grants of 1 releases: their issue is not in the file" in report.not_checked


def test_all_years_of_a_node_that_answers_are_audited_in_full(tmp_path: Path) -> None:
    years = Years(tmp_path)
    report = audit_node(years.auditor(), A, years.trust(), say=lambda done: None)
    assert report.verified, report.first_offence
    assert f"{A}: its log of 2027 continues that before it" in report.checked
    assert f"{A}: 1 anchors, as the chain itself holds them, are prefixes of the log" in report.checked


def test_a_search_reads_no_further_than_what_it_wants(tmp_path: Path) -> None:
    years = Years(tmp_path)
    found, absent = years.auditor().search(EventQuery(product="stents"), limit=1)
    assert ([one["event"]["time"][:4] for one in found], absent) == (["2026"] * 3 + ["2027"] * 3, [])
    assert years.given == 3 * (2 + 2)  # of three entries in the old year the second matches


def test_one_trust_file_holds_for_every_year_and_one_of_a_year_for_that_alone(tmp_path: Path) -> None:
    years = Years(tmp_path)
    assert [set(log) for log in years.auditor().trust(2)["logs"]] == [{"node", "log_key"}] * 3
    evidence = years.auditor().collect()
    write_evidence(tmp_path / "e.zip", evidence)
    of_2026 = trust_from_document({**trust_document(), "chain": CHAIN})
    report = verify_evidence(tmp_path / "e.zip", of_2026)
    assert "the trust file knows no log of this origin" in str((report.first_offence or {})["why"])
    log = years.trust().log(origin_of(A, 2031))
    assert log is not None
    assert (log.node, log.verifier.public_key) == (A, log_signer(A).public_key)
    for origin in (f"hdex/{A}/31", "hdex/other/2026", f"hdex/{A}/2026/x", "elsewhere"):
        assert years.trust().log(origin) is None


def test_the_pages_name_an_old_year_by_its_year(tmp_path: Path) -> None:
    evidence: Evidence = Years(tmp_path).auditor().collect()
    assert list(named(evidence.logs))[:2] == [f"{A}:2026", A]
