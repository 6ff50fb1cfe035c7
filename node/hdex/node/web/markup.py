"""HTML and SVG from small functions: every plain string is escaped, only Markup passes as it is."""

from collections.abc import Iterable
from html import escape

VOID = frozenset({"input", "meta", "rect", "circle", "path", "line"})
Attribute = str | int | float | bool | None


class Markup(str):
    """Text that is markup already; made here only."""

    __slots__ = ()


def safe(child: str) -> str:
    """Return the child escaped, unless it is markup."""
    return child if isinstance(child, Markup) else escape(child)


def tag(name: str, /, *children: str, **attributes: Attribute) -> Markup:
    """Return one element. `class_` and `for_` lose their tail, other underscores become hyphens."""
    held = "".join(attribute(key, value) for key, value in attributes.items())
    if name in VOID and not children:
        return Markup(f"<{name}{held}/>")
    return Markup(f"<{name}{held}>{''.join(safe(child) for child in children)}</{name}>")


def attribute(key: str, value: Attribute) -> str:
    """Return one attribute with the space before it; nothing for None and False."""
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    shown = f"{value:.1f}" if isinstance(value, float) else str(value)
    return f' {name}="{escape(shown)}"'


def join(parts: Iterable[str]) -> Markup:
    """Return the parts behind each other."""
    return Markup("".join(safe(part) for part in parts))


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], **attributes: Attribute) -> Markup:
    """Return a table whose first column names the row."""
    head = tag("tr", *(tag("th", one, scope="col") for one in heads))
    body = [tag("tr", *(cell(number, one) for number, one in enumerate(row))) for row in rows]
    return tag("table", tag("thead", head), tag("tbody", *body), **attributes)


def cell(number: int, child: str) -> Markup:
    """Return the cell of a column."""
    return tag("td", child) if number else tag("th", child, scope="row")
