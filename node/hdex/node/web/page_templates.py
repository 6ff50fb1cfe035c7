"""The templates of every participant's pages, one environment. Every text of a document is a stranger's: escaped."""

from functools import cache
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from hdex.catalog.web import formats
from hdex.node.web.page_words import PageWords


@cache
def _environment() -> Environment:
    return Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("hdex.node.web", "templates"),
                PrefixLoader({"catalog": PackageLoader("hdex.catalog.web", "templates")}),  # its charts
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, words: PageWords, **shown: object) -> str:
    """Return a page: `words` says what the template asks by key."""
    context = {"w": words, "t": words.say, "lang": words.lang, "formats": formats, "asset": "/static/{}".format}
    return _environment().get_template(template).render({**context, **shown})


@cache
def style_sheet() -> Markup:
    """Return the sheets of a report as one text, for a file that loads nothing."""
    catalogue = files("hdex.catalog.web").joinpath("static", "hdex.css")
    own = files("hdex.node.web").joinpath("static", "auditor.css")
    return Markup(catalogue.read_text(encoding="utf-8") + own.read_text(encoding="utf-8"))  # noqa: S704  # our own files
