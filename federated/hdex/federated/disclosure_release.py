"""The verdict on a study's result before it is released: one document whose digest stands in the coordinator's log."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import rfc8785

from hdex.federated.disclosure import Breach, Limits, local_breaches, site_breaches
from hdex.federated.disclosure_regimes import Regime
from hdex.federated.disclosure_rules import regression_breaches
from hdex.federated.errors import DisclosureRefused
from hdex.federated.study import Study


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which floors were asked of which study, and what broke them; a count is never in it."""

    study_digest: str
    floors: Regime
    breaches: tuple[Breach, ...]

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "study_digest": self.study_digest,
            "floors": asdict(self.floors),
            "breaches": [asdict(breach) for breach in self.breaches],
        }

    def digest(self) -> str:
        """Return SHA-256 of the canonical document as hex."""
        return hashlib.sha256(rfc8785.dumps(self.document())).hexdigest()

    def require(self) -> None:
        """Raise DisclosureRefused with the first rule that does not hold."""
        for breach in self.breaches:
            raise DisclosureRefused(breach.rule, breach.detail)


def verdict(study: Study, result: Mapping[str, Any], floors: Regime) -> Verdict:
    """Return what may be said of a result: sites, rows, events and degrees of freedom behind its coefficients.

    result: the document of a StudyResult. The stricter of site and study wins at the sites; here the pooled numbers
    are held against the regime.
    """
    found = site_breaches(len(study.sites), Limits(min_sites=max(floors.min_sites, study.min_sites)))
    parameters = len(result.get("coefficients", ()))
    if parameters:
        n, events = int(result["n"]), int(result["events"])
        limits = Limits(
            min_rows=floors.min_rows,
            max_parameter_share=floors.parameter_share,
            min_events_per_parameter=floors.events_per_parameter,
        )
        rarer = min(events, n - events) if study.kind == "logistic" else events  # others count deaths, events or rows
        found += local_breaches(n, rarer, parameters, limits)
        found += regression_breaches(n, parameters, floors)
    return Verdict(study.digest(), floors, tuple(found))
