"""The mapping: which column of which table of one hospital feeds which field of the common model.

A document a steward reads, edits and signs: TOML on disk, canonical JSON (RFC 8785) for its digest.
"""

import hashlib
import tomllib
from collections.abc import Mapping as ReadMapping
from dataclasses import dataclass
from dataclasses import field as declared

import rfc8785
import tomli_w

from hdex.node.harmonize.model import ENUMS, MODEL, Kind, fields_of
from hdex.node.sources.dates import order_of
from hdex.node.sources.errors import MappingInvalid

FORMAT = "hdex-mapping/1"


@dataclass(frozen=True, slots=True)
class FieldMap:
    """How one field is filled: from columns (joined by a blank), or by a constant."""

    field: str
    columns: tuple[str, ...] = ()
    constant: str | None = None
    pattern: str | None = None  # of dates, such as MM/DD/YYYY
    decimal: str = "."
    values: dict[str, str] = declared(default_factory=dict)  # hospital's word -> model's word
    confidence: float = 1.0
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversion:
    """How values of one concept in one unit become the model's unit: value * factor + offset."""

    code: str
    unit: str
    to: str
    factor: float
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class TableMap:
    """How one exported table feeds one model table."""

    model: str
    source: str
    fields: tuple[FieldMap, ...]
    unmapped: tuple[str, ...] = ()  # columns of the source that feed nothing: listed, never dropped silently
    conversions: tuple[Conversion, ...] = ()
    confidence: float = 1.0
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.model not in MODEL:
            raise MappingInvalid(f"the common model has no table {self.model!r}; it has {', '.join(MODEL)}")
        known = fields_of(self.model)
        for entry in self.fields:
            _check(self.model, entry, known[entry.field].kind if entry.field in known else None)
        if len({entry.field for entry in self.fields}) != len(self.fields):
            raise MappingInvalid(f"{self.model} from {self.source}: a field is mapped twice")


@dataclass(frozen=True, slots=True)
class Mapping:
    """All of one hospital: its tables, and those that feed nothing."""

    name: str
    version: int
    tables: tuple[TableMap, ...]
    unmapped_tables: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        """Return the mapping as JSON values."""
        return {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "unmapped_tables": list(self.unmapped_tables),
            "table": [_table_document(table) for table in self.tables],
        }

    def digest(self) -> str:
        """Return the SHA-256 (hex) that a steward signs."""
        return hashlib.sha256(rfc8785.dumps(self.document())).hexdigest()  # type: ignore[arg-type]  # JSON values

    def to_toml(self) -> str:
        """Return the mapping as the file a steward edits."""
        return tomli_w.dumps(self.document(), multiline_strings=False)

    @staticmethod
    def from_toml(text: str) -> "Mapping":
        """Return the mapping a TOML file holds. Raises MappingInvalid."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise MappingInvalid("the mapping is not a TOML document") from error
        return Mapping.from_document(document)

    @staticmethod
    def from_document(document: ReadMapping[str, object]) -> "Mapping":
        """Return the mapping a document holds. Unknown keys are errors."""
        _only(document, {"format", "name", "version", "unmapped_tables", "table"}, "the mapping")
        if document.get("format") != FORMAT:
            raise MappingInvalid(f"the mapping is not of format {FORMAT}")
        try:
            tables = tuple(_table(entry) for entry in _dicts(document["table"]))
            return Mapping(
                str(document["name"]), int(str(document["version"])), tables, _words(document, "unmapped_tables")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MappingInvalid(f"the mapping lacks a key or holds a wrong type: {type(error).__name__}") from error


def _check(model: str, entry: FieldMap, kind: Kind | None) -> None:
    place = f"{model}.{entry.field}"
    if kind is None:
        raise MappingInvalid(f"the common model has no field {place}")
    if bool(entry.columns) == (entry.constant is not None):
        raise MappingInvalid(f"{place} needs either columns or a constant")
    if kind in (Kind.DATE, Kind.TIME) and entry.constant is None:
        try:
            order_of(entry.pattern or "")
        except ValueError as error:
            raise MappingInvalid(f"{place}: {error}") from error
    if kind is Kind.ENUM and set(entry.values.values()) - set(ENUMS[entry.field]):
        raise MappingInvalid(f"{place} takes only {', '.join(ENUMS[entry.field])}")


def _table_document(table: TableMap) -> dict[str, object]:
    return {
        "model": table.model,
        "source": table.source,
        "confidence": table.confidence,
        "evidence": list(table.evidence),
        "unmapped": list(table.unmapped),
        "field": {entry.field: _field_document(entry) for entry in table.fields},
        "conversion": [
            {"code": one.code, "unit": one.unit, "to": one.to, "factor": one.factor, "offset": one.offset}
            for one in table.conversions
        ],
    }


def _field_document(entry: FieldMap) -> dict[str, object]:
    found: dict[str, object] = {"columns": list(entry.columns)} if entry.columns else {}
    found |= {} if entry.constant is None else {"constant": entry.constant}
    found |= {} if entry.pattern is None else {"pattern": entry.pattern}
    found |= {} if entry.decimal == "." else {"decimal": entry.decimal}
    found |= {"confidence": entry.confidence, "evidence": list(entry.evidence)}
    return found | ({"values": dict(entry.values)} if entry.values else {})


def _table(entry: ReadMapping[str, object]) -> TableMap:
    _only(entry, {"model", "source", "confidence", "evidence", "unmapped", "field", "conversion"}, "a table")
    fields = entry["field"]
    if not isinstance(fields, dict):
        raise TypeError
    return TableMap(
        model=str(entry["model"]),
        source=str(entry["source"]),
        fields=tuple(_field(name, one) for name, one in fields.items()),
        unmapped=_words(entry, "unmapped"),
        conversions=tuple(_conversion(one) for one in _dicts(entry.get("conversion", []))),
        confidence=float(str(entry.get("confidence", 1.0))),
        evidence=_words(entry, "evidence"),
    )


def _field(name: str, entry: ReadMapping[str, object]) -> FieldMap:
    _only(entry, {"columns", "constant", "pattern", "decimal", "values", "confidence", "evidence"}, f"field {name}")
    values = entry.get("values", {})
    if not isinstance(values, dict):
        raise TypeError
    return FieldMap(
        field=name,
        columns=_words(entry, "columns"),
        constant=str(entry["constant"]) if "constant" in entry else None,
        pattern=str(entry["pattern"]) if "pattern" in entry else None,
        decimal=str(entry.get("decimal", ".")),
        values={str(key): str(value) for key, value in values.items()},
        confidence=float(str(entry.get("confidence", 1.0))),
        evidence=_words(entry, "evidence"),
    )


def _conversion(entry: ReadMapping[str, object]) -> Conversion:
    _only(entry, {"code", "unit", "to", "factor", "offset"}, "a conversion")
    factor, offset = float(str(entry["factor"])), float(str(entry.get("offset", 0.0)))
    return Conversion(str(entry["code"]), str(entry["unit"]), str(entry["to"]), factor, offset)


def _only(document: ReadMapping[str, object], known: set[str], place: str) -> None:
    if unknown := set(document) - known:
        raise MappingInvalid(f"{place} has unknown keys: {', '.join(sorted(unknown))}")


def _dicts(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise TypeError
    return value


def _words(document: ReadMapping[str, object], key: str) -> tuple[str, ...]:
    value = document.get(key, [])
    if not isinstance(value, list):
        raise TypeError
    return tuple(str(word) for word in value)
