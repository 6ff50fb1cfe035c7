"""A log audited by what it publishes over HTTPS: every leaf hash is hashed again, no entry is needed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.ledger.evidence_story import NODES, START, Consortium, log_signer, make_event, origin, trust, witness_signer
from tests.node.wire_stage import DOMAIN

from hdex.ledger.errors import EvidenceUnreadable
from hdex.ledger.event import Action
from hdex.ledger.ports import Anchor
from hdex.ledger.store_memory import MemoryWitnessStore
from hdex.ledger.trust import Trust
from hdex.ledger.verify import AuditReport
from hdex.ledger.witness import Witness
from hdex.node import pki
from hdex.node.auditor_full import Anchors, anchors_of, audit_published
from hdex.node.config import IdentityFiles
from hdex.node.errors import ConfigInvalid, NotFound, PeerUnavailable
from hdex.node.wire.http_ledger import Offer, ledger_app
from hdex.node.wire.http_limits import Rate
from hdex.node.wire.http_server import serve_https
from hdex.node.wire.http_tiles import HttpsLog

NODE = NODES[0]
ENTRIES = 600


@pytest.fixture(scope="module")
def told() -> Consortium:
    found = Consortium()
    found.write(NODE, [make_event(NODE, number, Action.AUDIT_READ) for number in range(ENTRIES)])
    found.publish(NODE)
    return found


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> IdentityFiles:
    folder = tmp_path_factory.mktemp("identity")
    certificate, key = pki.issue(pki.init(folder / "ca", DOMAIN), f"hospital/{NODE}")
    (folder / "node.pem").write_bytes(certificate)
    (folder / "node.key").write_bytes(key)
    absent = folder / "absent"
    return IdentityFiles(folder / "node.pem", folder / "node.key", folder / "ca/ca.pem", absent, absent, absent, absent)


class Tick:
    """A clock that goes on by a second each time somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture(scope="module")
def published(told: Consortium, identity: IdentityFiles) -> Iterator[HttpsLog]:
    log, tick = told.logs[NODE], Tick()
    witness = Witness(witness_signer(NODE), MemoryWitnessStore(), logs={}, clock=lambda: START)
    offer = Offer(log, lambda: log.cosigned()[-1], witness, Rate(2, 2), Rate(1, 1), tick)
    serving = serve_https(ledger_app(offer), ("127.0.0.1", 0), identity)
    yield HttpsLog(f"https://127.0.0.1:{serving.port}/", identity.ca, pause=tick.wait)
    serving.stop()


def audit(read: object, asked: Trust | None = None, anchors: Anchors | None = None) -> AuditReport:
    return audit_published(read, asked or trust(), anchors=anchors, say=lambda done: None)  # type: ignore[arg-type]


def test_a_published_log_is_audited_by_its_hashes_at_the_pace_it_allows(published: HttpsLog, told: Consortium) -> None:
    report = audit(published, anchors=lambda name: told.anchors[NODE] if name == NODE else [])
    assert report.verified, report.first_offence
    assert f"{NODE}: {ENTRIES} leaf hashes lead to every root that was signed" in report.checked
    assert f"{NODE}: its checkpoint of size {ENTRIES} is cosigned by hospital-b, hospital-c" in report.checked
    assert f"{NODE}: 1 anchors, as the chain itself holds them, are prefixes of the log" in report.checked
    assert f"{NODE}: its entries are not served: times, decisions and grants" in report.not_checked


def test_a_wrong_hash_a_cut_tile_and_a_foreign_note_are_found(published: HttpsLog) -> None:
    def flipped(path: str) -> bytes:
        body = published(path)
        return body if path == "/checkpoint" else body[:-1] + bytes([body[-1] ^ 1])

    report = audit(flipped)
    assert (report.first_offence or {})["contradicted_by"] == "hospital-b, hospital-c"
    with pytest.raises(EvidenceUnreadable, match="bytes, not"):
        audit(lambda path: published(path)[:-1] if "tile" in path else published(path))
    with pytest.raises(EvidenceUnreadable, match="no checkpoint"):
        audit(lambda path: b"\xff")


def test_a_log_that_the_trust_file_does_not_know_is_unreadable(published: HttpsLog) -> None:
    with pytest.raises(EvidenceUnreadable, match="knows no log"):
        audit(published, replace(trust(), logs=trust().logs[1:]))


def test_what_is_not_served_and_who_does_not_answer_are_told_apart(
    published: HttpsLog, identity: IdentityFiles
) -> None:
    with pytest.raises(NotFound):
        published("/tile/0/x001/000")
    with pytest.raises(PeerUnavailable):
        HttpsLog("https://127.0.0.1:9", identity.ca)("/checkpoint")


def test_a_server_of_another_authority_is_not_read(published: HttpsLog, tmp_path: Path) -> None:
    pki.init(tmp_path / "other", DOMAIN)
    stranger = HttpsLog(f"https://127.0.0.1:{published._port}", tmp_path / "other/ca.pem")
    with pytest.raises(PeerUnavailable):
        stranger("/checkpoint")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://x", "https://", "127.0.0.1:1"])
def test_an_address_without_tls_is_refused(url: str) -> None:
    with pytest.raises(ConfigInvalid):
        HttpsLog(url, None)


@pytest.mark.parametrize(("named", "own_year", "count"), [(2, 2026, 2), (0, 2026, 1), (0, 2025, 0)])
def test_anchors_of_another_year_count_for_nothing(named: int, own_year: int, count: int) -> None:
    def anchor(year: int) -> Anchor:
        return Anchor(1, bytes(32), bytes(32), 1, datetime(year, 5, 1, tzinfo=UTC), bytes(32))

    held = {f"{NODE}/2026": [anchor(2026)] * named, NODE: [anchor(own_year)]}
    log = trust().log(origin(NODE))
    assert log is not None
    assert log.verifier.public_key == log_signer(NODE).public_key
    assert len(anchors_of(log, lambda name: held[name])) == count
