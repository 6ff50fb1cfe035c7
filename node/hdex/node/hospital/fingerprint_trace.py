"""Which buyer's copy is this? A leaked table held against one release and the fingerprints of everybody who has it.

Nobody is named below z = 6: by chance one innocent buyer in sixty million reaches it. Who copied together with others,
and averaged, is named with the others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from hdex.catalog.product import DataProduct
from hdex.node.documents import Document
from hdex.node.fingerprint import NAMED_FROM, Grains, Secrets, names, told_cells, weights
from hdex.node.fingerprint_match import align
from hdex.node.hospital.clauses import FINGERPRINT


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a fingerprinted copy, under which contract."""

    contract: str
    consumer: str


@dataclass(frozen=True, slots=True)
class Copied:
    """One release that left in copies: how it may be marked, what chose its cells, who holds one."""

    grains: Grains
    secrets: Secrets
    holders: tuple[Holder, ...]


def holders_of(product: DataProduct, contracts: Iterable[Mapping[str, Any]]) -> tuple[Holder, ...]:
    """Return who agreed to a fingerprinted copy of this version. contracts: the hospital's records of them."""
    found = []
    for record in contracts:
        agreement = record["agreement"]["document"] if record.get("agreement") else {}
        same = (agreement.get("product"), agreement.get("version")) == (product.id, product.version)
        if same and agreement.get("clauses", {}).get(FINGERPRINT):
            found.append(Holder(str(record["contract_id"]), str(agreement["consumer"])))
    return tuple(found)


def verdict(table: pl.DataFrame, release: pl.DataFrame, copied: Copied) -> Document:
    """Return {"pairs", "threshold", "named": [...], "likeliest"}: each with contract, consumer and z.

    pairs: how many pairs of marked cells the table tells of; 0 where none of its rows could be found in the release.
    """
    seen = align(table, release, copied.grains)
    found = weights(table, release, seen, copied.grains, copied.secrets)
    keys = {holder.contract: copied.secrets.buyer(holder.contract) for holder in copied.holders}
    consumers = {holder.contract: holder.consumer for holder in copied.holders}
    told: list[Document] = [
        {"contract": contract, "consumer": consumers[contract], "z": round(z, 2)} for contract, z in names(keys, found)
    ]
    return {
        "pairs": told_cells(found),
        "threshold": NAMED_FROM,
        "named": [one for one in told if float(one["z"]) >= NAMED_FROM],
        "likeliest": told[0] if told else {},
    }
