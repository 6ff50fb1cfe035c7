"""FHIR resources leave without a value of the patient, still valid, still referring to each other."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import tarfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.deid.fhir_elements import TARGET, described
from tests.deid.fhir_story import PATIENT_ID, SECRETS, SERVER, UUID, observation, patient, story

from hdex.deid.detector_rules import RulesDetector
from hdex.deid.errors import ContentRefused, InputInvalid, PolicyInvalid, ReleaseRefused, ResidueFound
from hdex.deid.fhir import FhirPolicy, ResourceReport, deidentify_resources
from hdex.deid.fhir_dates import shift_fhir
from hdex.deid.fhir_schema import load_rules, load_schema
from hdex.deid.fhir_walk import MASKED
from hdex.deid.resource_keys import ResourceKeys
from hdex.deid.text import residue_sweep

KEY, TODAY = b"k" * 32, date(2026, 11, 22)
SHARED = Path(__file__).resolve().parents[2].parent / "shared/data"
Json = dict[str, Any]


def treated(resources: list[Json], key: bytes = KEY, **policy: Any) -> list[Json]:
    done = deidentify_resources(resources, key=key, detector=RulesDetector(), policy=FhirPolicy(**policy), today=TODAY)
    return list(done)


def leaves(value: object) -> Iterator[str]:
    """Every string of a document, keys left out."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name == "data" and isinstance(one, str):
                yield base64.b64decode(one).decode(errors="replace")
            yield from leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from leaves(one)
    elif isinstance(value, str):
        yield value


def validate(resource: Json) -> None:
    from fhir.resources.R4B import get_fhir_model_class

    get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.fixture(scope="module")
def bundle() -> Json:
    return treated([story()])[0]


def of(bundle: Json, kind: str, number: int = 0) -> Json:
    found: list[Json] = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]
    return found[number]


def test_the_table_of_elements_is_what_the_models_say() -> None:
    told = json.loads(TARGET.read_text(encoding="utf-8"))["types"]  # a few: all models take seconds to import
    for name, elements in described(["Patient", "Observation", "Encounter", "Provenance", "Extension"]).items():
        assert told[name] == elements


def test_every_rule_names_a_type_and_element_that_exist() -> None:
    rules, types = load_rules(), load_schema().types
    known = {name for elements in types.values() for name in elements}
    for rule in rules.elements:
        owner, _, name = rule.partition(".")
        assert name in types[owner], rule
    assert set(rules.names) - known == set()


def test_the_output_is_valid_and_holds_no_value_of_a_patient(bundle: Json) -> None:
    validate(bundle)
    text = "\n".join(leaves(bundle))
    assert [secret for secret in SECRETS if secret.lower() in text.lower()] == []
    assert bundle["type"] == "collection"
    assert {"total", "link", "timestamp"} & set(bundle) == set()


def test_the_story_holds_every_secret_before() -> None:
    text = "\n".join(leaves(json.loads(json.dumps(story()))))
    assert [s for s in SECRETS if s not in text and s not in ("42.11",)] == []


def test_references_in_every_form_meet_the_same_resource(bundle: Json) -> None:
    who, encounter = of(bundle, "Patient"), of(bundle, "Encounter")
    assert who["id"] not in (PATIENT_ID, UUID)
    assert encounter["subject"] == {"reference": f"Patient/{who['id']}"}  # no display of a person
    url = bundle["entry"][0]["fullUrl"]
    assert url.endswith(f".invalid/Patient/{who['id']}")
    assert of(bundle, "Observation")["subject"]["reference"] == url
    assert of(bundle, "Observation")["encounter"]["reference"] == bundle["entry"][1]["fullUrl"]
    logical = {name: who["identifier"][0][name] for name in ("system", "value", "use")}
    assert of(bundle, "Condition")["subject"] == {"identifier": logical}
    assert of(bundle, "Condition")["recorder"]["identifier"]["value"] == logical["value"]
    other = of(bundle, "Patient", 1)
    assert who["link"][0]["other"]["reference"] == f"urn:uuid:{other['id']}"
    assert of(bundle, "ImagingStudy")["subject"]["reference"] == f"urn:uuid:{other['id']}"
    assert of(bundle, "Immunization")["patient"]["reference"] == f"Patient/{other['id']}"
    contained = encounter["contained"][0]["id"]
    assert encounter["participant"][0]["individual"]["reference"] == f"#{contained}"
    assert of(bundle, "Provenance")["target"][0]["reference"] == f"Observation/{of(bundle, 'Observation')['id']}"
    assert of(bundle, "AuditEvent")["entity"][0]["what"]["reference"] == f"Patient/{who['id']}"


def test_dates_of_one_patient_move_together_with_their_precision(bundle: Json) -> None:
    period = of(bundle, "Encounter")["period"]
    start = date.fromisoformat(period["start"][:10])
    days = (start - date(2019, 5, 6)).days
    assert 0 < abs(days) <= 3650
    assert period["start"][10:] == "T23:59:05.5+02:00"
    assert (date.fromisoformat(period["end"]) - start).days == 10
    seen = of(bundle, "Observation")
    assert seen["effectiveDateTime"] == start.isoformat()
    assert seen["issued"] == f"{start.isoformat()}T10:00:00.123Z"
    assert seen["component"][1]["valueDateTime"] == shift_fhir("2019-05", days)
    assert seen["component"][2]["valueDateTime"] == shift_fhir("2019", days)
    assert of(bundle, "Provenance")["recorded"].startswith(start.isoformat())
    assert of(bundle, "AuditEvent")["recorded"].startswith(start.isoformat())
    assert start.isoformat() in seen["note"][0]["text"]
    other = (date.fromisoformat(of(bundle, "ImagingStudy")["started"]) - date(1998, 2, 3)).days
    assert other != days


def test_birth_dates_are_years_and_ages_over_89_are_capped(bundle: Json) -> None:
    assert len(of(bundle, "Patient")["birthDate"]) == 4
    assert len(of(bundle, "Patient", 1)["birthDate"]) == 4  # died at 69: told, moved
    quantity = of(bundle, "Observation")["component"][0]["valueQuantity"]
    assert (quantity["value"], quantity["comparator"]) == (90, ">=")
    assert of(bundle, "Condition")["onsetAge"]["value"] == 90
    old = treated([patient() | {"birthDate": "1930-01-01"}])[0]
    assert old["birthDate"] == "1936"


@pytest.mark.parametrize("born", ["1936-11-23", "1937-01-01", "1980"])
def test_nobody_alive_reads_as_ninety(born: str) -> None:
    assert int(treated([patient() | {"birthDate": born}])[0]["birthDate"]) >= TODAY.year - 90 + 1


def test_extensions_stay_by_list_and_race_by_category(bundle: Json) -> None:
    who = of(bundle, "Patient")
    race, sex = who["extension"]
    assert [part["url"] for part in race["extension"]] == ["ombCategory", "text"]
    assert race["extension"][1]["valueString"] == "White"
    assert sex["valueCode"] == "F"
    assert "_birthDate" not in who
    assert "extension" not in of(bundle, "Observation")


def test_identifiers_of_the_state_go_and_others_become_pseudonyms(bundle: Json) -> None:
    left, own = of(bundle, "Patient")["identifier"]
    assert own == {"system": "urn:hdex:patient", "value": ResourceKeys.of(KEY).patients([PATIENT_ID])[0]}
    assert left["value"] != "GT-884512"
    assert left["system"].startswith("urn:uuid:")
    study = of(bundle, "ImagingStudy")
    assert study["identifier"][0]["value"] == f"urn:oid:{study['series'][0]['uid']}"
    assert study["series"][0]["uid"] == ResourceKeys.of(KEY).dicom_uid("1.2.840.99999.1")


def test_every_resource_says_that_it_is_pseudonymised(bundle: Json) -> None:
    for one in [bundle, *(entry["resource"] for entry in bundle["entry"])]:
        assert [label["code"] for label in one["meta"]["security"]] == ["PSEUDED"]
        assert {"source", "lastUpdated", "versionId"} & set(one["meta"]) == set()


def test_attachments_are_what_their_bytes_are() -> None:
    report = ResourceReport()
    done = list(deidentify_resources([story()], key=KEY, detector=RulesDetector(), report=report, today=TODAY))
    content = of(done[0], "DocumentReference")["content"]
    assert "Ostrander" not in base64.b64decode(content[0]["attachment"]["data"]).decode()
    assert content[1]["attachment"] == {"contentType": "text/plain"}
    assert content[2]["attachment"] == MASKED
    counted = report.to_dict()["by_rule"]
    assert isinstance(counted, dict)
    assert counted["attachment:PDF dropped"] == counted["attachment:VCF dropped"] == 1
    assert report.resources == 1 + 13 + 1  # the Bundle, its entries, the contained one
    with pytest.raises(ContentRefused):
        treated([story()], attachments="refuse")


def test_the_same_key_gives_the_same_and_another_key_nothing_in_common() -> None:
    one, again, other = treated([story()]), treated([story()]), treated([story()], key=b"q" * 32)
    assert one == again
    mine = {e["resource"]["id"] for e in one[0]["entry"]}
    assert not mine & {e["resource"]["id"] for e in other[0]["entry"]}


def test_resources_alone_meet_those_of_the_bundle(bundle: Json) -> None:
    alone = treated([observation() | {"subject": {"reference": f"Patient/{PATIENT_ID}"}}])[0]
    inside = of(bundle, "Observation")
    assert alone["id"] == inside["id"]
    assert alone["effectiveDateTime"] == inside["effectiveDateTime"]


def test_a_date_of_nobody_or_of_several_is_told_as_a_year() -> None:
    nobody = observation() | {"subject": {"reference": "Group/1"}}
    nobody.pop("encounter")
    made = treated([nobody])[0]
    assert made["effectiveDateTime"] == "2019"
    assert "issued" not in made
    both = {
        "resourceType": "Provenance",
        "target": [{"reference": "Patient/a"}, {"reference": "Patient/b"}],
        "recorded": "2019-05-06T10:00:00Z",
        "agent": [{"who": {"reference": "Practitioner/x"}}],
    }
    made = treated([both])[0]
    assert made["_recorded"] == MASKED
    validate(made)


def test_types_not_known_refuse_everything_with_their_count() -> None:
    odd = {"resourceType": "MolecularSequence", "coordinateSystem": 0}
    strange = {"resourceType": "Ostrander Wilhelmina", "id": "1"}
    with pytest.raises(ReleaseRefused, match=r"3 resources .*2 MolecularSequence \(genome data, level 5\)") as refused:
        treated([observation(), odd, odd, strange])
    assert "Ostrander" not in str(refused.value)
    assert len(treated([observation(), odd, odd, strange], unknown="drop")) == 1


def test_an_unknown_modifier_extension_takes_the_resource_with_it() -> None:
    report = ResourceReport()
    marked = observation() | {"modifierExtension": [{"url": "http://x.example.com/not", "valueBoolean": True}]}
    assert list(deidentify_resources([marked], key=KEY, detector=RulesDetector(), report=report)) == []
    assert report.dropped.total() == 1


def test_an_element_r4_does_not_have_is_dropped_and_counted() -> None:
    report = ResourceReport()
    odd = observation() | {"patientName": "Ostrander", "valueCodeableReference": {"concept": {"text": "Ostrander"}}}
    made, _ = deidentify_resources([odd, patient()], key=KEY, detector=RulesDetector(), report=report)
    assert {"patientName", "valueCodeableReference"} & set(made) == set()
    assert report.by_rule["element R4 does not have"] == 2


@pytest.mark.parametrize(
    "broken",
    [
        {"resourceType": "Observation", "code": "text", "status": "final"},
        {"resourceType": "Observation", "note": {"text": "x"}},
        {"resourceType": "Observation", "effectiveDateTime": 7},
        {"id": "1"},
        {"resourceType": 7},
    ],
)
def test_what_is_not_shaped_as_r4_says_is_an_error_without_its_value(broken: Json) -> None:
    with pytest.raises(InputInvalid):
        treated([broken])


def test_a_code_that_holds_a_patients_number_refuses_the_release() -> None:
    leaking = observation() | {"status": "GT-884512"}
    with pytest.raises(ResidueFound):
        treated([patient(), leaking])


def test_a_wrong_policy_or_key_is_refused() -> None:
    with pytest.raises(PolicyInvalid):
        FhirPolicy(unknown="keep")
    with pytest.raises(PolicyInvalid):
        FhirPolicy(shift_days=0)
    with pytest.raises(InputInvalid):
        treated([observation()], key=b"short")
    assert "kkkk" not in repr(ResourceKeys.of(KEY))


def test_a_document_bundle_stays_a_document() -> None:
    composition = {
        "resourceType": "Composition", "id": "co", "status": "final", "type": {"text": "letter"}, "title": "Ostrander",
        "date": "2019-05-06", "subject": {"reference": f"Patient/{PATIENT_ID}"}, "author": [{"display": "Fennimore"}],
    }  # fmt: skip
    entries = [
        {"fullUrl": SERVER + "Composition/co", "resource": composition},
        {"fullUrl": SERVER + "p", "resource": patient()},
    ]
    document = {"resourceType": "Bundle", "type": "document", "timestamp": "2019-05-06T10:00:00Z", "entry": entries}
    made = treated([document | {"identifier": {"system": SERVER, "value": "GT-884512"}}])[0]
    validate(made)
    assert made["type"] == "document"
    assert made["entry"][0]["resource"]["author"] == [MASKED]
    assert "Ostrander" not in "\n".join(leaves(made))


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(-4000, 4000))
def test_a_shift_keeps_precision_and_can_be_undone(day: date, days: int) -> None:
    text = day.isoformat()
    moved = shift_fhir(text, days)
    assert moved is not None
    assert shift_fhir(moved, -days) == text
    assert len(shift_fhir(text[:7], days) or "") == 7
    assert len(shift_fhir(text[:4], days) or "") == 4
    assert shift_fhir(f"{text}T01:02:03Z", days) == f"{moved}T01:02:03Z"


@pytest.mark.parametrize("text", ["", "soon", "2019-02-31", "2019-5-6", "06/05/2019", "9999-12-31", "2019-05-06T10"])
def test_what_is_no_date_does_not_stay(text: str) -> None:
    moved = shift_fhir(text, 3)
    assert moved is None or moved[:10] != text[:10]


def test_numbers_of_insurers_local_addresses_and_misused_displays_do_not_stay() -> None:
    who = {"reference": f"Patient/{PATIENT_ID}"}
    coverage = {
        "resourceType": "Coverage", "status": "active", "beneficiary": who, "payor": [{"reference": "Organization/o1"}],
        "subscriberId": "GT-884512", "class": [{"type": {"text": "group"}, "value": "GROUP-5512"}],
    }  # fmt: skip
    answers = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": SERVER + "Questionnaire/q",
    }
    misused = observation() | {"code": {"coding": [{"system": "http://loinc.org", "display": "Wilhelmina Ostrander"}]}}
    misused["valueQuantity"] = {"value": 1, "unit": "Wilhelmina Ostrander"}
    related = {"actionId": "GT-884512", "relationship": "after"}
    group: Json = {"resourceType": "RequestGroup", "status": "active", "intent": "order", "subject": who}
    group["action"] = [{"relatedAction": [related], "resource": {"reference": "Observation/obs"}}]
    made = treated([patient(), coverage, answers, misused, group])
    text = "\n".join(leaves(made))
    for one in made:
        validate(one)
    assert [value for value in ("GROUP-5512", "884512", "stgertrud", "Ostrander") if value in text] == []
    assert made[2]["questionnaire"].startswith("urn:uuid:")
    assert made[3]["code"]["coding"] == [{"system": "http://loinc.org"}]
    assert made[3]["valueQuantity"] == {"value": 1}


def test_the_input_is_not_changed() -> None:
    source = story()
    before = copy.deepcopy(source)
    treated([source])
    assert source == before


def test_a_hospitals_export_comes_out_valid_and_without_residue() -> None:
    folder = SHARED / "hospitals_fhir/hospital_a"
    if not folder.exists():
        pytest.skip("../shared/data is absent")
    taken: list[Json] = []
    for path in sorted(folder.glob("*.ndjson.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            taken += [json.loads(line) for line, _ in zip(lines, range(48), strict=False)]
    done = treated(taken)
    assert len(done) == len(taken)
    for one in done[::19]:
        validate(one)
    assert_nothing_left(taken, done)


def test_the_us_core_examples_come_out_valid_and_without_residue() -> None:
    path = SHARED / "us_core_examples/us_core_examples.tar.gz"
    if not path.exists():
        pytest.skip("../shared/data is absent")
    with tarfile.open(path) as archive:
        files = [archive.extractfile(member) for member in archive if member.name.endswith(".json")]
        found = [json.load(file) for file in files if file]
    taken = [one for one in found if isinstance(one, dict) and "resourceType" in one]
    done = treated(taken)
    for one in done:
        validate(one)
    assert_nothing_left(taken, done)


def assert_nothing_left(taken: list[Json], done: list[Json]) -> None:
    """An oracle of its own: every name, number, contact, street and id of the patients, in every string leaf."""
    values: set[str] = set()
    for who in (one for one in taken if one["resourceType"] == "Patient"):
        for name in who.get("name", []):
            given_names, family = name.get("given", []), name.get("family", "")
            values |= {f"{one} {family}" for one in given_names if family}
        values |= {one["value"] for one in [*who.get("identifier", []), *who.get("telecom", [])] if "value" in one}
        values |= {line for address in who.get("address", []) for line in address.get("line", [])}
        values |= {who["id"]} if any(char.isdigit() for char in who["id"]) else set()
    values = {value for value in values if len(value) >= 5}
    texts = sorted({text for one in done for text in leaves(one)})
    assert len(values) > 10
    assert residue_sweep(texts, sorted(values)) == 0
    exact = set(texts)
    assert not exact & values
    assert not exact & {one["id"] for one in taken if "id" in one and any(char.isdigit() for char in one["id"])}
