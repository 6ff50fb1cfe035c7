"""What a person of the hospital signs: the mapping and the classification, each as one document with one digest."""

import json
from pathlib import Path

from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, ConfigInvalid
from hdex.node.identity import Identity
from hdex.node.recorder import Recorder
from hdex.node.signed import Envelope, digest, verify

SIGNED_BY = {"mapping": "data_steward", "classification": "data_steward"}


class Approvals:
    """Keeps signed documents. `staff`: role -> Ed25519 public key of who holds it."""

    def __init__(self, hospital: str, staff: dict[str, bytes], documents: Documents, recorder: Recorder) -> None:
        self._hospital = hospital
        self._staff = staff
        self._documents = documents
        self._recorder = recorder

    def approve(self, kind: str, dataset: str, envelope: Envelope, *, actor: Identity) -> Document:
        """Keep a document that the role responsible for its kind has signed. Raises AccessDenied, SignatureInvalid."""
        role = SIGNED_BY.get(kind)
        if role is None or actor.role != role:
            raise AccessDenied(
                "approve.role", f"ask the {role or 'data_steward'}", f"a {kind} is signed by another role"
            )
        signer = f"{self._hospital}/{role}"
        document = verify(kind, envelope, {signer: self._key(role)})
        with self._recorder.release(f"{kind}.approve", actor, product=dataset, policy_digest=digest(document)):
            self._documents.put(kind, dataset, {"envelope": envelope, "digest": digest(document)})
        return {"kind": kind, "dataset": dataset, "digest": digest(document), "signed_by": signer}

    def _key(self, role: str) -> bytes:
        try:
            return self._staff[role]
        except KeyError:
            raise ConfigInvalid(f"staff.json names no {role}") from None


def read_staff(path: Path) -> dict[str, bytes]:
    """Return role -> public key from a hospital's staff.json. Raises ConfigInvalid."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        return {str(role): bytes.fromhex(key) for role, key in listed.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigInvalid(f"{path} must list the staff's roles and public keys") from error
