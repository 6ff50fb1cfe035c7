"""A product as DCAT-AP 3 JSON-LD: what other catalogues read. Words and levels that DCAT lacks stay under hdex:."""

from collections.abc import Iterable

from hdex.catalog.documents import Json
from hdex.catalog.metadata import Agent, PublisherFacts
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.purposes import Text, purpose_iri, purposes

CONTEXT: Json = {
    "adms": "http://www.w3.org/ns/adms#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcatap": "http://data.europa.eu/r5r/",
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "dqv": "http://www.w3.org/ns/dqv#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "healthdcatap": "http://healthdataportal.eu/ns/health#",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "spdx": "http://spdx.org/rdf/terms#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "hdex": "urn:hdex:vocabulary:",
}
_RIGHTS = "http://publications.europa.eu/resource/authority/access-right/"
_FORMAT = "http://publications.europa.eu/resource/authority/file-type/"
_DUO = "http://purl.obolibrary.org/obo/"
_COUNTRY = "urn:iso:std:iso:3166:-1:"
LENGTHS = {4: "xsd:gYear", 7: "xsd:gYearMonth", 10: "xsd:date"}  # characters of a date -> its type
FILES = (DeliveryMode.SEALED_FILE, DeliveryMode.DOWNLOAD)


def dataset(product: DataProduct, *, base: str) -> Json:
    """Return the product as a `dcat:Dataset` with its own context; `base` is the catalogue's address."""
    return {"@context": CONTEXT, **described(product, base)}


def catalogue(products: Iterable[DataProduct], *, base: str, title: Text) -> Json:
    """Return a `dcat:Catalog` of the products."""
    return {
        "@context": CONTEXT,
        "@id": base,
        "@type": "dcat:Catalog",
        "dct:title": languages(title),
        "dct:description": languages(title),
        "dct:publisher": {"@id": f"{base}#exchange", "@type": "foaf:Agent", "foaf:name": "hdex exchange"},
        "dcat:dataset": [described(product, base) for product in products],
    }


def described(product: DataProduct, base: str) -> Json:
    """Return the product as a `dcat:Dataset` without context."""
    address = f"{base}/products/{product.id}"
    rendered: Json = {
        "@id": address,
        "@type": "dcat:Dataset",
        "dct:identifier": product.id,
        "dcat:version": product.version,
        "dct:title": languages(product.title),
        "dct:description": languages(product.description),
        "dct:issued": {"@type": "xsd:dateTime", "@value": product.issued},
        "dct:publisher": publisher(product, base),
        "dct:accessRights": typed(_RIGHTS + ("PUBLIC" if product.level == 1 else "NON_PUBLIC"), "dct:RightsStatement"),
        "dcat:distribution": [_distribution(product, mode, address) for mode in product.delivery_modes],
        "odrl:hasPolicy": _offer(product, address),
        "hdex:level": product.level,
        "hdex:manifestDigest": product.digest(),
    }
    if product.keywords:
        rendered["dcat:keyword"] = list(product.keywords)
    if product.temporal is not None:
        rendered["dct:temporal"] = period(product.temporal.start, product.temporal.end)
    if product.health is not None and product.health.countries:
        rendered["dct:spatial"] = [typed(_COUNTRY + code, "dct:Location") for code in product.health.countries]
    if product.publisher is not None:
        rendered["dcat:contactPoint"] = contact(product.publisher, product.provider.name)
    return rendered


def publisher(product: DataProduct, base: str) -> Json:
    """Return who offers the product."""
    return {
        "@id": f"{base}/products?provider={product.provider.id}",
        "@type": "foaf:Agent",
        "foaf:name": languages(product.provider.name),
    }


def contact(facts: PublisherFacts | Agent, name: Text) -> Json:
    """Return whom to ask, as vCard."""
    return {
        "@type": "vcard:Kind",
        "vcard:fn": name.en,
        "vcard:hasURL": {"@id": facts.homepage},
        "vcard:hasEmail": {"@id": f"mailto:{facts.email}"},
    }


def period(start: str, end: str) -> Json:
    """Return a `dct:PeriodOfTime`; each end is a year, a month or a day."""
    return {"@type": "dct:PeriodOfTime", "dcat:startDate": moment(start), "dcat:endDate": moment(end)}


def moment(text: str) -> Json:
    """Return a date with the type that its length says."""
    return {"@type": LENGTHS.get(len(text), "xsd:dateTime"), "@value": text}


def typed(iri: str, kind: str) -> Json:
    """Return a reference that says what it refers to: shapes look no further than the document."""
    return {"@id": iri, "@type": kind}


def languages(text: Text) -> list[Json]:
    """Return the words in both languages."""
    return [{"@language": lang, "@value": text.say(lang)} for lang in ("en", "zh")]


def byte_size(product: DataProduct, mode: DeliveryMode) -> Json:
    """Return the bytes that a delivery mode brings out: none where nothing leaves as a file."""
    size = product.release.bytes if mode in FILES and product.release is not None else 0
    return {"@type": "xsd:nonNegativeInteger", "@value": str(size)}


def _distribution(product: DataProduct, mode: DeliveryMode, address: str) -> Json:
    rendered: Json = {
        "@id": f"{address}#{mode.value}",
        "@type": "dcat:Distribution",
        "dct:title": mode.value,
        "dcat:accessURL": typed(address, "rdfs:Resource"),
        "dct:rights": {"@type": "dct:RightsStatement", "rdfs:label": "by contract only; the offer says for what"},
    }
    if mode in FILES and product.release is not None:
        rendered["dct:format"] = typed(_FORMAT + "PARQUET", "dct:MediaTypeOrExtent")
        rendered["dcat:byteSize"] = byte_size(product, mode)
        rendered["spdx:checksum"] = {
            "@type": "spdx:Checksum",
            "spdx:algorithm": typed("http://spdx.org/rdf/terms#checksumAlgorithm_sha256", "spdx:ChecksumAlgorithm"),
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
    return {
        "odrl:action": {"@id": "odrl:use"},
        "odrl:constraint": {
            "odrl:leftOperand": {"@id": "odrl:purpose"},
            "odrl:operator": {"@id": "odrl:isA"},
            "odrl:rightOperand": {"@id": purpose_iri(code)},
            "dct:title": languages(purposes()[code].label),
        },
    }
