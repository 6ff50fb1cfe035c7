"""The words of the buyer's desk by key (buyer.toml); what is not there is said as the hospital's desk says it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hdex.catalog.web.labels import word
from hdex.node.web.desk_words import DeskWords
from hdex.node.web.page_words import word_table

FILE = "buyer.toml"


def table() -> dict[str, Any]:
    """Return buyer.toml: sections of {en, zh}."""
    return word_table(FILE)


@dataclass(frozen=True, slots=True)
class BuyerWords(DeskWords):
    """Says keys in one language."""

    NAVIGATION: ClassVar[tuple[tuple[str, str], ...]] = (
        ("/", "overview"),
        ("/find", "find"),
        ("/requests", "requests"),
        ("/contracts", "contracts"),
        ("/invoices", "invoices"),
        ("/studies", "studies"),
        ("/vetting", "vetting"),
    )
    ONLY: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    FILES: ClassVar[tuple[str, ...]] = (FILE, *DeskWords.FILES)

    def mode(self, name: str) -> str:
        """Return a delivery mode as the catalogue names it."""
        return word("mode", name, self.lang)

    def datatype(self, name: str) -> str:
        """Return a column's type as the catalogue names it."""
        return word("datatype", name, self.lang)
