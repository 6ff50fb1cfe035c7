"""Whose rows were summed in every study of this hospital, and whose may be summed next (`disclosure_register`).

What counts are complete rows: two studies over different columns leave out different patients for a missing value, and
their sums differ by exactly those. Where a new population stands too close to earlier ones, more patients are left out,
chosen by a secret of the node. Cells of a table and groups of a test are populations too: a study whose cells come too
close to those of an earlier one is refused; compared are the patients of both, who came or left is the populations'
matter. Codes are keyed and lie in the vault; data sets share them, for a patient may be in two.
"""

import hashlib
import hmac
import threading
from collections.abc import Sequence

import polars as pl

from hdex.federated.disclosure_cells import Partition, is_too_close
from hdex.federated.disclosure_register import PopulationAudit
from hdex.node.documents import Documents
from hdex.node.errors import AccessDenied
from hdex.node.hospital.populations import THRESHOLD
from hdex.node.vault import Vault

KIND = "study_population"
SHELF = "study-register"  # product of the vault: its key does not go with a data set's
CODE = "code"
CELLS = "study_cells"
ORDERED, PLAIN, EARLIER = "ordered-", "plain-", "-earlier"
ATTEMPTS = 200  # each leaves one more patient out, or as many as are missing


class StudyRegister:
    """Durable on return. One process asks at a time, two threads never settle the same change."""

    def __init__(self, documents: Documents, vault: Vault, secret: bytes) -> None:
        self._documents = documents
        self._vault = vault
        self._secret = secret
        self._lock = threading.Lock()

    def settle(self, dataset: str, patients: Sequence[str]) -> list[str]:
        """Return the patients to sum over of those asked: all, or all but some. The same asked, the same answer.

        Raises AccessDenied where nobody is left to hide in.
        """
        codes = {self._code(patient): patient for patient in patients}
        asked = self._digest(codes)
        with self._lock:
            rows = self._documents.all(KIND)
            for row in rows:
                if row["asked"] == asked:
                    return sorted(codes[code] for code in self._read(str(row["name"])))
            released = [self._read(str(row["name"])) for row in rows]
            settled = self._apart(frozenset(codes), released)
            name = f"population-{self._digest(settled)[:32]}"
            if not self._vault.contains(SHELF, name):
                frame = pl.DataFrame({CODE: sorted(settled)}, schema={CODE: pl.String})
                self._vault.put_frame(SHELF, name, frame)
            self._documents.put(KIND, asked, {"dataset": dataset, "asked": asked, "name": name})
            return sorted(codes[code] for code in settled)

    def require_cells(self, study: str, patients: Sequence[str], partitions: Sequence[Partition]) -> None:
        """Remember the cells that a study tells of these patients, or raise AccessDenied and remember nothing.

        study: its digest; asked again it passes. partitions: one label for each patient, in their order.
        """
        codes = [self._code(patient) for patient in patients]
        with self._lock:
            rows = self._documents.all(CELLS)
            if not partitions or any(row["study"] == study for row in rows):
                return
            for row in rows:
                if tells_too_much(codes, partitions, self._vault.read_frame(SHELF, str(row["name"]))):
                    raise AccessDenied(
                        "population.cells",
                        "ask the same groups or bins as before, or coarser ones",
                        "a cell comes too close to one of an earlier study",
                    )
            name = f"cells-{study[:32]}"
            if not self._vault.contains(SHELF, name):
                self._vault.put_frame(SHELF, name, cells_frame(codes, partitions))
            self._documents.put(CELLS, study, {"study": study, "name": name})

    def _apart(self, asked: frozenset[str], released: Sequence[frozenset[str]]) -> frozenset[str]:
        """Return the population without as many as it takes to keep the rules; a code's order is as secret as it."""
        audit = PopulationAudit(THRESHOLD, released)
        shared = asked.intersection(*released) if released else asked
        leaving = sorted(asked, key=lambda code: (code not in shared, code))  # in all of them: further from each
        left = 0
        for _ in range(ATTEMPTS):
            settled = frozenset(leaving[left:])
            rule = audit.breach(settled)
            if not rule and settled:
                return settled
            left += max(1, audit.missing(settled))
            if rule == "population.small" or left >= len(leaving):
                break
        raise AccessDenied(
            "population.too_close", "wait until more patients join or leave", "nobody is left to hide in"
        )

    def _read(self, name: str) -> frozenset[str]:
        return frozenset(self._vault.read_frame(SHELF, name)[CODE].to_list())

    def _code(self, patient: str) -> str:
        return hmac.new(self._secret, patient.encode(), hashlib.sha256).hexdigest()

    def _digest(self, codes: Sequence[str] | dict[str, str] | frozenset[str]) -> str:
        return hmac.new(self._secret, "\n".join(sorted(codes)).encode(), hashlib.sha256).hexdigest()


def cells_frame(codes: Sequence[str], partitions: Sequence[Partition]) -> pl.DataFrame:
    """Return one row per code, one column of labels per partition; an ordered one says so in its name."""
    labels = {f"{ORDERED if one.is_ordered else PLAIN}{number}": one.labels for number, one in enumerate(partitions)}
    return pl.DataFrame({CODE: list(codes)} | labels)


def tells_too_much(codes: Sequence[str], partitions: Sequence[Partition], earlier: pl.DataFrame) -> bool:
    """Return whether a cell of these comes too close to one of an earlier study's frame."""
    now = cells_frame(codes, partitions)
    both = now.join(earlier, on=CODE, suffix=EARLIER)
    names = [name for name in both.columns if name != CODE]
    aligned = {name: Partition(both[name].to_numpy(), name.startswith(ORDERED)) for name in names}
    return any(
        is_too_close(aligned[new], aligned[old], THRESHOLD)
        for new in now.columns[1:]
        for old in (name if name not in now.columns else name + EARLIER for name in earlier.columns[1:])
    )
