"""Vettings as pages and the command line show them: plain values; whoever renders them makes markup harmless."""

from hdex.catalog.documents import to_document
from hdex.catalog.vetting import NEXT_ROLE, VETTING
from hdex.node.documents import Document
from hdex.node.vetting import Vettings
from hdex.node.vetting_record import VettingRecord

LINE = ("participant", "state", "next", "code", "name", "country", "valid_until", "digest")
FIELDS = (
    *("participant", "digest", "state", "next", "allowed", "valid_until", "code", "name", "country"),
    *("rules", "organisation", "history"),
)  # of a whole view


def vetting_view(record: VettingRecord, vettings: Vettings) -> Document:
    """Return one application whole: the declaration, where it stands, the rules that apply to it."""
    organisation = record.organisation
    place = NEXT_ROLE.get(record.state)
    return {
        "participant": record.participant,
        "digest": record.digest,
        "state": record.state.value,
        "next": "" if place is None else vettings.roles[place],
        "allowed": [one for one in VETTING.allowed_from(record.state) if one not in {"expire", "supersede"}],
        "valid_until": record.valid_until,
        "code": organisation.code,
        "name": to_document(organisation.name),
        "country": organisation.country,
        "rules": [{"rule": r.name, "answer": r.answer.value, "why": to_document(r.why), "next": to_document(r.next)}
                  for r in vettings.judge(organisation)],
        "organisation": to_document(organisation),
        "history": [one["step"]["document"] for one in record.history],
    }  # fmt: skip
