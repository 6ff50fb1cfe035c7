"""Free text of resources: gathered in one pass, redacted together, put back; then the sweep for what is left."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl

from hdex.deid.errors import ResidueFound
from hdex.deid.identity import Identity
from hdex.deid.ports import Detector
from hdex.deid.text import Surrogates, Tags, redact_notes, residue_sweep

Place = tuple[dict[str, object] | list[object], str | int]  # container and key of a string of the output
_HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(slots=True)
class Texts:
    """Strings of the output that wait: free text to be redacted, vocabulary and codes to be swept."""

    free: dict[tuple[str, str], list[Place]] = field(default_factory=dict, repr=False)  # (patient, text)
    encoded: list[tuple[dict[str, object], str, str, str]] = field(default_factory=list, repr=False)
    terms: dict[str, list[Place]] = field(default_factory=dict, repr=False)
    kept: set[str] = field(default_factory=set, repr=False)

    def redact(self, place: Place, text: str, patient: str) -> None:
        """Have the text at `place` redacted with what is known of `patient` ("" for nobody's)."""
        self.free.setdefault((patient, text), []).append(place)

    def redact_encoded(self, holder: dict[str, object], name: str, text: str, patient: str) -> None:
        """The same for text that goes back as base64."""
        self.encoded.append((holder, name, text, patient))


@dataclass(slots=True)
class TextRedactor:
    """Redacts gathered texts with one detector and everybody's identity."""

    identities: dict[str, Identity] = field(repr=False)
    everybody: Sequence[Identity] = field(repr=False)
    swept: Sequence[Identity] = field(repr=False)  # the patients: none of their values may be left
    detector: Detector = field(repr=False)
    surrogate: Surrogates | Tags = field(repr=False)
    lang: str = "en"

    def settle(self, texts: Texts, counts: Counter[str]) -> None:
        """Put every redacted text in its place. Raises DetectorTimeout; ResidueFound when a value is left."""
        wanted = list(dict.fromkeys([*texts.free, *((patient, text) for _, _, text, patient in texts.encoded)]))
        done = self._redacted(wanted, counts)
        for key, places in texts.free.items():
            for holder, at in places:
                holder[at] = done[key]  # type: ignore[index]  # a dict by name or a list by number
        for holder, name, text, patient in texts.encoded:
            holder[name] = base64.b64encode(done[patient, text].encode()).decode()
        self._sweep_terms(texts, counts)
        if left := residue_sweep(sorted({*texts.kept, *done.values()}), self.swept):
            raise ResidueFound(left, where="the resources' codes and texts")

    def _redacted(self, wanted: Iterable[tuple[str, str]], counts: Counter[str]) -> dict[tuple[str, str], str]:
        """Return the redacted text of each (patient, text), read by the rules of the text's own language."""
        by_lang: dict[str, list[tuple[str, str]]] = {}
        for key in wanted:
            by_lang.setdefault("zh" if _HAN.search(key[1]) else self.lang, []).append(key)
        done: dict[tuple[str, str], str] = {}
        for lang, keys in by_lang.items():
            # Everybody rides along on empty notes: values of other patients are replaced, too.
            notes = pl.Series("text", [text for _, text in keys] + [None] * len(self.everybody), dtype=pl.String)
            people = [self.identities.get(patient) or Identity(patient=patient) for patient, _ in keys]
            result = redact_notes(
                notes, [*people, *self.everybody], detector=self.detector, surrogate=self.surrogate, lang=lang
            )
            done |= dict(zip(keys, result.texts.to_list(), strict=False))
            counts.update({f"text:{kind}": number for kind, number in result.counts.items()})
        return done

    def _sweep_terms(self, texts: Texts, counts: Counter[str]) -> None:
        """Drop a display or unit that holds somebody's value: a vocabulary has none."""
        if not texts.terms or not residue_sweep(list(texts.terms), self.swept):
            return
        for term, places in texts.terms.items():
            if residue_sweep([term], self.swept):
                counts["term with a patient's value"] += len(places)
                for holder, at in places:
                    del holder[at]  # type: ignore[arg-type]  # terms stand in objects only
