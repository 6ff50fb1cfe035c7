"""The auditor's words by key (auditor.toml), and a verifier's sentences in the reader's language."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from hdex.node.web.page_words import PageWords, word_table
from hdex.node.web.words import LANGUAGES, Words

__all__ = ["LANGUAGES", "AuditWords"]
FILE = "auditor.toml"


def table() -> dict[str, Any]:
    """Return auditor.toml: sections of {en, zh}, and the sentences of verifiers as lists."""
    return word_table(FILE)


@dataclass(frozen=True, slots=True)
class AuditWords(PageWords):
    """Says keys in one language. Sentences that every report has are those of the demo's report, the others ours."""

    FILES: ClassVar[tuple[str, ...]] = (FILE,)

    def meaning(self, rule: str) -> str:
        """Return what a rule's code means, or nothing; the section `rule` of auditor.toml names rules of alerts."""
        return Words.meaning(self, rule)

    def why(self, sentence: str) -> tuple[str, bool]:
        """Return an offence's reason in this language, and whether it is in this language."""
        found = self._matched("offence", sentence)
        return (found[0], True) if found else (sentence, self.lang == "en")

    def _matched(self, section: str, text: str) -> tuple[str, str] | None:
        for known in table().get(section, ()):
            found = re.fullmatch(known["pattern"], text)
            if found:
                return known[self.lang].format(**found.groupdict()), found.groupdict().get("each") or ""
        return Words._matched(self, section, text) if section == "claim" else None
