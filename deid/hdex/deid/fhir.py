"""FHIR R4 resources de-identified as resources: what agreed before agrees after, and the output is valid R4.

Narratives, names, contacts and photos go; ids, references and identifiers become pseudonyms of the project; dates of a
patient move together, birth dates become years; free text is read by a detector that knows the patient; extensions stay
by list; every resource says that it is pseudonymised. Two passes: who is who (fhir_index), then element by element
(fhir_walk) by the rules of data/fhir_rules.toml over the elements of data/fhir_r4.json.

R4 and R4B: the elements are read from R4B models (fhir.resources has no R4). The types treated here have the same
elements in both. R4B differs in what is not treated: it adds Citation, EvidenceReport, SubscriptionStatus,
SubscriptionTopic, NutritionProduct, Ingredient, ManufacturedItemDefinition, AdministrableProductDefinition,
PackagedProductDefinition, RegulatedAuthorization, ClinicalUseDefinition, MedicinalProductDefinition and
SubstanceDefinition, rewrites Evidence and EvidenceVariable, drops R4's MedicinalProduct*, EffectEvidenceSynthesis,
RiskEvidenceSynthesis and the Substance* details, and has the data types CodeableReference and RatioRange, which R4 has
not: an element of these types is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice

from hdex.deid.errors import PolicyInvalid, ReleaseRefused
from hdex.deid.fhir_index import Index, Resource, nested
from hdex.deid.fhir_names import Names
from hdex.deid.fhir_schema import load_rules, load_schema
from hdex.deid.fhir_text import TextRedactor
from hdex.deid.fhir_walk import Walk
from hdex.deid.ports import Detector
from hdex.deid.resource_keys import ResourceKeys
from hdex.deid.text import Surrogates, Tags

BATCH = 2_000  # resources whose texts are redacted together


@dataclass(frozen=True, slots=True)
class FhirPolicy:
    """What of resources is decided by the data's holder."""

    lang: str = "en"  # of texts without Han script
    shift_days: int = 3650  # every date of one patient moves by one secret number of days in +-shift_days, never 0
    patient: str = "id"  # what the patient's number is, as tables and images know him: id, or record (identifier MR)
    age_cap: int = 90  # 45 CFR 164.514(b)(2)(i)(C): all ages over 89 are one category
    replace: str = "surrogate"  # in free text: surrogate or tag
    unknown: str = "refuse"  # resource types not known: refuse everything, or drop them
    attachments: str = "drop"  # PDF, pictures, genome data inside attachments: drop them, or refuse everything

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("replace", self.replace, ("surrogate", "tag")),
            ("unknown", self.unknown, ("refuse", "drop")),
            ("attachments", self.attachments, ("drop", "refuse")),
            ("patient", self.patient, ("id", "record")),
        ):
            if value not in choices:
                raise PolicyInvalid(f"{name} is {value}, asked is {' or '.join(choices)}")
        if self.shift_days < 1:
            raise PolicyInvalid(f"shift_days is {self.shift_days}, asked is 1 or more")


@dataclass(slots=True)
class ResourceReport:
    """Counts of one run, complete when the output has been taken to its end."""

    resources: int = 0  # that left, Bundles and their entries each
    dropped: Counter[str] = field(default_factory=Counter)  # whole resources, by type and reason
    by_rule: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "resources": self.resources,
            "dropped": dict(sorted(self.dropped.items())),
            "by_rule": dict(sorted(self.by_rule.items())),
        }


def deidentify_resources(
    resources: Iterable[Resource],
    *,
    key: bytes | ResourceKeys,
    detector: Detector,
    policy: FhirPolicy | None = None,
    report: ResourceReport | None = None,
    today: date | None = None,
) -> Iterator[Resource]:
    """Yield the resources (Bundles stay Bundles) de-identified under a project's key, in their order.

    key: 32 bytes or more, or keys derived for a recipient and project; the same key gives the same ids, dates and
    pseudonyms in every run, and each Patient the pseudonym that tables and images give him, as one more identifier.
    today: the day ages are counted to (UTC's today). report: filled while the output is taken. Raises before the first
    resource: ReleaseRefused for types not known, InputInvalid for what is none; later ResidueFound, DetectorTimeout,
    ContentRefused, InputInvalid for an element that has not the shape R4 asks. The argument is read into memory once.
    """
    taken = list(resources)
    index = index_resources(taken, key=key, policy=policy)
    yield from treat_resources(taken, index, key=key, detector=detector, policy=policy, report=report, today=today)


def index_resources(
    resources: Iterable[Resource], *, key: bytes | ResourceKeys, policy: FhirPolicy | None = None
) -> Index:
    """The first pass: patients and whose each resource is.

    Raises ReleaseRefused for types that are not known, InputInvalid where a record number is asked and not there.
    """
    chosen = policy or FhirPolicy()
    index = Index.of(resources, keys=ResourceKeys.of(key), max_days=chosen.shift_days, number=chosen.patient)
    if index.refused and chosen.unknown == "refuse":
        reasons = load_rules().refused
        told = "; ".join(
            f"{number} {kind} ({reasons.get(kind, 'not known')})" for kind, number in sorted(index.refused.items())
        )
        raise ReleaseRefused(
            f"{index.refused.total()} resources are of types no rule lets through: {told}; leave them out of the export"
        )
    return index


def treat_resources(
    resources: Iterable[Resource],
    index: Index,
    *,
    key: bytes | ResourceKeys,
    detector: Detector,
    policy: FhirPolicy | None = None,
    report: ResourceReport | None = None,
    today: date | None = None,
) -> Iterator[Resource]:
    """The second pass, over the same resources as the first; streams, so that files may be larger than memory."""
    done = treat_each(resources, index, key=key, detector=detector, policy=policy, report=report, today=today)
    return (made for made in done if made is not None)


def treat_each(
    resources: Iterable[Resource],
    index: Index,
    *,
    key: bytes | ResourceKeys,
    detector: Detector,
    policy: FhirPolicy | None = None,
    report: ResourceReport | None = None,
    today: date | None = None,
) -> Iterator[Resource | None]:
    """The second pass, one answer for each resource in its order; None for one that is dropped whole."""
    chosen, told = policy or FhirPolicy(), report if report is not None else ResourceReport()
    walk, redactor = prepared(index, ResourceKeys.of(key), chosen, detector, today or datetime.now(UTC).date())
    source = iter(resources)
    while batch := list(islice(source, BATCH)):
        made = [walk.resource(resource) for resource in batch]
        redactor.settle(walk.take_texts(), walk.counts)
        told.resources += sum(1 for one in made if one is not None for _ in nested(one))
        told.dropped, told.by_rule = Counter(walk.dropped), Counter({k: n for k, n in walk.counts.items() if n})
        yield from made


def prepared(
    index: Index, keys: ResourceKeys, policy: FhirPolicy, detector: Detector, today: date
) -> tuple[Walk, TextRedactor]:
    """The walk over elements and the redactor of texts."""
    rules = load_rules()
    walk = Walk(
        schema=load_schema(),
        rules=rules,
        index=index,
        names=Names(keys, rules, index),
        age_cap=policy.age_cap,
        today=today,
        refuse_attachments=policy.attachments == "refuse",
    )
    identities = {one: person.identity for one, person in index.people.items()}
    redactor = TextRedactor(
        identities=identities,
        everybody=index.identities(),
        swept=list(identities.values()),
        detector=detector,
        surrogate=Surrogates(keys.surrogate) if policy.replace == "surrogate" else Tags(),
        lang=policy.lang,
    )
    return walk, redactor


__all__ = [
    "FhirPolicy",
    "ResourceReport",
    "deidentify_resources",
    "index_resources",
    "treat_each",
    "treat_resources",
]
