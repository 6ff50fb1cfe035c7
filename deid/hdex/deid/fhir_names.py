"""Ids, references, identifiers and URIs of resources under the project's key: what agreed before agrees after."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from hdex.deid.fhir_index import Index, Resource, objects
from hdex.deid.fhir_schema import Rules
from hdex.deid.resource_keys import OID_SHAPE, UUID_SHAPE, ResourceKeys

_TYPED = re.compile(
    r"(?P<base>.*/)?(?P<type>[A-Z][A-Za-z]{2,40})/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/[^/?#]+)?(?P<part>#.+)?"
)
_SEARCH = re.compile(r"(?:.*/)?(?P<type>[A-Z][A-Za-z]{2,40})\?(?P<query>.+)")
_URN = "urn:ietf:rfc:3986"
_SYSTEMLESS = "urn:hdex:none"


@dataclass(frozen=True, slots=True)
class Names:
    """Renames what points at resources and people."""

    keys: ResourceKeys = field(repr=False)
    rules: Rules
    index: Index = field(repr=False)

    def id(self, value: str) -> str:
        """The id of a resource, the same wherever it is referred to."""
        return self.keys.resource_id(value)

    def word(self, value: str) -> str:
        """A word for a name or a number."""
        return self.keys.word(value, kind="value")

    def oid(self, value: str) -> str:
        """A UID, or a urn:oid of one; UIDs of the DICOM standard itself stay."""
        bare = value.removeprefix("urn:oid:")
        made = bare if bare.startswith("1.2.840.10008.") else self.keys.dicom_uid(bare)
        return made if bare == value else f"urn:oid:{made}"

    def system(self, uri: str) -> str:
        """A public vocabulary's URI; any other may name the hospital and becomes a keyed urn:uuid."""
        return uri if self.rules.is_public(uri) else f"urn:uuid:{self.keys.uuid(uri.split('|', 1)[0])}"

    def url(self, value: str) -> str | None:
        """A full URL or literal reference with the id and the server renamed; None for one that is not understood."""
        if value.startswith("#"):
            return value if value == "#" else f"#{self.id(value[1:])}"
        if value.startswith("urn:"):
            return self._urn(value)
        if found := _TYPED.fullmatch(value):
            base = f"https://s{self.keys.word(found['base'], kind='server')}.invalid/" if found["base"] else ""
            part = f"#{self.id(found['part'][1:])}" if found["part"] else ""
            return f"{base}{found['type']}/{self.id(found['id'])}{part}"
        return None

    def reference(self, source: Mapping[str, object], home: str) -> tuple[Resource, str]:
        """Return (the rewritten Reference without display, type of its target or "")."""
        made: Resource = {}
        literal, kind = source.get("reference"), source.get("type")
        told = kind if isinstance(kind, str) else ""
        if isinstance(literal, str):
            if (renamed := self.url(literal)) is not None:
                made["reference"] = renamed
            elif searched := self._searched(literal):
                made["identifier"] = searched
            told = told or self._type_of(literal, home)
        if isinstance(kind, str) and re.fullmatch(r"[A-Z][A-Za-z]{2,40}", kind):
            made["type"] = kind
        identifier = source.get("identifier")
        if isinstance(identifier, dict) and (logical := self.identifier(identifier)):
            made["identifier"] = logical
        if set(made) == {"type"}:
            made = {}
        return made, told

    def identifier(self, source: Mapping[str, object]) -> Resource | None:
        """A pseudonymous Identifier without its period, or None for one that must not leave even so."""
        system, value = source.get("system"), source.get("value")
        system = system if isinstance(system, str) else ""
        if not isinstance(value, str) or not value.strip() or self._dropped(source, system):
            return None
        made: Resource = {}
        if source.get("use") in ("usual", "official", "temp", "secondary", "old"):
            made["use"] = source["use"]
        if codes := self._codes(source):
            made["type"] = {"coding": codes}
        if system in (_URN, "urn:dicom:uid"):
            renamed = self._urn(value) or f"urn:uuid:{self.keys.uuid(value)}"
            return made | {"system": system, "value": renamed}
        made["system"] = self.system(system) if system else f"urn:uuid:{self.keys.uuid(_SYSTEMLESS)}"
        made["value"] = self.keys.word(f"{system}|{value.strip()}", kind="identifier")
        return made

    def _urn(self, value: str) -> str | None:
        bare = value.lower()
        if bare.startswith("urn:uuid:") and UUID_SHAPE.fullmatch(bare[9:]):
            return f"urn:uuid:{self.keys.uuid(bare[9:])}"
        if bare.startswith("urn:oid:") and OID_SHAPE.fullmatch(bare[8:]):
            return self.oid(bare)
        return f"urn:uuid:{self.keys.uuid(bare)}" if bare.startswith("urn:") else None

    def _searched(self, literal: str) -> Resource | None:
        """A conditional reference (`Patient?identifier=system|value`) as a logical one."""
        found = _SEARCH.fullmatch(literal)
        token = dict(parse_qsl(found["query"])).get("identifier", "") if found else ""
        system, _, value = token.rpartition("|")
        return self.identifier({"system": system, "value": value}) if value else None

    def _type_of(self, literal: str, home: str) -> str:
        """The type of a reference's target, as far as it is told."""
        if found := _SEARCH.fullmatch(literal):
            return found["type"]
        key = self.index.key_of(literal, home)
        if "#" in key:
            return self.index.contained.get(key, "")
        return key.split("/", 1)[0]

    def _dropped(self, source: Mapping[str, object], system: str) -> bool:
        codes = {str(one.get("code")) for one in _codings(source)}
        return bool(codes & self.rules.dropped_identifier_types) or system.startswith(
            self.rules.dropped_identifier_systems
        )

    def _codes(self, source: Mapping[str, object]) -> list[Resource]:
        """The type's codes of public systems, without their texts."""
        return [
            {"system": one["system"], "code": one["code"]}
            for one in _codings(source)
            if self.rules.is_public(one.get("system")) and isinstance(one.get("code"), str)
        ]


def _codings(source: Mapping[str, object]) -> list[Resource]:
    kind = source.get("type")
    return objects(kind.get("coding")) if isinstance(kind, dict) else []
