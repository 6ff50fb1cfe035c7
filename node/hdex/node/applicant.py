"""An organisation's verbs before a contract: have itself vetted, ask for access, answer, withdraw.

Drafts and what was sent lie in `folder`, one JSON file each: after a cut line the very same paper is sent again.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from hdex.catalog.access_form import REQUEST_ID, AccessForm
from hdex.catalog.documents import from_document, to_document
from hdex.catalog.organisation import Organisation
from hdex.catalog.product import DataProduct
from hdex.ledger.event import format_time
from hdex.node.documents import Document
from hdex.node.durable import write_atomic
from hdex.node.errors import ConfigInvalid, NotFound, RemoteRefused
from hdex.node.hospital.access_record import FORM, MESSAGE, WITHDRAWAL
from hdex.node.json_file import read_bytes, read_object
from hdex.node.keys import KeyProvider
from hdex.node.signed import Envelope, sign
from hdex.node.vetting_record import APPLICATION

DRAFT = ".request.json"


class Offices(Protocol):
    """The offices that vet, by participant id."""

    def apply_vetting(self, office: str, application: Envelope) -> Document: ...
    def vettings_of(self, office: str, participant: str = "") -> list[Document]: ...


class Reviews(Protocol):
    """The hospitals that review requests, by participant id."""

    def submit_request(self, hospital: str, form: Envelope, document: bytes) -> Document: ...
    def request(self, hospital: str, name: str) -> Document: ...
    def send_message(self, hospital: str, message: Envelope) -> Document: ...
    def withdraw_request(self, hospital: str, withdrawal: Envelope) -> Document: ...


class Applicant:
    """One organisation that asks."""

    def __init__(
        self, me: str, keys: KeyProvider, *, offices: Offices, reviews: Reviews, folder: Path,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self.me = me
        self._keys = keys
        self._offices = offices
        self._reviews = reviews
        self._folder = folder
        self._clock = clock

    def apply(self, office: str, organisation: Mapping[str, Any]) -> Document:
        """Sign a declaration and hand it to an office. Raises DocumentInvalid before anything is sent."""
        checked = to_document(from_document(Organisation, organisation, "organisation"))
        path = self._folder / f"vetting-{office}.json"
        kept = read_kept(path)
        if kept is None or kept["document"]["organisation"] != checked:
            document = {"organisation": checked, "office": office, "at": format_time(self._clock())}
            kept = self._signed(APPLICATION, document)
            write_atomic(path, json.dumps(kept, ensure_ascii=False).encode())
        return self._offices.apply_vetting(office, kept)

    def vettings(self, office: str) -> list[Document]:
        """Return what an office holds of this organisation, oldest first."""
        return self._offices.vettings_of(office)

    def renew(self, office: str) -> None:
        """Forget the application sent to an office, so that the same declaration is signed and sent anew."""
        (self._folder / f"vetting-{office}.json").unlink(missing_ok=True)

    def draft(self, name: str, product: DataProduct, manifest_digest: str, said: Mapping[str, Any]) -> Path:
        """Write a draft of a request and return its file: what the catalogue knows is filled in, `said` over it."""
        path = self._path(name)
        if path.exists():
            raise ConfigInvalid(f"{path} is there already: mend it, or choose another name")
        form = {
            "id": name,
            "revision": 1,
            "applicant": self.me,
            "provider": product.provider.id,
            "product": product.id,
            "version": product.version,
            "manifest_digest": manifest_digest,
            **said,
        }
        write_atomic(path, json.dumps(form, indent=1, ensure_ascii=False).encode())
        return path

    def names(self) -> list[str]:
        """Return the names of every draft and request of this folder, the one touched last first."""
        paths = sorted(self._folder.glob(f"*{DRAFT}"), key=lambda path: path.stat().st_mtime, reverse=True)
        return [path.name.removesuffix(DRAFT) for path in paths]

    def mend(self, name: str, said: Mapping[str, Any]) -> None:
        """Write fields of a draft anew; the others stay. What was sent is not touched: it is another file."""
        form = {**self.form(name), **said}
        write_atomic(self._path(name), json.dumps(form, indent=1, ensure_ascii=False).encode())

    def submit(self, name: str, document: Path) -> Document:
        """Sign the draft with the ethics paper in a file and send both. Raises DocumentInvalid, ConfigInvalid."""
        return self.send(name, read_bytes(document))

    def send(self, name: str, paper: bytes) -> Document:
        """Sign the draft with the ethics paper named in it and send both. Raises DocumentInvalid, ConfigInvalid."""
        form = self.form(name)
        sent = self._folder / f"{name}.sent.json"
        kept = read_kept(sent)
        revision = self._due_revision(name) if kept else 1
        checked = _form({**form, "ethics": {**_object(form, "ethics"), **named(paper)}, "revision": revision})
        if kept is None or kept["document"] != checked:
            kept = self._signed(FORM, checked)
            write_atomic(sent, json.dumps(kept, ensure_ascii=False).encode())
        return self._reviews.submit_request(str(form["provider"]), kept, paper)

    def form(self, name: str) -> Document:
        """Return a draft as its file says it. Raises NotFound, ConfigInvalid."""
        path = self._path(name)
        if not path.exists():
            raise NotFound(f"there is no draft {path}: hdex buy request new")
        return read_object(path)

    def status(self, name: str) -> Document:
        """Return where a request stands: DRAFT while it was not sent."""
        form = self.form(name)
        if not (self._folder / f"{name}.sent.json").exists():
            return {"id": name, "state": "DRAFT", "next": "applicant", "due": "", "messages": [], "history": []}
        return self._reviews.request(str(form["provider"]), name)

    def message(self, name: str, text: str) -> Document:
        """Say something to the reviewers."""
        paper = {"id": name, "text": text, "at": format_time(self._clock())}
        return self._reviews.send_message(str(self.form(name)["provider"]), self._signed(MESSAGE, paper))

    def withdraw(self, name: str, reason: str) -> Document:
        """End a request. A draft that was never sent is only forgotten."""
        form, status = self.form(name), self.status(name)
        if status["state"] == "DRAFT":
            self._path(name).unlink()
            return {"id": name, "state": "WITHDRAWN"}
        paper = {"id": name, "digest": str(status["digest"]), "reason": reason, "at": format_time(self._clock())}
        return self._reviews.withdraw_request(str(form["provider"]), self._signed(WITHDRAWAL, paper))

    def _due_revision(self, name: str) -> int:
        """Return which revision comes next: one more where the hospital has returned the last, else that one again."""
        try:
            status = self.status(name)
        except RemoteRefused as refused:
            if refused.status != "NOT_FOUND":
                raise
            return 1  # it never arrived
        return int(status["revision"]) + int(status["state"] == "RETURNED")

    def _signed(self, kind: str, document: Any) -> Envelope:
        return sign(kind, document, self.me, self._keys.secret("sign"))

    def _path(self, name: str) -> Path:
        if not REQUEST_ID.fullmatch(name):
            raise ConfigInvalid("a request's name has letters, digits, '.', '_', ':' and '-', 100 at most")
        return self._folder / f"{name}{DRAFT}"


def named(paper: bytes) -> Document:
    """Return how a form names an ethics paper."""
    return {"document_digest": hashlib.sha256(paper).hexdigest(), "document_bytes": len(paper)}


def read_kept(path: Path) -> Envelope | None:
    """Return a paper that was signed before, None where there is none."""
    return read_object(path) if path.exists() else None


def _form(said: Document) -> Any:
    """Return a form's document, checked. Raises DocumentInvalid, AccessFormInvalid."""
    return to_document(from_document(AccessForm, said, "form"))


def _object(form: Document, name: str) -> Document:
    held = form.get(name)
    if not isinstance(held, dict):
        raise ConfigInvalid(f"the form's {name} is not an object")
    return held
