"""A trace, wired: the hospital's own records, opened to read only, so that its node may run or not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from hdex.node.compose.standing import now
from hdex.node.config import HospitalConfig
from hdex.node.databases import reading
from hdex.node.doctor import open_keys
from hdex.node.documents import Document
from hdex.node.errors import IdentityRefused
from hdex.node.hospital.fingerprint_trace import Copied, holders_of
from hdex.node.hospital.fingerprints import grains_of, secrets_of
from hdex.node.hospital.products import held_of
from hdex.node.hospital.released import release_name
from hdex.node.hospital.tracing import Records
from hdex.node.identity import Identity, check_issued, check_peer
from hdex.node.pki import read_denied
from hdex.node.vault import Vault


def open_records(config: HospitalConfig) -> Records:
    """Return what a hospital remembers of its releases and deliveries."""
    keys = open_keys(config.identity)
    vault = Vault(config.data_dir / "vault", keys)

    def documents(kind: str) -> list[Document]:
        with reading(config.data_dir / "documents.db") as opened:
            rows = opened.execute("SELECT json FROM documents WHERE kind = ? ORDER BY position", (kind,)).fetchall()
        return [json.loads(text) for (text,) in rows]

    def events() -> Iterator[dict[str, Any]]:
        for path in [config.data_dir / "log.db", *sorted(config.data_dir.glob("log-????.db"))]:
            with reading(path) as opened:
                for (body,) in opened.execute("SELECT body FROM leaf ORDER BY position"):
                    yield json.loads(body)

    def released(dataset: str, version: str) -> pl.DataFrame:
        return vault.read_frame(dataset, release_name(version))

    def copied(dataset: str, version: str) -> Copied | None:
        held = [one for one in map(held_of, documents("product_version")) if one.dataset == dataset]
        for product in (one.product for one in held if one.product.version == version):
            if (grains := grains_of(product)) and (holders := holders_of(product, documents("contract"))):
                return Copied(grains, secrets_of(keys, product), holders)
        return None

    return Records(documents, events, released, config.id, keys.public("sign"), copied)


def require_staff(config: HospitalConfig, desk: Path) -> Identity:
    """Return who sits at a desk: a person of this hospital, now. Raises IdentityRefused."""
    try:
        pem, ca = (desk / "staff.pem").read_bytes(), config.identity.ca.read_bytes()
    except OSError as error:
        raise IdentityRefused(f"the desk {desk} holds no certificate that can be read") from error
    check_issued(pem, ca)
    denied = read_denied(config.identity.denied)
    person = check_peer(pem, trust_domain=config.trust_domain, now=now(), denied=denied)
    if (person.kind, person.participant) != ("hospital", config.id) or not person.role:
        raise IdentityRefused(f"the certificate is not of a person of {config.id}")
    return person
