"""What this room needs from outside: something that finds identifiers in a text."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Span(NamedTuple):  # made by the thousand: a tuple costs a quarter of a frozen dataclass
    """Code points [start, end) of a text that identify somebody, and the rule that says so."""

    start: int
    end: int
    type: str  # NAME DATE LOCATION ORGANISATION PHONE EMAIL URL IP ID SSN RESIDENT_ID CARD DEVICE PLATE AGE
    rule: str


class Detector(Protocol):
    """Finds identifiers in free text. Opens no connection; knows nothing of the patient."""

    def find(self, text: str, lang: str) -> list[Span]:
        """Return the spans found, sorted by start; they may overlap.

        lang: "en" or "zh". Raises DetectorTimeout when the text was not read to its end, InputInvalid for a language
        the detector has no rules for. Never returns less because something failed.
        """
        ...
