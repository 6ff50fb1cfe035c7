"""A product in other forms: other catalogues' JSON-LD, the Dataspace Protocol, Croissant, the specification sheet."""

import json
from collections.abc import Callable, Mapping

from hdex.catalog.croissant import croissant
from hdex.catalog.dcat import dataset
from hdex.catalog.dsp import dsp_dataset
from hdex.catalog.healthdcat import health_dataset
from hdex.catalog.product import DataProduct

SHEET = "sheet"
# Form -> media type.
FORMS: Mapping[str, str] = {
    "dcat": "application/ld+json",
    "healthdcat": "application/ld+json",
    "dsp": "application/json",
    "croissant": "application/ld+json",
    SHEET: "text/html; charset=utf-8",
}
_MADE: Mapping[str, Callable[..., object]] = {
    "dcat": dataset,
    "healthdcat": health_dataset,
    "dsp": dsp_dataset,
    "croissant": croissant,
}


def render(product: DataProduct, form: str, *, base: str, lang: str = "en") -> bytes:
    """Return a product in a form of FORMS.

    base: the exchange's public address. lang: of a sheet, en or zh.
    """
    if form == SHEET:
        from hdex.catalog.web.sheet import sheet

        return sheet(product, lang).encode()
    return (json.dumps(_MADE[form](product, base=base), indent=1, ensure_ascii=False) + "\n").encode()
