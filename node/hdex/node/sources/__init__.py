"""What hospitals export -> tables of text with provenance: CSV of any dialect, Parquet, FHIR R4."""

from hdex.node.sources.errors import (
    ConsentInvalid,
    MappingIncomplete,
    MappingInvalid,
    OverrideInvalid,
    SourceBroken,
    SourceError,
    SourceUnknown,
    ViewImpossible,
    ViewInvalid,
)
from hdex.node.sources.export import Dialect, Export, Limits, Override, Table
from hdex.node.sources.read import read_export

__all__ = [
    "ConsentInvalid",
    "Dialect",
    "Export",
    "Limits",
    "MappingIncomplete",
    "MappingInvalid",
    "Override",
    "OverrideInvalid",
    "SourceBroken",
    "SourceError",
    "SourceUnknown",
    "Table",
    "ViewImpossible",
    "ViewInvalid",
    "read_export",
]
