"""The last look at an answer before it is released: every number stands on nobody, or on enough people."""

from collections.abc import Iterable

from hdex.federated.disclosure import Breach, Limits
from hdex.federated.errors import DisclosureRefused
from hdex.federated.kinds.kind import Answer, Cell


def cell_breaches(cells: Iterable[Cell], limits: Limits) -> list[Breach]:
    """Return the cells that stand on too few; a message names the cell and the limit, never the count."""
    if limits.min_rows <= 1:
        return []  # a floor of one row is none: a simulation's
    found = []
    for cell in cells:
        least = cell.factor * limits.min_rows
        if 0 < cell.count < least or (cell.count == 0 and not cell.may_be_empty):
            found.append(Breach("small_cell", f"{cell.name}: fewer than {least} rows"))
    return found


def check_release(answer: Answer, limits: Limits) -> None:
    """Raise DisclosureRefused with the first cell that stands on too few."""
    for breach in cell_breaches(answer.cells(), limits):
        raise DisclosureRefused(breach.rule, f"{breach.detail}; join levels, bins or grid points and ask again")
