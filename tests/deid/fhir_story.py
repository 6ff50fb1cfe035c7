"""One patient's Bundle with every trap the rules know: contained people, references in all forms, text, attachments."""

# ruff: noqa: E501  # resources read better as they come over the wire

from __future__ import annotations

import base64
from typing import Any

Json = dict[str, Any]
PATIENT_ID, UUID = "p-4711x", "dbf9798e-4b52-4cd9-a9eb-ec36149c859a"
SERVER = "https://fhir.stgertrud.example.com/r4/"
MRN = {"system": "http://stgertrud.example.com/mrn", "value": "GT-884512", "use": "usual"}
LOINC = {"system": "http://loinc.org", "code": "8302-2", "display": "Body height"}
# Every value that may stand nowhere in the output, in any string leaf.
SECRETS = (
    "Wilhelmina", "Ostrander", "Roswitha", "Quendlin", "Thaddeus", "Ambrosius", "Fennimore", "GT-884512", "884512",
    "999-12-3456", "555-0134", "wilhelmina.o@example.com", "Hollow Lane", "Marrowdale", "90417", "1941-03-17", "4711x",
    UUID, "stgertrud", "Gertrud", "2019-05-06", "SN-77", "LOT9", "王秀英", "13912345678", "St. Gertrud", "42.11",
)  # fmt: skip


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def patient() -> Json:
    return {
        "resourceType": "Patient",
        "id": PATIENT_ID,
        "meta": {
            "versionId": "7", "lastUpdated": "2019-05-06T10:00:00Z", "source": SERVER,
            "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient", SERVER + "StructureDefinition/x"],
            "tag": [{"system": SERVER, "code": "ward-Ostrander"}],
        },
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Wilhelmina Ostrander</div>'},
        "extension": [
            {
                "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race",
                "extension": [
                    {"url": "ombCategory", "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2106-3", "display": "White"}},
                    {"url": "detailed", "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2115-4", "display": "Quendlin"}},
                    {"url": "text", "valueString": "daughter of Quendlin"},
                ],
            },
            {"url": "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName", "valueString": "Roswitha Quendlin"},
            {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex", "valueCode": "F"},
            {"url": "http://stgertrud.example.com/vip", "valueString": "Ostrander"},
        ],
        "identifier": [
            MRN,
            {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "SS"}]}, "value": "999-12-3456"},
        ],
        "name": [{"family": "Ostrander", "given": ["Wilhelmina"], "text": "Mrs. Wilhelmina Ostrander"}],
        "telecom": [{"system": "phone", "value": "555-0134"}, {"system": "email", "value": "wilhelmina.o@example.com"}],
        "gender": "female",
        "birthDate": "1941-03-17",
        "_birthDate": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "1941-03-17T04:05:06Z"}]},
        "address": [{"line": ["12 Hollow Lane"], "city": "Marrowdale", "postalCode": "90417", "state": "MA", "country": "US",
                     "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/geolocation", "extension": [{"url": "latitude", "valueDecimal": 42.11}]}]}],
        "photo": [{"contentType": "image/png", "data": b64(b"\x89PNG\r\n\x1a\n")}],
        "contact": [{"name": {"family": "Ambrosius", "given": ["Thaddeus"]}}],
        "generalPractitioner": [{"reference": "Practitioner/d1", "display": "Dr. Fennimore"}],
        "managingOrganization": {"reference": "Organization/o1", "display": "St. Gertrud"},
        "link": [{"other": {"reference": f"urn:uuid:{UUID}"}, "type": "seealso"}],
    }  # fmt: skip


def encounter() -> Json:
    return {
        "resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": f"Patient/{PATIENT_ID}", "display": "Wilhelmina Ostrander"},
        "period": {"start": "2019-05-06T23:59:05.5+02:00", "end": "2019-05-16"},
        "participant": [{"individual": {"reference": "#doc", "display": "Fennimore"}}],
        "contained": [{"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Fennimore"}]}],
        "type": [{"text": "Visit of Mrs. Ostrander on 2019-05-06"}],
    }  # fmt: skip


def observation() -> Json:
    return {
        "resourceType": "Observation", "id": "obs", "status": "final", "code": {"coding": [LOINC], "text": "Body height"},
        "subject": {"reference": SERVER + f"Patient/{PATIENT_ID}/_history/3"},
        "encounter": {"reference": SERVER + "Encounter/e1"},
        "effectiveDateTime": "2019-05-06", "issued": "2019-05-06T10:00:00.123Z",
        "valueQuantity": {"value": 166.8, "unit": "cm", "system": "http://unitsofmeasure.org", "code": "cm"},
        "component": [{"code": {"text": "age"}, "valueQuantity": {"value": 93, "code": "a", "system": "http://unitsofmeasure.org"}},
                      {"code": {"text": "when"}, "valueDateTime": "2019-05"}, {"code": {"text": "year"}, "valueDateTime": "2019"}],
        "note": [{"authorString": "Fennimore", "time": "2019-05-06T11:00:00Z", "text": "Wilhelmina Ostrander, call 555-0134, seen 2019-05-06."}],
        "interpretation": [{"coding": [{"system": "http://stgertrud.example.com/flags", "code": "H", "display": "high for Ostrander"}]}],
        "extension": [{"url": "http://stgertrud.example.com/x", "valueString": "Ostrander"}],
    }  # fmt: skip


def others() -> list[Json]:
    logical = {"identifier": MRN, "display": "Ostrander"}
    return [
        {"resourceType": "Condition", "id": "c1", "subject": logical, "onsetAge": {"value": 94, "unit": "a", "code": "a", "system": "http://unitsofmeasure.org"},
         "code": {"text": "王秀英 电话13912345678 来诊"}, "recorder": {"reference": "Patient?identifier=http://stgertrud.example.com/mrn|GT-884512"}},
        {"resourceType": "Provenance", "id": "pr", "target": [{"reference": "Observation/obs"}], "recorded": "2019-05-06T10:00:01Z",
         "agent": [{"who": {"reference": "Practitioner/d1", "display": "Fennimore"}}], "signature": [{"type": [{"code": "x"}], "when": "2019-05-06T10:00:01Z", "who": {"display": "Fennimore"}}]},
        {"resourceType": "AuditEvent", "id": "au", "type": {"code": "rest"}, "recorded": "2019-05-06T10:00:02Z", "source": {"site": "St. Gertrud", "observer": {"display": "St. Gertrud"}},
         "agent": [{"requestor": True, "name": "Fennimore", "who": {"reference": "Practitioner/d1"}, "network": {"address": "10.0.0.7", "type": "2"}}],
         "entity": [{"what": {"reference": f"Patient/{PATIENT_ID}"}, "name": "Ostrander", "query": b64(b"name=Ostrander")}]},
        {"resourceType": "DocumentReference", "id": "doc", "status": "current", "subject": {"reference": f"Patient/{PATIENT_ID}"},
         "content": [{"attachment": {"contentType": "text/plain", "data": b64(b"Wilhelmina Ostrander came on 2019-05-06."), "title": "Letter on Wilhelmina Ostrander"}},
                     {"attachment": {"contentType": "text/plain", "data": b64(b"%PDF-1.7 Ostrander")}}, {"attachment": {"data": b64(b"##fileformat=VCFv4.2\n")}}]},
        {"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Fennimore", "given": ["Ambrosius"]}], "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}]},
        {"resourceType": "Organization", "id": "o1", "name": "St. Gertrud", "telecom": [{"system": "phone", "value": "555-0134"}]},
        {"resourceType": "Device", "id": "dv", "patient": {"reference": f"Patient/{PATIENT_ID}"}, "serialNumber": "SN-77", "lotNumber": "LOT9", "status": "active"},
        {"resourceType": "Patient", "id": UUID, "name": [{"text": "王秀英", "family": "王", "given": ["秀英"]}], "telecom": [{"system": "phone", "value": "13912345678"}], "birthDate": "1930", "deceasedDateTime": "1999-01"},
        {"resourceType": "ImagingStudy", "id": "im", "status": "available", "subject": {"reference": f"urn:uuid:{UUID}"}, "started": "1998-02-03",
         "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.99999.1"}], "series": [{"uid": "1.2.840.99999.1", "modality": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "DX"}}]},
        {"resourceType": "Immunization", "id": "im1", "status": "completed", "patient": {"reference": f"Patient/{UUID}"}, "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "140"}]},
         "occurrenceString": "in spring 1998", "lotNumber": "LOT9"},
    ]  # fmt: skip


def story() -> Json:
    """The Bundle, as a server would answer a search."""
    resources = [patient(), encounter(), observation(), *others()]
    entries = [
        {"fullUrl": f"{SERVER}{one['resourceType']}/{one['id']}", "resource": one, "search": {"mode": "match"}}
        for one in resources
    ]
    return {"resourceType": "Bundle", "id": "b-Ostrander", "type": "searchset", "total": len(entries), "timestamp": "2019-05-06T10:00:00Z",
            "link": [{"relation": "self", "url": SERVER + "Patient?name=Ostrander"}], "entry": entries}  # fmt: skip
