"""The certificate of a release: what every column became, the risk before and after, the ceilings met. Plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from hdex.deid.attack import AttackResult
from hdex.deid.dossier import Dossier
from hdex.deid.policy import Policy
from hdex.deid.risk import RiskProfile
from hdex.deid.utility import Distribution
from hdex.deid.verify import Verification


@dataclass(frozen=True, slots=True)
class ColumnReport:
    """What one column was and what it became."""

    name: str
    role: str
    category: str
    level: int  # as classified
    action: str
    detail: str = ""  # level of the hierarchy, counts of what was redacted: never a value of a record


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One ceiling (or, for k, floor) of the preset, and what was found."""

    measure: str
    found: float
    asked: float
    is_met: bool


@dataclass(frozen=True, slots=True)
class ReleaseReport:
    """What was done to a table and what is left of its risk. `risk_after` is None where nothing leaves as rows."""

    policy: Policy
    level_before: int
    level_after: int
    reasons: tuple[str, ...]
    delivery_modes: tuple[str, ...]
    rows_before: int
    rows_after: int
    suppressed: int
    quasi: tuple[str, ...]
    sensitive: tuple[str, ...]
    columns: tuple[ColumnReport, ...]
    transformation: Mapping[str, int]
    heights: Mapping[str, int]  # levels each hierarchy has
    loss: float
    risk_before: RiskProfile
    risk_after: RiskProfile | None
    ceilings: tuple[Ceiling, ...]
    verification: Verification | None
    attack_before: AttackResult | None = None
    attack_after: AttackResult | None = None
    distributions: tuple[Distribution, ...] = ()
    redacted: Mapping[str, int] = field(default_factory=dict)  # identifier type -> spans replaced in notes
    residue: int = 0  # identifier values found in the output; a release with any is refused
    dossier: Dossier | None = None

    @property
    def columns_by_level(self) -> dict[str, int]:
        """Number of columns as classified, per level "1" to "5"."""
        counted = Counter(column.level for column in self.columns)
        return {str(level): counted.get(level, 0) for level in range(1, 6)}

    def to_dict(self) -> dict[str, object]:
        """As JSON values; its canonical bytes are what the ledger remembers the digest of."""
        return {
            "preset": self.policy.name,
            "policy": self.policy.to_dict(),
            "level_before": self.level_before,
            "level_after": self.level_after,
            "reasons": list(self.reasons),
            "delivery_modes": list(self.delivery_modes),
            "rows_before": self.rows_before,
            "rows_after": self.rows_after,
            "suppressed": self.suppressed,
            "quasi": list(self.quasi),
            "sensitive": list(self.sensitive),
            "columns": [plain(column) for column in self.columns],
            "columns_by_level": self.columns_by_level,
            "transformation": dict(self.transformation),
            "heights": dict(self.heights),
            "loss": self.loss,
            "risk_before": self.risk_before.to_dict(),
            "risk_after": None if self.risk_after is None else self.risk_after.to_dict(),
            "ceilings": [plain(ceiling) for ceiling in self.ceilings],
            "verification": None if self.verification is None else plain(self.verification),
            "attack_before": None if self.attack_before is None else self.attack_before.to_dict(),
            "attack_after": None if self.attack_after is None else self.attack_after.to_dict(),
            "distributions": [one.to_dict() for one in self.distributions],
            "redacted": dict(self.redacted),
            "residue": self.residue,
            "dossier": None if self.dossier is None else self.dossier.to_dict(),
        }


def plain(value: ColumnReport | Ceiling | Verification) -> dict[str, object]:
    """A flat dataclass as JSON values."""
    return {name: getattr(value, name) for name in value.__slots__}


def render_html(report: ReleaseReport, lang: str = "en") -> str:
    """The certificate as one self-contained HTML page in `lang` (en or zh); needs no network, prints on paper."""
    from hdex.deid.certificate import render

    return render(report, lang)
