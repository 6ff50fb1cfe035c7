"""Detector over our own rules: regular expressions with a time limit, no model, no vendor beyond the pattern engine."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hdex.deid.errors import DetectorTimeout, InputInvalid
from hdex.deid.folding import View, fold, rejoined, unbroken
from hdex.deid.outline import Glance, Plan
from hdex.deid.ports import Detector, Span
from hdex.deid.rules import Rule, is_name
from hdex.deid.rules_file import HOUSE_RULES
from hdex.deid.words_en import may_go_on


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
        self._plans = {lang: Plan((rule, rule.asked) for rule in of) for lang, of in rules.items()}
        self._wrapped = {lang: Plan((rule, rule.asked) for rule in of if rule.wrapped) for lang, of in rules.items()}
        self.glance = Glance()
        self._timeout_s = timeout_s
        self._clock = clock

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that have rules."""
        return tuple(self._rules)

    def types(self, lang: str) -> tuple[str, ...]:
        """Types that the rules of one language can return."""
        return tuple(sorted({rule.type for rule in self._rules[lang]}))

    def names(self, lang: str) -> tuple[str, ...]:
        """Names of the rules of one language."""
        return tuple(rule.name for rule in self._rules[lang])

    def find(self, text: str, lang: str) -> list[Span]:
        """Return the spans found, sorted; see Detector."""
        return [Span._make(one) for one in self.found(text, lang)]

    def found(self, text: str, lang: str) -> list[tuple[int, int, str, str]]:
        """Return start, end, type and rule of each span, sorted: `find` for those who make values of their own."""
        if lang not in self._rules:
            raise InputInvalid(f"language asked is {lang!r}, rules exist for {sorted(self._rules)}")
        view = fold(text)
        deadline = self._clock() + self._timeout_s
        found = self._spans(self._plans[lang], view, deadline)
        if (joined := unbroken(view)) is not None:
            found += self._spans(self._wrapped[lang], joined, deadline)
        if (pieces := rejoined(view, may_go_on)) is not None:
            found += self._across(self._plans[lang], *pieces, deadline)
        return sorted(set(found))

    def _across(
        self, plan: Plan[Rule], view: View, places: Sequence[int], deadline: float
    ) -> list[tuple[int, int, str, str]]:
        """Return the spans that go on over the end of a line, or begin where the next one does."""
        text, found = view.text, []
        for rule in plan.possible(self.glance.of(text)):
            for start, end in self._matches(rule, text, deadline):
                at = bisect_left(places, start)
                if at < len(places) and places[at] < end and _is_over(rule.type, text[places[at] : end]):
                    found.append((*view.original(start, end), rule.type, rule.name))
        return found

    def _spans(self, plan: Plan[Rule], view: View, deadline: float) -> list[tuple[int, int, str, str]]:
        """Run the rules that may match; return start, end, type and rule."""
        text, is_plain = view.text, isinstance(view.offsets, range)  # nothing moved: places are the original's
        found: list[tuple[int, int, str, str]] = []
        for rule in plan.possible(self.glance.of(text)):
            for start, end in self._matches(rule, text, deadline):
                place = (start, end) if is_plain else view.original(start, end)
                found.append((*place, rule.type, rule.name))
        return found

    def _matches(self, rule: Rule, text: str, deadline: float) -> list[tuple[int, int]]:
        """Return the matches of one rule, or raise when the time of this text is spent."""
        left_s = deadline - self._clock()
        if left_s <= 0:
            raise DetectorTimeout(f"rule {rule.name} was not run: {self._spent(text)}")
        try:
            if rule.find is not None:
                found = list(rule.find(text))
            else:
                matches = _tried(rule, text, left_s) if rule.starts else rule.pattern.finditer(text, timeout=left_s)
                group = rule.group
                found = [match.span(group) for match in matches]
            if self._clock() > deadline:
                raise TimeoutError
        except TimeoutError as error:
            raise DetectorTimeout(f"rule {rule.name} did not finish: {self._spent(text)}") from error
        check = rule.check
        return [(s, e) for s, e in found if e > s and (check is None or check(text[s:e]))]

    def _spent(self, text: str) -> str:
        return f"{self._timeout_s:g} s for {len(text)} characters of text are spent; split it or give it more time"


def _is_over(kind: str, tail: str) -> bool:
    """Say whether what begins a line belongs to a span of the line before: in a Latin name, it must be a name."""
    return kind != "NAME" or not "A" <= tail[0] <= "ÿ" or is_name(tail.split(maxsplit=1)[0].rstrip(".,"))


def _tried(rule: Rule, text: str, left_s: float) -> Iterable[Any]:
    """Yield the matches that begin where one of the rule's characters stands."""
    places = (place for place, char in enumerate(text) if char in rule.starts)
    tried = (rule.pattern.match(text, place, timeout=left_s) for place in places)
    return (match for match in tried if match)


_: type[Detector] = RulesDetector
