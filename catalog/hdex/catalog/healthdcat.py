"""A product as HealthDCAT-AP JSON-LD, the profile for sensitive data. It still moves: its mapping is this file.

What the profile demands and a record does not say is an error that names it: nothing is made up.
"""

from collections.abc import Mapping

from hdex.catalog.dcat import (
    CONTEXT,
    byte_size,
    described,
    languages,
    moment,
    period,
    typed,
)
from hdex.catalog.documents import Json
from hdex.catalog.errors import ProductInvalid
from hdex.catalog.metadata import Agent, Health, HealthCategory, PublisherFacts
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.purposes import purpose_iri, purposes

EHDS = "http://data.europa.eu/eli/reg/2025/327/oj"  # the European Health Data Space
HEALTH_THEME = "http://publications.europa.eu/resource/authority/data-theme/HEAL"
PUBLISHER_TYPE = "urn:hdex:vocabulary:publisher-type:"
PERSONAL = "https://w3id.org/dpv#PersonalData"
FORMATS: Mapping[DeliveryMode, str] = {  # media type of what a buyer gets
    DeliveryMode.DOWNLOAD: "application/vnd.apache.parquet",
    DeliveryMode.SEALED_FILE: "application/vnd.apache.parquet",
    DeliveryMode.ENCLAVE: "application/json",
    DeliveryMode.QUERY: "application/json",
    DeliveryMode.FEDERATED: "application/json",
}
MEDIA = "https://www.iana.org/assignments/media-types/"
ASKED = ("publisher", "access_body", "health")


def health_dataset(product: DataProduct, *, base: str) -> Json:
    """Return the product as a HealthDCAT-AP `dcat:Dataset`. Raises ProductInvalid naming what the record lacks."""
    facts, body, health = require_complete(product)
    address = f"{base}/products/{product.id}"
    rendered = described(product, base)
    rendered["dct:identifier"] = {"@type": "xsd:anyURI", "@value": address}
    rendered["dct:publisher"] = {**_dict(rendered["dct:publisher"]), **_publisher(facts)}
    rendered["dcat:theme"] = [typed(HEALTH_THEME, "skos:Concept") | {"skos:prefLabel": _english("Health")}]
    rendered["dct:type"] = typed(PERSONAL, "skos:Concept") | {"skos:prefLabel": _english("Personal data")}
    rendered["dcatap:applicableLegislation"] = [_law()]
    rendered["dcat:distribution"] = [
        _health_distribution(product, mode, _dict(made))
        for mode, made in zip(product.delivery_modes, _list(rendered["dcat:distribution"]), strict=True)
    ]
    return {"@context": CONTEXT, **rendered, **_about(product, health, body), **_evidence(product, address)}


def require_complete(product: DataProduct) -> tuple[PublisherFacts, Agent, Health]:
    """Return what HealthDCAT-AP asks beyond DCAT-AP. Raises ProductInvalid naming what is missing."""
    missing = [name for name in ASKED if getattr(product, name) is None]
    missing += [] if product.keywords else ["keywords"]
    missing += [] if product.health is None or product.health.countries else ["health.countries"]
    if missing or product.publisher is None or product.access_body is None or product.health is None:
        raise ProductInvalid(f"HealthDCAT-AP asks for {', '.join(missing)}; name it in the offer of a new version")
    return product.publisher, product.access_body, product.health


def category_iri(category: HealthCategory) -> str:
    """Return the point of EHDS article 51(1) that a category is."""
    return f"http://data.europa.eu/eli/reg/2025/327/art_51/par_1/pnt_{category.value[-1]}/oj"


def _about(product: DataProduct, health: Health, body: Agent) -> Json:
    told: Json = {
        "healthdcatap:hdab": {
            "@type": "foaf:Agent",
            "foaf:name": languages(body.name),
            "foaf:homepage": typed(body.homepage, "foaf:Document"),
            "foaf:mbox": {"@id": f"mailto:{body.email}"},
        },
        "healthdcatap:healthCategory": [_concept(category_iri(one), one.value) for one in health.categories],
        "healthdcatap:healthTheme": [_concept(iri, iri) for iri in health.themes],
        "healthdcatap:populationCoverage": languages(health.population_coverage),
        "healthdcatap:numberOfRecords": _count(product.records),
        "healthdcatap:numberOfUniqueIndividuals": _count(product.records),
        "dpv:hasPurpose": [
            typed(purpose_iri(code), "dpv:Purpose") | {"rdfs:label": purposes()[code].label.en}
            for code in product.terms.permitted
        ],
        "dpv:hasPersonalData": typed(PERSONAL, "dpv:PersonalData"),
    }
    if health.coding_systems:
        told["healthdcatap:hasCodingSystem"] = [typed(iri, "dct:Standard") for iri in health.coding_systems]
    if health.code_values and health.coding_systems:
        told["healthdcatap:hasCodeValues"] = [_code(iri, health.coding_systems[0]) for iri in health.code_values]
    for name, age in (("minTypicalAge", health.min_age), ("maxTypicalAge", health.max_age)):
        if age is not None:
            told[f"healthdcatap:{name}"] = _count(age)
    if health.retention is not None:
        told["healthdcatap:retentionPeriod"] = period(health.retention.start, health.retention.end)
    return told


def _evidence(product: DataProduct, address: str) -> Json:
    trail, report = product.provenance, product.quality_report
    said = f"de-identified to preset {product.privacy.preset}; manifest {product.digest()}"
    if trail is not None:
        said += f"; raw snapshot {trail.snapshot_digest} -> output {trail.output_digest}"
    told: Json = {
        "dct:provenance": {"@type": "dct:ProvenanceStatement", "rdfs:label": said},
        "adms:sample": _sample(product, address),
        "dct:modified": moment(product.issued),
    }
    if report is not None:
        label = f"{report.grade_name} {report.grade or 'not measured'}; report {report.digest()}"
        told["dqv:hasQualityAnnotation"] = {"@type": "dqv:QualityAnnotation", "rdfs:label": label}
    if product.privacy.consent_basis:
        told["dpv:hasLegalBasis"] = {"@type": "dpv:LegalBasis", "rdfs:label": product.privacy.consent_basis}
    return told


def _sample(product: DataProduct, address: str) -> Json:
    """Return what may be seen before a contract: synthetic rows, or sums where not even those are shown."""
    kind = "synthetic rows, none is a patient's record" if product.preview.rows else "aggregates, no rows"
    return {
        "@id": f"{address}#sample",
        "@type": "dcat:Distribution",
        "dct:title": _english(kind),
        "dcat:accessURL": typed(f"{address}/manifest", "rdfs:Resource"),
        "dct:format": typed(MEDIA + "application/json", "dct:MediaTypeOrExtent"),
        "dct:rights": {"@type": "dct:RightsStatement", "rdfs:label": "open to everybody"},
        "dcatap:applicableLegislation": [_law()],
        "dcat:byteSize": _count(len(str(product.document()["preview"]))),
    }


def _health_distribution(product: DataProduct, mode: DeliveryMode, made: Json) -> Json:
    return made | {
        "dcat:byteSize": byte_size(product, mode),
        "dct:format": typed(MEDIA + FORMATS[mode], "dct:MediaTypeOrExtent"),
        "dcatap:applicableLegislation": [_law()],
    }


def _publisher(facts: PublisherFacts) -> Json:
    return {
        "foaf:homepage": typed(facts.homepage, "foaf:Document"),
        "foaf:mbox": {"@id": f"mailto:{facts.email}"},
        "healthdcatap:publisherType": _concept(PUBLISHER_TYPE + facts.type.value, facts.type.value),
        "healthdcatap:publisherNote": languages(facts.note),
        "healthdcatap:trustedDataHolder": facts.trusted_data_holder,
    }


def _concept(iri: str, label: str) -> Json:
    return typed(iri, "skos:Concept") | {"skos:prefLabel": _english(label)}


def _code(iri: str, scheme: str) -> Json:
    return {
        "@id": iri,
        "@type": "skos:Concept",
        "skos:prefLabel": _english(iri.rpartition(":")[2]),
        "dct:identifier": {"@type": "xsd:anyURI", "@value": iri},
        "skos:inScheme": {"@id": scheme},
    }


def _law() -> Json:
    return typed(EHDS, "http://data.europa.eu/eli/ontology#LegalResource")


def _count(value: int) -> Json:
    return {"@type": "xsd:nonNegativeInteger", "@value": str(value)}


def _english(words: str) -> Json:
    return {"@language": "en", "@value": words}


def _dict(value: object) -> Json:
    assert isinstance(value, dict)
    return value


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
