"""Free text: what our recognisers find and lose, beside Presidio's own, on the same notes in the same run.

CPU seconds of this process. Recall: no letter or digit of a gold span is left. Precision: spans that touch a gold one.
The errors themselves are printed by `python bench/bench_deid_text.py errors`, never written to a file.
"""

import csv
import json
import statistics
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

import deid_chinese
import polars as pl
from deid_corpora import SHARED, Note, Score, load_asq, load_meddocan, rounded

from hdex.deid.detector_presidio import PresidioDetector
from hdex.deid.detector_rules import RulesDetector
from hdex.deid.identity import Identity
from hdex.deid.ports import Detector, Span
from hdex.deid.redaction import identity
from hdex.deid.rules_file import load_rules
from hdex.deid.text import Surrogates, Tags, redact_notes, residue_sweep

SEED = 20261121
LANGUAGES = ("en", "es", "zh")
PATTERNS = ("DATE", "PHONE_NUMBER", "EMAIL_ADDRESS", "MEDICAL_RECORD_NUMBER", "HEALTH_PLAN_BENEFICIARY_NUMBER")
PATTERNS = (*PATTERNS, "SOCIAL_SECURITY_NUMBER", "ACCOUNT_NUMBER", "UNIQUE_IDENTIFIER")
MAIN_ES = ("NOMBRE", "ID_", "CORREO", "NUMERO", "FECHAS")  # names, numbers, contact, dates
Find = Callable[[str], list[tuple[int, int, str]]]


def measure() -> dict[str, object]:
    """Every set that is there; a set that is absent says so."""
    return {
        "asq_phi_en": asq(),
        "meddocan_es_train": meddocan("train"),
        "meddocan_es_dev": meddocan("dev"),
        "chinese_internal_development": chinese(deid_chinese.READ),
        "chinese_internal_held_out": chinese(deid_chinese.HELD_OUT),
        "chinese_internal_held_out_2": chinese(deid_chinese.HELD_OUT_2),
        "chinese_internal_prose": chinese_prose(),
        "synthea_notes_en_record_aware": synthea(),
        "seed": SEED,
    }


def timed(find: Find, notes: Sequence[Note]) -> tuple[Score, float]:
    """Score one detector and return the CPU seconds it took to find, without the scoring."""
    found, seconds = run(find, notes)
    return scored(notes, found), seconds


def run(find: Find, notes: Sequence[Note]) -> tuple[list[list[tuple[int, int, str]]], float]:
    find(notes[0].text)
    began = time.process_time()
    found = [find(note.text) for note in notes]
    return found, time.process_time() - began


def timed_together(ways: Mapping[str, Find], notes: Sequence[Note], *, repeats: int) -> dict[str, tuple[Score, float]]:
    """Score several detectors; of each the median of so many runs, taken in turns.

    The host takes CPU away for minutes at a time: what is compared runs side by side.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, Score] = {}
    for _ in range(repeats):
        for name, find in ways.items():
            found, spent = run(find, notes)
            seconds[name].append(spent)
            scores[name] = scored(notes, found)
    return {name: (scores[name], statistics.median(seconds[name])) for name in ways}


def scored(notes: Sequence[Note], found: Iterable[Sequence[tuple[int, int, str]]]) -> Score:
    score = Score()
    for note, spans in zip(notes, found, strict=True):
        score.add(note, spans)
    return score


def by(detector: Detector, lang: str) -> Find:
    """The spans of a detector as the score wants them."""
    return lambda text: plain(detector.find(text, lang))


def plain(spans: Iterable[Span]) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.rule) for span in spans]


def asq() -> dict[str, object]:
    """English questions: our rules, the same through Presidio's engine, Presidio's own recognisers without a model."""
    notes = load_asq()
    if notes is None:
        return {"skipped": "../shared/data is absent"}
    ways = {"rules": by(RulesDetector(), "en"), "presidio_engine": by(PresidioDetector(("en",)), "en")}
    told: dict[str, object] = {}
    seconds: dict[str, float] = {}
    runs = timed_together({**ways, "presidio_own": presidio_own()}, notes, repeats=7)
    for name, (score, seconds[name]) in runs.items():
        keep(f"asq {name}", score)
        patterns = rounded(score.recall([t for t in PATTERNS if t in score.gold]))
        told[name] = {**score.told(), "recall_patterns": patterns, "cpu_seconds": round(seconds[name], 3)}
    ratios = {f"{name}_times_faster": round(seconds["presidio_own"] / seconds[name], 2) for name in ways}
    return {"notes": len(notes), **told, **ratios}


def presidio_own() -> Find:
    """Presidio as it comes, over a blank pipeline: all its recognisers for English."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Blank(SpacyNlpEngine):
        def __init__(self) -> None:
            super().__init__()
            self.nlp = {"en": spacy.blank("en")}

        def load(self) -> None:
            """Do nothing: the pipeline is there."""

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    engine = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])
    return lambda text: [(r.start, r.end, r.entity_type) for r in engine.analyze(text, "en")]


def meddocan(split: str) -> dict[str, object]:
    """Spanish cases: rules alone, and with the header as the patient's record."""
    notes = load_meddocan(split)
    if notes is None:
        return {"skipped": "../shared/data is absent"}
    detector = RulesDetector(load_rules(["es"]))
    alone, seconds = timed(by(detector, "es"), notes)
    people = [identity(note.record, list(note.record), number) for number, note in enumerate(notes)]
    texts = pl.Series([note.text for note in notes])
    began = time.process_time()
    done = redact_notes(texts, people, detector=detector, surrogate=Tags(), lang="es")
    both_seconds = time.process_time() - began
    both = scored(notes, [plain(spans) for spans in done.spans])
    keep(f"meddocan {split}", both)
    return {
        "notes": len(notes),
        "rules": {**spanish(alone), "cpu_ms_per_note": round(1e3 * seconds / len(notes), 2)},
        "record_aware": {**spanish(both), "cpu_ms_per_note": round(1e3 * both_seconds / len(notes), 2)},
    }


def spanish(score: Score) -> dict[str, object]:
    main = [kind for kind in score.gold if kind.startswith(MAIN_ES)]
    return {**score.told(), "recall_names_ids_contact_dates": rounded(score.recall(main))}


def chinese(templates: tuple[str, ...]) -> dict[str, object]:
    """The internal set; the held-out parts are only ever measured."""
    notes = deid_chinese.notes(templates, seed=SEED, count=400)
    score, seconds = timed(by(RulesDetector(), "zh"), notes)
    if templates is deid_chinese.READ:
        keep("chinese development", score)
    return {"notes": len(notes), **score.told(), "cpu_ms_per_note": round(1e3 * seconds / len(notes), 3)}


def chinese_prose() -> dict[str, object]:
    """Clinical prose without an identifier: what is lost of it."""
    texts, detector = deid_chinese.PROSE, RulesDetector()
    spans = [span for text in texts for span in detector.find(text, "zh")]
    lost = sum(span.end - span.start for span in spans) / sum(map(len, texts))
    return {"sentences": len(texts), "spans": len(spans), "text_lost": rounded(lost)}


def synthea() -> dict[str, object]:
    """Notes of known people with their own values planted: exact, and in variants that this file writes itself."""
    folder = SHARED / "synthea_notes_en"
    if not folder.exists():
        return {"skipped": "../shared/data is absent"}
    rows = {row["Id"]: row for row in csv.DictReader((folder / "patients.csv").open(encoding="utf-8"))}
    notes, people, planted = [], [], []
    with tarfile.open(folder / "notes.tar.gz") as archive:
        for member in archive:
            if stream := archive.extractfile(member):
                row = rows[member.name.removesuffix(".txt").rpartition("_")[2]]
                note, places = planted_note(stream.read().decode()[:8000], row)
                notes.append(note)
                planted.append(places)
                people.append(Identity.from_row(row["Id"], row, shift_days=17))
    began = time.process_time()
    detector, surrogate = PresidioDetector(("en",)), Surrogates(bytes(range(32)))
    done = redact_notes(pl.Series(notes), people, detector=detector, surrogate=surrogate, lang="en")
    seconds = time.process_time() - began
    answer: dict[str, object] = {"notes": len(notes), "cpu_ms_per_note": round(1e3 * seconds / len(notes), 2)}
    for kind in ("exact", "variant"):
        whole = [
            covered(spans, p) for spans, places in zip(done.spans, planted, strict=True) for p in places if p[2] == kind
        ]
        answer |= {f"{kind}_planted": len(whole), f"{kind}_found": rounded(sum(whole) / len(whole))}
    return {**answer, "residue": residue_sweep(done.texts, people)}


def covered(spans: Sequence[Span], place: tuple[int, int, str]) -> bool:
    """Whether every code point of the place stands in some span."""
    left = set(range(place[0], place[1]))
    for span in spans:
        left -= set(range(span.start, span.end))
    return not left


def planted_note(text: str, row: dict[str, str]) -> tuple[str, list[tuple[int, int, str]]]:
    """The note with the patient's values appended, one a line, and where they stand."""
    places = []
    for kind, values in (("exact", exact(row)), ("variant", variants(row))):
        for value in values:
            text += "\nNoted: "
            places.append((len(text), len(text) + len(value), kind))
            text += value + " today."
    return text, places


def exact(row: dict[str, str]) -> list[str]:
    """Values as the table has them."""
    full = f"{row['FIRST']} {row['LAST']}"
    return [
        v
        for v in (
            full,
            row["FIRST"],
            row["LAST"],
            row["SSN"],
            row["DRIVERS"],
            row["PASSPORT"],
            row["ADDRESS"],
            row["BIRTHDATE"],
        )
        if v
    ]


def variants(row: dict[str, str]) -> list[str]:
    """The same values as people write them."""
    first, last, born = row["FIRST"], row["LAST"], date.fromisoformat(row["BIRTHDATE"])
    bare_first, bare_last = first.rstrip("0123456789"), last.rstrip("0123456789")
    names = [
        f"{last}, {first}",
        f"{first} {last}".upper(),
        f"{bare_first} {bare_last}",
        f"{bare_first[0]}. {bare_last}",
        f"{bare_last} {bare_first}",
        " ".join(bare_first + bare_last),
    ]
    ssn = row["SSN"]
    numbers = [
        ssn.replace("-", ""),
        ssn.replace("-", " "),
        "\u200b".join(ssn),
        "".join(chr(ord(c) + 0xFEE0) for c in ssn),
        ssn[:6] + "\n" + ssn[6:],
    ]
    dates = [
        f"{born:%m/%d/%Y}",
        f"{born:%B} {born.day}, {born.year}",
        f"{born.day} {born:%b} {born.year}",
        f"{born:%d.%m.%Y}",
        f"{born:%Y%m%d}",
        f"{born.month}/{born.day}/{born:%y}",
    ]
    return [*names, *numbers, *dates, row["ADDRESS"].upper(), row["DRIVERS"].lower()]


ERRORS: dict[str, Score] = {}


def keep(name: str, score: Score) -> None:
    ERRORS[name] = score


def show_errors(most: int = 400) -> None:
    """Print what was missed and what was wrongly found, for reading; never for a file of the repository."""
    for name, score in ERRORS.items():
        for kind, where in [*(("missed", m) for m in score.missed), *(("wrong", w) for w in score.wrong)][:most]:
            print(f"{name}\t{kind}\t{where[0]}\t{where[1]}")


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1, ensure_ascii=False))
    if sys.argv[1:] == ["errors"]:
        show_errors()
