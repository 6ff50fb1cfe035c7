"""A saved search: a query that is answered again whenever a product is listed, and what it has matched so far."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hdex.catalog.asked import score, terms
from hdex.catalog.errors import DocumentInvalid
from hdex.catalog.facets import facet_values
from hdex.catalog.ports import LONGEST_TEXT, Query
from hdex.catalog.terms import Text
from hdex.catalog.words import search_words

KEPT = 100  # matches that a feed tells, the newest
LONGEST_NAME = 80
LONGEST_VALUE = 80


@dataclass(frozen=True, slots=True)
class Match:
    """One product version that a search has matched."""

    product: str
    version: str
    title: Text
    provider: Text
    at: str  # when it was matched, RFC 3339


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSearch:
    """One organisation's search. `webhook` is where its notices go; empty: they stand in its feed only."""

    id: str
    owner: str
    name: str
    text: str
    filters: Mapping[str, str]
    webhook: str
    created: str
    matches: tuple[Match, ...] = ()

    def asks(self) -> tuple[str, str, Mapping[str, str], str]:
        """Return what its owner has said of it: two that ask alike are one."""
        return self.name, self.text, self.filters, self.webhook

    def fits(self, document: Mapping[str, Any]) -> bool:
        """Return whether a product, by its document, is what the search looks for."""
        asked = terms(self.text)
        if self.text.strip() and not asked:
            return False
        held = facet_values(document)
        return all(value in held[name] for name, value in self.filters.items()) and bool(
            score(search_words(document), asked)
        )

    def matched(self, match: Match) -> "SavedSearch":
        """Return the search with one more match; those too old for a feed go."""
        return replace(self, matches=(match, *self.matches)[:KEPT])

    def words(self) -> str:
        """Return the query for a person: its text and its filters."""
        return " ".join([*([self.text] if self.text else []), *(f"{n}={v}" for n, v in sorted(self.filters.items()))])


def check_search(query: Query, name: str) -> None:
    """Raise DocumentInvalid where a search cannot be kept."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise DocumentInvalid(f"the name of a search has 1 to {LONGEST_NAME} printable characters")
    if len(query.text) > LONGEST_TEXT:
        raise DocumentInvalid(f"the text of a search has {len(query.text)} characters, {LONGEST_TEXT} at most")
    if query.text.strip() and not terms(query.text):
        raise DocumentInvalid("the text of a search holds no word")
    for facet, value in query.chosen().items():
        if not value or len(value) > LONGEST_VALUE or not value.isprintable():
            raise DocumentInvalid(f"{facet}: 1 to {LONGEST_VALUE} printable characters are asked")
