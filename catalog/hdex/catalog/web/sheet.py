"""A product's specification sheet (one HTML file, printable, no network) and the evidence pack an exchange asks for."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hdex.catalog.cohort import Cohort, answer, breakdown
from hdex.catalog.croissant import croissant
from hdex.catalog.dcat import dataset
from hdex.catalog.documents import to_document
from hdex.catalog.dsp import dsp_dataset
from hdex.catalog.errors import ProductInvalid
from hdex.catalog.healthdcat import health_dataset
from hdex.catalog.product import DataProduct, levels
from hdex.catalog.quality import measured
from hdex.catalog.spreadsheet import to_csv
from hdex.catalog.terms import purposes
from hdex.catalog.web import formats
from hdex.catalog.web.cohort_page import band, reads
from hdex.catalog.web.labels import speaker, word

VALUES = {"categories": "category", "basis": "basis", "plan": "plan", "type": "publisher"}  # field -> its words
EPOCH = (1980, 1, 1, 0, 0, 0)  # of zip entries: the same product, the same bytes


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a section: what, and what is said of it."""

    name: str
    value: str


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("hdex.catalog.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def sheet(product: DataProduct, lang: str, *, linked: str = "") -> str:
    """Return the sheet as HTML; every text of the product is escaped.

    linked: address of its style sheet; without it the style stands in the page, which then loads nothing.
    """
    style = "" if linked else files("hdex.catalog.web").joinpath("static/sheet.css").read_text(encoding="utf-8")
    template = _environment().get_template("sheet.html")
    return template.render(
        product=product,
        lang=lang,
        style=style,
        linked=linked,
        t=speaker(lang),
        word=lambda section, name: word(section, name, lang),
        formats=formats,
        level=levels()[product.level],
        purposes=purposes(),
        technical=shares(product, lang),
        sections=sections(product, lang),
        digest=product.digest(),
    )


def evidence_pack(product: DataProduct, envelope: Mapping[str, Any], *, base: str) -> bytes:
    """Return a zip: signed manifest, sheets, quality report, renderings. The same product gives the same bytes."""
    report = product.quality_report
    held: dict[str, str | bytes] = {
        "manifest.json": dumped(envelope),
        "sheet.en.html": sheet(product, "en"),
        "sheet.zh.html": sheet(product, "zh"),
        "dcat.jsonld": dumped(dataset(product, base=base)),
        "dsp.json": dumped(dsp_dataset(product, base=base)),
        "croissant.json": dumped(croissant(product, base=base)),
        "quality.json": dumped(to_document(report) if report else {}),
        "synthetic.csv": synthetic_csv(product),
    }
    try:
        held["healthdcat.jsonld"] = dumped(health_dataset(product, base=base))
    except ProductInvalid as incomplete:
        held["healthdcat.missing.txt"] = f"{incomplete}\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(held):
            archive.writestr(zipfile.ZipInfo(f"{product.id}-{product.version}/{name}", EPOCH), held[name])
    return packed.getvalue()


def synthetic_csv(product: DataProduct) -> bytes:
    """Return the synthetic rows as CSV; a cell that a spreadsheet would run is written as text."""
    rows = product.preview.rows
    return to_csv(tuple(rows[0]), (tuple(row.values()) for row in rows)) if rows else b""


def shares(product: DataProduct, lang: str) -> list[Line]:
    """Return the technical quality as lines, "not measured" where nothing was."""
    if product.quality_report is None:
        return []
    told = measured(product.quality_report.technical).items()
    absent = word("sheet", "not_measured", lang)
    return [Line(word("quality", name, lang), absent if v is None else formats.share(v)) for name, v in told]


def sections(product: DataProduct, lang: str) -> list[tuple[str, list[Line]]]:
    """Return the sections that are plain lists: who, privacy, provenance, reviews."""
    parts: list[tuple[str, object]] = [
        ("publisher", product.publisher),
        ("access_body", product.access_body),
        ("health", product.health),
        ("privacy", product.privacy),
        ("price", product.price),
        ("notice", product.notice),
        ("provenance", product.provenance),
    ]
    found = [(word("sheet", name, lang), lines(to_document(part), lang)) for name, part in parts if part is not None]
    signed = [Line(review.signer, review.assessment_digest) for review in product.reviews or ()]
    marks = [
        Line(column.name, f"± {column.fingerprint_step:g}") for column in product.columns if column.fingerprint_step
    ]
    found += [(word("sheet", "fingerprint", lang), marks)] if marks else []
    found += [(word("sheet", "cohort", lang), counts(product.cohort, lang))] if product.cohort else []
    return [*found, *([(word("sheet", "reviews", lang), signed)] if signed else [])]


def counts(cohort: Cohort, lang: str) -> list[Line]:
    """Return how many individuals there are, by each dimension alone, and the table's digest."""
    told = [Line(word("sheet", "individuals", lang), answer(cohort, {}).text().say(lang))]
    for one in cohort.dimensions:
        bands = (f"{reads(one, label, lang)}: {band(found)}" for label, found in breakdown(cohort, one.column, {}))
        told.append(Line(one.column, "; ".join(bands)))
    return [*told, Line(word("sheet", "cohort_digest", lang), cohort.digest())]


def lines(document: object, lang: str) -> list[Line]:
    """Return a document's fields as lines; words in two languages as those of the reader's."""
    if not isinstance(document, Mapping):
        return []
    return [Line(word("field", name, lang), said(value, lang, name=name)) for name, value in document.items()]


def said(value: object, lang: str, *, name: str = "") -> str:
    """Return a field's value as a reader sees it."""
    if isinstance(value, Mapping):
        if set(value) == {"en", "zh"}:
            return str(value[lang])
        return "; ".join(f"{word('field', one, lang)}: {said(held, lang, name=one)}" for one, held in value.items())
    if isinstance(value, list):
        return ", ".join(said(one, lang, name=name) for one in value) or "-"
    if isinstance(value, bool):
        return word("preview", "yes" if value else "no", lang)
    return word(VALUES[name], str(value), lang) if name in VALUES else str(value)


def dumped(document: object) -> str:
    """Return JSON as people read it."""
    return json.dumps(document, indent=1, ensure_ascii=False, default=dict) + "\n"
