"""The desk's templates. Every text of a document is a stranger's: all of it is escaped."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from hdex.catalog.web import formats
from hdex.node.web.desk_words import DeskWords


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("hdex.node.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, words: DeskWords, **shown: object) -> str:
    """Return a page: `words` says what the template asks by key."""
    context = {"w": words, "t": words.say, "lang": words.lang, "formats": formats}
    return _environment().get_template(template).render({**context, **shown})
