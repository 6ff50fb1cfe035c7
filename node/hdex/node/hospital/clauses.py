"""The clauses that a provider writes into an agreement, by delivery mode: what the node will count and hold to."""

from collections.abc import Mapping
from typing import Any

from hdex.catalog.product import DataProduct, DeliveryMode

Clause = str | int | float | bool | None
FINGERPRINT, PER_BUYER = "fingerprint", "per_buyer"
VALUES_DIGEST = "values_digest"
QUERIES, RUNS = "queries", "enclave_runs"
REGULATORY = "HDEX:regulatory-submission"
QUERIES_AGREED, RUNS_AGREED = 100, 20  # unless a product says otherwise
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
    clauses = dict(ALWAYS)
    if mode == DeliveryMode.SEALED_FILE and product.release is not None:
        if purpose == REGULATORY:
            clauses[VALUES_DIGEST] = product.release.sha256
        elif any(column.fingerprint_step for column in product.columns):
            clauses[FINGERPRINT] = PER_BUYER
    if mode == DeliveryMode.QUERY:
        clauses[QUERIES] = QUERIES_AGREED
    if mode == DeliveryMode.ENCLAVE:
        clauses[RUNS] = RUNS_AGREED
    return clauses
