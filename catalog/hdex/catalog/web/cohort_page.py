"""How many individuals fit, as a product's page asks and shows it: a form, a sentence, and one margin as bars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hdex.catalog.cohort import Cohort, CohortAnswer, CohortDimension, answer, breakdown
from hdex.catalog.errors import CohortInvalid
from hdex.catalog.product import DataProduct
from hdex.catalog.web.charts import BarChart, bar_chart
from hdex.catalog.web.formats import count
from hdex.catalog.web.labels import word

PREFIX = "cohort."  # of the form's fields, so that no column takes the name of another form's field
FLAGS = {"0": "no", "1": "yes"}
REST = frozenset({"other", "unknown"})
ROOM = 1.4  # of the longest bar: bands are wider to write than counts


@dataclass(frozen=True, slots=True)
class ChoiceShown:
    """One dimension of the form: (label, as it reads, chosen) of each label."""

    field: str
    title: str
    labels: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, slots=True)
class CohortShown:
    """The whole section. `problem` stands where the address asks for what the table does not have."""

    choices: tuple[ChoiceShown, ...]
    is_asked: bool
    text: str
    is_small: bool
    problem: str
    by: str  # title of the dimension that the chart tells
    chart: BarChart
    k: int


def cohort_shown(product: DataProduct, pairs: Sequence[tuple[str, str]], lang: str) -> CohortShown | None:
    """Return the section for what an address asks, None where the product tells no counts."""
    cohort = product.cohort
    if cohort is None:
        return None
    asked = {name.removeprefix(PREFIX): label for name, label in pairs if name.startswith(PREFIX) and label}
    where, problem = asked, ""
    try:
        found = answer(cohort, where)
    except CohortInvalid as refused:
        where, problem = {}, str(refused)
        found = answer(cohort, where)
    titles = {column.name: column.title.say(lang) for column in product.columns}
    by = next((one for one in cohort.dimensions if one.column not in where), cohort.dimensions[0])
    return CohortShown(
        choices=tuple(choice(one, titles[one.column], where, lang) for one in cohort.dimensions),
        is_asked=bool(asked),
        text=found.text().say(lang),
        is_small=found.told == 0,
        problem=problem,
        by=titles[by.column],
        chart=margin_chart(cohort, by, where, lang),
        k=cohort.k,
    )


def choice(dimension: CohortDimension, title: str, where: Mapping[str, str], lang: str) -> ChoiceShown:
    """Return one dimension of the form."""
    chosen = where.get(dimension.column)
    labels = ((label, reads(dimension, label, lang), label == chosen) for label in dimension.labels)
    return ChoiceShown(PREFIX + dimension.column, title, tuple(labels))


def margin_chart(cohort: Cohort, by: CohortDimension, where: Mapping[str, str], lang: str) -> BarChart:
    """Return one dimension as bars: as long as what is told, with the band beside it."""
    told = breakdown(cohort, by.column, where)
    items = [(reads(by, label, lang), float(one.told), band(one), "plain") for label, one in told]
    return bar_chart(items, longest=ROOM * max(one.told for _, one in told) or None)


def reads(dimension: CohortDimension, label: str, lang: str) -> str:
    """Return a label as a reader sees it: a flag's 0 and 1 as no and yes."""
    if label in REST:
        return word("cohort_label", label, lang)
    if set(dimension.labels) - REST <= FLAGS.keys():
        return word("preview", FLAGS[label], lang)
    return label


def band(found: CohortAnswer) -> str:
    """Return a band as a table tells it."""
    most = count(found.at_most)
    return f"≤ {most}" if found.at_least == 0 else f"{count(found.at_least)}–{most}"
