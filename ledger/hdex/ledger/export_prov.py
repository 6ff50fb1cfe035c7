"""Events as W3C PROV, in the JSON serialisation: who did what with which product. Pure, no I/O.

Source: W3C PROV-DM (types and relations), PROV-JSON (W3C member submission, 2013). An actor is a commitment, as in the
log: two events of one person are two agents here, unless the node opens them.
"""

from collections.abc import Iterable
from typing import Any

from hdex.ledger.event import Action, Decision, Event, document

PREFIXES = {"hdex": "urn:hdex:", "prov": "http://www.w3.org/ns/prov#"}
_MAKING = {Action.INGEST_RUN, Action.DEIDENTIFY_RUN, Action.CATALOGUE_PUBLISH, Action.ROUND_SEAL}  # generate, not use
_TOLD = ("decision", "reason", "purpose", "contract", "grant", "rows", "fields", "bytes", "epsilon", "request_digest")
Prov = dict[str, Any]  # JSON


def prov_document(events: Iterable[Event]) -> Prov:
    """Return the events as one PROV-JSON document."""
    found: Prov = {"prefix": PREFIXES, "entity": {}, "activity": {}, "agent": {}}
    for event in events:
        _add(found, event)
    return found


def _add(found: Prov, event: Event) -> None:
    activity, node = f"hdex:event/{event.event_id}", f"hdex:node/{event.node}"
    told = document(event)
    found["activity"][activity] = {
        "prov:startTime": event.time,
        "prov:endTime": event.time,
        "prov:type": f"hdex:action/{event.action.value}",
        **{f"hdex:{name}": told[name] for name in _TOLD if name in told},
    }
    found["agent"][node] = {"prov:type": {"$": "prov:Organization", "type": "prov:QUALIFIED_NAME"}}
    _relate(found, "wasAssociatedWith", activity, {"prov:activity": activity, "prov:agent": node})
    if event.actor is not None:
        actor = f"hdex:actor/{event.actor}"
        found["agent"][actor] = {"hdex:role": event.role} if event.role else {}
        _relate(found, "wasAssociatedWith", activity, {"prov:activity": activity, "prov:agent": actor})
    if event.product is not None:
        _about(found, event, activity, product_of(event))
    if event.result_digest is not None and event.decision is not Decision.DENY:
        result = f"hdex:sha256/{event.result_digest}"
        found["entity"].setdefault(result, {})
        _relate(found, "wasGeneratedBy", activity, {"prov:entity": result, "prov:activity": activity})
        if event.product is not None and event.action not in _MAKING:
            pair = {"prov:generatedEntity": result, "prov:usedEntity": product_of(event)}
            _relate(found, "wasDerivedFrom", activity, pair | {"prov:activity": activity})


def product_of(event: Event) -> str:
    """Return the name of a product's version, or of the product where no version is told."""
    return f"hdex:product/{event.product}" + (f"/{event.version}" if event.version else "")


def _about(found: Prov, event: Event, activity: str, product: str) -> None:
    """Say that the product was made, or used; a refused activity touched it not at all."""
    if event.decision is Decision.DENY:
        return
    found["entity"].setdefault(product, {"hdex:product": event.product})
    relation = "wasGeneratedBy" if event.action in _MAKING else "used"
    _relate(found, relation, activity, {"prov:entity": product, "prov:activity": activity})


def _relate(found: Prov, relation: str, activity: str, ends: dict[str, str]) -> None:
    held = found.setdefault(relation, {})
    held[f"_:{relation}/{len(held)}"] = ends
