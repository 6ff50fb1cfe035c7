"""Access requests as pages and the command line show them: who acts next, by when, what was said.

Plain values only; whoever renders them makes markup and formulas harmless.
"""

from datetime import datetime
from typing import Any

from hdex.catalog.access_review import ACCESS, NEXT, ReviewPolicy
from hdex.catalog.documents import to_document
from hdex.ledger.event import format_time
from hdex.node.documents import Document
from hdex.node.hospital.access_record import AccessRecord
from hdex.node.hospital.access_requests import AccessRequests
from hdex.node.signed import signers

LINE = ("id", "state", "next", "due", "overdue", "escalated_to", "applicant", "product", "version", "title", "precheck",
        "revision")  # fmt: skip


def request_view(record: AccessRecord, requests: AccessRequests, now: datetime) -> Document:
    """Return one request whole: its form, where it stands, the terms' own answer beside it, papers and messages."""
    form, product = record.form, requests.product(record.form)
    decision = requests.precheck(form, product) if product else None
    return {
        **turn(record, requests.policy, now),
        "id": record.id,
        "state": record.state.value,
        "allowed": list(ACCESS.allowed_from(record.state)),
        "revision": form.revision,
        "digest": record.digest,
        "applicant": record.applicant,
        "product": form.product,
        "version": form.version,
        "title": form.title,
        "precheck": decision.outcome.value if decision else "product.closed",
        "precheck_rule": decision.rule if decision else "",
        "precheck_why": to_document(decision.why) if decision else {},
        "form": to_document(form),
        "endorsed": list(record.endorsed),
        "history": [one["step"]["document"] for one in record.history],
        "messages": [told(one) for one in record.messages],
    }


def turn(record: AccessRecord, policy: ReviewPolicy, now: datetime) -> Document:
    """Return who must act next and by when; once overdue, to whom it was escalated."""
    due = policy.due(record.state, record.since)
    late = due is not None and max(now, record.since) >= due
    return {
        "next": NEXT.get(record.state, ""),
        "due": format_time(due) if due else "",
        "overdue": late,
        "escalated_to": policy.deadlines[record.state].to if late and record.state in policy.deadlines else "",
    }


def told(message: dict[str, Any]) -> Document:
    """Return a message: who said it, what, and when the node heard it."""
    envelope = message["envelope"]
    return {"by": signers(envelope)[0], "heard": message["heard"], "text": envelope["document"]["text"]}
