"""Notes with hard line breaks, names with accents and in capitals: what a mail client or a register makes of a text."""

from __future__ import annotations

import pytest

from hdex.deid.detector_rules import RulesDetector
from hdex.deid.folding import fold, rejoined
from hdex.deid.words_en import may_go_on

BROKEN = [
    ("en", "Patient John\nSmith was admitted.", "John\nSmith"),
    ("en", "Seen by Dr. Robert\r\n  Miller on call.", "Robert\r\n  Miller"),
    ("en", "Referred by Dr.\nSmith for review.", "Smith"),
    ("en", "Cared for at Mercy\nGeneral Hospital before.", "Mercy\nGeneral Hospital"),
    ("en", "Lives at 12 Long\nStreet, Boston, MA now.", "12 Long\nStreet"),
    ("en", "He went home on March\n3, 2024 in good health.", "March\n3, 2024"),
    ("zh", "患者王\n小明，男，45岁。", "王\n小明"),
    ("zh", "联系人：欧阳\n修文，已告知。", "欧阳\n修文"),
    ("zh", "主治医师：张\n伟，电话：010-55551234", "张\n伟"),
    ("zh", "住址：北京市朝阳区建国路\n88号，独居。", "建国路\n88号"),
]


@pytest.mark.parametrize(("lang", "text", "identifier"), BROKEN)
def test_an_identifier_broken_over_lines_is_found_whole(lang: str, text: str, identifier: str) -> None:
    at, spans = text.index(identifier), RulesDetector().find(text, lang)
    covered = {place for span in spans for place in range(span.start, span.end)}
    assert {at + i for i, char in enumerate(identifier) if char.isalnum()} <= covered


APART = [
    ("en", "Seen by Dr. Smith\nContinue aspirin", ["Dr. Smith"]),
    ("en", "Dr. Smith\nWard: 4", ["Dr. Smith"]),
    ("en", "John Smith\nMary Jones", ["John Smith", "Mary Jones"]),
    ("en", "He rested well.\nGrant was not asked; Mark the chart.\n- White cells low", []),
    ("zh", "患者因高血\n压入院，既往\n白血病史，周\n围神经炎", []),
    ("zh", "住院医师\n王伟\n诊断\n高血压", ["王伟"]),
]


@pytest.mark.parametrize(("lang", "text", "asked"), APART)
def test_a_line_of_its_own_stays_one(lang: str, text: str, asked: list[str]) -> None:
    assert [text[span.start : span.end] for span in RulesDetector().find(text, lang)] == asked


def test_the_pieces_lead_back_into_the_text() -> None:
    text = "x" * 300 + " Patient Ａnna\nSmith came.\n" + "y" * 300 + "\nby Mary\n Jones left."
    joined = rejoined(fold(text), may_go_on)
    assert joined is not None
    view, places = joined
    assert len(view.text) == len(view.offsets) < len(text)
    assert [view.text[place:].split()[0] for place in places] == ["Smith", "Jones"]
    for name in ("Anna Smith", "Mary Jones"):
        start, end = view.original(at := view.text.index(name), at + len(name))
        assert text[start:end].split() == name.replace("A", "Ａ").split()


def test_a_text_whose_lines_end_with_their_sentences_is_read_once() -> None:
    assert rejoined(fold("He was well.\nSmith came.\nDose 5\n3 tablets\n无。\n王伟来。"), may_go_on) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Patient Jöhn Smith came.", "Jöhn Smith"),
        ("Seen by Dr. Émile Żółkowski.", "Émile Żółkowski"),
        ("Name: Nguyễn Văn An", "Nguyễn Văn An"),
        ("Jesús825 is a patient.", "Jesús825"),
        ("Patient: Łukasz Nowák", "Łukasz Nowák"),
        ("pt. SMITH, JOHN A admitted", "SMITH, JOHN A"),
        ("Note by MÜLLER, JOSÉ.", "MÜLLER, JOSÉ"),
        ("JOHN SMITH WAS ADMITTED", "JOHN SMITH"),
    ],
)
def test_a_name_with_accents_or_in_capitals_is_found_whole(text: str, name: str) -> None:
    at = text.index(name)
    assert any(s.start <= at and s.end >= at + len(name) for s in RulesDetector().find(text, "en"))


def test_headings_and_plans_in_capitals_are_left_alone() -> None:
    text = "PATIENT EDUCATION. WARD ROUND. CARE PLAN. CHEST WALL NORMAL. IRON, FOLATE LOW. MRI HEAD AND NECK DONE."
    assert RulesDetector().find(text, "en") == []
