"""Full audits: of a node's data folder as it lies there, or of a log read from its keeper."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hdex.ledger.errors import EvidenceUnreadable, NoteInvalid, StoreCorrupt
from hdex.ledger.hash_tile import WIDTH, TileName, tile_path
from hdex.ledger.merkle import HASH_SIZE
from hdex.ledger.note import parse_checkpoint
from hdex.ledger.ports import Anchor
from hdex.ledger.shard import linked_head, parse_origin, require_continued
from hdex.ledger.trust import Trust, TrustedLog
from hdex.ledger.verify import AuditReport
from hdex.ledger.verify_findings import Offence
from hdex.ledger.verify_full import LogCopy, Say, audit_hashes, audit_log
from hdex.ledger.verify_sqlite import open_log, shard_files
from hdex.node.auditor import Auditor

Anchors = Callable[[str], list[Anchor]]


def audit_folder(folder: Path, trust: Trust, *, anchors: Anchors | None, say: Say) -> AuditReport:
    """Audit every shard of a data folder, oldest first, without changing anything in it. Raises EvidenceUnreadable."""
    grants: dict[str, bool] = {}
    reports, before = [], None
    for file in shard_files(folder):
        with open_log(file) as opened:
            log = trusted(trust, opened.origin())
            if before is not None:
                reports.append(linked(log, before, next((entry for entry, _ in opened.entries()), b"")))
            held = anchors(anchored_name(log, is_first=before is None)) if anchors else None
            copy = LogCopy(opened.entries(), opened.head(), opened.cosigned(), held)
            reports.append(audit_log(log, copy, trust, say=say, grants=grants))
            before = opened.head()
    return together(reports)


def audit_published(read: Callable[[str], bytes], trust: Trust, *, anchors: Anchors | None, say: Say) -> AuditReport:
    """Audit what a log publishes over HTTP: its checkpoint and its leaf hashes, no entry.

    read: path -> body of C2SP tlog-tiles. Raises EvidenceUnreadable, and what `read` raises.
    """
    try:
        note = read("/checkpoint").decode()
        head = parse_checkpoint(note)
    except (NoteInvalid, UnicodeDecodeError) as error:
        raise EvidenceUnreadable("what stands at /checkpoint is no checkpoint") from error
    log = trusted(trust, head.origin)
    held = anchors_of(log, anchors) if anchors else None
    known = None if held is None else [anchor for anchor in held if anchor.size <= head.size]
    copy = LogCopy((), note, (), known)
    return audit_hashes(log, leaf_hashes(read, head.size), copy, trust, say=say)


def anchors_of(log: TrustedLog, anchors: Anchors) -> list[Anchor]:
    """Return the anchors of a shard whose entries are not seen: those of its year, else its node's own if as old."""
    named = anchors(anchored_name(log, is_first=False))
    own = [] if named else anchors(log.node)
    _, year = parse_origin(log.origin)
    return named or (own if own and own[0].time.year == year else [])


def leaf_hashes(read: Callable[[str], bytes], size: int) -> Iterator[bytes]:
    """Yield the leaf hashes of a log of `size` from its tiles of level 0. Raises EvidenceUnreadable for a cut one."""
    for first in range(0, size, WIDTH):
        width = min(WIDTH, size - first)
        data = read(f"/tile/{tile_path(TileName(0, first // WIDTH, width))}")
        if len(data) != width * HASH_SIZE:
            raise EvidenceUnreadable(f"the tile from entry {first} on has {len(data)} bytes, not {width * HASH_SIZE}")
        yield from (data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE))


def linked(log: TrustedLog, before: str, first: bytes) -> AuditReport:
    """Return whether a shard's first entry is the last head of the shard before it."""
    try:
        require_continued(before, first, *(key.public_key for key in log.verifiers))
    except (StoreCorrupt, NoteInvalid) as error:
        return AuditReport(False, [], [], Offence(log.node, 0, str(error)).document())
    return AuditReport(
        True, [f"{log.node}: its log of {parse_origin(log.origin)[1]} continues that before it"], [], None
    )


def anchored_name(log: TrustedLog, *, is_first: bool) -> str:
    """Return the name under which a shard is anchored: the first has its node's own, a later one that of its year."""
    node, year = parse_origin(log.origin)
    return node if is_first else f"{node}/{year}"


def together(reports: Sequence[AuditReport]) -> AuditReport:
    """Return the reports of one participant's shards as one."""
    offence = next((one.first_offence for one in reports if one.first_offence is not None), None)
    checked = [told for one in reports for told in one.checked]
    return AuditReport(
        offence is None, checked, list(dict.fromkeys(t for r in reports for t in r.not_checked)), offence
    )


def audit_node(auditor: Auditor, node: str, trust: Trust, *, say: Say) -> AuditReport:
    """Audit every year of a log as its keeper hands it over, as it streams, against the anchors on the chain."""
    grants: dict[str, bool] = {}
    reports, before = [], ""
    for year in auditor.years(node):
        log = trusted(trust, year.origin)
        if before:
            reports.append(linked(log, before, year.first))
        copy = LogCopy(((entry, None) for entry in year.entries), year.head, year.checkpoints[:-1], year.anchors)
        reports.append(audit_log(log, copy, trust, say=say, grants=known_before(grants, before, year.first)))
        before = year.head
    return together(reports)


def known_before(grants: dict[str, bool], before: str, first: bytes) -> dict[str, bool] | None:
    """Return the grants of the years before; None where a log continues one that was not shown."""
    return grants if before or linked_head(first) is None else None


def trusted(trust: Trust, origin: str) -> TrustedLog:
    """Return the trusted log of an origin. Raises EvidenceUnreadable."""
    found = trust.log(origin)
    if found is None:
        raise EvidenceUnreadable("the trust file knows no log of this origin: its key cannot be believed")
    return found
