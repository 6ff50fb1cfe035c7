"""Full audits: of a node's data folder as it lies there, or of a log read from its keeper."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hdex.ledger.errors import EvidenceUnreadable, NoteInvalid, StoreCorrupt
from hdex.ledger.ports import Anchor
from hdex.ledger.shard import parse_origin, require_continued
from hdex.ledger.trust import Trust, TrustedLog
from hdex.ledger.verify import AuditReport
from hdex.ledger.verify_findings import Offence
from hdex.ledger.verify_full import LogCopy, Say, audit_log
from hdex.ledger.verify_sqlite import LogFile, open_log, shard_files
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
                reports.append(linked(log, before, opened))
            held = anchors(anchored_name(log, is_first=before is None)) if anchors else None
            copy = LogCopy(opened.entries(), opened.head(), opened.cosigned(), held)
            reports.append(audit_log(log, copy, trust, say=say, grants=grants))
            before = opened.head()
    return together(reports)


def linked(log: TrustedLog, before: str, opened: LogFile) -> AuditReport:
    """Return whether a shard's first entry is the last head of the shard before it."""
    first = next((entry for entry, _ in opened.entries()), b"")
    try:
        require_continued(before, first, log.verifier.public_key)
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
    """Audit a log as its keeper hands it over, against the anchors on the chain."""
    found = auditor.read_log(node)
    entries = ((entry, None) for entry in found.entries)
    copy = LogCopy(entries, found.checkpoints[-1], found.checkpoints[:-1], found.anchors)
    return audit_log(trusted(trust, found.origin), copy, trust, say=say)


def trusted(trust: Trust, origin: str) -> TrustedLog:
    """Return the trusted log of an origin. Raises EvidenceUnreadable."""
    found = trust.log(origin)
    if found is None:
        raise EvidenceUnreadable("the trust file knows no log of this origin: its key cannot be believed")
    return found
