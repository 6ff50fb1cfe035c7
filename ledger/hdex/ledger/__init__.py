"""Remembers, so that nobody can rewrite unnoticed. Knows digests, not data."""

from hdex.ledger.bundle import Evidence, LogEvidence, WitnessEvidence, read_evidence, write_evidence
from hdex.ledger.event import Action, Decision, Event, canonical, commit, parse
from hdex.ledger.log import Log, Receipt
from hdex.ledger.note import Signer, Verifier
from hdex.ledger.ports import Anchor, Chain, ChainRecord, LogStore, TxRef, WitnessStore
from hdex.ledger.trust import Trust, read_trust, trust_from_document
from hdex.ledger.verify import AuditReport, verify_evidence
from hdex.ledger.witness import Witness

__all__ = [
    "Action",
    "Anchor",
    "AuditReport",
    "Chain",
    "ChainRecord",
    "Decision",
    "Event",
    "Evidence",
    "Log",
    "LogEvidence",
    "LogStore",
    "Receipt",
    "Signer",
    "Trust",
    "TxRef",
    "Verifier",
    "Witness",
    "WitnessEvidence",
    "WitnessStore",
    "canonical",
    "commit",
    "parse",
    "read_evidence",
    "read_trust",
    "trust_from_document",
    "verify_evidence",
    "write_evidence",
]
