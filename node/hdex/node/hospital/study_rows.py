"""The rows that a study may sum here: consented, released, complete, and apart from every study before."""

from collections import OrderedDict
from dataclasses import dataclass, field

import polars as pl

from hdex.federated.disclosure_regimes import strictest
from hdex.federated.errors import DisclosureRefused
from hdex.federated.kinds.columns import MISSING_TEXT
from hdex.federated.kinds.kind import Partitioning
from hdex.federated.kinds.table import kind_of
from hdex.federated.study import Study
from hdex.node.documents import Documents
from hdex.node.errors import AccessDenied
from hdex.node.hospital.datasets import PATIENT, Datasets, Edition, study_columns
from hdex.node.hospital.study_register import StudyRegister

MOST_KEPT = 4  # studies whose rows are in memory; a study's own columns, no patient's id


@dataclass(frozen=True, slots=True)
class Kept:
    """One study's rows, and what they were read for."""

    said: tuple[str, str, int]  # data set, version, level
    edition: Edition
    frame: pl.DataFrame = field(repr=False)


class StudyRows:
    """Reads a data set for a study. `documents` holds what was released."""

    def __init__(self, datasets: Datasets, documents: Documents, register: StudyRegister) -> None:
        self._datasets = datasets
        self._documents = documents
        self._register = register
        self._kept: OrderedDict[str, Kept] = OrderedDict()  # digest of a study -> its rows, the oldest use first

    def frame(self, study: Study, dataset: str, version: str, *, level: int) -> pl.DataFrame:
        """Return the rows of `read`, kept in memory from round to round while they are the same."""
        said, now = (dataset, version, level), self._datasets.edition(dataset)
        kept = self._kept.get(study.digest())
        if kept is None or kept.said != said or not kept.edition.holds(now):
            self.forget(study)
            kept = self._kept[study.digest()] = Kept(said, now, self.read(study, dataset, version, level=level))
        self._kept.move_to_end(study.digest())
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return kept.frame

    def forget(self, study: Study) -> None:
        """Keep no rows of this study."""
        self._kept.pop(study.digest(), None)

    def read(self, study: Study, dataset: str, version: str, *, level: int) -> pl.DataFrame:
        """Return the study's columns as numbers; of an incomplete row nothing stays but that it is one.

        Its other values would be summed by whoever asks column by column, outside of what the register compares.

        Raises AccessDenied, NotFound, and DisclosureRefused where fewer rows are left than the level asks.
        """
        release = self._documents.get("release", f"{dataset}/{version}")  # a study asks only what was released
        rows = self._datasets.consented(dataset, study.purpose, str(release["recipient_class"]) or None)
        table = rows.select(PATIENT, *(asked_column(rows, name, study) for name in study.columns))
        complete = table.drop_nulls(study.columns)
        require_rows(complete.height, level)
        settled = self._register.settle(dataset, complete[PATIENT].to_list())
        require_rows(len(settled), level)
        self._require_cells(study, complete.filter(pl.col(PATIENT).is_in(settled)))
        incomplete = pl.any_horizontal(pl.col(name).is_null() for name in study.columns)
        shown = table.filter(incomplete | pl.col(PATIENT).is_in(settled))
        return shown.select(pl.when(~incomplete).then(pl.col(name)).alias(name) for name in study.columns)

    def _require_cells(self, study: Study, rows: pl.DataFrame) -> None:
        kind = kind_of(study)
        if isinstance(kind, Partitioning):
            found = kind.partitions(kind_of(study).rows(rows.select(study.columns), study), study)
            self._register.require_cells(study.digest(), rows[PATIENT].to_list(), found)


def asked_column(rows: pl.DataFrame, name: str, study: Study) -> pl.Expr:
    """Return a column as numbers, or as text where the study declares its levels. Raises AccessDenied on any other."""
    if name in study_columns(rows):
        return pl.col(name).cast(pl.Float64).fill_nan(None)
    if name in study.levels and rows.schema.get(name) in (pl.String, pl.Categorical):
        text = pl.col(name).cast(pl.String)
        return pl.when(~text.is_in(MISSING_TEXT)).then(text).alias(name)
    raise AccessDenied("study.columns", "ask numbers, flags, or declare the levels", "a column is not numeric here")


def require_rows(found: int, level: int) -> None:
    """Raise DisclosureRefused below the floor of the level; the count found is not told."""
    least = strictest().of_level(level).min_rows
    if found < least:
        raise DisclosureRefused("min_rows", f"fewer than {least} complete rows")
