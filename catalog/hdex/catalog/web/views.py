"""What the templates show of one product: computed here, only placed there."""

from dataclasses import dataclass

from hdex.catalog.product import DataProduct, Histogram, Privacy
from hdex.catalog.web.charts import BarChart, bar_chart
from hdex.catalog.web.formats import count, share
from hdex.catalog.web.labels import speaker, word

ROWS_SHOWN = 15


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Distribution:
    """One histogram with its chart."""

    column: str
    histogram: Histogram
    chart: BarChart


def privacy_figures(privacy: Privacy, lang: str) -> tuple[Figure, ...]:
    """Return the figures that were measured; what was not is left out."""
    say = speaker(lang)
    k = None if privacy.k is None else count(privacy.k)
    unique = None if privacy.unique_rows is None else count(privacy.unique_rows)
    risks = ((name, getattr(privacy, name)) for name in ("max_risk", "average_risk", "suppressed"))
    shares = {name: None if value is None else share(value) for name, value in risks}
    named = {"k": k, "max_risk": shares["max_risk"], "average_risk": shares["average_risk"]}
    named |= {"unique_rows": unique, "suppressed": shares["suppressed"]}
    notes = {"k": say("privacy.k_text")}
    return tuple(
        Figure(say(f"privacy.{n}"), value, notes.get(n, "")) for n, value in named.items() if value is not None
    )


def attack_chart(privacy: Privacy, lang: str) -> BarChart | None:
    """Return the attack before, after and by chance on one scale to 100 %; None where none was run."""
    if privacy.attack_before is None or privacy.attack_after is None:
        return None
    held = (("before", privacy.attack_before), ("after", privacy.attack_after), ("chance", privacy.attack_by_chance))
    say = speaker(lang)
    items = [(say(f"privacy.{kind}"), value, share(value), kind) for kind, value in held if value is not None]
    return bar_chart(items, longest=1.0)


def distributions(product: DataProduct, lang: str) -> tuple[Distribution, ...]:
    """Return every histogram of the preview, under the column's title."""
    titles = {column.name: column.title.say(lang) for column in product.columns}
    shown = []
    for histogram in product.preview.histograms:
        items = [(_label(held.label, lang), float(held.count), count(held.count), "plain") for held in histogram.bins]
        shown.append(Distribution(titles.get(histogram.column, histogram.column), histogram, bar_chart(items)))
    return tuple(shown)


def preview_table(product: DataProduct, lang: str) -> tuple[list[str], list[list[str]]]:
    """Return titles and the first synthetic rows as text, the columns in the schema's order."""
    rows = product.preview.rows[:ROWS_SHOWN]
    names = [column.name for column in product.columns if any(column.name in row for row in rows)]
    titles = {column.name: column.title.say(lang) for column in product.columns}
    cells = [[_cell(row.get(name), lang) for name in names] for row in rows]
    return [titles[name] for name in names], cells


def quality_figures(product: DataProduct, lang: str) -> tuple[Figure, ...]:
    """Return the quality measures; shares as per cent."""
    held = product.quality.items()
    return tuple(
        Figure(word("quality", name, lang), share(value) if isinstance(value, float) and value <= 1 else str(value))
        for name, value in held
        if value is not None
    )


def _label(label: str, lang: str) -> str:
    return word("preview", label, lang) if label in ("yes", "no") else label


def _cell(value: object, lang: str) -> str:
    if isinstance(value, bool):
        return speaker(lang)("preview.yes" if value else "preview.no")
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)
