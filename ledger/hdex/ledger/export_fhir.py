"""Events as FHIR R4 AuditEvents, for systems that collect them. Pure, no I/O.

They follow the disclosure patterns of IHE BALP (type Export, subtype disclose, agents source and destination, the
recorder being the source). They claim none of its profiles: those ask for a patient and a network address in each
event, and this log names neither. An actor is a commitment, as in the log. R4 and R4B have the same AuditEvent.
"""

import re
from collections.abc import Iterable
from typing import Any

from hdex.ledger.event import RELEASES, Action, Decision, Event

DCM = "http://dicom.nema.org/resources/ontology/DCM"
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
ENTITY_TYPE, ROLE = (f"http://terminology.hl7.org/CodeSystem/{name}" for name in ("audit-entity-type", "object-role"))
SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
DUO = "http://purl.obolibrary.org/obo/duo.owl"
OURS = "urn:hdex"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_EXPORT, _IMPORT, _QUERY = ("110106", "Export"), ("110107", "Import"), ("110112", "Query")
_LOG_USED, _ALERT = ("110101", "Audit Log Used"), ("110113", "Security Alert")
_ACTIVITY, _OTHER = ("110100", "Application Activity"), ("110150", "Application")

# Action -> DICOM type, FHIR action (Create, Read, Update, Delete, Execute). What is not here is an activity that ran.
_KINDS: dict[Action, tuple[tuple[str, str], str]] = {
    **dict.fromkeys(RELEASES, (_EXPORT, "R")),
    Action.INGEST_RUN: (_IMPORT, "C"),
    Action.CATALOGUE_READ: (_QUERY, "R"),
    Action.CONTRACT_READ: (_QUERY, "R"),
    Action.VETTING_READ: (_QUERY, "R"),
    Action.ACCESS_READ: (_QUERY, "R"),
    Action.AUDIT_READ: (_LOG_USED, "R"),
    Action.CATALOGUE_PUBLISH: (_ACTIVITY, "C"),
    Action.CATALOGUE_WITHDRAW: (_ACTIVITY, "D"),
    Action.SEARCH_SAVE: (_ACTIVITY, "C"),
    Action.SEARCH_READ: (_QUERY, "R"),
    Action.SEARCH_REMOVE: (_ACTIVITY, "D"),
    Action.GRANT_ISSUE: (_ACTIVITY, "C"),
    Action.GRANT_REVOKE: (_ACTIVITY, "D"),
    Action.POLICY_CHANGE: (_ACTIVITY, "U"),
    Action.ERASURE_APPLY: (_ACTIVITY, "D"),
    Action.KEY_CREATE: (_ACTIVITY, "C"),
    Action.CONNECTION_REFUSE: (_ALERT, "E"),
    Action.CALL_REFUSE: (_ALERT, "E"),
    Action.BREAKGLASS_OPEN: (_ALERT, "E"),
}
_COUNTS = ("rows", "fields", "bytes", "epsilon")
_DIGESTS = ("policy_digest", "request_digest", "result_digest")
Resource = dict[str, Any]  # JSON


def audit_event(event: Event) -> Resource:
    """Return one event as a FHIR R4 AuditEvent."""
    (code, display), action = _KINDS.get(event.action, (_ACTIVITY, "E"))
    found: Resource = {
        "resourceType": "AuditEvent",
        "type": {"system": DCM, "code": code, "display": display},
        "subtype": _subtypes(event),
        "action": action,
        "recorded": event.time,
        "outcome": "8" if event.decision is Decision.DENY else "0",  # as BALP's example of a denied decision
        "agent": _agents(event),
        "source": {"observer": _who("node", event.node), "type": [{"system": SOURCE_TYPE, "code": "4"}]},
    }
    if _ID.fullmatch(event.event_id):
        found["id"] = event.event_id
    if event.organisation is not None:
        found["source"]["site"] = event.organisation
    if event.reason is not None:
        found["outcomeDesc"] = event.reason
    if event.purpose is not None:
        found["purposeOfEvent"] = [{"coding": [{"system": DUO, "code": event.purpose}]}]
    if entities := _entities(event):
        found["entity"] = entities
    return found


def bundle(events: Iterable[Event]) -> Resource:
    """Return events as one FHIR Bundle of type collection, in their order."""
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": f"{OURS}:event:{event.event_id}", "resource": audit_event(event)} for event in events],
    }


def _subtypes(event: Event) -> list[Resource]:
    own = {"system": f"{OURS}:action", "code": event.action.value}
    if event.action not in RELEASES:
        return [own]
    return [{"system": LIFECYCLE, "code": "disclose", "display": "Disclose Record Lifecycle Event"}, own]


def _agents(event: Event) -> list[Resource]:
    """Return who took part: the node that recorded, and whoever asked."""
    node: Resource = {"who": _who("node", event.node), "requestor": False}
    asker: Resource = {"requestor": True}
    if event.action in RELEASES:
        node["type"] = _concept(DCM, "110153", "Source Role ID")
        asker["type"] = _concept(DCM, "110152", "Destination Role ID")
    if event.actor is not None:
        asker["who"] = _who("actor-commitment", event.actor)
    if event.role is not None:
        asker["role"] = [{"text": event.role}]
    if event.policy_digest is not None:
        asker["policy"] = [f"{OURS}:policy:sha256:{event.policy_digest}"]
    return [node, asker] if len(asker) > 1 else [node]


def _entities(event: Event) -> list[Resource]:
    """Return what it was about: the product with counts and digests, then contract and grant."""
    details = [(name, str(value)) for name in (*_COUNTS, *_DIGESTS) if (value := getattr(event, name)) is not None]
    if event.version is not None:
        details.insert(0, ("version", event.version))
    told = [("product", event.product, "3", "Report"), ("contract", event.contract, "15", "Job")]
    told.append(("grant", event.grant, "15", "Job"))
    found = [_entity(name, value, role, display) for name, value, role, display in told if value is not None]
    if details:
        if not found:
            found.append(_entity("event", event.event_id, "20", "Job"))
        found[0]["detail"] = [{"type": name, "valueString": value} for name, value in details]
    return found


def _entity(name: str, value: str, role: str, display: str) -> Resource:
    return {
        "what": _who(name, value),
        "type": {"system": ENTITY_TYPE, "code": "2", "display": "System Object"},
        "role": {"system": ROLE, "code": role, "display": display},
    }


def _who(kind: str, value: str) -> Resource:
    """Return a logical reference: nothing here has a FHIR endpoint."""
    return {"identifier": {"system": f"{OURS}:{kind}", "value": value}}


def _concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}
