"""Where a hospital asks what the terms of a product permit: at the contract, and again at each access.

One decision service (hdex.catalog.terms, licence) answers the page, the contract and the access; what it says is an
attribute of what is asked for, so that the policies of authz (Cedar) refuse what the terms do not permit.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from hdex.catalog.contract import Agreement
from hdex.catalog.documents import from_document
from hdex.catalog.licence import Access, decide_access, limits_of
from hdex.catalog.product import DataProduct
from hdex.catalog.terms import AccessRequest, Outcome, TermsDecision, decide
from hdex.ledger.event import format_time
from hdex.node.authz import Authorizer
from hdex.node.errors import AccessDenied
from hdex.node.identity import Identity

DELIVER = "HospitalService.Deliver"  # action of the policies


class TermsGate:
    """Answers for one hospital. An applicant's own clock never counts: it could stand before the terms' end."""

    def __init__(self, hospital: str, authorizer: Authorizer, clock: Callable[[], datetime]) -> None:
        self._hospital = hospital
        self._authorizer = authorizer
        self._clock = clock

    def consider(self, product: DataProduct, asked: Mapping[str, Any]) -> TermsDecision:
        """Return the terms' answer to a request for a contract."""
        return decide(product.terms, self._request(asked))

    def require(self, product: DataProduct, agreement: Agreement, asked: Mapping[str, Any], access: Access) -> None:
        """Raise AccessDenied unless terms and agreement permit this access now, and the policies let them."""
        found = decide_access(product.terms, agreement, self._request(asked), access)
        if found.outcome is not Outcome.PERMITTED:
            raise AccessDenied(found.rule, found.next_step, found.why.en + counted(agreement, access, found.rule))
        consumer = agreement.consumer
        holder = Identity(f"urn:hdex:buyer:{consumer}", "buyer", consumer)  # on whose behalf, whoever carries it
        resource: dict[str, str | int] = {
            "kind": "hospital",
            "participant": self._hospital,
            "level": product.level,
            "terms": found.outcome.value,
        }
        self._authorizer.decide(holder, DELIVER, resource).require()

    def _request(self, asked: Mapping[str, Any]) -> AccessRequest:
        access = from_document(AccessRequest, asked["access"], "access")
        return replace(access, at=format_time(self._clock()))


def counted(agreement: Agreement, access: Access, rule: str) -> str:
    """Return how much was agreed and used, where a rule is about a count; else nothing."""
    name = rule.removeprefix("agreement.")
    most = limits_of(agreement).get(name)
    if most is None:
        return ""
    return f" Agreed: {most:f}, used: {access.used.get(name, 0):g}, asked: {access.takes.get(name, 0):g}."
