"""Whom a release or a study is made from: any two populations of one data set differ by nobody or by many.

Two sums over populations that differ by one patient give that patient's values away by subtraction. When fewer than
THRESHOLD patients came or went, others who are in both are left out with them, chosen by a secret of the node, so
that what changes is a crowd. Source: design page FEDERATED.md, "Differencing".

Rows ask for more than sums: who left must have left with others who read like him. So the crowd is chosen from the
classes of earlier versions first, as the release register (`hdex.deid.register`) asks.
"""

import hashlib
import hmac
import threading
from collections.abc import Sequence

import polars as pl

from hdex.deid.register import leaving
from hdex.node.documents import Documents
from hdex.node.errors import AccessDenied
from hdex.node.hospital.release_register import ReleaseRegister
from hdex.node.vault import Vault

KIND = "population"
MEMBER = "patient"
THRESHOLD = 10


class Populations:
    """Remembers every population of a data set inside the node; `secret` orders who is left out with a withdrawal."""

    def __init__(self, documents: Documents, vault: Vault, secret: bytes) -> None:
        self._documents = documents
        self._vault = vault
        self._secret = secret
        self.register = ReleaseRegister(documents, vault, secret)
        self._lock = threading.Lock()  # two askers must not settle the same change twice

    def settle(self, dataset: str, covered: Sequence[str], *, table: str = "") -> list[str]:
        """Return the patients to use of those covered now: all of them, or all but a few who leave with a withdrawal.

        table: what the data set's versions are versions of; "" before there is any. The same covered patients give the
        same answer. Raises AccessDenied when too few are left to hide in.
        """
        asked = self._digest(covered)
        with self._lock:
            earlier = [row for row in self._documents.all(KIND) if row["dataset"] == dataset]
            for row in earlier:
                if row["covered"] == asked:
                    return self._read(dataset, str(row["name"]))
            before = [set(self._read(dataset, str(row["name"]))) for row in earlier]
            settled = self._apart(dataset, set(covered), before, table=table)
            name = f"population-{self._digest(settled)[:16]}"
            if not self._vault.contains(dataset, name):
                self._vault.put_frame(dataset, name, pl.DataFrame({MEMBER: settled}, schema={MEMBER: pl.String}))
            self._documents.put(KIND, f"{dataset}/{name}", {"dataset": dataset, "covered": asked, "name": name})
            return settled

    def _apart(self, dataset: str, population: set[str], earlier: list[set[str]], *, table: str) -> list[str]:
        """Return the population without as many as it takes to differ from each earlier one by 0 or THRESHOLD."""
        if population in earlier or not earlier:
            return sorted(population)
        # who is in all of them goes first: leaving these out brings the new population further from every earlier one
        everywhere = population.intersection(*earlier)
        patients = sorted(population, key=lambda patient: (patient not in everywhere, self._rank(patient)))
        now = self.register.standing(table, dataset, patients)
        further = 0
        while further < len(patients) + THRESHOLD:
            out = leaving(now, range(len(patients)), further=further)
            settled = {patient for patient, leaves in zip(patients, out, strict=True) if not leaves}
            if further and not settled & everywhere:
                break
            missing = max(THRESHOLD - len(settled ^ old) for old in earlier)
            if missing <= 0 or settled in earlier:
                return sorted(settled)
            further += missing
        raise AccessDenied(
            "population.too_close", "wait until more patients have joined or left", "nobody is left to hide in"
        )

    def _read(self, dataset: str, name: str) -> list[str]:
        return self._vault.read_frame(dataset, name)[MEMBER].to_list()

    def _rank(self, patient: str) -> bytes:
        return hmac.new(self._secret, patient.encode(), hashlib.sha256).digest()

    def _digest(self, patients: Sequence[str]) -> str:
        """Return a keyed digest: the set stays unknown to who reads the documents."""
        return hmac.new(self._secret, "\n".join(sorted(patients)).encode(), hashlib.sha256).hexdigest()
