"""Which questions an organisation has had answered: its budget, and whether a new answer would give few people away.

Kept are the questions, not the rows: a released version does not change, so its rows are found again. A cell must not
come closer than the floor to a union of cells of an earlier answer (`disclosure_cells`), and no combination of whole
populations and of cells that were told may be solved for fewer (`disclosure_register`): else the blank of one answer is
the rest of others. Answers over two versions of a
product are compared too: their difference tells who came and who went.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from hdex.federated.disclosure_cells import Mask, is_too_close
from hdex.node.documents import Document, Documents
from hdex.node.errors import AccessDenied
from hdex.node.hospital.query_answer import Cells, Labels, cells_of
from hdex.node.hospital.query_versions import SideBySide
from hdex.node.question import Question, question_of

KIND = "query_answered"
MOST_CELLS = 400  # that one organisation is told of one version: each is an equation
PRIME = 2**31 - 1  # products of two entries stay in 64 bits
Rows = tuple[Sequence[Document], Sequence[Document]]
COARSER = "ask the same groups as before, or populations that differ by more patients"


class QueryRegister:
    """Durable on return. One thread asks at a time: two questions must not be each other's tracker."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.asking = threading.RLock()

    def answered(self, consumer: str, product: str) -> dict[str, list[Document]]:
        """Return what an organisation has had answered of a product by version, oldest first."""
        found: dict[str, list[Document]] = {}
        for row in self._documents.all(KIND):
            if (row["consumer"], row["product"]) == (consumer, product):
                found.setdefault(str(row["version"]), []).append(row)
        return found

    def keep(self, contract: str, about: Document, question: Question, told: Sequence[int]) -> None:
        """Remember an answered question. about: consumer, product, version; told: the cells that were not blank."""
        row = {**about, "contract": contract, "question": question.document(), "digest": question.digest()}
        row["told"] = list(told)
        self._documents.put(KIND, f"{contract}/{question.digest()}", row)

    def require_apart(
        self, frame: pl.DataFrame, cells: Cells, told: Sequence[int], before: Sequence[Document], *, floor: int
    ) -> None:
        """Raise AccessDenied where this answer and earlier ones together tell of fewer than `floor` rows.

        told: the cells of this answer that are not blank.
        """
        earlier = [(cells_of(frame, question_of(row["question"])), row["told"]) for row in before]
        require_far(cells, [one for one, _ in earlier], floor)
        require_unsolvable([(cells, told), *earlier], floor)

    def require_versions_apart(self, asked: "Asked", then: pl.DataFrame, rows: Rows, *, floor: int) -> None:
        """Raise AccessDenied where this answer and those over both versions together tell of fewer than `floor` rows.

        then: the rows of another version; rows: what was answered of this version and of that one.
        """
        of_now, of_then = ([(question_of(row["question"]), row["told"]) for row in part] for part in rows)
        for question, _ in of_then:
            side = SideBySide(asked.frame, then, sorted({*asked.question.columns, *question.columns}))
            over = spread(cells_of(then, question), side.of_then)
            require_far(spread(asked.cells, side.of_now), [over], floor)
        every = {name for question, _ in (*of_now, *of_then) for name in question.columns}
        side = SideBySide(asked.frame, then, sorted(every | set(asked.question.columns)))
        told = [(spread(asked.cells, side.of_now), asked.told)]
        told += [(spread(cells_of(asked.frame, one), side.of_now), shown) for one, shown in of_now]
        told += [(spread(cells_of(then, one), side.of_then), shown) for one, shown in of_then]
        require_unsolvable(told, floor)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question over one version's rows, its cells, and those of them that would be told."""

    frame: pl.DataFrame
    question: Question
    cells: Cells
    told: Sequence[int]


def spread(cells: Cells, over: Callable[[Labels], Labels]) -> Cells:
    """Return cells over the people of two versions."""
    return Cells(over(cells.labels), cells.levels, cells.is_ordered)


def require_far(cells: Cells, earlier: Sequence[Cells], floor: int) -> None:
    """Raise AccessDenied where a cell comes closer than `floor` rows to cells of an earlier answer."""
    if any(is_too_close(cells.partition(), one.partition(), floor) for one in earlier):
        raise AccessDenied("query.cells", COARSER, "a cell comes too close to one of an earlier answer")


def require_unsolvable(answers: Sequence[tuple[Cells, Sequence[int]]], floor: int) -> None:
    """Raise AccessDenied where what was told can be solved for fewer than `floor` rows. answers: cells, those told."""
    masks = distinct([mask for one, shown in answers for mask in masks_of(one, shown)])
    if len(masks) > MOST_CELLS:
        raise AccessDenied("query.register_full", "ask coarser tables", f"more than {MOST_CELLS} cells were told")
    if masks and smallest_support(masks) < floor:
        raise AccessDenied("query.solvable", COARSER, "together with earlier answers this tells of few patients")


def masks_of(cells: Cells, told: Sequence[int]) -> list[Mask]:
    """Return whom an answer tells of: its whole population, and each cell that is not blank."""
    return [cells.labels >= 0, *(cells.labels == at for at in told)]


def distinct(masks: Sequence[Mask]) -> list[Mask]:
    """Return the populations with somebody in them, each once."""
    return list({mask.tobytes(): mask for mask in masks if mask.any()}.values())


def smallest_support(masks: Sequence[Mask]) -> int:
    """Return the rows behind the smallest equation that elimination leaves of these populations.

    The reduced echelon form of `disclosure_register.smallest_solved`, in arrays: hundreds of cells in a second.
    """
    patterns, sizes = np.unique(np.stack(masks[::-1], axis=1), axis=0, return_counts=True)
    rest = patterns.T.astype(np.int64)
    row = 0
    for column in range(rest.shape[1]):
        found = np.flatnonzero(rest[row:, column])
        if not len(found):
            continue
        rest[[row, row + found[0]]] = rest[[row + found[0], row]]
        rest[row] = rest[row] * pow(int(rest[row, column]), -1, PRIME) % PRIME
        factors = rest[:, column].copy()
        factors[row] = 0
        used = np.flatnonzero(factors)
        rest[used] = (rest[used] - factors[used, None] * rest[row]) % PRIME
        row += 1
        if row == len(rest):
            break
    return int(((rest[:row] != 0) @ sizes).min(initial=int(sizes.sum())))
