"""First pass over resources: who the patients are, which resource belongs to whom, what is refused."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import blake2b
from typing import cast

from hdex.deid.errors import InputInvalid
from hdex.deid.fhir_dates import day_of
from hdex.deid.fhir_schema import Rules, load_rules, load_schema
from hdex.deid.folding import compact_key
from hdex.deid.identity import Identity
from hdex.deid.resource_keys import UUID_SHAPE, ResourceKeys

Resource = dict[str, object]
_TAIL = re.compile(r"([A-Z][A-Za-z]{2,40})/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?$")
_TYPE_NAME = re.compile(r"[A-Z][A-Za-z]{2,40}")
_MAIDEN = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"
_HAN = re.compile(r"[\u3400-\u9fff]")
_LOGICAL = "identifier:"  # pointers by identifier
_TOLD = "told:"  # a pointer from an element that is made for the patient
_DEPTH = 5  # a Provenance of a Composition of an Observation ...


@dataclass(frozen=True, slots=True)
class Person:
    """A patient of the input. Nothing of it is shown."""

    identity: Identity = field(repr=False)
    born: date | None = field(default=None, repr=False)
    ended: date | None = field(default=None, repr=False)  # day of death
    record: str = field(default="", repr=False)  # medical record number


@dataclass(slots=True)
class Index:
    """Patients, their resources and the other people named; keys of resources are `Type/id`."""

    people: dict[str, Person] = field(default_factory=dict, repr=False)
    staff: dict[str, Identity] = field(default_factory=dict, repr=False)
    owners: dict[str, str | tuple[str, ...]] = field(default_factory=dict, repr=False)  # key -> patient, or keys to ask
    aliases: dict[str, str] = field(default_factory=dict, repr=False)  # urn:uuid, full URL, identifier -> key
    contained: dict[str, str] = field(default_factory=dict, repr=False)  # key of a contained resource -> its type
    refused: Counter[str] = field(default_factory=Counter)
    shifts: dict[str, int] = field(default_factory=dict, repr=False)
    pseudonyms: dict[str, str] = field(default_factory=dict, repr=False)  # as tables and images name the patients

    @classmethod
    def of(cls, resources: Iterable[Resource], *, keys: ResourceKeys, max_days: int, number: str = "id") -> Index:
        """Read every resource once. max_days: of a shift, at most. number: what names a patient, id or record."""
        index = cls()
        kin: dict[str, list[str]] = {}
        for resource in resources:
            for one, full_url, container in nested(resource):
                index._take(one, full_url, container, kin)
        index._settle(kin)
        index._name_patients(keys, max_days, number)
        return index

    def key_of(self, reference: str, container: str) -> str:
        """Return the key of what a literal reference points at; "" when it says no type and nothing known has it."""
        if reference.startswith("#"):
            return f"{container}{reference}"
        bare = reference.split("/_history/", 1)[0]
        if known := self.aliases.get(bare.lower() if bare.startswith("urn:") else bare):
            return known
        found = _TAIL.search(bare)
        return f"{found[1]}/{found[2]}" if found else ""

    def patient_of(self, key: str, depth: int = 0) -> str | None:
        """Return the key of the one patient a resource is about; None when there is none or several."""
        if key in self.people or key.startswith("Patient/"):
            return key
        known = self.owners.get(key)
        if known is None or isinstance(known, str):
            return known
        if depth >= _DEPTH:
            return None
        found = {owner for one in known if (owner := self.patient_of(one, depth + 1))}
        return found.pop() if len(found) == 1 else None

    def identities(self) -> list[Identity]:
        """Return everybody whose values may stand nowhere."""
        return [*(person.identity for person in self.people.values()), *self.staff.values()]

    def _take(self, resource: Resource, full_url: str, container: str, kin: dict[str, list[str]]) -> None:
        kind, rules = str(resource["resourceType"]), load_rules()
        if kind not in load_schema().resources and kind != "Binary":
            self.refused[kind if _TYPE_NAME.fullmatch(kind) else "of a malformed type name"] += 1
        own, key = str(resource.get("id") or full_url), key_of_resource(resource, full_url, container)
        if full_url:
            self.aliases[full_url.lower() if full_url.startswith("urn:") else full_url] = key
        if UUID_SHAPE.fullmatch(own):
            self.aliases.setdefault(f"urn:uuid:{own.lower()}", key)
        if kind == "Patient":
            self._take_patient(resource, key)
        elif kind in ("Practitioner", "Person", "Organization"):
            self.staff[key] = person_identity(resource, key)
        if container:
            self.contained[key] = kind
        self.owners[key] = self._owner(resource, key, container, rules)
        if kind == "RelatedPerson" and isinstance(owner := self.owners[key], tuple):
            for one in owner[:1]:
                kin.setdefault(one, []).extend(names_of(resource))

    def _take_patient(self, resource: Resource, key: str) -> None:
        died = resource.get("deceasedDateTime")
        born = day_of(resource.get("birthDate"))
        self.people[key] = Person(person_identity(resource, key), born, day_of(died), record_number(resource))
        for identifier in objects(resource.get("identifier")):
            self.aliases.setdefault(logical_key(identifier), key)

    def _owner(self, resource: Resource, key: str, container: str, rules: Rules) -> str | tuple[str, ...]:
        """Return the references that tell the patient: those made for it, else all there are."""
        if resource["resourceType"] == "Patient":
            return key
        home = container or key
        told = [one for name in rules.patient_elements if (one := self._pointed(resource.get(name), home))]
        if told:
            return (_TOLD + told[0],)
        if container:
            return (container,)
        return tuple(dict.fromkeys(one for found in references(resource) if (one := self._pointed(found, home))))

    def _pointed(self, value: object, container: str) -> str:
        """Return a raw pointer of a Reference, resolved when all resources have been read."""
        if not isinstance(value, dict):
            return ""
        reference = value.get("reference")
        if isinstance(reference, str):
            return f"{container}{reference}" if reference.startswith("#") else reference
        identifier = value.get("identifier")
        return logical_key(identifier) if isinstance(identifier, dict) else ""

    def _settle(self, kin: Mapping[str, list[str]]) -> None:
        """Resolve pointers and hand relatives to their patients."""
        for name, found in self.owners.items():
            if isinstance(found, tuple):
                resolved = tuple(self._resolved(one) for one in found)
                self.owners[name] = tuple(one for one in resolved if one and one != name)
        patients = {*self.people, *(one for o in self.owners.values() if isinstance(o, tuple) for one in o)}
        known = sorted(one for one in patients if one in self.people or one.startswith("Patient/"))
        relatives: dict[str, list[str]] = {}
        for pointer, names in kin.items():
            relatives.setdefault(self._resolved(pointer), []).extend(names)
        for one in known:
            person = self.people.get(one, Person(Identity(patient=one)))
            kin_of = (*person.identity.kin, *relatives.get(one, []))
            self.people[one] = replace(person, identity=replace(person.identity, kin=kin_of))

    def _name_patients(self, keys: ResourceKeys, max_days: int, number: str) -> None:
        """Give everybody the pseudonym and the shift of his number. Raises InputInvalid for who has none."""
        numbers = {one: number_of(one) if number == "id" else person.record for one, person in self.people.items()}
        if missing := sum(not found for found in numbers.values()):
            raise InputInvalid(
                f"{missing} of {len(numbers)} patients have no identifier of type MR in a Patient resource here: "
                "add their Patient resources, or let the resource's id be the patient's number"
            )
        asked = list(dict.fromkeys(numbers.values()))
        days = dict(zip(asked, keys.patient_days(asked, max_days), strict=True))
        names = dict(zip(asked, keys.patients(asked), strict=True))
        self.shifts = {one: days[found] for one, found in numbers.items()}
        self.pseudonyms = {one: names[found] for one, found in numbers.items()}
        for one, person in self.people.items():
            self.people[one] = replace(person, identity=replace(person.identity, shift_days=self.shifts[one]))

    def _resolved(self, pointer: str) -> str:
        """Return the key a raw pointer means; an unknown UUID where a patient must stand is a patient's."""
        bare = pointer.removeprefix(_TOLD)
        if "#" in bare:
            return bare
        if key := self.aliases.get(bare) if bare.startswith(_LOGICAL) else self.key_of(bare, ""):
            return key
        told = pointer != bare and bare.startswith("urn:uuid:")
        return f"Patient/{bare.removeprefix('urn:uuid:').lower()}" if told else ""


def number_of(key: str) -> str:
    """Return the number that a patient's key holds: `Patient/12`, `Patient/urn:uuid:...` or that of a contained one."""
    return key.removeprefix("Patient/").removeprefix("urn:uuid:")


def record_number(resource: Mapping[str, object]) -> str:
    """Return the value of the first identifier of type MR (HL7 table 0203: medical record number); "" without one."""
    for one in objects(resource.get("identifier")):
        kind = one.get("type")
        codings = objects(kind.get("coding")) if isinstance(kind, dict) else []
        if any(coding.get("code") == "MR" for coding in codings) and str(one.get("value") or "").strip():
            return str(one["value"])
    return ""


def key_of_resource(resource: Mapping[str, object], full_url: str, container: str) -> str:
    """Return `Type/id`, or `container#id` for a contained one; the full URL or the content stands for a missing id."""
    kind, own = resource["resourceType"], resource.get("id")
    if container:
        return f"{container}#{own}"
    if own or full_url:
        return f"{kind}/{own or full_url}"
    digest = blake2b(json.dumps(resource, sort_keys=True, default=str).encode(), digest_size=16)
    return f"{kind}/?{digest.hexdigest()}"


def nested(resource: Resource, full_url: str = "", container: str = "") -> Iterator[tuple[Resource, str, str]]:
    """Yield (resource, fullUrl, key of its container) for a resource, its Bundle entries and its contained ones."""
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise InputInvalid("a resource has no resourceType")
    yield resource, full_url, container
    home = container or key_of_resource(resource, full_url, "")
    for contained in objects(resource.get("contained")):
        yield from nested(contained, "", home)
    if resource["resourceType"] == "Bundle":
        for entry in objects(resource.get("entry")):
            if isinstance(inner := entry.get("resource"), dict):
                yield from nested(inner, str(entry.get("fullUrl") or ""))


def objects(value: object) -> list[Resource]:
    """Return the JSON objects of a list, or of one alone."""
    found = value if isinstance(value, list) else [value]
    return [cast("Resource", one) for one in found if isinstance(one, dict)]


def references(value: object) -> Iterator[Resource]:
    """Yield every Reference below a value."""
    if isinstance(value, list):
        for one in value:
            yield from references(one)
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value
        for name, one in value.items():
            if name != "contained" and isinstance(one, dict | list):
                yield from references(one)


def logical_key(identifier: Mapping[str, object]) -> str:
    """Return what an identifier is looked up by."""
    return f"{_LOGICAL}{identifier.get('system', '')}|{identifier.get('value', '')}"


def names_of(resource: Mapping[str, object]) -> list[str]:
    """Return the full names of a person: given names first, Han names family first."""
    found: list[str] = []
    for entry in objects(resource.get("name")):
        given = [str(one) for one in cast("list[object]", entry.get("given") or []) if one]
        family = str(entry.get("family") or "")
        is_han = bool(_HAN.search(family + "".join(given)))
        joined = family + "".join(given) if is_han else " ".join([*given, family]).strip()
        found += [joined, str(entry.get("text") or "")]
        if len(given) > 1 and family and not is_han:
            found.append(f"{given[0]} {family}")
    if isinstance(plain := resource.get("name"), str):
        found.append(plain)
    return [one for one in dict.fromkeys(found) if one]


def person_identity(resource: Mapping[str, object], key: str) -> Identity:
    """Return what a Patient, Practitioner, Person or Organization says about itself."""
    telecom = [(str(one.get("system")), str(one.get("value") or "")) for one in objects(resource.get("telecom"))]
    contacts = objects(resource.get("contact"))
    telecom += [(str(t.get("system")), str(t.get("value") or "")) for c in contacts for t in objects(c.get("telecom"))]
    kin = [name for contact in contacts for name in names_of({"name": contact.get("name")})]
    kin += [
        str(e["valueString"])
        for e in objects(resource.get("extension"))
        if e.get("url") == _MAIDEN and "valueString" in e
    ]
    ids = [str(one.get("value") or "") for one in objects(resource.get("identifier"))]
    dates = [day_of(resource.get(name)) for name in ("birthDate", "deceasedDateTime")]
    return Identity(
        patient=key,
        names=tuple(names_of(resource)),
        ids=tuple(one for one in dict.fromkeys([*ids, str(resource.get("id") or "")]) if _tells(one)),
        phones=tuple(v for system, v in telecom if system in ("phone", "fax", "sms", "pager") and v),
        emails=tuple(v for system, v in telecom if system == "email" and v),
        addresses=tuple(
            _addresses([*objects(resource.get("address")), *(a for c in contacts for a in objects(c.get("address")))])
        ),
        dates=tuple(one for one in dates if one),
        kin=tuple(kin),
    )


def _addresses(found: Iterable[Resource]) -> Iterator[str]:
    for address in found:
        lines = [str(one) for one in cast("list[object]", address.get("line") or []) if one]
        yield from lines
        if address.get("text"):
            yield str(address["text"])
        if lines and address.get("city"):
            yield f"{', '.join(lines)}, {address['city']}"


def _tells(value: str) -> bool:
    """Say whether an id can belong to one person only: digits in it and long enough."""
    return len(compact_key(value)) >= 6 and any(char.isdigit() for char in value)
