"""The signed papers of a negotiation, and how the protocol's ids are made of them (decision 0014)."""

from collections.abc import Mapping
from typing import Any

from hdex.catalog.contract import agreement_digest
from hdex.catalog.dsp import offer
from hdex.catalog.product import DataProduct
from hdex.node.contract_record import read_request
from hdex.node.directory import Directory
from hdex.node.dsp.process import Document, Process
from hdex.node.errors import AccessDenied
from hdex.node.signed import verify

AGREEMENT, OFFER = "urn:hdex:agreement:", "urn:hdex:offer:"
HOW = "carry the signed request as urn:hdex:paper (docs/dsp.md)"
SIGNED = {"document", "signatures"}


def agreement_id(document: Mapping[str, Any]) -> str:
    """Return the protocol's id of an agreement: the digest that both sign."""
    return AGREEMENT + agreement_digest(document)


def require_asked(process: Process, product: DataProduct, directory: Directory) -> dict[str, Any]:
    """Return the consumer's signed request for this product's offer. Raises AccessDenied, SignatureInvalid."""
    if process.offer.get("@id") != OFFER + product.digest():
        raise AccessDenied("offer.unknown", "ask for the offer of the catalogue", "this offer is not made here")
    if process.paper is None:
        raise AccessDenied("paper.absent", HOW, "the message carries no signed request")
    consumer = directory.require(process.peer, "buyer")
    asked = read_request(verify("request", process.paper, {consumer.id: consumer.sign_key}))
    same = {"contract_id": process.peer_pid, "product": product.id, "version": product.version,
            "manifest_digest": product.digest()}  # fmt: skip
    if wrong := [name for name, value in same.items() if asked[name] != value]:
        raise AccessDenied("request.differs", HOW, f"the signed request has another {wrong[0]} than the message")
    return asked


def require_countersigned(process: Process, directory: Directory, provider: str) -> None:
    """Raise AccessDenied or SignatureInvalid unless a verification carries the agreement under both signatures."""
    if process.paper is None:
        raise AccessDenied("paper.absent", "countersign the agreement", "the verification carries no paper")
    document = verify("agreement", process.paper, directory.sign_keys(process.peer, provider))
    if agreement_id(document) != process.agreement_id:
        raise AccessDenied("agreement.other", "sign the agreement that was sent", "this is another agreement")


def policy_of(process: Process, product: DataProduct) -> Document:
    """Return the protocol's form of the agreement that is a process's paper. Raises AccessDenied where it is none."""
    if process.paper is None or set(process.paper) != SIGNED or "issued" not in process.paper["document"]:
        raise AccessDenied("paper.absent", "decide the request: hdex node decide", "the agreement is not signed")
    signed = process.paper["document"]
    return {
        **{name: value for name, value in offer(product).items() if name not in {"@id", "@type"}},
        "@id": agreement_id(signed),
        "@type": "Agreement",
        "target": process.dataset,
        "assigner": signed["provider"],
        "assignee": signed["consumer"],
        "timestamp": signed["issued"],
    }
