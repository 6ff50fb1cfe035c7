"""Events of an evidence file in the forms of others: FHIR AuditEvents, one a line or as one Bundle, and W3C PROV."""

import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from hdex.ledger.bundle import Evidence
from hdex.ledger.event import Event, parse
from hdex.ledger.export_fhir import audit_event, bundle
from hdex.ledger.export_prov import prov_document
from hdex.ledger.index import matches
from hdex.ledger.ports import EventQuery
from hdex.node.durable import write_atomic


class Form(StrEnum):
    """What others' systems read."""

    FHIR = "fhir"  # one Bundle of AuditEvents
    FHIR_LINES = "fhir-ndjson"  # one AuditEvent a line, as FHIR bulk data
    PROV = "prov"  # one PROV-JSON document


def events_of(evidence: Evidence, query: EventQuery | None = None) -> Iterator[Event]:
    """Yield the events of all logs that match, log by log. Raises EventInvalid for an entry that is none."""
    entries = [entry for log in evidence.logs for entry in log.entries]
    entries += [one.entry for part in evidence.extracts for one in part.entries]
    for entry in entries:
        event = parse(entry)
        if query is None or matches(query, event):
            yield event


def write_events(path: Path, events: Iterable[Event], form: Form) -> int:
    """Write a file in this form and return how many events it holds."""
    listed = list(events)
    if form is Form.FHIR_LINES:
        content = "".join(f"{_compact(audit_event(event))}\n" for event in listed)
    else:
        content = _compact(bundle(listed) if form is Form.FHIR else prov_document(listed)) + "\n"
    write_atomic(path, content.encode(), mode=0o644)
    return len(listed)


def _compact(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
