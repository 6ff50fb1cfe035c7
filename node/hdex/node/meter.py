"""What crossed a participant's wall, in bytes by kind, counted where it leaves."""

import threading
from typing import cast

from hdex.node.documents import Documents
from hdex.node.errors import NotFound

KIND = "meter"


class Meter:
    """Durable totals by kind: sealed file, ciphertexts, manifests, papers, checkpoints, log entries."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._lock = threading.Lock()

    def add(self, kind: str, size: int, *, count: int = 1) -> None:
        """Add `size` bytes in `count` pieces."""
        with self._lock:
            total = self._total(kind)
            self._documents.put(KIND, kind, {"kind": kind, "bytes": total[0] + size, "count": total[1] + count})

    def totals(self) -> dict[str, dict[str, int]]:
        """Return {kind: {"bytes", "count"}}."""
        return {
            str(row["kind"]): {"bytes": cast(int, row["bytes"]), "count": cast(int, row["count"])}
            for row in self._documents.all(KIND)
        }

    def _total(self, kind: str) -> tuple[int, int]:
        try:
            row = self._documents.get(KIND, kind)
        except NotFound:
            return 0, 0
        return cast(int, row["bytes"]), cast(int, row["count"])
