"""How much one contract may ask for, as the provider offers it; each becomes a clause of the agreement."""

import math
from dataclasses import dataclass

from hdex.catalog.errors import ProductInvalid

MOST = 10**6
LONGEST_DAYS = 3650


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is absent has the default of the provider's node.

    queries: different questions; enclave_runs: scripts; epsilon: of noise, over all questions or studies.
    deletion_days: within how many days after the end of a contract deletion is attested.
    """

    queries: int | None = None
    enclave_runs: int | None = None
    epsilon: float | None = None
    deletion_days: int | None = None


def check_limits(limits: Limits) -> None:
    """Raise ProductInvalid for a limit that is none."""
    counts = (("queries", limits.queries, MOST), ("enclave_runs", limits.enclave_runs, MOST))
    for name, count, most in (*counts, ("deletion_days", limits.deletion_days, LONGEST_DAYS)):
        if count is not None and not 0 <= count <= most:
            raise ProductInvalid(f"limits.{name}: 0 to {most} is asked")
    if limits.epsilon is not None and not (math.isfinite(limits.epsilon) and limits.epsilon > 0):
        raise ProductInvalid("limits.epsilon: a number above 0 is asked")
