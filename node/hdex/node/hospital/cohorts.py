"""Cohort counts of a version: a cube drawn once from the released rows, part of the draft that two people sign.

It is off unless the offer asks for it. It is frozen with the manifest: nothing is counted again when somebody asks. A
later version tells the same cells again unless they have moved, and never by other dimensions: two cubes over nearly
the same people could be subtracted from each other. For the same reason one product tells them over a patient, not two.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import polars as pl

from hdex.catalog.cohort import Cohort, CohortColumn, CohortDimension, CohortRecipe
from hdex.catalog.lifecycle import ProductState
from hdex.catalog.product import Column, DataProduct, Preview, PreviewKind, Role
from hdex.deid.cohort_cube import Cube, Dimension, make_cube
from hdex.deid.pseudonym import derive
from hdex.node.errors import AccessDenied
from hdex.node.hospital.datasets import PATIENT
from hdex.node.hospital.products import Held
from hdex.node.keys import KeyProvider
from hdex.node.signed import digest

YEARS = "a"  # UCUM
SECRET, CONTEXT = "pseudonym", "cohort"
UNTOLD = frozenset({"pseudonymised", "shifted", "redacted", "removed"})  # methods whose values group nobody
HIGHEST_LEVEL = 3


def cohort_of(
    recipe: CohortRecipe | None,
    frame: pl.DataFrame | None,
    columns: Sequence[Column],
    *,
    preview: Preview,
    before: tuple[str, Cohort] | None,
    seed: bytes,
) -> Cohort | None:
    """Return the cube that an offer asks for, None where it asks for none.

    before: the newest version of the product that tells a cube, with that cube. Raises AccessDenied, CohortRefused.
    """
    if recipe is None:
        return None
    if frame is None or preview.kind is PreviewKind.AGGREGATE:
        raise refused(
            "cohort.rows", "leave `cohort` out of the offer", "counts of this version are not told to everybody"
        )
    if before is not None and before[1].recipe() != recipe:
        raise refused("cohort.recipe", f"ask by the dimensions of version {before[0]}", "counts by others were told")
    if PATIENT in frame.columns and frame[PATIENT].n_unique() < frame.height:
        raise refused("cohort.individuals", "leave `cohort` out of the offer", "a patient has several rows")
    made = make_cube(
        frame,
        [_dimension(asked, columns) for asked in recipe.dimensions],
        k=recipe.k,
        generator=np.random.default_rng(int.from_bytes(seed)),
        before=None if before is None else _cube(before[1]),
    )
    dimensions = (
        CohortDimension(column=asked.column, labels=labels, edges=asked.edges, prefix=asked.prefix)
        for asked, labels in zip(recipe.dimensions, made.labels, strict=True)
    )
    return Cohort(dimensions=tuple(dimensions), k=made.k, margin=made.margin, counts=made.cells)


def told_before(versions: Sequence[Held], version: str) -> tuple[str, Cohort] | None:
    """Return the newest other version that tells a cube, and the cube. versions: oldest first."""
    found = [(held.product.version, held.product.cohort) for held in versions if held.product.version != version]
    told = [(number, cohort) for number, cohort in found if cohort is not None]
    return told[-1] if told else None


def require_apart(
    dataset: str, product: DataProduct, held: Iterable[Held], patients: Callable[[str], set[str]]
) -> None:
    """Raise AccessDenied where another product tells counts over a patient of this one: two tables lie upon each other.

    held: versions of every product; one that was told stays told when it is withdrawn. patients: of a data set.
    """
    if product.cohort is None:
        return
    told = [one for one in held if one.state != ProductState.ASSESSED and one.product.cohort is not None]
    others = {one.product.id: one.dataset for one in told if one.product.id != product.id}
    own = patients(dataset) if others else set[str]()
    for other, theirs in others.items():
        if own & patients(theirs):
            raise refused("cohort.patients", "leave `cohort` out of the offer", f"{other} tells counts over them too")


def cohort_seed(keys: KeyProvider, product: str, version: str, recipe: CohortRecipe | None) -> bytes:
    """Return the secret by which cells are rounded up or down: the same for the same version and recipe."""
    asked = "" if recipe is None else digest({"recipe": repr(recipe)})
    return derive(keys.secret(SECRET), CONTEXT, product, version, asked)


def _dimension(asked: CohortColumn, columns: Sequence[Column]) -> Dimension:
    """Return a dimension of the recipe as the cube takes it. Raises AccessDenied where its column may not be told."""
    column = next((one for one in columns if one.name == asked.column), None)
    where = f"column {asked.column[:40]!r}"
    if column is None:
        raise refused("cohort.column", "name a column of the manifest", f"{where} is not in the file")
    if column.method in UNTOLD or column.role is Role.FREE_TEXT or column.level > HIGHEST_LEVEL:
        raise refused("cohort.column", "name a coarser column", f"{where} of level {column.level} groups nobody")
    return Dimension(
        column=asked.column,
        edges=asked.edges or (),
        prefix=asked.prefix or 0,
        in_years=column.unit == YEARS,
        whole=column.datatype == "integer",
    )


def _cube(cohort: Cohort) -> Cube:
    return Cube(tuple(one.labels for one in cohort.dimensions), cohort.counts, cohort.k, cohort.margin)


def refused(rule: str, next_step: str, found: str) -> AccessDenied:
    """Return a refusal of what an offer asks."""
    return AccessDenied(rule, next_step, found)
