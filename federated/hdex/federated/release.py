"""The last look at an answer before it is released: every number stands on nobody, or on enough people."""

from collections.abc import Iterable
from dataclasses import replace

from hdex.federated.disclosure import Breach
from hdex.federated.disclosure_regimes import Regime, strictest
from hdex.federated.errors import DisclosureRefused
from hdex.federated.kinds.kind import Answer, Cell, Coarsenable
from hdex.federated.study import Study


def floors_of(study: Study) -> Regime:
    """Return what the study's answer must keep: the strictest regime, raised by the study's own floor."""
    floors = strictest()
    least = max(floors.min_rows, study.min_rows)
    return replace(floors, min_rows=least, cell=max(floors.cell, study.min_rows))


def cell_breaches(cells: Iterable[Cell], floors: Regime) -> list[Breach]:
    """Return the cells that stand on too few; a message names the cell and the limit, never the count."""
    found = []
    for cell in cells:
        least = int(getattr(floors, cell.floor))
        if 0 < cell.count < least or (cell.count == 0 and not cell.may_be_empty):
            found.append(Breach("small_cell", f"{cell.name}: fewer than {least} rows"))
    return found


def released(answer: Answer, floors: Regime) -> Answer:
    """Return the answer as it may leave. Raises DisclosureRefused with the first cell that stands on too few."""
    told = answer.told(floors) if isinstance(answer, Coarsenable) else answer
    for breach in cell_breaches(told.cells(), floors):
        raise DisclosureRefused(breach.rule, f"{breach.detail}; join levels, bins or grid points and ask again")
    return told
