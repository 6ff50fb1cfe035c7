"""The coordinator's receipts: of each round the contributions and the proof of their sum; one file at the end."""

import json
from collections.abc import Sequence
from pathlib import Path

from hdex.federated.journal import RoundRecord
from hdex.federated.receipts import Receipt, RoundReceipt
from hdex.node.durable import write_atomic
from hdex.node.exchange.pipe import join, split
from hdex.node.signed import Envelope, canonical

RECEIPT = "receipt.zip"


def keep_round(folder: Path, number: int, contributions: Sequence[bytes]) -> None:
    """Keep what a round's sites sent, durable on return; asked again after a crash it is the same."""
    (folder / "rounds").mkdir(parents=True, exist_ok=True)
    sizes, payload = join(list(contributions))
    write_atomic(folder / "rounds" / f"{number:04}.bin", json.dumps(sizes).encode() + b"\n" + payload)


def read_round(folder: Path, number: int) -> tuple[bytes, ...]:
    """Return what `keep_round` kept."""
    sizes, _, payload = (folder / "rounds" / f"{number:04}.bin").read_bytes().partition(b"\n")
    return tuple(split(json.loads(sizes), payload))


def keep_proof(folder: Path, number: int, proof: bytes) -> None:
    """Keep what proves a round's sum, durable on return. Asked again the key holder says the same."""
    write_atomic(folder / "rounds" / f"{number:04}.proof", proof)


def read_proof(folder: Path, number: int) -> bytes:
    """Return what `keep_proof` kept; empty where nothing was."""
    path = folder / "rounds" / f"{number:04}.proof"
    return path.read_bytes() if path.exists() else b""


def write_receipt(folder: Path, envelope: Envelope, records: Sequence[RoundRecord]) -> Path:
    """Write the study's receipt from its journal's rows and its rounds, and return the file; again it is the same."""
    rounds = tuple(
        RoundReceipt(record, read_round(folder, record.round), read_proof(folder, record.round)) for record in records
    )
    path = folder / RECEIPT
    write_atomic(path, Receipt(canonical(envelope), rounds).to_bytes())
    return path
