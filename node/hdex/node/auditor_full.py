"""Full audits: of a node's data folder as it lies there, or of a log read from its keeper."""

from collections.abc import Callable
from pathlib import Path

from hdex.ledger.errors import EvidenceUnreadable
from hdex.ledger.ports import Anchor
from hdex.ledger.trust import Trust, TrustedLog
from hdex.ledger.verify import AuditReport
from hdex.ledger.verify_full import LogCopy, Say, audit_log
from hdex.ledger.verify_sqlite import open_log
from hdex.node.auditor import Auditor

Anchors = Callable[[str], list[Anchor]]


def audit_folder(folder: Path, trust: Trust, *, anchors: Anchors | None, say: Say) -> AuditReport:
    """Audit the log in a data folder without changing anything in it. Raises EvidenceUnreadable."""
    with open_log(folder) as file:
        log = trusted(trust, file.origin())
        held = anchors(log.node) if anchors else None
        return audit_log(log, LogCopy(file.entries(), file.head(), file.cosigned(), held), trust, say=say)


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
