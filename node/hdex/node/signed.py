"""Documents with Ed25519 signatures of named participants over canonical bytes (RFC 8785).

{"document": {...},
 "signatures": [{"key_id": "<hex8>", "signer": "hospital-a", "suite": "intl", "signature": "<base64>"}]}

The signature covers b"hdex/<kind>/v1\\n" and the canonical bytes: a signature over one kind is none over another.
"""

import base64
import binascii
import hashlib
from collections.abc import Collection, Mapping
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hdex.catalog.canonical import canonical as canonical_bytes
from hdex.node.errors import SignatureInvalid

SUITE = "intl"  # Ed25519, SHA-256; `sm` may follow without a new format
KINDS = frozenset(
    {"manifest", "agreement", "request", "study", "contribution", "classification", "mapping", "directory", "receipt"}
    | {"container", "decision", "withdrawal", "erasure", "hold.place", "hold.lift"}
    | {"vetting", "vetting.decision", "vetting.step", "vetting.certificate"}
    | {"access.request", "access.decision", "access.message", "access.withdrawal", "access.step"}
    | {"invoice", "dispute", "dispute_answer", "attestation", "termination", "offer"}
    | {"contract.suspend", "contract.resume", "contract.step", "contract.offer"}
    | {"enclave.script", "enclave.output"}
    | {"assessment", "lifecycle", "product.suspend", "product.resume", "product.withdraw"}
)
Document = dict[str, Any]  # JSON values
Envelope = dict[str, Any]


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the RFC 8785 bytes of a JSON document."""
    try:
        return canonical_bytes(document)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise SignatureInvalid("the document has no canonical JSON form") from error


def digest(document: Mapping[str, Any]) -> str:
    """Return the lowercase hex SHA-256 of the canonical bytes."""
    return hashlib.sha256(canonical(document)).hexdigest()


def public_key(key: bytes) -> bytes:
    """Return the 32 public bytes of a 32-byte Ed25519 seed."""
    return Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()


def key_id(public: bytes) -> str:
    """Return the eight hex digits by which a public key is named."""
    return hashlib.sha256(public).hexdigest()[:8]


def sign(kind: str, document: Mapping[str, Any], signer: str, key: bytes) -> Envelope:
    """Return an envelope with one signature of `signer`; `key` is a 32-byte Ed25519 seed."""
    return {"document": dict(document), "signatures": [_signature(kind, document, signer, key)]}


def countersign(kind: str, envelope: Mapping[str, Any], signer: str, key: bytes) -> Envelope:
    """Return the envelope with the signature of `signer` added (or replaced by the same one).

    The signatures that are there already are kept, not verified.
    """
    document, signatures = _open(envelope)
    others = [entry for entry in signatures if entry.get("signer") != signer]
    return {"document": document, "signatures": [*others, _signature(kind, document, signer, key)]}


def verify(
    kind: str, envelope: Mapping[str, Any], keys: Mapping[str, bytes], *, required: Collection[str] | None = None
) -> Document:
    """Return the document, signed as `kind` by everyone in `required` (default: everyone in `keys`).

    Signatures of signers that are not in `keys` say nothing here; one that is in `keys` must verify.
    Raises SignatureInvalid.
    """
    needed = set(keys if required is None else required)
    if not needed or not needed <= set(keys):
        raise SignatureInvalid(f"{len(needed)} signers are asked for, keys of {len(keys)} are known")
    document, signatures = _open(envelope)
    named = [entry.get("signer") for entry in signatures]
    if len(named) != len(set(map(str, named))):
        raise SignatureInvalid("a signer signed twice")
    absent = sorted(needed - {name for name in named if isinstance(name, str)})
    if absent:
        raise SignatureInvalid(f"the {kind} is not signed by {', '.join(absent)}")
    message = _message(kind, document)
    for entry in signatures:
        if entry.get("signer") in keys:
            _check(kind, entry, keys[entry["signer"]], message)
    return document


def signers(envelope: Mapping[str, Any]) -> list[str]:
    """Return who claims to have signed; nothing is verified."""
    return [str(entry.get("signer")) for entry in _open(envelope)[1]]


def single(envelope: Envelope) -> Envelope:
    """Return an envelope that has exactly one signature: once verified, its first signer is who signed it."""
    if len(_open(envelope)[1]) != 1:
        raise SignatureInvalid("one signature is asked below this paper")
    return envelope


def _message(kind: str, document: Mapping[str, Any]) -> bytes:
    if kind not in KINDS:
        raise SignatureInvalid(f"{kind!r} is not a kind of document that is signed")
    return f"hdex/{kind}/v1\n".encode() + canonical(document)


def _signature(kind: str, document: Mapping[str, Any], signer: str, key: bytes) -> dict[str, str]:
    secret = Ed25519PrivateKey.from_private_bytes(key)
    signature = secret.sign(_message(kind, document))
    return {
        "key_id": key_id(secret.public_key().public_bytes_raw()),
        "signer": signer,
        "suite": SUITE,
        "signature": base64.b64encode(signature).decode(),
    }


def _open(envelope: Mapping[str, Any]) -> tuple[Document, list[dict[str, Any]]]:
    """Return document and signatures of an envelope of the right shape; it comes from outside."""
    if not isinstance(envelope, Mapping) or set(envelope) != {"document", "signatures"}:
        raise SignatureInvalid("an envelope has exactly a document and its signatures")
    document, signatures = envelope["document"], envelope["signatures"]
    if not isinstance(document, dict) or not isinstance(signatures, list) or len(signatures) > 64:
        raise SignatureInvalid("the envelope is malformed")
    if not all(isinstance(entry, dict) and isinstance(entry.get("signer"), str) for entry in signatures):
        raise SignatureInvalid("a signature is malformed")
    return document, signatures


def _check(kind: str, entry: Mapping[str, Any], public: bytes, message: bytes) -> None:
    signer = entry["signer"]
    if entry.get("suite") != SUITE or entry.get("key_id") != key_id(public):
        raise SignatureInvalid(f"the {kind} is signed by {signer} with another suite or key than the one known here")
    try:
        signature = base64.b64decode(str(entry.get("signature")), validate=True)
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (binascii.Error, ValueError, InvalidSignature) as error:
        raise SignatureInvalid(f"the signature of {signer} does not fit the {kind}") from error
