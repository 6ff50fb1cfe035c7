"""The words of the hospital's desk by key (desk.toml); what is not there is said as the auditor's pages say it."""

from dataclasses import dataclass
from typing import Any, ClassVar

from hdex.node.web.page_words import PageWords, word_table
from hdex.node.web.words import Words

FILE = "desk.toml"


def table() -> dict[str, Any]:
    """Return desk.toml: sections of {en, zh}."""
    return word_table(FILE)


@dataclass(frozen=True, slots=True)
class DeskWords(PageWords):
    """Says keys in one language. NAVIGATION, in this order: (address below a language's root, key of the words)."""

    NAVIGATION: ClassVar[tuple[tuple[str, str], ...]] = (
        ("/", "overview"),
        ("/datasets", "datasets"),
        ("/studies", "studies"),
        ("/products", "products"),
        ("/accesses", "accesses"),
    )
    FILES: ClassVar[tuple[str, ...]] = (FILE, "auditor.toml")

    def treatment(self, action: str) -> str:
        """Return what became of a column."""
        return Words.name(self, "action", action)

    def roles(self, names: tuple[str, ...]) -> str:
        """Return who is meant: one role or the other."""
        return self.say("page.or").join(self.name("role", name) for name in names)
