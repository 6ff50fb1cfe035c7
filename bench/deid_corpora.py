"""Annotated notes to measure a detector on, and the count of what it finds and loses.

The shared corpora stay where they are: `load_*` returns None where the folder is absent.
"""

import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SHARED = Path(__file__).resolve().parents[1].parent / "shared/data"


@dataclass(frozen=True, slots=True)
class Gold:
    """Code points [start, end) that identify somebody, as an annotator or a generator says."""

    start: int
    end: int
    type: str


@dataclass(frozen=True, slots=True)
class Note:
    """A text, what identifies in it, and what the patient's structured row says."""

    text: str = field(repr=False)
    gold: tuple[Gold, ...] = field(repr=False)
    record: Mapping[str, str] = field(default_factory=dict, repr=False)


def load_asq() -> list[Note] | None:
    """Clinical questions, gold values without places: every place where a value stands counts."""
    path = SHARED / "asq_phi_en/queries_001_300.txt"
    if not path.exists():
        return None
    notes = []
    for block in path.read_text(encoding="utf-8").split("===QUERY===")[1:]:
        text, _, tags = block.partition("===PHI_TAGS===")
        values = [json.loads(line) for line in tags.splitlines() if line.strip().startswith("{")]
        gold = {
            Gold(found.start(), found.end(), value["identifier_type"])
            for value in values
            for found in re.finditer(re.escape(value["value"]), text)
        }
        notes.append(Note(text, tuple(sorted(gold, key=lambda g: g.start))))
    return notes


def load_meddocan(split: str) -> list[Note] | None:
    """Spanish clinical cases of one split (train, dev) with brat spans; the header's fields are the record."""
    path = SHARED / "meddocan_es/train_dev_brat.tar.gz"
    if not path.exists():
        return None
    files: dict[str, str] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if f"/{split}/" in member.name and (stream := archive.extractfile(member)):
                files[member.name] = stream.read().decode()
    texts = sorted(name for name in files if name.endswith(".txt"))
    return [Note(files[n], tuple(brat(files[n.removesuffix("txt") + "ann"])), header_record(files[n])) for n in texts]


def brat(annotations: str) -> Iterator[Gold]:
    """The spans of a brat file."""
    for line in annotations.splitlines():
        if found := re.match(r"T\d+\t(\S+) (\d+) (\d+)\t", line):
            yield Gold(int(found[2]), int(found[3]), found[1])


FIELDS = {
    "Nombre": "nombre",
    "Apellidos": "apellidos",
    "NHC": "nhc",
    "NASS": "nass",
    "CIPA": "cipa",
    "Domicilio": "domicilio",
    "Localidad/ Provincia": "localidad",
    "CP": "cp",
    "Fecha de nacimiento": "fecha_nacimiento",
    "Fecha de Ingreso": "fecha_ingreso",
    "Episodio": "episodio",
}


def header_record(text: str) -> dict[str, str]:
    """What the structured header of a case says of its patient, as a hospital's own table would."""
    head = text[:1200]
    found = {
        ours: re.search(rf"^{re.escape(theirs)}\s*:[ \t]*(.+?)[ .]*$", head, re.M) for theirs, ours in FIELDS.items()
    }
    return {name: match[1] for name, match in found.items() if match}


@dataclass(slots=True)
class Score:
    """Found and missed of each type, right and wrong spans, other text lost; errors for reading."""

    found: Counter[str] = field(default_factory=Counter)
    gold: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    other: int = 0
    missed: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)

    def add(self, note: Note, spans: Iterable[tuple[int, int, str]]) -> None:
        """Count one note: a gold span is found when no letter or digit of it is left."""
        text, spans = note.text, list(spans)
        covered = mask(len(text), ((s, e) for s, e, _ in spans))
        true = mask(len(text), ((g.start, g.end) for g in note.gold))
        for gold in note.gold:
            whole = all(covered[i] for i in range(gold.start, gold.end) if text[i].isalnum())
            self.gold[gold.type] += 1
            self.found[gold.type] += whole
            if not whole:
                self.missed.append((gold.type, context(text, gold.start, gold.end)))
        for start, end, rule in spans:
            right = any(true[start:end])
            self.given[rule] += 1
            self.right[rule] += right
            if not right:
                self.wrong.append((rule, context(text, start, end)))
        letters = [i for i, char in enumerate(text) if char.isalnum() and not true[i]]
        self.other += len(letters)
        self.lost += sum(covered[i] for i in letters)

    def recall(self, types: Sequence[str] | None = None) -> float | None:
        """The share of gold spans found, of all or of some types."""
        wanted = list(self.gold) if types is None else types
        total = sum(self.gold[t] for t in wanted)
        return sum(self.found[t] for t in wanted) / total if total else None

    def precision(self) -> float:
        """The share of spans given that touch a gold one."""
        return sum(self.right.values()) / max(1, sum(self.given.values()))

    def told(self) -> dict[str, object]:
        """The figures; no text."""
        return {
            "recall": rounded(self.recall()),
            "precision": rounded(self.precision()),
            "other_text_lost": rounded(self.lost / max(1, self.other)),
            "recall_by_type": {t: rounded(self.recall([t])) for t in sorted(self.gold)},
            "gold_by_type": dict(sorted(self.gold.items())),
            "missed_by_type": dict(sorted(Counter(t for t, _ in self.missed).items())),
            "wrong_by_rule": dict(sorted(Counter(r for r, _ in self.wrong).items())),
        }


def rounded(value: float | None) -> float | None:
    """Four digits are enough."""
    return None if value is None else round(value, 4)


def mask(length: int, spans: Iterable[tuple[int, int]]) -> bytearray:
    """One byte per code point, 1 where a span stands."""
    marks = bytearray(length)
    for start, end in spans:
        marks[start:end] = b"\x01" * (end - start)
    return marks


def context(text: str, start: int, end: int, width: int = 30) -> str:
    """An error for reading, on the screen only."""
    return f"{text[max(0, start - width) : start]}«{text[start:end]}»{text[end : end + width]}".replace("\n", "⏎")
