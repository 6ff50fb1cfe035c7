"""One Delta Sharing share per contract that allows download: profile, table, signed addresses of short life, bytes.

Only for products of level 1 and 2. The token names one contract and is kept as its digest; every request asks anew
whether the licence lives, every read of the file is an event before its first byte, and a long read asks again on its
way. A share holds one table with one version: releases are written once. Nobody acknowledges a share: the first read of
a version on a day is a delivery, and the log says which that is.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from hdex.catalog.product import DeliveryMode
from hdex.ledger.event import format_time
from hdex.node.directory import Directory
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied, IdentityRefused, NodeError, NotFound
from hdex.node.hospital.released import Opened, Released, release_name
from hdex.node.identity import Identity
from hdex.node.meter import Meter
from hdex.node.recorder import Recorder
from hdex.node.stream import derive
from hdex.node.vault import Vault

KIND = "share_token"
TOKEN_DAYS, ADDRESS_S = 30, 300
PIECE = 4 * 1024 * 1024  # bytes between two looks at the licence
HIGHEST_LEVEL = 2
SCHEMA = "release"
SPARK: dict[type[pl.DataType], str] = {
    pl.Boolean: "boolean", pl.Int8: "byte", pl.Int16: "short", pl.Int32: "integer", pl.Int64: "long",
    pl.Float32: "float", pl.Float64: "double", pl.Date: "date", pl.Datetime: "timestamp",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """What a share shows: its names, the columns as Spark writes them, the file's size and digest."""

    share: str
    name: str
    id: str
    schema: str
    bytes: int
    rows: int
    expires: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """The part of a file that a reader asks for: from `first` to `last`, which is None where it wants all that follows;
    a `first` below 0 counts from the end."""

    first: int = 0
    last: int | None = None

    def within(self, size: int) -> tuple[int, int]:
        """Return (start, stop) in a file of this size. Raises RangeOutside where nothing of it is asked."""
        start = max(0, size + self.first) if self.first < 0 else self.first
        stop = size if self.last is None else min(size, self.last + 1)
        if start >= stop:
            raise RangeOutside(size)
        return start, stop


WHOLE = Wanted()


class RangeOutside(NodeError):
    """Nothing of the file lies in the range asked."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size} bytes; the range asked begins behind them, or ends before it begins")
        self.size = size


@dataclass(frozen=True, slots=True)
class Reading:
    """A part of a file on its way: bytes from `start` to before `stop` of `size`."""

    start: int
    stop: int
    size: int
    pieces: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Files:
    """Where the released files lie, and what is counted of them."""

    released: Released
    vault: Vault
    documents: Documents
    meter: Meter


class Shares:
    """The shares of one hospital. endpoint: where its HTTPS answers, "" where no port is configured."""

    def __init__(
        self, files: Files, directory: Directory, recorder: Recorder, *,
        secret: bytes, endpoint: str, clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._files = files
        self._directory = directory
        self._recorder = recorder
        self._secret = derive(secret, salt=b"", info=b"hdex/share-address/v1")
        self._endpoint = endpoint
        self._clock = clock
        self._shapes: dict[str, tuple[str, int, int]] = {}

    def profile(self, contract_id: str, actor: Identity) -> Document:
        """Return a profile with a new token; an earlier one of the contract ends. A refusal is an event."""
        with self._recorder.refusals("key.release", actor, contract=contract_id):
            opened = self._open(contract_id, actor.participant)
            if not self._endpoint:
                raise AccessDenied("share.off", "ask for a sealed file", "this hospital's node serves no shares")
            token = secrets.token_urlsafe(32)
            until = min(self._clock() + timedelta(days=TOKEN_DAYS), datetime.fromisoformat(opened.agreement.expires))
            row: Document = {"contract": contract_id, "expires": format_time(until)}
            with self._recorder.release("key.release", actor, **opened.facts()):
                earlier = [key for key in self._keys() if self._row(key)["contract"] == contract_id]
                self._files.documents.remove(KIND, earlier)
                self._files.documents.put(KIND, digest_of(token), row)
        return {
            "shareCredentialsVersion": 1,
            "endpoint": self._endpoint,
            "bearerToken": token,
            "expirationTime": row["expires"],
        }

    def known(self, token: str) -> tuple[Opened, Identity]:
        """Return the contract that a token opens, and who holds it. Raises IdentityRefused, or as the licence does."""
        try:
            row = self._row(digest_of(token))
        except NotFound:
            raise IdentityRefused("the token is unknown here") from None
        if self._clock() >= datetime.fromisoformat(str(row["expires"])):
            raise IdentityRefused("the token has ended; ask for another profile")
        return self._by_contract(str(row["contract"]))

    def listed(self, token: str) -> Table:
        """Return what a token may see, after an event."""
        return self._looked(token, "catalogue.read")

    def table(self, token: str) -> Table:
        """Return the table behind a token, after an event."""
        return self._looked(token, "product.read")

    def address(self, table: Table, contract: str) -> tuple[str, datetime]:
        """Return the path and query of a signed address of the file, and when it ends."""
        until = self._clock() + timedelta(seconds=ADDRESS_S)
        end = str(milliseconds(until))
        return f"/delta-sharing/files/{contract}?until={end}&signature={self._signature(contract, end)}", until

    def size(self, contract: str, until: str, signature: str) -> int:
        """Return how long the file of an address is, after an event; readers ask before they read ranges."""
        opened, actor = self._addressed(contract, until, signature)
        self._recorder.allow("product.read", actor, **opened.facts())
        return self._size(opened)

    def read(self, contract: str, until: str, signature: str, *, wanted: Wanted = WHOLE) -> Reading:
        """Return a part of the file once the address holds and the event is durable. Raises RangeOutside."""
        opened, actor = self._addressed(contract, until, signature)
        product, size = opened.held.product, self._size(opened)
        start, stop = wanted.within(size)
        rows = int(self._release(opened)["records"])
        said = opened.facts(rows=rows, fields=len(opened.columns()), bytes=stop - start)
        if product.release is not None:
            said["result_digest"] = product.release.sha256
        book = self._files.released.book
        with self._recorder.refusals("share.read", actor, contract=contract):
            begins = 0 if book.is_read_today(contract, product.version) else 1  # a delivery: one a day and version
            takes = {"deliveries": begins, "rows": begins * rows, "bytes": stop - start}
            with self._files.released.delivering(opened, rows=begins * rows, size=stop - start):
                self._files.released.require_takes(opened, DeliveryMode.DOWNLOAD, takes)
                self._recorder.allow("share.read", actor, **said)
        return Reading(start, stop, size, self._pieces(opened, start, stop))

    def _addressed(self, contract: str, until: str, signature: str) -> tuple[Opened, Identity]:
        expected = self._signature(contract, until)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise IdentityRefused("the address is not one of ours")
        if milliseconds(self._clock()) >= int(until):
            raise IdentityRefused("the address has ended; ask the table again")
        return self._by_contract(contract)

    def _size(self, opened: Opened) -> int:
        return self._files.vault.stat(opened.held.dataset, release_name(opened.held.product.version)).size

    def contract_of(self, token: str) -> str:
        """Return the contract that a token names."""
        return str(self._row(digest_of(token))["contract"])

    def _pieces(self, opened: Opened, start: int, stop: int) -> Iterator[bytes]:
        contract, consumer = opened.record.contract_id, opened.agreement.consumer
        name = release_name(opened.held.product.version)
        for place in range(start, stop, PIECE):
            if place > start:
                self._open(contract, consumer)  # revoked on the way: the rest stays here
            piece = self._files.vault.read_range(opened.held.dataset, name, place, min(PIECE, stop - place))
            self._files.meter.add("shared file", len(piece))
            yield piece

    def _looked(self, token: str, action: str) -> Table:
        opened, actor = self.known(token)
        product = opened.held.product
        schema, rows, width = self._shape(opened)
        self._recorder.allow(action, actor, **opened.facts(fields=width))
        return Table(
            share=plain_name(opened.record.contract_id),
            name=plain_name(opened.held.dataset),
            id=product.digest()[:32],
            schema=schema,
            bytes=product.release.bytes if product.release else 0,
            rows=rows,
            expires=opened.agreement.expires,
        )

    def _shape(self, opened: Opened) -> tuple[str, int, int]:
        """Return a version's schema, rows and columns; read once, for a version is written once."""
        key = opened.held.digest
        if key not in self._shapes:
            frame = self._files.released.frame(opened)
            self._shapes[key] = (spark_schema(frame.schema), frame.height, frame.width)
        return self._shapes[key]

    def _by_contract(self, contract: str) -> tuple[Opened, Identity]:
        row = self._files.documents.get("contract", contract)
        consumer = self._directory.member(str(row["request"]["document"]["consumer"]))
        actor = Identity(consumer.spiffe_id, consumer.kind, consumer.id)
        with self._recorder.refusals("product.read", actor, contract=contract):
            return self._open(contract, consumer.id), actor

    def _open(self, contract: str, consumer: str) -> Opened:
        opened = self._files.released.open(contract, DeliveryMode.DOWNLOAD, consumer)
        if opened.held.product.level > HIGHEST_LEVEL:
            raise AccessDenied(f"level.{opened.held.product.level}.no_download", "ask for queries", "no file is shared")
        if opened.agreement.columns:
            raise AccessDenied("share.columns", "ask for a sealed file", "a share has all columns of the release")
        return opened

    def _release(self, opened: Opened) -> Document:
        return self._files.documents.get("release", f"{opened.held.dataset}/{opened.held.product.version}")

    def _signature(self, contract: str, until: str) -> str:
        return hmac.new(self._secret, f"{contract}\n{until}".encode(), hashlib.sha256).hexdigest()

    def _row(self, key: str) -> Document:
        return self._files.documents.get(KIND, key)

    def _keys(self) -> list[str]:
        return list(self._files.documents.keys(KIND))


def milliseconds(moment: datetime) -> int:
    """Return a moment as an address has it: two addresses asked one after the other are two."""
    return int(moment.timestamp() * 1000)


def digest_of(token: str) -> str:
    """Return under which a token is kept: who reads the documents cannot use it."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def plain_name(text: str) -> str:
    """Return a name without dots: the protocol's clients split at them."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)


def spark_schema(schema: pl.Schema) -> str:
    """Return a schema as Spark's JSON, as the protocol has it in `schemaString`."""
    fields: list[dict[str, Any]] = [
        {"name": name, "type": SPARK.get(type(dtype), "string"), "nullable": True, "metadata": {}}
        for name, dtype in schema.items()
    ]
    return json.dumps({"type": "struct", "fields": fields})
