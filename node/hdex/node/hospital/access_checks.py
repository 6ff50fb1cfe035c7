"""What a form, its ethics paper and the papers about it must be before a request moves. Nothing is kept here."""

import hashlib
from datetime import datetime

from hdex.catalog.access_form import AccessForm, require_acceptable
from hdex.catalog.access_review import ReviewPolicy
from hdex.catalog.errors import AccessFormInvalid
from hdex.catalog.product import DataProduct
from hdex.catalog.terms import Outcome, TermsDecision
from hdex.node.errors import AccessDenied
from hdex.node.hospital.access_record import AccessRecord

PDF = b"%PDF-"


def shelf(form: AccessForm) -> tuple[str, str]:
    """Return (key, name) under which a request's ethics paper lies in the vault."""
    return f"access requests of {form.applicant}", f"{form.id}/ethics-{form.ethics.document_digest}.pdf"


def require_document(form: AccessForm, document: bytes, most: int) -> None:
    """Raise AccessFormInvalid unless this is the PDF that the form names, within its bound."""
    asked = ""
    if len(document) > most:
        asked = f"{most} bytes at most are asked, found {len(document)}"
    elif not document.startswith(PDF):
        asked = "a PDF is asked"
    elif (hashlib.sha256(document).hexdigest(), len(document)) != (
        form.ethics.document_digest,
        form.ethics.document_bytes,
    ):
        asked = "the document whose digest and size the form names is asked"
    if asked:
        mend = "send the ethics approval as PDF, with the form that names it"
        raise AccessFormInvalid(f"ethics document: {asked}", rule="form.document", next_step=mend)


def require_permitted(decision: TermsDecision) -> None:
    """Raise AccessDenied where the terms forbid it: no person may settle that."""
    if decision.outcome is Outcome.PROHIBITED:
        raise AccessDenied(decision.rule, decision.next_step, decision.why.en)


def require_newest(record: AccessRecord, named: str) -> None:
    """Raise AccessDenied unless a paper is about the form's newest revision."""
    if named != record.digest:
        raise AccessDenied("access.digest", "read the request again, then sign", "the paper is about another revision")


def is_acceptable(form: AccessForm, product: DataProduct, policy: ReviewPolicy, at: datetime) -> bool:
    """Return whether a form could be submitted as it is now."""
    try:
        require_acceptable(form, product, policy.limits, at)
    except AccessFormInvalid:
        return False
    return True
