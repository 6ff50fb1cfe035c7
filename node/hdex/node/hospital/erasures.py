"""Erasing who stands behind a hospital's events, and keeping it for a court: signed orders of its own people.

An erasure needs two names on the same words, the steward's first and the privacy officer's second. A hold is the
officer's alone: it only keeps. Orders are not kept, since they name whom they are about; the log keeps their digest.
"""

from collections.abc import Mapping
from typing import Any

from hdex.ledger.erasure import Eraser, Scope
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, NotFound, RequestInvalid
from hdex.node.hospital.staff import OFFICER, STEWARD, Staff
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder
from hdex.node.signed import Envelope, digest

PENDING = "erasure_pending"
ERASURE, PLACE, LIFT = "erasure", "hold.place", "hold.lift"
ACTIONS = {ERASURE: "erasure.apply", PLACE: "hold.place", LIFT: "hold.lift"}


class Erasures:
    """Carries orders out."""

    def __init__(self, staff: Staff, documents: Documents, eraser: Eraser, recorder: Recorder) -> None:
        self._staff = staff
        self._documents = documents
        self._eraser = eraser
        self._recorder = recorder

    def order(self, kind: str, envelope: Envelope, *, actor: Identity) -> Document:
        """Carry out a signed order, or keep it until it has its second name.

        Raises AccessDenied, SignatureInvalid, and ErasureRefused with the rule and the next step.
        """
        with self._recorder.refusals(ACTIONS[kind], actor):
            if actor.role not in {STEWARD, OFFICER} or (kind != ERASURE and actor.role != OFFICER):
                raise AccessDenied(f"{kind}.role", f"ask the {OFFICER}", "this order is signed by another role")
            document = self._staff.verified(kind, envelope, actor.role)
            name, scope = text(document, "name"), Scope.from_document(document.get("scope"))
            if kind == PLACE:
                return self._placed(name, scope, digest(document), actor)
            if kind == LIFT:
                return self._lifted(name, digest(document), actor)
            return self._erased(scope, envelope, actor)

    def holds(self) -> list[str]:
        """Return the names of the holds that stand."""
        return sorted(self._eraser.holds())

    def _erased(self, scope: Scope, envelope: Envelope, actor: Identity) -> Document:
        rows = self._eraser.selected(scope)
        order = digest(envelope["document"])
        if actor.role == STEWARD:
            self._documents.put(PENDING, order, {"envelope": envelope})
            return {"state": "erasure.pending", "order": order, "details": len(rows), "next_step": f"{OFFICER} signs"}
        self._require_first(order)
        with self._recorder.release("erasure.apply", actor, rows=len(rows), request_digest=order):
            self._eraser.erase(rows)
        self._documents.remove(PENDING, [order])
        return {"state": "erased", "order": order, "details": len(rows)}

    def _require_first(self, order: str) -> None:
        """Raise AccessDenied unless the steward has signed the same words."""
        try:
            pending: Envelope = self._documents.get(PENDING, order)["envelope"]
        except NotFound:
            raise AccessDenied(
                "erasure.second", f"the {STEWARD} signs first", "nobody has signed these words before"
            ) from None
        self._staff.verified(ERASURE, pending, STEWARD)

    def _placed(self, name: str, scope: Scope, order: str, actor: Identity) -> Document:
        with self._recorder.release("hold.place", actor, request_digest=order):
            self._eraser.place_hold(name, scope)
        return {"state": "held", "name": name, "holds": self.holds()}

    def _lifted(self, name: str, order: str, actor: Identity) -> Document:
        self._eraser.require_hold(name)
        with self._recorder.release("hold.lift", actor, request_digest=order):
            self._eraser.lift_hold(name)
        return {"state": "lifted", "name": name, "holds": self.holds()}


def text(document: Mapping[str, Any], name: str) -> str:
    """Return a text of an order. Raises RequestInvalid when it is missing or none."""
    found = document.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= 200:
        raise RequestInvalid(f"the order needs {name}: a text of at most 200 characters")
    return found
