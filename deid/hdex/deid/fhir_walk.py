"""Second pass: every element of a resource by its rule. What has no rule or no place in R4 does not leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import cast

from hdex.deid.errors import InputInvalid
from hdex.deid.fhir_actions import ACTIONS, About, Site, as_object, extension
from hdex.deid.fhir_index import Index, Resource, key_of_resource, objects
from hdex.deid.fhir_names import Names
from hdex.deid.fhir_schema import Element, Rules, Schema
from hdex.deid.fhir_text import Place, Texts

MASKED = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]}
PSEUDONYMISED = {  # HL7 v3-ObservationValue, security alteration integrity
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "PSEUDED",
    "display": "pseudonymized",
}
PATIENT_PSEUDONYM = "urn:hdex:patient"  # system of the identifier by which tables and images know the patient
_GENERAL = {
    "extension": Element("Extension", needed=False, many=True),
    "modifierExtension": Element("Extension", needed=False, many=True),
}


@dataclass(slots=True)
class Walk:
    """Treats resources one after the other; free text waits in `texts` until it is settled."""

    schema: Schema
    rules: Rules
    index: Index
    names: Names
    age_cap: int
    today: date
    refuse_attachments: bool
    texts: Texts = field(default_factory=Texts)
    counts: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def resource(self, source: Resource, full_url: str = "", container: str = "") -> Resource | None:
        """Return the treated resource, None when it is dropped whole (then it is counted)."""
        kind = str(source.get("resourceType"))
        if reason := self._unfit(source, kind):
            self.dropped[f"{kind}: {reason}"] += 1
            return None
        key = key_of_resource(source, full_url, container)
        patient = self.index.patient_of(key) or ""
        about = About(patient, self.index.shifts.get(patient), container or key)
        made: Resource = {"resourceType": kind}
        if "id" in source:
            made["id"] = self.names.id(str(source["id"]))
        self.elements(source, kind, about, made)
        if kind == "Patient" and (pseudonym := self.index.pseudonyms.get(key)):
            own = {"system": PATIENT_PSEUDONYM, "value": pseudonym}
            made["identifier"] = [*cast("list[object]", made.get("identifier") or []), own]
        if kind == "Bundle":
            as_collection(made)
        if not container:
            meta = cast("Resource", made.get("meta") or {})
            meta["security"] = [*cast("list[object]", meta.get("security") or []), dict(PSEUDONYMISED)]
            made["meta"] = meta
        return made

    def take_texts(self) -> Texts:
        """Hand over the texts gathered so far and begin anew."""
        taken, self.texts = self.texts, Texts()
        return taken

    def _unfit(self, source: Resource, kind: str) -> str:
        """Say why a resource cannot be treated element by element; "" when it can."""
        if kind not in self.schema.resources:
            return "a file, not a record" if kind == "Binary" else "not known"
        if any(not self._known_extension(one) for one in objects(source.get("modifierExtension"))):
            return "a modifier extension that is not on the list changes its meaning"
        return ""

    def elements(self, source: Mapping[str, object], owner: str, about: About, made: Resource) -> None:
        """Fill `made` with the treated elements of `source`, which is of type `owner`."""
        known = self.schema.types[owner]
        for name, value in source.items():
            if name in ("id", "resourceType") or name.startswith("_") or name == "fhir_comments":
                continue
            element = _GENERAL.get(name) or known.get(name)
            if element is None:
                self.counts["element R4 does not have"] += 1
                continue
            action = self.rules.action(owner, name, element.kind)
            self._treat(made, name, value, element, (action, owner, about))
        self._primitive_extensions(source, known, about, made)
        for name, element in known.items():
            if element.needed and name in source and name not in made and f"_{name}" not in made:
                self._mask(made, name, element)

    def _treat(self, made: Resource, name: str, value: object, element: Element, how: tuple[str, str, About]) -> None:
        """Treat one element, a list or not, and put what is left into `made`."""
        if element.many != isinstance(value, list):
            raise InputInvalid(f"{how[1]}.{name} is {'no' if element.many else 'a'} list, FHIR R4 asks the contrary")
        if not isinstance(value, list):
            made[name] = None  # keeps the order of elements
            if (kept := self._value(value, element.kind, how, (made, name))) is None:
                del made[name]
            else:
                made[name] = kept
            return
        kept_list: list[object] = []
        for one in value:
            kept_list.append(None)
            if (kept := self._value(one, element.kind, how, (kept_list, len(kept_list) - 1))) is None:
                kept_list.pop()
            else:
                kept_list[-1] = kept
        if kept_list:
            made[name] = kept_list

    def _value(self, value: object, kind: str, how: tuple[str, str, About], place: Place) -> object | None:
        """Return what becomes of one value; None for nothing."""
        action, owner, about = how
        if value is None:
            return None
        if action:
            return ACTIONS[action](self, value, Site(kind, owner, about, place))
        if kind == "Resource":
            return self.resource(as_object(value, owner), container=about.home)
        if kind in self.schema.types:
            made: Resource = {}
            self.elements(as_object(value, owner), kind, about, made)
            return made or None
        self.counts["type without a rule"] += 1
        return None

    def _primitive_extensions(
        self, source: Mapping[str, object], known: Mapping[str, Element], about: About, made: Resource
    ) -> None:
        """Keep allowed extensions of single primitives (`_birthDate`), drop all others."""
        for name, value in source.items():
            element = known.get(name[1:]) if name.startswith("_") else None
            if element is None or not isinstance(value, dict):
                self.counts["primitive extension"] += name.startswith("_")
                continue
            listed: list[object] = []
            for one in objects(value.get("extension")):
                if (kept := extension(self, one, Site("Extension", "Element", about, (listed, 0)))) is not None:
                    listed.append(kept)
            if listed:
                made[name] = {"extension": listed}

    def _mask(self, made: Resource, name: str, element: Element) -> None:
        """Say "masked" where R4 wants an element that may not leave."""
        self.counts["masked"] += 1
        if element.kind in self.schema.types:
            made[name] = [dict(MASKED)] if element.many else dict(MASKED)
        else:
            made[f"_{name}"] = [dict(MASKED)] if element.many else dict(MASKED)

    def _known_extension(self, extension: Resource) -> bool:
        return self.rules.extensions.get(str(extension.get("url")), "drop") != "drop"


def as_collection(made: Resource) -> None:
    """Make a treated Bundle of a request, an answer or a search a collection; a document stays one."""
    if made.get("type") != "document":
        made["type"] = "collection"
        made.pop("timestamp", None)
    for name in ("total", "link", "signature"):
        made.pop(name, None)
