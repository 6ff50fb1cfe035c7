"""The words of the hospital's desk by key (desk.toml); what is not there is said as the auditor's pages say it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hdex.catalog.purposes import purposes
from hdex.catalog.web import formats
from hdex.catalog.web.labels import word
from hdex.node.web.page_words import PageWords, word_table
from hdex.node.web.words import Words

FILE, MARKET, MONEY = "desk.toml", "desk_market.toml", "desk_money.toml"
BILLERS = ("data_steward", "privacy_officer", "node_admin")  # roles that the policies let bill, and see what is due


def table() -> dict[str, Any]:
    """Return desk.toml: sections of {en, zh}."""
    return word_table(FILE)


@dataclass(frozen=True, slots=True)
class DeskWords(PageWords):
    """Says keys in one language. NAVIGATION, in this order: (address below a language's root, key of the words)."""

    NAVIGATION: ClassVar[tuple[tuple[str, str], ...]] = (
        ("/", "overview"),
        ("/datasets", "datasets"),
        ("/products", "products"),
        ("/organisations", "organisations"),
        ("/requests", "requests"),
        ("/contracts", "contracts"),
        ("/studies", "studies"),
        ("/runs", "runs"),
        ("/queries", "queries"),
        ("/invoices", "invoices"),
        ("/revenue", "revenue"),
        ("/accesses", "accesses"),
    )
    ONLY: ClassVar[Mapping[str, tuple[str, ...]]] = {"/invoices": BILLERS, "/revenue": BILLERS}
    FILES: ClassVar[tuple[str, ...]] = (FILE, MARKET, MONEY, "auditor.toml")

    def navigation(self, role: str) -> tuple[tuple[str, str], ...]:
        """Return the pages that a role may open."""
        return tuple(one for one in self.NAVIGATION if role in self.ONLY.get(one[0], (role,)))

    def treatment(self, action: str) -> str:
        """Return what became of a column."""
        return Words.name(self, "action", action)

    def plan(self, name: str) -> str:
        """Return a price plan as the catalogue names it."""
        return word("plan", name, self.lang)

    def purpose(self, code: str) -> str:
        """Return what a use is called, with its code; the code alone where the vocabulary does not have it."""
        known = purposes().get(code)
        return f"{known.label.say(self.lang)} ({code})" if known else code

    def dated(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return the values of a task with its day as the reader's language writes it."""
        return {**values, "until": formats.day(values["until"], self.lang)} if values.get("until") else dict(values)

    def roles(self, names: tuple[str, ...]) -> str:
        """Return who is meant: one role or the other."""
        return self.say("page.or").join(self.name("role", name) for name in names)


@dataclass(frozen=True, slots=True)
class OfficeWords(DeskWords):
    """The words of the exchange's office: it vets organisations."""

    NAVIGATION: ClassVar[tuple[tuple[str, str], ...]] = (("/", "organisations"),)
    FILES: ClassVar[tuple[str, ...]] = ("desk_office.toml", *DeskWords.FILES)
