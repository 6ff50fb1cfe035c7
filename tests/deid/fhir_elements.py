"""Writes deid/hdex/deid/data/fhir_r4.json from the R4B models of fhir.resources: element -> data type, per type.

Run `python -m tests.deid.fhir_elements` to write it again; a test compares the file with what the models say.
A trailing * means a list, a trailing ! (before the *) an element that must be there.
"""

from __future__ import annotations

import importlib
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[2] / "deid/hdex/deid/data/fhir_r4.json"
RESOURCE_NAMES = """
Account AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic Binary BodyStructure Bundle
CarePlan CareTeam ChargeItem Claim ClaimResponse ClinicalImpression Communication CommunicationRequest Composition
Condition Consent Coverage CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue Device DeviceMetric
DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference Encounter Endpoint EpisodeOfCare
ExplanationOfBenefit FamilyMemberHistory Flag Goal Group HealthcareService ImagingStudy Immunization
ImmunizationEvaluation ImmunizationRecommendation Invoice Library List Location MeasureReport Media Medication
MedicationAdministration MedicationDispense MedicationRequest MedicationStatement NutritionOrder Observation
OperationOutcome Organization OrganizationAffiliation Parameters Patient Person Practitioner PractitionerRole Procedure
Provenance Questionnaire QuestionnaireResponse RelatedPerson RequestGroup ResearchStudy ResearchSubject RiskAssessment
Schedule ServiceRequest Slot Specimen Substance SupplyDelivery SupplyRequest Task VisionPrescription
"""
RESOURCES = RESOURCE_NAMES.split()
LEFT_OUT = {"Binary", "Parameters", "Basic", "MeasureReport"}  # Binary and the like are treated as files, not walked

GENERAL = {"id", "extension", "modifierExtension", "fhir_comments"}  # of every type: not in the table
ONLY_R4B = {"CodeableReference", "RatioRange"}  # data types that R4 (4.0.1) does not have
SPELLINGS = {"dateTime": "dateTime", "encodedBytes": "base64Binary", "uuidVersion": "uuid"}


def described(resources: list[str]) -> dict[str, dict[str, str]]:
    """Return every type reachable from the resources."""
    found: dict[str, dict[str, str]] = {}
    waiting = [_model("fhir.resources.R4B", name) for name in resources]
    while waiting:
        model = waiting.pop()
        if model.__name__ in found:
            continue
        elements, inner = {}, []
        for name, field in model.model_fields.items():
            extra = field.json_schema_extra or {}
            if not isinstance(extra, dict) or "element_property" not in extra or name in GENERAL:
                continue
            kind, many, child = _type(field.annotation)
            if kind in ONLY_R4B:
                continue
            needed = "!" if field.is_required() or extra.get("element_required") else ""
            elements[field.alias or name] = kind + needed + ("*" if many else "")
            inner += [child] if child else []
        found[model.__name__] = dict(sorted(elements.items()))
        waiting += inner
    return dict(sorted(found.items()))


def _model(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"{module}.{name.lower()}"), name)


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union that are not None and no alternative spelling of a primitive."""
    if typing.get_origin(annotation) is typing.Annotated:
        yield annotation
        return
    for part in typing.get_args(annotation) or (annotation,):
        if part is not type(None):
            yield part


def _type(annotation: Any) -> tuple[str, bool, Any]:
    """Return (FHIR type name, is a list, model to describe too)."""
    part = annotation if typing.get_origin(annotation) is list else next(iter(_parts(annotation)))
    if typing.get_origin(part) is list:
        kind, _, child = _type(typing.get_args(part)[0])
        return kind, True, child
    if typing.get_origin(part) is typing.Annotated:
        kind = type(typing.get_args(part)[1]).__name__
        kind = kind[0].lower() + kind[1:]
        return SPELLINGS.get(kind, kind), False, None
    if part is bool:
        return "boolean", False, None
    if typing.get_origin(part) is not None:
        return _type(part)
    path = getattr(part, "_model_klass", None)
    if path is None:
        return (
            {"int": "integer", "str": "string", "Decimal": "decimal", "bytes": "base64Binary"}.get(
                part.__name__, part.__name__
            ),
            False,
            None,
        )
    if not isinstance(path, str):
        path = f"{path.__module__}.{path.__name__}"
    module, name = path.rsplit(".", 1)
    if name in ("Resource", "Element", "BackboneElement", "ElementDefinition"):
        return name, False, None
    return name, False, getattr(importlib.import_module(module), name)


def document() -> str:
    """Return the file's text."""
    source = "HL7 FHIR R4 (4.0.1), https://hl7.org/fhir/R4, CC0; read from fhir.resources' R4B models"
    rows = described([*(name for name in RESOURCES if name not in LEFT_OUT), "Extension"]).items()
    types = ",\n".join(f"{json.dumps(name)}:{json.dumps(of, separators=(',', ':'))}" for name, of in rows)
    resources = json.dumps(sorted(set(RESOURCES) - LEFT_OUT), separators=(",", ":"))
    return f'{{"source":{json.dumps(source)},\n"resources":{resources},\n"types":{{\n{types}\n}}}}\n'


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
