"""Detector over Presidio's AnalyzerEngine, with a trained model or without. The only importer of presidio and spacy.

Our rules are registered as one Presidio recogniser per language; of Presidio's own, those that check digits or formats
are kept. Its recognisers give up quietly when a pattern times out: here every one of them is run with a limit that
raises (fail closed). tldextract, which the e-mail recogniser asks, never looks up the network.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
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
from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpArtifacts, SpacyNlpEngine
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    MedicalLicenseRecognizer,
    UsItinRecognizer,
    UsSsnRecognizer,
)

from hdex.deid.detector_rules import RulesDetector
from hdex.deid.errors import DetectorTimeout, InputInvalid
from hdex.deid.outline import NOTHING, Glance, Needs, Plan
from hdex.deid.ports import Detector, Span
from hdex.deid.rules import Rule
from hdex.deid.rules_file import HOUSE_RULES, Model

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
}
_KEPT_ANYWHERE = (EmailRecognizer, IbanRecognizer, IpRecognizer)
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
_NINE_DIGITS = (
    *("000000000", "00000-0000", "00000 0000", "000-000000", "000 000000"),
    *(f"000{first}00{second}0000" for first in "- ." for second in "- ."),
)
_ADDRESS_BLOCKS = ("x.x.", "x.xx.", "x.xxx.", "::", ":x:", ":xx:", ":xxx:", ":xxxx:")
_NEEDS: Mapping[Any, Needs] = {  # what every match of the recogniser holds: cheaper to look for than its patterns
    EmailRecognizer: Needs(texts=("@",)),
    IbanRecognizer: Needs(layouts=("AA00", "aa00", "Aa00", "aA00")),
    IpRecognizer: Needs(blocks=_ADDRESS_BLOCKS),
    CreditCardRecognizer: Needs(run=12),
    UsSsnRecognizer: Needs(run=9, layouts=_NINE_DIGITS),
    UsItinRecognizer: Needs(run=9, layouts=_NINE_DIGITS),
    MedicalLicenseRecognizer: Needs(layouts=("0000000",)),
}
_LABELS = {  # what trained models call things -> our types; a site's own labels are added
    "PERSON": "NAME",
    "PER": "NAME",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    "ORG": "ORGANISATION",
    "DATE": "DATE",
}
_NO_IDENTIFIERS = """
    CARDINAL ORDINAL PERCENT QUANTITY MONEY TIME MISC NORP LANGUAGE EVENT WORK_OF_ART LAW PRODUCT
"""
_LEAST_SCORE = 0.4  # Presidio's weak patterns (0.01-0.3) need context words that a blank pipeline does not weigh well


class PresidioDetector:
    """Finds identifiers through Presidio.

    languages: those with rules. models: language -> a trained model that reads it beside the rules; the others run
    without. timeout_s: for one recogniser on one text. recognizers: a site's own, added to ours; those that
    are PatternRecognizers get the limit too. Raises InputInvalid for a language without rules or a model that is not
    on this machine.
    """

    def __init__(
        self,
        languages: Sequence[str] = ("en", "zh"),
        *,
        rules: Mapping[str, Sequence[Rule]] = HOUSE_RULES,
        models: Mapping[str, Model] | None = None,
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
            kept = [(kind(supported_language=lang), _NEEDS[kind]) for kind in _KEPT.get(lang, _KEPT_ANYWHERE)]
            registry.add_recognizer(_Guarded(kept, timeout_s, own.glance))
        for lang, model in (models or {}).items():
            registry.add_recognizer(_model_recognizer(model, lang))
        for recognizer in recognizers:
            is_pattern = isinstance(recognizer, PatternRecognizer)
            registry.add_recognizer(
                _Guarded([(recognizer, NOTHING)], timeout_s, own.glance) if is_pattern else recognizer
            )
        engine = AnalyzerEngine if recognizers else _Analyzer
        self._analyzer = engine(
            registry=registry,
            nlp_engine=_Engine(languages, models or {}, tokens=bool(recognizers)),
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


class _Engine(SpacyNlpEngine):
    """Presidio's spaCy engine over pipelines that are already on this machine: nothing is downloaded.

    A language with a model runs it. Without one a blank pipeline only cuts tokens; nobody of the house asks for
    them, so that work is skipped unless a site's own recognisers may (tokens).
    """

    def __init__(self, languages: Sequence[str], models: Mapping[str, Model], *, tokens: bool) -> None:
        spacy_models = {lang: model for lang, model in models.items() if model.engine == "spacy"}
        labels = {label: name for model in spacy_models.values() for label, name in model.labels.items()}
        ignored = [label for model in spacy_models.values() for label in model.ignore]
        super().__init__(
            ner_model_configuration=NerModelConfiguration(
                model_to_presidio_entity_mapping={**_LABELS, **labels},
                labels_to_ignore=[*(label for label in _NO_IDENTIFIERS.split() if label not in labels), *ignored],
            )
        )
        pipelines: Any = {lang: _pipeline(lang, spacy_models.get(lang)) for lang in languages}
        self.nlp = pipelines
        self._reads = frozenset(languages if tokens else spacy_models)
        self._nothing = {lang: NlpArtifacts([], pipelines[lang].make_doc(""), [], [], self, lang) for lang in languages}

    def load(self) -> None:
        """Do nothing: the pipelines are there."""

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """Return tokens and entities where somebody reads them, else nothing."""
        if language in self._reads:
            return super().process_text(text, language)
        return self._nothing[language]


def _pipeline(lang: str, model: Model | None) -> Any:
    if model is None:
        return spacy.blank(_BLANK.get(lang, lang))
    try:
        return spacy.load(model.name)
    except (OSError, ValueError) as error:
        raise InputInvalid(
            f"the spacy model of language {lang} is not on this machine: asked are a folder or an installed package"
        ) from error


def _model_recognizer(model: Model, lang: str) -> EntityRecognizer:
    """The recogniser that hands on what a trained model finds."""
    if model.engine == "spacy":
        return _ModelRecognizer(
            supported_entities=sorted({*_LABELS.values(), *model.labels.values()}),
            name=f"model-{lang}",
            supported_language=lang,
        )
    if not Path(model.name).is_dir():
        raise InputInvalid(f"the transformers model of language {lang} is no folder of this machine")
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")  # read when transformers is first imported
    from presidio_analyzer.predefined_recognizers.ner.huggingface_ner_recognizer import HuggingFaceNerRecognizer

    labels: Any = {**_LABELS, **model.labels}
    try:
        return HuggingFaceNerRecognizer(
            supported_entities=sorted(set(labels.values())),
            name=f"model-{lang}",
            supported_language=lang,
            model_name=model.name,
            label_mapping=labels,
        )
    except (ImportError, OSError, ValueError) as error:
        raise InputInvalid(
            f"the transformers model of language {lang} cannot be loaded; packages transformers and torch are needed"
        ) from error


class _ModelRecognizer(EntityRecognizer):
    """Hands on the entities of the spaCy pipeline, whatever the site's model calls them."""

    name: str

    def load(self) -> None:
        """Do nothing: the pipeline is the engine's."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Return one result per entity; a label without a type of ours keeps its name."""
        return [
            _RESULT(e.label_, e.start_char, e.end_char, score, None, {**_metadata(self), _RULE_KEY: self.name})
            for e, score in zip(nlp_artifacts.entities, nlp_artifacts.scores, strict=True)
        ]


class _Analyzer(AnalyzerEngine):
    """Presidio's engine where all recognisers are the house's: the same results for half the work.

    Nobody of the house weighs context words, asks for some entities only, traces decisions or allows words; what is
    left of `analyze` is each recogniser's own, the least score, and that no result stands within another of its type.
    A site's own recognisers get the engine as it comes.
    """

    def analyze(self, text: str, language: str, *_: Any, score_threshold: float | None = None, **__: Any) -> Any:
        """Return the results as AnalyzerEngine.analyze does, in another order."""
        artifacts, least = self.nlp_engine.process_text(text, language), score_threshold or 0.0
        found: dict[tuple[str, int, int, float], RecognizerResult] = {}
        for recognizer in self.registry.recognizers:
            if recognizer.supported_language == language:
                for result in recognizer.analyze(text, recognizer.supported_entities, artifacts):
                    if result.score >= least and result.score > 0:
                        key = (result.entity_type, result.start, -result.end, -result.score)
                        found.setdefault(key, result)
        return _outermost([found[key] for key in sorted(found)])


def _outermost(results: Sequence[RecognizerResult]) -> list[RecognizerResult]:
    """Return those that no other of their type with as high a score holds.

    results: sorted by type, then start, then the longest and the surest first.
    """
    kept: list[RecognizerResult] = []
    open_: list[RecognizerResult] = []  # kept ones that may hold the next
    kind, reach = "", -1
    for result in results:
        if result.entity_type != kind or result.start > reach:
            open_, kind, reach = [], result.entity_type, -1
        if not any(one.end >= result.end and one.score >= result.score for one in open_):
            kept.append(result)
            open_.append(result)
            reach = max(reach, result.end)
    return kept


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
        self._told = {rule: {**_metadata(self), _RULE_KEY: rule} for rule in rules.names(lang)}  # one for all results

    def load(self) -> None:
        """Do nothing: the rules are compiled."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: object = None) -> list[RecognizerResult]:
        """Return one result per span of our rules."""
        return [
            _RESULT(kind, start, end, 0.85, None, self._told[rule])
            for start, end, kind, rule in self._detector.found(text, self.supported_language)
            if kind in entities
        ]


class _Guarded(EntityRecognizer):
    """Pattern recognisers of Presidio, run as one and so that a time-out raises and is not skipped."""

    def __init__(self, kept: Sequence[tuple[Any, Needs]], timeout_s: float, glance: Glance) -> None:
        self._plan = Plan(kept)
        self._glance = glance
        self._timeout_s = timeout_s
        first = kept[0][0]
        super().__init__(
            supported_entities=sorted({entity for inner, _ in kept for entity in inner.supported_entities}),
            name=first.name if len(kept) == 1 else f"presidio-{first.supported_language}",
            supported_language=first.supported_language,
            context=first.context if len(kept) == 1 else None,
        )

    def load(self) -> None:
        """Do nothing: patterns are compiled when first used."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: object = None) -> list[RecognizerResult]:
        """Return the results of the patterns that hold up to their recogniser's own validation."""
        return [
            _RESULT(
                inner.supported_entities[0], *match.span(), score, None, {**_metadata(self), _RULE_KEY: pattern.name}
            )
            for inner in self._plan.possible(self._glance.of(text))
            for pattern in inner.patterns
            for match in self._matches(inner, pattern, text)
            if (score := _score(inner, pattern, match.group())) > 0
        ]

    def _matches(self, inner: Any, pattern: Any, text: str) -> list[Any]:
        if not pattern.compiled_regex:
            import regex  # type: ignore[import-untyped]  # presidio's own engine

            pattern.compiled_with_flags = inner.global_regex_flags
            pattern.compiled_regex = regex.compile(pattern.regex, flags=inner.global_regex_flags)
        return [m for m in pattern.compiled_regex.finditer(text, timeout=self._timeout_s) if m.group()]


def _score(inner: Any, pattern: Any, match: str) -> float:
    """Return the score after validation, as Presidio does: 1 when valid, 0 when not."""
    valid = inner.validate_result(match)
    if valid is not None:
        return 1.0 if valid else 0.0
    return 0.0 if inner.invalidate_result(match) else float(pattern.score)


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
