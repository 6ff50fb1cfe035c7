"""Which questions an organisation has had answered: its budget, and whether a new answer would give few people away.

Kept are the questions, not the rows: a released version does not change, so its rows are found again. A cell must not
come closer than the floor to a union of cells of an earlier answer (`disclosure_cells`), and no combination of the
populations may be solved for fewer (`disclosure_register`). Compared are answers over one version of one product.
"""

import threading
from collections.abc import Sequence

import numpy as np
import polars as pl

from hdex.federated.disclosure_cells import Mask, is_too_close
from hdex.federated.disclosure_register import PopulationAudit
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied
from hdex.node.hospital.query_answer import Cells, cells_of
from hdex.node.question import Question, question_of

KIND = "query_answered"
COARSER = "ask the same groups as before, or populations that differ by more patients"


class QueryRegister:
    """Durable on return. One thread asks at a time: two questions must not be each other's tracker."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.asking = threading.RLock()

    def answered(self, consumer: str, product: str, version: str) -> list[Document]:
        """Return what an organisation has had answered of one version, oldest first."""
        asked = (consumer, product, version)
        rows = self._documents.all(KIND)
        return [row for row in rows if (row["consumer"], row["product"], row["version"]) == asked]

    def count(self, contract: str) -> int:
        """Return how many different questions were answered under a contract."""
        return sum(row["contract"] == contract for row in self._documents.all(KIND))

    def spent(self, contract: str) -> float:
        """Return the epsilon that a contract's questions have cost."""
        return sum(
            float(row["question"]["epsilon"]) for row in self._documents.all(KIND) if row["contract"] == contract
        )

    def keep(self, contract: str, about: Document, question: Question) -> None:
        """Remember an answered question. about: consumer, product, version."""
        row = {**about, "contract": contract, "question": question.document(), "digest": question.digest()}
        self._documents.put(KIND, f"{contract}/{question.digest()}", row)

    def require_apart(self, frame: pl.DataFrame, cells: Cells, before: Sequence[Document], floor: int) -> None:
        """Raise AccessDenied where this answer and earlier ones together tell of fewer than `floor` rows."""
        earlier = [cells_of(frame, question_of(row["question"])) for row in before]
        if any(is_too_close(cells.partition(), one.partition(), floor) for one in earlier):
            raise AccessDenied("query.cells", COARSER, "a cell comes too close to one of an earlier answer")
        populations = sketched([one.labels >= 0 for one in (*earlier, cells)], floor)
        audit = PopulationAudit(floor, populations[:-1])
        if populations[-1] and (rule := audit.breach(populations[-1])):
            raise AccessDenied(f"query.{rule.partition('.')[2]}", COARSER, "the populations asked tell of few patients")


def sketched(masks: Sequence[Mask], floor: int) -> list[frozenset[str]]:
    """Return populations as the audit reads them, with at most `floor` members for rows that no population splits.

    What is below the floor stays so, what is not stays not: the audit asks for nothing else.
    """
    patterns, sizes = np.unique(np.stack(masks, axis=1), axis=0, return_counts=True)
    members = [[f"{at}.{n}" for n in range(min(int(size), floor))] for at, size in enumerate(sizes)]
    return [
        frozenset(name for at, pattern in enumerate(patterns) if pattern[number] for name in members[at])
        for number in range(len(masks))
    ]
