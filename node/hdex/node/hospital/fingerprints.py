"""Copies of a release that differ by buyer, where product and contract say so: chosen, made once, kept, traced back.

Off unless the offer names columns. Never for a contract that promises the values of the manifest (a submission to a
regulator), nor where no file leaves. Only numbers that are no quasi-identifiers are marked, and k is measured again.
"""

import hashlib
import io
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import polars as pl

from hdex.catalog.contract import Agreement
from hdex.catalog.product import Column, DataProduct, Role
from hdex.deid.risk import measure
from hdex.node.errors import AccessDenied, AlreadyExists
from hdex.node.fingerprint import Grain, Secrets, marked
from hdex.node.hospital.clauses import FINGERPRINT, PER_BUYER, VALUES_DIGEST
from hdex.node.keys import KeyProvider
from hdex.node.stream import derive
from hdex.node.vault import Vault

NUMBERS = ("integer", "number")
MARKABLE = (Role.SENSITIVE, Role.OTHER)
MOST_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Copy:
    """One contract's copy: its name in the vault, its bytes, and what the header says of its fingerprint."""

    name: str
    bytes: int
    commitment: str


def with_steps(columns: Sequence[Column], asked: Sequence[str], frame: pl.DataFrame | None) -> tuple[Column, ...]:
    """Return the columns, those asked with the step of their fingerprint: one unit of their last published digit.

    Raises AccessDenied for a column that may not carry one: absent from the file, no number, a quasi-identifier.
    """
    known = {column.name: column for column in columns}
    for name in asked:
        column = known.get(name)
        in_file = frame is not None and name in frame.columns
        if column is None or not in_file or column.datatype not in NUMBERS or column.role not in MARKABLE:
            raise AccessDenied(
                "fingerprint.column",
                "name numbers of the file that are no quasi-identifiers",
                f"column {name[:60]!r} may not carry a fingerprint",
            )
        if column.decimals is None or column.decimals > MOST_DECIMALS:
            raise AccessDenied("fingerprint.decimals", "round the column first", f"{name[:60]!r} has no last digit")
    steps = {name: 10.0 ** -int(known[name].decimals or 0) for name in asked}
    return tuple(replace(one, fingerprint_step=steps.get(one.name)) for one in columns)


def grains_of(product: DataProduct) -> dict[str, Grain]:
    """Return how the columns of a product may be marked."""
    return {
        column.name: Grain(column.fingerprint_step, thresholds().get(column.concept or "", ()))
        for column in product.columns
        if column.fingerprint_step
    }


@cache
def thresholds() -> Mapping[str, tuple[float, ...]]:
    """Return the values that no mark reaches, by concept."""
    table = tomllib.loads(files("hdex.node").joinpath("fingerprint_thresholds.toml").read_text(encoding="utf-8"))
    return {concept: tuple(map(float, entry["at"])) for concept, entry in table.items()}


def is_agreed(agreement: Agreement) -> bool:
    """Return whether a contract names a fingerprint. Raises AccessDenied where it promises the exact values too."""
    agreed = agreement.clauses.get(FINGERPRINT) == PER_BUYER
    if agreed and VALUES_DIGEST in agreement.clauses:
        raise AccessDenied(
            "fingerprint.values_promised",
            "agree anew, without a fingerprint",
            "the contract promises the values by their digest",
        )
    return agreed


def secrets_of(keys: KeyProvider, product: DataProduct) -> Secrets:
    """Return what chooses the cells of a release."""
    release = product.release.sha256 if product.release else ""
    secret = derive(keys.secret("delivery"), salt=b"", info=b"hdex/fingerprint/v1")
    return Secrets(secret, bytes.fromhex(release))


def commitment(buyer_key: bytes) -> str:
    """Return what binds the provider to a buyer's key before any leak, and says nothing about it."""
    return hashlib.sha256(b"hdex/fingerprint/commitment/v1\n" + buyer_key).hexdigest()


class Fingerprints:
    """Makes and keeps the copies. `keys` hold the secret; the vault holds copies as it holds releases."""

    def __init__(self, vault: Vault, keys: KeyProvider) -> None:
        self._vault = vault
        self._keys = keys

    def copy(self, dataset: str, product: DataProduct, agreement: Agreement, *, released: str) -> Copy:
        """Return the copy of one contract, made at the first call: delivered again it is the same bytes.

        released: name of the release in the vault. Holds the release in memory while the copy is made.
        """
        contract = agreement.request_id
        name = copy_name(product.version, contract)
        secrets = secrets_of(self._keys, product)
        key = secrets.buyer(contract)
        if not self._vault.contains(dataset, name):
            frame = self._vault.read_frame(dataset, released)
            copy = marked(frame, grains_of(product), secrets, key)
            require_k(frame, copy, product)
            with suppress(AlreadyExists):  # another range of the same contract was first
                self._vault.put(dataset, name, parquet(copy))
        return Copy(name, self._vault.stat(dataset, name).size, commitment(key))


def require_k(frame: pl.DataFrame, copy: pl.DataFrame, product: DataProduct) -> None:
    """Raise AccessDenied where a copy's equivalence classes are smaller than the release's."""
    quasi = [one.name for one in product.columns if one.role == Role.QUASI and one.name in frame.columns]
    if quasi and measure(copy, quasi).k < measure(frame, quasi).k:
        raise AccessDenied("fingerprint.k", "tell the operator", "the fingerprint would make a class smaller")


def copy_name(version: str, contract: str) -> str:
    """Return the name under which the vault keeps a contract's copy."""
    return f"copy-{version}-{hashlib.sha256(contract.encode()).hexdigest()[:32]}.parquet"


def parquet(frame: pl.DataFrame) -> bytes:
    """Return a frame as Parquet bytes: the same frame, the same bytes."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()
