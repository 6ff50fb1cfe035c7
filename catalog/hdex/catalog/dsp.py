"""A product as a Dataspace Protocol 2025-1 `Dataset`: compact JSON under the protocol's fixed context."""

from hdex.catalog.dcat import purpose_iri
from hdex.catalog.documents import Json
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.terms import Terms

CONTEXT = "https://w3id.org/dspace/2025/1/context.jsonld"
FORMATS = {  # word of the protocol's transfer formats, ours where it has none
    DeliveryMode.DOWNLOAD: "HttpData-PULL",
    DeliveryMode.SEALED_FILE: "hdex:sealed_file-PULL",
    DeliveryMode.ENCLAVE: "hdex:enclave",
    DeliveryMode.QUERY: "hdex:query",
    DeliveryMode.FEDERATED: "hdex:federated",
}
ACTIONS = {"attribute": "attribute", "delete": "delete", "report": "inform", "no_redistribution": "ensureExclusivity"}
ALWAYS_PROHIBITED = ("HDEX:re-identification",)


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


def offer(product: DataProduct) -> Json:
    """Return the terms as one `Offer`; its id is that of the manifest, so that terms cannot change under it."""
    terms = product.terms
    prohibited = (*terms.prohibited, *(code for code in ALWAYS_PROHIBITED if code not in terms.prohibited))
    return {
        "@type": "Offer",
        "@id": f"urn:hdex:offer:{product.digest()}",
        "permission": [
            {"action": "use", "constraint": [_constraint("purpose", "isA", purpose_iri(code)), *_limits(terms)]}
            for code in terms.permitted
        ],
        "prohibition": [
            *({"action": "use", "constraint": [_constraint("purpose", "isA", purpose_iri(c))]} for c in prohibited),
            {"action": "distribute"},
        ],
        "obligation": [{"action": "compensate"}, *({"action": ACTIONS.get(one, one)} for one in terms.duties)],
    }


def _limits(terms: Terms) -> list[Json]:
    found = []
    if terms.recipients:
        found.append(_constraint("recipient", "isAnyOf", list(terms.recipients)))
    if terms.countries:
        found.append(_constraint("spatial", "isAnyOf", list(terms.countries)))
    if terms.expires is not None:
        found.append(_constraint("dateTime", "lt", terms.expires))
    return found


def _constraint(left: str, operator: str, right: object) -> Json:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}
