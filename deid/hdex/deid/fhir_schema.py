"""What FHIR R4 resources are made of, and the rule for each element: both data files, read once."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type: its data type, whether it must be there, whether it is a list."""

    kind: str
    needed: bool
    many: bool


@dataclass(frozen=True, slots=True)
class Schema:
    """Types and their elements, and which types are resources."""

    types: Mapping[str, Mapping[str, Element]]
    resources: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules file, checked: every action it names exists in the walk."""

    public: tuple[str, ...]
    extensions: Mapping[str, str]
    types: Mapping[str, str]
    names: Mapping[str, str]
    elements: Mapping[str, str]
    refused: Mapping[str, str]
    dropped_identifier_types: frozenset[str]
    dropped_identifier_systems: tuple[str, ...]
    address_parts: tuple[str, ...]
    person_types: frozenset[str]
    patient_elements: tuple[str, ...]

    def action(self, owner: str, name: str, kind: str) -> str:
        """Return the action for element `name` of type `owner`; "" for a type that is walked."""
        found = self.elements.get(f"{owner}.{name}") or self.names.get(name)
        return found or self.types.get(kind, "")

    def is_public(self, uri: object) -> bool:
        """Say whether a URI is of a public vocabulary and so names nobody."""
        return isinstance(uri, str) and uri.startswith(self.public)


@cache
def load_schema() -> Schema:
    """The elements of FHIR R4."""
    document = json.loads(_text("fhir_r4.json"))
    types = {
        name: {element: _element(text) for element, text in elements.items()}
        for name, elements in document["types"].items()
    }
    return Schema(types, frozenset(document["resources"]))


@cache
def load_rules() -> Rules:
    """The house rules."""
    table = tomllib.loads(_text("fhir_rules.toml"))
    return Rules(
        public=tuple(table["public"]),
        extensions=table["extensions"],
        types=table["types"],
        names=table["names"],
        elements=table["elements"],
        refused=table["refused"],
        dropped_identifier_types=frozenset(table["dropped_identifier_types"]),
        dropped_identifier_systems=tuple(table["dropped_identifier_systems"]),
        address_parts=tuple(table["address_parts"]),
        person_types=frozenset(table["person_types"]),
        patient_elements=tuple(table["patient_elements"]),
    )


def _element(text: str) -> Element:
    many = text.endswith("*")
    bare = text.rstrip("*")
    return Element(bare.rstrip("!"), bare.endswith("!"), many)


def _text(name: str) -> str:
    return files("hdex.deid").joinpath(f"data/{name}").read_text("utf-8")
