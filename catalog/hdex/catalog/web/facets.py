"""The results page's state: it is the URL, nothing else. Facets, chips and pages are links."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from urllib.parse import urlencode

from hdex.catalog.facets import FACETS
from hdex.catalog.ports import LONGEST_TEXT, Page, Query
from hdex.catalog.product import DeliveryMode, levels

PAGE_SIZE = 12
MOST_OPTIONS = 12  # of one facet, the most frequent; the chosen one always
LONGEST_VALUE = 80
FREE = ("provider", "category", "purpose", "price", "plan", "grade")  # facets whose values are not checked here
FURTHEST_PAGE = 10_000
Name = Callable[[str, str], str]  # facet, value -> what the reader sees


@dataclass(frozen=True, slots=True)
class Choice:
    """What the reader chose. Values that cannot be are dropped, never an error."""

    text: str = ""
    level: int | None = None
    provider: str | None = None
    mode: str | None = None
    category: str | None = None
    purpose: str | None = None
    price: str | None = None
    plan: str | None = None
    grade: str | None = None
    page: int = 1

    @classmethod
    def read(cls, values: Mapping[str, str]) -> "Choice":
        """Return the choice that a URL's query names."""
        level, mode, page = values.get("level", ""), values.get("mode", ""), values.get("page", "")
        return cls(
            text=" ".join(values.get("q", "").replace("\x00", " ").split())[:LONGEST_TEXT],
            level=int(level) if level in {str(number) for number in levels()} else None,
            mode=mode if mode in set(DeliveryMode) else None,
            **{name: values.get(name, "")[:LONGEST_VALUE].replace("\x00", "") or None for name in FREE},
            page=min(max(int(page), 1), FURTHEST_PAGE) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
        )

    def query(self, lang: str) -> Query:
        """Return what to ask the index."""
        chosen = {name: getattr(self, name) for name in FACETS}
        offset = (self.page - 1) * PAGE_SIZE
        return Query(text=self.text, lang=lang, limit=PAGE_SIZE, offset=offset, **chosen)

    def url(self, root: str) -> str:
        """Return the address of the results page in this state."""
        kept = self._named()
        if self.page > 1:
            kept["page"] = str(self.page)
        return f"{root}/products" + (f"?{urlencode(kept)}" if kept else "")

    def feed_url(self, root: str) -> str:
        """Return the address of the feed that tells what is new under this choice."""
        kept = self._named()
        return f"{root}/products.atom" + (f"?{urlencode(kept)}" if kept else "")

    def _named(self) -> dict[str, str]:
        named = {"q": self.text, **{name: getattr(self, name) for name in FACETS}}
        return {name: str(value) for name, value in named.items() if value}

    def value_of(self, facet: str) -> str | None:
        """Return the value chosen in a facet."""
        value = getattr(self, facet)
        return None if value is None else str(value)

    def choosing(self, facet: str, value: str | None) -> "Choice":
        """Return the choice with this facet set (or cleared), from the first page on."""
        held: object = int(value) if facet == "level" and value is not None else value
        return replace(self, page=1, **{facet: held})  # type: ignore[arg-type]  # the facet's own type


@dataclass(frozen=True, slots=True)
class Option:
    """One value of a facet as a link."""

    label: str
    count: int
    url: str
    chosen: bool
    id: str  # the same wherever the value is shown: a page that renews itself finds the reader's place by it


@dataclass(frozen=True, slots=True)
class Facet:
    """One facet with its options."""

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Chip:
    """One chosen condition and the address without it."""

    facet: str
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Pages:
    """Where the reader is in the results."""

    number: int
    count: int
    earlier: str | None
    later: str | None


def facets(choice: Choice, found: Page, *, root: str, name: Name) -> tuple[Facet, ...]:
    """Return the facets with counts; choosing a chosen value again clears it."""
    return tuple(Facet(facet, _options(facet, choice, found, root, name)) for facet in FACETS)


def chips(choice: Choice, *, root: str, name: Name) -> tuple[Chip, ...]:
    """Return the chosen conditions, the text first."""
    text = (Chip("text", choice.text, replace(choice, text="", page=1).url(root)),) if choice.text else ()
    chosen = ((facet, choice.value_of(facet)) for facet in FACETS)
    rest = (Chip(f, name(f, value), choice.choosing(f, None).url(root)) for f, value in chosen if value is not None)
    return (*text, *rest)


def pages(choice: Choice, found: Page, *, root: str) -> Pages:
    """Return the place in the results and the neighbours' addresses."""
    count = max(1, -(-found.total // PAGE_SIZE))
    earlier = replace(choice, page=min(choice.page - 1, count)).url(root) if choice.page > 1 else None
    later = replace(choice, page=choice.page + 1).url(root) if choice.page < count else None
    return Pages(choice.page, count, earlier, later)


def _options(facet: str, choice: Choice, found: Page, root: str, name: Name) -> tuple[Option, ...]:
    options = []
    wanted = choice.value_of(facet)
    frequent = sorted(found.facets.get(facet, ()), key=lambda held: (held.value != wanted, -held.count))[:MOST_OPTIONS]
    for held in sorted(frequent, key=lambda held: held.value):
        chosen = held.value == wanted
        url = choice.choosing(facet, None if chosen else held.value).url(root)
        options.append(Option(name(facet, held.value), held.count, url, chosen, option_id(facet, held.value)))
    return tuple(options)


def option_id(facet: str, value: str) -> str:
    """Return the name of a facet's value in a page; the value itself may be a stranger's text."""
    return f"{facet}-{sha256(value.encode()).hexdigest()[:8]}"
