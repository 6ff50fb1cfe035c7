"""A product as DCAT-AP 3 JSON-LD: what other catalogues read. Words and levels that DCAT lacks stay under hdex:."""

from collections.abc import Iterable

from hdex.catalog.documents import Json
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.terms import Text, purposes

CONTEXT: Json = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "spdx": "http://spdx.org/rdf/terms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "hdex": "urn:hdex:vocabulary:",
}
_RIGHTS = "http://publications.europa.eu/resource/authority/access-right/"
_DUO = "http://purl.obolibrary.org/obo/"


def dataset(product: DataProduct, *, base: str) -> Json:
    """Return the product as a `dcat:Dataset` with its own context; `base` is the catalogue's address."""
    return {"@context": CONTEXT, **_dataset(product, base)}


def catalogue(products: Iterable[DataProduct], *, base: str, title: Text) -> Json:
    """Return a `dcat:Catalog` of the products."""
    return {
        "@context": CONTEXT,
        "@id": base,
        "@type": "dcat:Catalog",
        "dct:title": _languages(title),
        "dct:description": _languages(title),
        "dct:publisher": {"@type": "foaf:Agent", "foaf:name": "hdex exchange"},
        "dcat:dataset": [_dataset(product, base) for product in products],
    }


def _dataset(product: DataProduct, base: str) -> Json:
    address = f"{base}/products/{product.id}"
    provider = product.provider
    rendered: Json = {
        "@id": address,
        "@type": "dcat:Dataset",
        "dct:identifier": product.id,
        "dcat:version": product.version,
        "dct:title": _languages(product.title),
        "dct:description": _languages(product.description),
        "dct:issued": {"@type": "xsd:dateTime", "@value": product.issued},
        "dct:publisher": {
            "@id": f"{base}/products?provider={provider.id}",
            "@type": "foaf:Agent",
            "foaf:name": _languages(provider.name),
        },
        "dct:accessRights": {"@id": _RIGHTS + ("PUBLIC" if product.level == 1 else "NON_PUBLIC")},
        "dcat:distribution": [_distribution(product, mode, address) for mode in product.delivery_modes],
        "odrl:hasPolicy": _offer(product, address),
        "hdex:level": product.level,
        "hdex:manifestDigest": product.digest(),
    }
    if product.keywords:
        rendered["dcat:keyword"] = list(product.keywords)
    if product.temporal is not None:
        rendered["dct:temporal"] = {
            "@type": "dct:PeriodOfTime",
            "dcat:startDate": product.temporal.start,
            "dcat:endDate": product.temporal.end,
        }
    return rendered


def _distribution(product: DataProduct, mode: DeliveryMode, address: str) -> Json:
    rendered: Json = {
        "@id": f"{address}#{mode.value}",
        "@type": "dcat:Distribution",
        "dct:title": mode.value,
        "dcat:accessURL": {"@id": address},
    }
    if mode in (DeliveryMode.SEALED_FILE, DeliveryMode.DOWNLOAD) and product.release is not None:
        rendered["dcat:byteSize"] = {"@type": "xsd:nonNegativeInteger", "@value": str(product.release.bytes)}
        rendered["spdx:checksum"] = {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
            "spdx:checksumValue": {"@type": "xsd:hexBinary", "@value": product.release.sha256},
        }
    return rendered


def _offer(product: DataProduct, address: str) -> Json:
    terms = product.terms
    return {
        "@id": f"{address}#offer",
        "@type": "odrl:Offer",
        "odrl:permission": [_rule(code) for code in terms.permitted],
        "odrl:prohibition": [_rule(code) for code in terms.prohibited],
    }


def _rule(code: str) -> Json:
    known = purposes()[code]
    iri = _DUO + code.replace(":", "_") if code.startswith("DUO:") else f"urn:hdex:purpose:{code.partition(':')[2]}"
    return {
        "odrl:action": {"@id": "odrl:use"},
        "odrl:constraint": {
            "odrl:leftOperand": {"@id": "odrl:purpose"},
            "odrl:operator": {"@id": "odrl:isA"},
            "odrl:rightOperand": {"@id": iri},
            "dct:title": _languages(known.label),
        },
    }


def _languages(text: Text) -> list[Json]:
    return [{"@language": lang, "@value": text.say(lang)} for lang in ("en", "zh")]
