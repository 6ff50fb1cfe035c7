"""Whose copy is this? A file that turned up somewhere, compared with what this hospital released and delivered.

By digest: the released file itself, or the sealed container of one contract. By rows: the same cells under the same
column names, whatever the format, the order and the way numbers are written. Two buyers of one version hold the same
rows unless their contracts name a fingerprint: then the copy says whose it was (`fingerprint_trace`).
"""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from hdex.node.container import Header, prologue_length, read_header, split_prologue
from hdex.node.documents import Document
from hdex.node.errors import ContainerInvalid, RequestInvalid
from hdex.node.hospital.fingerprint_trace import Copied, verdict

EXPORT = "export"
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Records:
    """What the hospital remembers: its documents of a kind, its log's events, its released rows."""

    documents: Callable[[str], list[Document]]
    events: Callable[[], Iterable[Mapping[str, Any]]]
    released: Callable[[str, str], pl.DataFrame]  # data set, version
    hospital: str
    sign_key: bytes
    copied: Callable[[str, str], Copied | None] = lambda *_: None  # data set, version: None where all copies are alike


def trace(path: Path, records: Records) -> Document:
    """Return {"file", "sha256", "ours", "matches": [release, how, rows, delivered to whom under which contract]}.

    Raises RequestInvalid for a file that is neither a container nor a table.
    """
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    header = container_of(data, records.sign_key)
    releases = [row for row in records.documents("release") if row["bytes"]]
    if header is not None:
        found = [
            match(row, "sealed container", records, only=header.contract) for row in releases if is_of(header, row)
        ]
    elif same := [row for row in releases if row["sha256"] == digest]:
        found = [match(row, "same file", records) for row in same]
    else:
        found = by_rows(table_of(path, data), releases, records)
        found = with_verdicts(found, table_of(path, data), releases, records=records)
    return {"file": path.name, "sha256": digest, "ours": bool(found), "matches": found}


def container_of(data: bytes, sign_key: bytes) -> Header | None:
    """Return the header of a sealed container that this hospital signed, None for any other file."""
    try:
        return read_header(split_prologue(data[: prologue_length(data)])[0], sign_key)
    except ContainerInvalid:
        return None


def is_of(header: Header, release: Document) -> bool:
    """Return whether a container holds this release."""
    return (header.product.partition(".")[2], header.version) == (release["dataset"], release["version"])


def by_rows(table: pl.DataFrame, releases: list[Document], records: Records) -> list[Document]:
    """Return the releases that hold rows of the table, those with most of them first."""
    found = []
    for release in releases:
        rows = records.released(release["dataset"], release["version"])
        shared = [name for name in rows.columns if name in table.columns]
        if not shared:
            continue
        if total := len(singular(rows_of(rows, shared)) & set(rows_of(table, shared))):
            facts = {"rows_found": total, "rows_in_file": table.height, "columns_compared": shared}
            found.append(match(release, "same rows", records) | facts)
    return sorted(found, key=lambda one: -one["rows_found"])


def with_verdicts(
    found: list[Document], table: pl.DataFrame, releases: list[Document], *, records: Records
) -> list[Document]:
    """Return the matches, each release that left in copies with whose copy the table is, as far as it tells.

    A copy may share no whole row with the release: a fingerprint that names somebody is a match by itself.
    """
    for release in releases:
        copied = records.copied(release["dataset"], release["version"])
        if copied is None:
            continue
        told = verdict(table, records.released(release["dataset"], release["version"]), copied)
        fresh = match(release, "fingerprint", records)
        same = [one for one in found if (one["product"], one["version"]) == (fresh["product"], fresh["version"])]
        for one in same:
            one["fingerprint"] = told
        if told["named"] and not same:
            found = [fresh | {"fingerprint": told}, *found]
    return found


def match(release: Document, how: str, records: Records, *, only: str = "") -> Document:
    """Return one release with everybody it was delivered to."""
    product = f"{records.hospital}.{release['dataset']}"
    facts = {"product": product, "version": release["version"], "how": how}
    return facts | {"delivered": delivered(product, str(release["version"]), records, only=only)}


def delivered(product: str, version: str, records: Records, *, only: str) -> list[Document]:
    """Return who received a version under which contract: by the events of the log, receipts beside them."""
    sent = Counter[str]()
    last: dict[str, str] = {}
    for event in records.events():
        if (event["action"], event["decision"], event.get("product"), event.get("version")) == (
            EXPORT, "allow", product, version,
        ):  # fmt: skip
            sent[str(event["contract"])] += 1
            last[str(event["contract"])] = str(event["time"])
    contracts = {row["contract_id"]: row for row in records.documents("contract")}
    papers = [row["receipt"]["document"] for row in records.documents("delivery")]
    received = {paper["contract_id"]: paper["received"] for paper in papers}
    return [
        {
            "contract": contract,
            "consumer": contracts[contract]["request"]["document"]["consumer"],
            "ranges": count,
            "last": last[contract],
            "acknowledged": received.get(contract, ""),
            "revoked": contracts[contract]["revoked"],
        }
        for contract, count in sent.items()
        if contract in contracts and only in {"", contract}
    ]


def table_of(path: Path, data: bytes) -> pl.DataFrame:
    """Return a found file as a table of text. Raises RequestInvalid."""
    try:
        if data[:4] == b"PAR1":
            return pl.read_parquet(io.BytesIO(data))
        return pl.read_csv(io.BytesIO(data), infer_schema=False, separator=separator_of(data))
    except (pl.exceptions.PolarsError, ValueError, UnicodeDecodeError):
        raise RequestInvalid(f"{path.name} is neither a sealed container, nor Parquet, nor a table of text") from None


def singular(rows: list[Row]) -> set[Row]:
    """Return the rows that stand once: a row that many share says nothing about where it comes from."""
    return {row for row, count in Counter(rows).items() if count == 1}


def separator_of(data: bytes) -> str:
    """Return the mark that stands most often in the first line."""
    first = data.partition(b"\n")[0].decode("utf-8")
    return max(",;\t|", key=first.count)


def rows_of(table: pl.DataFrame, names: list[str]) -> list[Row]:
    """Return the rows as tuples of text in which one number is written one way."""
    columns = [[plain(value) for value in table[name].cast(pl.String).to_list()] for name in names]
    return list(zip(*columns, strict=True))


def plain(value: str | None) -> str:
    """Return a cell as compared: no blanks around it, 120.0 as 120, nothing for null."""
    text = (value or "").strip()
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text
