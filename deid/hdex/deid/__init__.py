"""De-identification: removes identifiers, measures the risk that is left. Knows no network, no money."""

from hdex.deid.columns import Category, ColumnProfile, LevelDecision, Role
from hdex.deid.errors import DeidError, RiskTooHigh

__all__ = ["Category", "ColumnProfile", "DeidError", "LevelDecision", "RiskTooHigh", "Role"]
