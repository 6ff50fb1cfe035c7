"""The answer to a cohort question about a product: the band, what else may be asked, and of which manifest."""

from collections.abc import Sequence

from hdex.catalog.cohort import answer, read_where
from hdex.catalog.documents import Json
from hdex.catalog.product import DataProduct


def cohort_document(product: DataProduct, where: Sequence[str]) -> Json:
    """Return the answer as JSON values; where: conditions written `column=label`. Raises CohortInvalid, NoCohort."""
    found = answer(product.cohort, read_where(where)).document()
    titles = {column.name: {"en": column.title.en, "zh": column.title.zh} for column in product.columns}
    dimensions = [
        {"column": one.column, "title": titles[one.column], "labels": list(one.labels)}
        for one in (product.cohort.dimensions if product.cohort else ())
    ]
    named: Json = {"product": product.id, "version": product.version, "digest": product.digest()}
    k = product.cohort.k if product.cohort else 0
    return {**named, **found, "k": k, "dimensions": dimensions}
