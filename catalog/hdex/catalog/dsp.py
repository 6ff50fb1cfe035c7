"""A product as a Dataspace Protocol 2025-1 `Dataset`: compact JSON under the protocol's fixed context."""

from typing import cast

from hdex.catalog.documents import Json
from hdex.catalog.offer import compile_terms, policy_rules
from hdex.catalog.product import DataProduct, DeliveryMode

CONTEXT = "https://w3id.org/dspace/2025/1/context.jsonld"
FORMATS = {  # word of the protocol's transfer formats, ours where it has none
    DeliveryMode.DOWNLOAD: "HttpData-PULL",
    DeliveryMode.SEALED_FILE: "hdex:sealed_file-PULL",
    DeliveryMode.ENCLAVE: "hdex:enclave",
    DeliveryMode.QUERY: "hdex:query",
    DeliveryMode.FEDERATED: "hdex:federated",
}
ACTIONS = {"attribute": "attribute", "delete": "delete", "report": "inform", "no_redistribution": "ensureExclusivity"}


def dsp_dataset(product: DataProduct, *, base: str) -> Json:
    """Return the product as a `Dataset` of the protocol; `base` is the exchange's address."""
    service = {"@id": f"{base}/dsp", "@type": "DataService", "endpointURL": f"{base}/dsp"}
    return {
        "@context": [CONTEXT],
        "@id": dataset_id(product),
        "@type": "Dataset",
        "hasPolicy": [offer(product)],
        "distribution": [
            {"@type": "Distribution", "format": FORMATS[mode], "accessService": service}
            for mode in product.delivery_modes
        ],
    }


def dataset_id(product: DataProduct) -> str:
    """Return the id by which negotiations name this version."""
    return f"urn:hdex:product:{product.id}:{product.version}"


def offer_id(digest: str) -> str:
    """Return the id of the terms in the manifest of this digest."""
    return f"urn:hdex:offer:{digest}"


def offer(product: DataProduct) -> Json:
    """Return the terms as one `Offer`; its id is that of the manifest, so that terms cannot change under it.

    The rules are those that decide (offer.py); what binds a contract beyond the decision stands beside them.
    """
    rules = policy_rules(compile_terms(product.terms))
    prohibited = cast(list[Json], rules["prohibition"])
    duties = ({"action": ACTIONS.get(one, one)} for one in product.terms.duties)
    return {
        "@type": "Offer",
        "@id": offer_id(product.digest()),
        **rules,
        "prohibition": [*prohibited, {"action": "distribute"}],
        "obligation": [{"action": "compensate"}, *duties],
    }
