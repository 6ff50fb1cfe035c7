"""Detector over our own rules: regular expressions with a time limit, no model, no vendor beyond the pattern engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from hdex.deid.errors import DetectorTimeout, InputInvalid
from hdex.deid.folding import View, fold, unbroken
from hdex.deid.ports import Detector, Span
from hdex.deid.rules import Rule
from hdex.deid.rules_file import HOUSE_RULES

_DIGITS = frozenset("0123456789")


class RulesDetector:
    """Finds identifiers by rules.

    rules: per language; a site adds its own. timeout_s: for one text; when it is spent DetectorTimeout is raised, so
    that a text that was not read to its end is never released.
    """

    def __init__(
        self,
        rules: Mapping[str, Sequence[Rule]] = HOUSE_RULES,
        *,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = {lang: tuple(of) for lang, of in rules.items()}
        self._timeout_s = timeout_s
        self._clock = clock

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that have rules."""
        return tuple(self._rules)

    def types(self, lang: str) -> tuple[str, ...]:
        """Types that the rules of one language can return."""
        return tuple(sorted({rule.type for rule in self._rules[lang]}))

    def find(self, text: str, lang: str) -> list[Span]:
        """Return the spans found, sorted; see Detector."""
        if lang not in self._rules:
            raise InputInvalid(f"language asked is {lang!r}, rules exist for {sorted(self._rules)}")
        view = fold(text)
        deadline = self._clock() + self._timeout_s
        spans = set(self._spans(self._rules[lang], view, deadline))
        if (joined := unbroken(view)) is not None:
            wrapped = [rule for rule in self._rules[lang] if rule.wrapped]
            spans.update(self._spans(wrapped, joined, deadline))
        return sorted(spans)

    def _spans(self, rules: Sequence[Rule], view: View, deadline: float) -> Iterator[Span]:
        """Run the rules that have what they need."""
        text, characters = view.text, frozenset(view.text)
        has_digit = not characters.isdisjoint(_DIGITS)
        places: dict[frozenset[str], list[int]] = {}
        for rule in rules:
            if (rule.digits and not has_digit) or rule.trigger not in text:
                continue
            if rule.starts and rule.starts not in places:
                places[rule.starts] = [place for place, char in enumerate(text) if char in rule.starts]
            for start, end in self._matches(rule, text, deadline, places.get(rule.starts)):
                yield Span(*view.original(start, end), rule.type, rule.name)

    def _matches(
        self, rule: Rule, text: str, deadline: float, places: Sequence[int] | None = None
    ) -> list[tuple[int, int]]:
        """Return the matches of one rule, or raise when the time of this text is spent."""
        left = deadline - self._clock()
        if left <= 0:
            raise DetectorTimeout(
                f"rule {rule.name} was not run: {self._timeout_s:g} s for a text of {len(text)} characters are spent"
            )
        try:
            found = list(self._found(rule, text, left, places))
            if self._clock() > deadline:
                raise TimeoutError
        except TimeoutError as error:
            raise DetectorTimeout(f"rule {rule.name} did not finish in {self._timeout_s:g} s") from error
        return [(s, e) for s, e in found if e > s and (rule.check is None or rule.check(text[s:e]))]

    def _found(self, rule: Rule, text: str, left: float, places: Sequence[int] | None) -> Iterable[tuple[int, int]]:
        if rule.find is not None:
            return rule.find(text)
        if places is None:
            return (match.span(rule.group) for match in rule.pattern.finditer(text, timeout=left))
        tried = (rule.pattern.match(text, place, timeout=left) for place in places)
        return (match.span(rule.group) for match in tried if match)


_: type[Detector] = RulesDetector
