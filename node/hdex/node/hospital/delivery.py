"""Sealed delivery, range by range: each range is authorised anew and remembered before its first byte leaves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from hdex.catalog.contract import Agreement, agreement_digest
from hdex.catalog.product import DeliveryMode
from hdex.ledger.log import Receipt
from hdex.node.access_proof import AccessProof
from hdex.node.container import Header, Sealer, pieces, plaintext_root
from hdex.node.contract_record import ContractRecord, named
from hdex.node.directory import Directory
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, NotFound
from hdex.node.failpoint import failpoint
from hdex.node.hospital.delivery_quota import DeliveryQuota
from hdex.node.hospital.fingerprints import Fingerprints, is_agreed
from hdex.node.hospital.negotiation import Negotiations
from hdex.node.hospital.products import Products
from hdex.node.hospital.released import release_name, require_consent
from hdex.node.hospital.usage_book import UsageBook
from hdex.node.identity import Identity
from hdex.node.keys import KeyProvider
from hdex.node.meter import Meter
from hdex.node.recorder import Recorder
from hdex.node.signed import Envelope, key_id, verify
from hdex.node.vault import Vault


@dataclass(frozen=True, slots=True)
class Pace:
    """How a delivery is cut."""

    chunk_bytes: int
    chunks_per_range: int


@dataclass(frozen=True, slots=True)
class Shipment:
    """One authorised range: the container's beginning, the proof that it stands in the log, the sealed chunks."""

    header: bytes
    proof: AccessProof
    chunks: Iterator[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Store:
    """Where what is delivered lies, and the keys that seal it."""

    vault: Vault
    keys: KeyProvider
    documents: Documents


class Delivery:
    """Delivers released files of this hospital's products."""

    def __init__(
        self, store: Store, negotiations: Negotiations, products: Products, *,
        directory: Directory, recorder: Recorder, meter: Meter, book: UsageBook, pace: Pace,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._store = store
        self._negotiations = negotiations
        self._products = products
        self._directory = directory
        self._recorder = recorder
        self._meter = meter
        self._pace = pace
        self._quota = DeliveryQuota(store.documents, book)
        self._book = book
        self._fingerprints = Fingerprints(store.vault, store.keys)
        self._clock = clock

    def range(self, contract_id: str, first_chunk: int, actor: Identity) -> Shipment:
        """Return the range that begins at `first_chunk`, or raise and deliver nothing; a refusal is an event."""
        with self._recorder.refusals("export", actor, contract=contract_id):
            begins = {"deliveries": 0 if self._book.is_delivering(contract_id) else 1}
            record, agreement = self._negotiations.require_live(
                contract_id, DeliveryMode.SEALED_FILE, actor.participant, begins
            )
            sealer = self._sealer(record, agreement)  # its product, version and file are those agreed
            if not 0 <= first_chunk < sealer.header.chunks:
                raise AccessDenied("range.beyond", "ask from 0 on", f"the delivery has {sealer.header.chunks} chunks")
            stop = min(first_chunk + self._pace.chunks_per_range, sealer.header.chunks)
            receipt = self._remembered(record, agreement, sealer.header, (first_chunk, stop), actor)
        failpoint("delivery.range.logged")
        return Shipment(sealer.prologue, self._recorder.proof(receipt), self._chunks(sealer, first_chunk, stop))

    def _remembered(
        self, record: ContractRecord, agreement: Agreement, header: Header, chunks: tuple[int, int], actor: Identity
    ) -> Receipt:
        """Remember a range, durably, before anything of it is sealed, let alone sent, unless a quota is used up."""
        first, stop = chunks
        size = min(stop * header.chunk_bytes, header.bytes) - first * header.chunk_bytes
        rows = 0 if self._book.is_delivering(record.contract_id) else header.rows
        with (
            self._book.delivering(record.contract_id, agreement.quota, rows=header.rows, size=size),
            self._quota.taking(agreement, stop - first, of=header.chunks),
        ):
            takes = {"rows": rows, "bytes": size}
            self._negotiations.require_takes(record, agreement, DeliveryMode.SEALED_FILE, takes)
            return self._recorder.allow(
                "export",
                actor,
                product=agreement.product,
                version=agreement.version,
                contract=record.contract_id,
                grant=record.grant_id,
                purpose=agreement.purpose,
                rows=header.rows,
                fields=stop - first,
                bytes=size,
                result_digest=header.root,
            )

    def acknowledge(self, envelope: Envelope, actor: Identity) -> Document:
        """Keep the consumer's signed receipt of a complete delivery."""
        contract_id = named(envelope, "contract_id")
        with self._recorder.refusals("delivery.acknowledge", actor, contract=contract_id):
            receipt = verify("receipt", envelope, self._directory.sign_keys(actor.participant))
            record, agreement = self._negotiations.require_live(
                contract_id, DeliveryMode.SEALED_FILE, actor.participant
            )
            said = (receipt.get("agreement_digest"), receipt.get("root"))
            if said != (agreement_digest(agreement.document()), self._sealer(record, agreement).header.root):
                raise AccessDenied("receipt.other", "sign what was delivered", "the receipt is for another delivery")
            with self._recorder.release(
                "delivery.acknowledge", actor, product=agreement.product, contract=contract_id, grant=record.grant_id
            ):
                self._quota.acknowledged(contract_id, envelope)
        return {"contract_id": contract_id, "acknowledged": True}

    def _chunks(self, sealer: Sealer, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield sealed chunks; count those that left once the range is over, or whoever receives it is gone."""
        count = size = 0
        try:
            for index in range(start, stop):
                chunk = sealer.chunk(index)
                count, size = count + 1, size + len(chunk)
                failpoint("delivery.chunk")
                yield index, chunk
        finally:
            if count:
                self._meter.add("sealed file", size, count=count)

    def _sealer(self, record: ContractRecord, agreement: Agreement) -> Sealer:
        held = self._products.serving(agreement.product, agreement.manifest_digest, self._clock())
        require_consent(self._store.documents, held)
        product = held.product
        if not product.allows(DeliveryMode.SEALED_FILE) or product.release is None:
            raise AccessDenied(
                f"level.{product.level}.no_sealed_file", "use the federated way", "no file of this leaves"
            )
        if (product.id, product.version) != (agreement.product, agreement.version):
            raise AccessDenied("agreement.version", "agree on this version", "another version is offered than agreed")
        dataset, name = self._products.dataset(product.id), release_name(product.version)
        size, fingerprint = product.release.bytes, ""
        if is_agreed(agreement):
            copy = self._fingerprints.copy(dataset, product, agreement, released=name)
            name, size, fingerprint = copy.name, copy.bytes, copy.commitment
        consumer = self._directory.member(agreement.consumer)
        if consumer.hpke_key.hex() != agreement.consumer_keys.hpke_key:
            raise AccessDenied(
                "agreement.keys", "agree anew with the new key", "the consumer's key is not the agreed one"
            )

        def source(start: int, length: int) -> bytes:
            return self._store.vault.read_range(dataset, name, start, length)

        header = Header(
            product=product.id,
            version=product.version,
            contract=record.contract_id,
            provider=agreement.provider,
            consumer=agreement.consumer,
            consumer_key_id=key_id(consumer.hpke_key),
            bytes=size,
            root=self._root(dataset, name, size, source),
            rows=self._rows(dataset, product.version),
            columns=tuple(column.name for column in product.columns),
            expires=agreement.expires,
            chunk_bytes=self._pace.chunk_bytes,
            fingerprint=fingerprint,
        )
        sign_key, secret = self._store.keys.secret("sign"), self._store.keys.secret("delivery")
        return Sealer(header, source, to=consumer.hpke_key, sign_key=sign_key, secret=secret)

    def _rows(self, dataset: str, version: str) -> int:
        """Return the exact number of rows: the manifest tells tens, the consumer's header what is in the file."""
        return int(self._store.documents.get("release", f"{dataset}/{version}")["records"])

    def _root(self, dataset: str, name: str, size: int, source: Callable[[int, int], bytes]) -> str:
        """Return the plaintext's Merkle root; computed once a release, kept beside it."""
        key = f"{dataset}/{name}/{self._pace.chunk_bytes}"
        try:
            known = self._store.documents.get("release_root", key)
        except NotFound:
            known = {"key": key, "root": plaintext_root(pieces(source, size, self._pace.chunk_bytes))}
            self._store.documents.put("release_root", key, known)
        return str(known["root"])
