"""Detector over Presidio's AnalyzerEngine without a language model. The only importer of presidio_analyzer and spacy.

Our rules are registered as one Presidio recogniser per language; of Presidio's own, those that check digits or formats
are kept. Its recognisers give up quietly when a pattern times out: here every one of them is run with a limit that
raises (fail closed). tldextract, which the e-mail recogniser asks, never looks up the network.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import spacy
import tldextract
from presidio_analyzer import (
    AnalyzerEngine,
    ContextAwareEnhancer,
    EntityRecognizer,
    PatternRecognizer,
    RecognizerRegistry,
    RecognizerResult,
)
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    MedicalLicenseRecognizer,
    UsItinRecognizer,
    UsSsnRecognizer,
)

from hdex.deid.detector_rules import HOUSE_RULES, RulesDetector
from hdex.deid.errors import DetectorTimeout, InputInvalid
from hdex.deid.ports import Detector, Span
from hdex.deid.rules import Rule

_KEPT: Mapping[str, Sequence[Any]] = {
    "en": (
        EmailRecognizer,
        IbanRecognizer,
        IpRecognizer,
        CreditCardRecognizer,
        UsSsnRecognizer,
        UsItinRecognizer,
        MedicalLicenseRecognizer,
    ),
    "zh": (EmailRecognizer, IbanRecognizer, IpRecognizer),
}
_TYPES = {  # Presidio's names of entities -> ours
    "EMAIL_ADDRESS": "EMAIL",
    "IBAN_CODE": "CARD",
    "CREDIT_CARD": "CARD",
    "IP_ADDRESS": "IP",
    "US_SSN": "SSN",
    "US_ITIN": "SSN",
    "MEDICAL_LICENSE": "ID",
    "PERSON": "NAME",
    "DATE_TIME": "DATE",
    "PHONE_NUMBER": "PHONE",
    "ORGANIZATION": "ORGANISATION",
    "GPE": "LOCATION",
}
_RESULT: Any = RecognizerResult  # its constructor has no types
_BLANK = {"zh": "xx"}  # the blank Chinese pipeline makes a token of every character: four times the work, no use
_RULE_KEY = "hdex_rule"
_DIGIT_OR_AT = re.compile(r"[\d@]")  # each recogniser that is kept needs one of them
_LEAST_SCORE = 0.4  # Presidio's weak patterns (0.01-0.3) need context words that a blank pipeline does not weigh well


class PresidioDetector:
    """Finds identifiers through Presidio.

    languages: those with rules. models: language -> name or path of an installed spaCy model; the others run blank.
    timeout_s: for one recogniser on one text. recognizers: a site's own, added to ours; those that
    are PatternRecognizers get the limit too.
    """

    def __init__(
        self,
        languages: Sequence[str] = ("en", "zh"),
        *,
        rules: Mapping[str, Sequence[Rule]] = HOUSE_RULES,
        models: Mapping[str, str] | None = None,
        recognizers: Sequence[EntityRecognizer] = (),
        timeout_s: float = 5.0,
    ) -> None:
        unknown = sorted(set(languages) - set(rules))
        if unknown:
            raise InputInvalid(f"languages asked are {unknown}, rules exist for {sorted(rules)}")
        logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)  # it warns of every language without defaults
        _keep_tldextract_offline()
        self._languages = tuple(languages)
        registry = RecognizerRegistry(recognizers=[], supported_languages=list(languages))
        own = RulesDetector(rules, timeout_s=timeout_s)
        for lang in languages:
            registry.add_recognizer(_RulesRecognizer(own, lang))
            for kind in _KEPT.get(lang, ()):
                registry.add_recognizer(_Guarded(kind(supported_language=lang), timeout_s, needs=_DIGIT_OR_AT))
        for recognizer in recognizers:
            is_pattern = isinstance(recognizer, PatternRecognizer)
            registry.add_recognizer(_Guarded(recognizer, timeout_s) if is_pattern else recognizer)
        self._analyzer = AnalyzerEngine(
            registry=registry,
            nlp_engine=_engine(languages, models or {}),
            supported_languages=list(languages),
            context_aware_enhancer=None if recognizers else _NoContext(),
        )

    def find(self, text: str, lang: str) -> list[Span]:
        """Return the spans found, sorted; see Detector."""
        if lang not in self._languages:
            raise InputInvalid(f"language asked is {lang!r}, this detector reads {sorted(self._languages)}")
        if not text.strip():
            return []
        try:
            results = self._analyzer.analyze(text=text, language=lang, score_threshold=_LEAST_SCORE)
        except TimeoutError as error:
            raise DetectorTimeout(f"a recogniser did not finish a text of {len(text)} characters") from error
        return sorted({_span(result) for result in results})


def _keep_tldextract_offline() -> None:
    """Replace the process-wide extractor: its default fetches a list of suffixes when first asked."""
    module: Any = tldextract
    module.tldextract.TLD_EXTRACTOR = module.TLDExtract(suffix_list_urls=(), cache_dir=None)
    module.extract = module.tldextract.TLD_EXTRACTOR


def _engine(languages: Sequence[str], models: Mapping[str, str]) -> SpacyNlpEngine:
    """Return Presidio's spaCy engine over blank pipelines, or over installed models where a site names them."""

    class NoModel(SpacyNlpEngine):
        """Tokens only: nothing is loaded, nothing is downloaded."""

        def __init__(self) -> None:
            super().__init__()
            pipelines: Any = {lang: _pipeline(lang, models.get(lang)) for lang in languages}
            self.nlp = pipelines

        def load(self) -> None:
            """Do nothing: the pipelines are there."""

    return NoModel()


def _pipeline(lang: str, model: str | None) -> Any:
    if model is None:
        return spacy.blank(_BLANK.get(lang, lang))
    try:
        return spacy.load(model)
    except OSError as error:
        raise InputInvalid(f"the spaCy model of language {lang} is not installed") from error


class _NoContext(ContextAwareEnhancer):
    """Leaves scores alone: our rules look at context themselves, the kept recognisers check digits.

    Presidio's own enhancer copies every result and, over single Han characters, weighs nothing. It stays on where a
    site adds recognisers that may want it.
    """

    def __init__(self) -> None:
        super().__init__(0.0, 0.0, 0, 0)

    def enhance_using_context(self, text: str, raw_results: Any, *_: object, **__: object) -> Any:
        """Return the results as they are."""
        return raw_results


class _RulesRecognizer(EntityRecognizer):
    """All our rules of one language as one Presidio recogniser."""

    def __init__(self, rules: RulesDetector, lang: str) -> None:
        self._detector = rules
        super().__init__(supported_entities=list(rules.types(lang)), name=f"hdex-rules-{lang}", supported_language=lang)

    def load(self) -> None:
        """Do nothing: the rules are compiled."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: object = None) -> list[RecognizerResult]:
        """Return one result per span of our rules."""
        return [
            _RESULT(span.type, span.start, span.end, 0.85, None, {**_metadata(self), _RULE_KEY: span.rule})
            for span in self._detector.find(text, self.supported_language)
            if span.type in entities
        ]


class _Guarded(EntityRecognizer):
    """One of Presidio's pattern recognisers, run so that a time-out raises and is not skipped."""

    def __init__(self, inner: Any, timeout_s: float, *, needs: re.Pattern[str] | None = None) -> None:
        self._inner = inner
        self._needs = needs
        self._timeout_s = timeout_s
        super().__init__(
            supported_entities=list(inner.supported_entities),
            name=inner.name,
            supported_language=inner.supported_language,
            context=inner.context,
        )

    def load(self) -> None:
        """Do nothing: patterns are compiled when first used."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: object = None) -> list[RecognizerResult]:
        """Return the results of the patterns that hold up to the recogniser's own validation."""
        if self._needs is not None and not self._needs.search(text):
            return []
        return [
            _RESULT(
                self.supported_entities[0], *match.span(), score, None, {**_metadata(self), _RULE_KEY: pattern.name}
            )
            for pattern in self._inner.patterns
            for match in self._matches(pattern, text)
            if (score := self._score(pattern, match.group())) > 0
        ]

    def _matches(self, pattern: Any, text: str) -> list[Any]:
        if not pattern.compiled_regex:
            import regex  # type: ignore[import-untyped]  # presidio's own engine

            pattern.compiled_with_flags = self._inner.global_regex_flags
            pattern.compiled_regex = regex.compile(pattern.regex, flags=self._inner.global_regex_flags)
        return [m for m in pattern.compiled_regex.finditer(text, timeout=self._timeout_s) if m.group()]

    def _score(self, pattern: Any, match: str) -> float:
        """Return the score after validation, as Presidio does: 1 when valid, 0 when not."""
        valid = self._inner.validate_result(match)
        if valid is not None:
            return 1.0 if valid else 0.0
        return 0.0 if self._inner.invalidate_result(match) else float(pattern.score)


def _metadata(recognizer: Any) -> dict[str, str]:
    return {
        RecognizerResult.RECOGNIZER_NAME_KEY: recognizer.name,
        RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: recognizer.id,
    }


def _span(result: Any) -> Span:
    metadata = result.recognition_metadata or {}
    rule = metadata.get(_RULE_KEY) or metadata.get(RecognizerResult.RECOGNIZER_NAME_KEY) or "presidio"
    return Span(result.start, result.end, _TYPES.get(result.entity_type, result.entity_type), str(rule))


_: type[Detector] = PresidioDetector
