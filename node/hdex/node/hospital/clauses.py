"""The clauses that a provider writes into an agreement, by delivery mode: what the node will count and hold to."""

from collections.abc import Mapping
from typing import Any

from hdex.catalog.attestation import DELETION_DAYS, DERIVED
from hdex.catalog.limits import Limits
from hdex.catalog.product import DataProduct, DeliveryMode

Clause = str | int | float | bool | None
FINGERPRINT, PER_BUYER = "fingerprint", "per_buyer"
VALUES_DIGEST = "values_digest"
QUESTIONS, RUNS, EPSILON = "queries", "enclave_runs", "epsilon"
REGULATORY = "HDEX:regulatory-submission"
QUESTIONS_AGREED, RUNS_AGREED, DELETION_AGREED = 100, 20, 30  # unless the product's `limits` say otherwise
SHARE_DAYS_AGREED = 366  # days on which a share may be read: every day of a contract's longest term
ROWS_LEAVE = (DeliveryMode.SEALED_FILE, DeliveryMode.DOWNLOAD)
NOTHING = Limits()
ALWAYS: Mapping[str, Clause] = {
    "re_identification": "prohibited",
    "redistribution": "prohibited",
    "breach_notice_hours": 24,
}


def clauses_of(product: DataProduct, asked: Mapping[str, Any]) -> dict[str, Clause]:
    """Return the clauses of the agreement that answers a request.

    A submission to a regulator is held against a digest of values: it gets that digest, and no fingerprint.
    """
    mode, purpose = DeliveryMode(asked["delivery_mode"]), str(asked["access"]["purpose"])
    limits, clauses = product.limits or NOTHING, dict(ALWAYS)
    if mode == DeliveryMode.SEALED_FILE and product.release is not None:
        if purpose == REGULATORY:
            clauses[VALUES_DIGEST] = product.release.sha256
        elif any(column.fingerprint_step for column in product.columns):
            clauses[FINGERPRINT] = PER_BUYER
    if mode in ROWS_LEAVE:
        clauses[DELETION_DAYS] = or_default(limits.deletion_days, DELETION_AGREED)
        clauses[DERIVED] = "aggregates and models that hold no row may be kept"
    if mode == DeliveryMode.QUERY:
        clauses[QUESTIONS] = or_default(limits.queries, QUESTIONS_AGREED)
    if mode == DeliveryMode.ENCLAVE:
        clauses[RUNS] = or_default(limits.enclave_runs, RUNS_AGREED)
    if limits.epsilon is not None and mode in (DeliveryMode.QUERY, DeliveryMode.FEDERATED):
        clauses[EPSILON] = limits.epsilon
    return clauses


def deliveries_of(product: DataProduct, asked: Mapping[str, Any]) -> int:
    """Return how many deliveries an agreement has: complete files, or days on which a share is read."""
    is_share = asked["delivery_mode"] == DeliveryMode.DOWNLOAD
    return product.max_deliveries or (SHARE_DAYS_AGREED if is_share else 1)


def or_default(said: int | None, default: int) -> int:
    """Return what a product says, or the default where it says nothing; 0 is something."""
    return default if said is None else said
