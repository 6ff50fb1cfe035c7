"""What an agreement says before it is signed: its term, its clauses, whether it may take another contract's place."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from hdex.catalog.contract import Agreement, ConsumerKeys, State
from hdex.catalog.contract_life import LIVE, LifeState
from hdex.catalog.product import DataProduct, DeliveryMode
from hdex.catalog.quote import ordered_price
from hdex.ledger.event import format_time
from hdex.node.contract_record import ORDER, RENEWS, UNTIL, ContractRecord, order_of
from hdex.node.directory import Member
from hdex.node.errors import AccessDenied
from hdex.node.hospital.clauses import clauses_of, deliveries_of
from hdex.node.hospital.contract_gate import Passage

TERM_DAYS = 365
SAME = ("product", "version", "provider", "manifest_digest", "consumer", "delivery_mode")  # in a renewal


def draft(
    record: ContractRecord, product: DataProduct, passage: Passage, *, consumer: Member, now: datetime
) -> Agreement:
    """Return the agreement that answers a request."""
    asked = record.asked
    renews = {RENEWS: asked[RENEWS]} if RENEWS in asked else {}
    return Agreement(
        id=f"agreement-{record.contract_id}",
        request_id=record.contract_id,
        product=product.id,
        version=product.version,
        manifest_digest=asked["manifest_digest"],
        provider=product.provider.id,
        consumer=consumer.id,
        consumer_keys=ConsumerKeys(consumer.sign_key.hex(), consumer.hpke_key.hex()),
        purpose=asked["access"]["purpose"],
        delivery_modes=(DeliveryMode(asked["delivery_mode"]),),
        expires=ends(product, now, passage.until, asked.get(UNTIL)),
        issued=format_time(now),
        price=ordered_price(product, order_of(asked)),
        columns=order_of(asked).columns,
        quota=product.quota,
        max_rounds=asked["max_rounds"],
        max_deliveries=deliveries_of(product, asked),
        clauses={**clauses_of(product, asked), **(passage.clauses or {}), **renews},
    )


def ends(product: DataProduct, now: datetime, until: datetime | None = None, asked: str | None = None) -> str:
    """Return when an agreement of today ends: after a year, with the product's terms, the use approved, or as asked."""
    limits = [now + timedelta(days=TERM_DAYS), *([until] if until else [])]
    limits += [datetime.fromisoformat(asked)] if asked else []
    if product.terms.expires:
        limits.append(datetime.fromisoformat(product.terms.expires))
    return format_time(min(limits))


def is_standing(record: ContractRecord, now: datetime) -> bool:
    """Return whether a licence is agreed and has not ended."""
    if record.agreement is None or record.revoked or record.state == State.TERMINATED:
        return False
    if record.lives is not None and record.lives not in LIVE:
        return False
    return now < datetime.fromisoformat(record.agreement["document"]["expires"])


def require_renewable(before: ContractRecord | None, asked: Mapping[str, Any], expires: str) -> None:
    """Raise AccessDenied unless a request may take the place of the contract it names.

    Same terms, another term and other counts. expires: when the new agreement would end.
    """
    if before is None or before.asked["consumer"] != asked["consumer"] or before.agreement is None:
        raise AccessDenied("renewal.unknown", "name a contract of your own at this provider", "there is none to renew")
    if before.lives is not LifeState.ACTIVE:
        found = before.lives.value if before.lives else before.state
        raise AccessDenied("renewal.ended", "ask for a new contract", f"the contract to renew is {found}, not ACTIVE")
    wrong = [name for name in SAME if before.asked[name] != asked[name]]
    wrong += [] if timeless(before.asked["access"]) == timeless(asked["access"]) else ["access"]
    wrong += [] if before.asked.get(ORDER) == asked.get(ORDER) else [ORDER]
    if wrong:
        raise AccessDenied("renewal.terms", "ask for a new contract", f"the renewal asks for another {wrong[0]}")
    if expires <= str(before.agreement["document"]["expires"]):
        says = f"the renewal would end at {expires}, no later than the contract"
        raise AccessDenied("renewal.period", "have access approved for a longer period first", says)


def timeless(access: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked of the terms without the moment at which it was asked."""
    return {name: value for name, value in access.items() if name != "at"}
