"""What a site contributes and what a study may ask: minimum sites, rows, events per parameter, parameters per row.

The stricter of site and study wins. A message names the rule and the limit, never the count found: a count below the
limit is itself what the rule protects.
"""

from dataclasses import dataclass

from hdex.federated.errors import DisclosureRefused


@dataclass(frozen=True, slots=True)
class Limits:
    """The floor of one site or study."""

    min_sites: int = 3
    min_rows: int = 10
    max_parameter_share: float = 0.1  # parameters / observations
    min_events_per_parameter: float = 10.0

    def stricter(self, other: "Limits") -> "Limits":
        """Return the limits that satisfy both."""
        return Limits(
            max(self.min_sites, other.min_sites),
            max(self.min_rows, other.min_rows),
            min(self.max_parameter_share, other.max_parameter_share),
            max(self.min_events_per_parameter, other.min_events_per_parameter),
        )


@dataclass(frozen=True, slots=True)
class Breach:
    """One rule that does not hold."""

    rule: str  # min_sites, min_rows, parameter_share, events_per_parameter
    detail: str


def local_breaches(n: int, events: int, p: int, limits: Limits) -> list[Breach]:
    """Return what a site's rows break.

    n: complete rows. events: rows in the smaller outcome class. p: parameters, intercept included.
    """
    found = []
    if n < limits.min_rows:
        found.append(Breach("min_rows", f"fewer than {limits.min_rows} complete rows"))
    if p > limits.max_parameter_share * n:
        detail = f"{p} parameters are more than {limits.max_parameter_share:g} per row"
        found.append(Breach("parameter_share", detail))
    if events < limits.min_events_per_parameter * p:
        detail = f"fewer than {limits.min_events_per_parameter:g} events for each of {p} parameters"
        found.append(Breach("events_per_parameter", detail))
    return found


def site_breaches(sites: int, limits: Limits) -> list[Breach]:
    """Return what a roster of `sites` breaks."""
    if sites >= limits.min_sites:
        return []
    return [Breach("min_sites", f"{sites} sites; at least {limits.min_sites} are needed")]


def check_sites(sites: int, limits: Limits) -> None:
    """Raise DisclosureRefused when the roster is too small."""
    for breach in site_breaches(sites, limits):
        raise DisclosureRefused(breach.rule, breach.detail)
