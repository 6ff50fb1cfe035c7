"""Local tables -> common model: a mapping proposed by machine, read and signed by a steward, applied by polars."""

from hdex.node.harmonize.apply import Common, TableCounts, apply
from hdex.node.harmonize.mapping import Conversion, FieldMap, Mapping, TableMap
from hdex.node.harmonize.propose import propose

__all__ = ["Common", "Conversion", "FieldMap", "Mapping", "TableCounts", "TableMap", "apply", "propose"]
