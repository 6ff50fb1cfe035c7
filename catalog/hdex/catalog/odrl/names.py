"""The words of ODRL 2.2 that this profile knows, and how a short or prefixed word becomes an IRI.

Source: ODRL Vocabulary & Expression 2.2 (W3C Recommendation, 15 February 2018), section 3; the words are data
(data/odrl.toml).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

ODRL = "http://www.w3.org/ns/odrl/2/"
CC = "http://creativecommons.org/ns#"
DCT = "http://purl.org/dc/terms/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
SKOS = "http://www.w3.org/2004/02/skos/core#"
XSD = "http://www.w3.org/2001/XMLSchema#"
REPORT = "https://w3id.org/force/compliance-report#"
SOTW = "https://w3id.org/force/sotw#"
OBO = "http://purl.obolibrary.org/obo/"
HDEX_PURPOSE = "urn:hdex:purpose:"
HDEX_OPERAND = "urn:hdex:operand:"
PROFILE = "urn:hdex:profile:terms"
RDF_TYPE = RDF + "type"

PREFIXES: Mapping[str, str] = {
    "odrl": ODRL, "cc": CC, "dct": DCT, "dcterms": DCT, "rdf": RDF, "rdfs": RDFS, "skos": SKOS, "xsd": XSD,
    "report": REPORT, "sotw": SOTW, "obo": OBO, "DUO": OBO + "DUO_", "HDEX": HDEX_PURPOSE,
    "dc": "http://purl.org/dc/elements/1.1/", "foaf": "http://xmlns.com/foaf/0.1/", "owl": "http://www.w3.org/2002/07/owl#",
    "vcard": "http://www.w3.org/2006/vcard/ns#", "schema": "http://schema.org/", "prov": "http://www.w3.org/ns/prov#",
    "dcat": "http://www.w3.org/ns/dcat#", "dpv": "https://w3id.org/dpv#",
}  # fmt: skip
# What is said in these namespaces describes; it changes no rule.
DESCRIPTIVE = tuple(
    PREFIXES[prefix]
    for prefix in ("dct", "rdf", "rdfs", "skos", "dc", "foaf", "owl", "vcard", "schema", "prov", "dcat")
)
# The same without a namespace, or in that of ODRL by mistake.
DESCRIPTIONS = frozenset(
    {
        "title", "description", "name", "label", "comment", "creator", "issued", "created", "modified", "timestamp",
    }
)  # fmt: skip
SCHEMES = ("http://", "https://", "urn:", "did:", "mailto:", "ftp://", "tag:", "_:", "spiffe://", "ark:", "doi:")


@dataclass(frozen=True, slots=True)
class Words:
    """The vocabulary: each action with the wider ones it is included in, and operators and left operands by IRI."""

    actions: Mapping[str, tuple[str, ...]]
    operators: frozenset[str]
    left_operands: frozenset[str]
    types: frozenset[str]
    properties: frozenset[str]


@cache
def words() -> Words:
    """Return the vocabulary, read once."""
    found = tomllib.loads(files("hdex.catalog").joinpath("data/odrl.toml").read_text(encoding="utf-8"))
    included = {expand(name): tuple(expand(wider) for wider in held) for name, held in found["action"].items()}
    for one, other in found["same_action"].items():
        included[expand(one)] = (expand(other),)
        included[expand(other)] = (*included[expand(other)], expand(one))
    return Words(
        actions=included,
        operators=frozenset(ODRL + name for name in found["operators"]),
        left_operands=frozenset(ODRL + name for name in found["left_operands"]),
        types=frozenset(found["types"]),
        properties=frozenset(found["properties"]),
    )


def expand(word: str, prefixes: Mapping[str, str] = PREFIXES) -> str:
    """Return the IRI of a word: itself, its prefix replaced, or a word of ODRL."""
    if word.startswith(SCHEMES):
        return word
    prefix, colon, local = word.partition(":")
    if not colon:
        return ODRL + word
    return prefixes[prefix] + local if prefix in prefixes else word


def short(iri: str) -> str:
    """Return an IRI of ODRL without its namespace, and others as they are."""
    return iri.removeprefix(ODRL)


def wider_actions(action: str) -> set[str] | None:
    """Return the action and all it is included in; None for an action that the vocabulary does not have."""
    included = words().actions
    if action not in included:
        return None
    found, edge = {action}, [action]
    while edge:
        for wider in included.get(edge.pop(), ()):
            if wider not in found:
                found.add(wider)
                edge.append(wider)
    return found
