"""What the forms of desks share: a text that must be there, the paper that was shown, the page that follows."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import RedirectResponse, Response

from hdex.node.errors import AccessDenied, RequestInvalid
from hdex.node.signed import digest
from hdex.node.web.auditor_app import root_of
from hdex.node.web.desk_door import Visit


def require_shown(visit: Visit, document: Mapping[str, Any]) -> None:
    """Raise AccessDenied unless the form's page showed this very document: nobody signs what he has not read."""
    if visit.form.get("digest", "") != digest(document):
        raise AccessDenied("desk.changed", "read it again, then sign", "it has changed since the page was opened")


def text(visit: Visit, name: str) -> str:
    """Return a field of a form. Raises RequestInvalid where it is empty."""
    found = visit.form.get(name, "").strip()
    if not found:
        raise RequestInvalid(f"the form lacks {name}")
    return found


def done(visit: Visit, path: str, what: str) -> Response:
    """Go to a page that says what was done: sending the form again is then nobody's accident."""
    return RedirectResponse(f"{root_of(visit.words.lang)}{path}?done={what}", status_code=303)
