"""What a buyer's folder holds of its contracts: papers sent, what has arrived of a file, when a state was seen.

`Buyer` writes most of it; here it is only read, but for the times at which this organisation first saw a state: the
exchange tells where a contract stands, not since when.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hdex.ledger.document import load
from hdex.ledger.event import format_time
from hdex.node.contract_record import CONTRACT_ID
from hdex.node.durable import write_atomic
from hdex.node.errors import NotFound

logger = logging.getLogger(__name__)
REQUEST, RECEIPT, MANIFEST, SEEN = ".request.json", ".receipt.json", ".manifest.json", ".seen.json"
LARGEST = 4 << 20  # bytes of a paper
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Arrived:
    """How much of a file is here. total: bytes of the agreed file, 0 where no manifest was kept."""

    bytes: int
    total: int
    is_whole: bool
    receipt: str = ""  # when the provider was told, empty before

    @property
    def share(self) -> float:
        """Return how much has arrived, 0 to 1; a sealed file is a little longer than what it holds."""
        if self.is_whole:
            return 1.0
        return min(self.bytes / self.total, 0.99) if self.total else 0.0


class Shelf:
    """One buyer's folder of deliveries."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def contracts(self) -> list[tuple[str, Document]]:
        """Return (contract id, request's document) of every contract that was asked for from here, newest first."""
        found = []
        for path in self._folder.glob(f"*{REQUEST}"):
            paper = read_object(path)
            if paper is not None and isinstance(paper.get("document"), dict):
                found.append((path.name.removesuffix(REQUEST), paper["document"]))
        return sorted(found, key=lambda one: str(one[1].get("access", {}).get("at", "")), reverse=True)

    def arrived(self, contract_id: str) -> Arrived:
        """Return how much of a contract's file is here."""
        whole, part = self._path(contract_id, ".hdx"), self._path(contract_id, ".hdx.part")
        manifest = read_object(self._path(contract_id, MANIFEST)) or {}
        release = manifest.get("document", {}).get("release") or {}
        receipt = read_object(self._path(contract_id, RECEIPT)) or {}
        held = whole if whole.exists() else part
        return Arrived(
            held.stat().st_size if held.exists() else 0,
            int(release.get("bytes", 0)),
            whole.exists(),
            str(receipt.get("document", {}).get("received", "")),
        )

    def seen(self, contract_id: str, state: str, now: datetime) -> dict[str, str]:
        """Return when each state of a contract was first seen from here, the present one now at the latest."""
        path = self._path(contract_id, SEEN)
        known = {str(name): str(time) for name, time in (read_object(path) or {}).items()}
        if state not in known:
            known[state] = format_time(now)
            write_atomic(path, json.dumps(known).encode())
        return known

    def _path(self, contract_id: str, suffix: str) -> Path:
        if not CONTRACT_ID.fullmatch(contract_id):
            raise NotFound("no contract has such an id")
        return self._folder / f"{contract_id}{suffix}"


def read_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file of the folder; None where there is none, or another thing."""
    try:
        with path.open("rb") as file:
            found = load(file.read(LARGEST))
    except OSError:
        return None
    except ValueError:
        logger.warning("a paper of the folder cannot be read")
        return None
    return found if isinstance(found, dict) else None
