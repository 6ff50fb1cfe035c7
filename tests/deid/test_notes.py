"""Notes in the pipeline: each by the rules of its language, ages no finer than the age column."""

import polars as pl
import pytest

from hdex.deid.detector_rules import RulesDetector
from hdex.deid.identity import Identity
from hdex.deid.notes import NoteInput, in_decades, redact

KEY = b"k" * 32


def redacted(*texts: str, days: int = 400) -> list[str]:
    frame = pl.DataFrame({"note": texts})
    people = [Identity(f"p{number}") for number in range(len(texts))]
    shift = pl.Series([days] * len(texts))
    return redact(frame, ["note"], NoteInput(people, RulesDetector()), key=KEY, shift=shift).texts[0].to_list()


def test_every_note_is_read_by_the_rules_of_its_own_language() -> None:
    chinese, english = redacted("2022年3月5日来院复查，通畅。", "Seen on 03/05/2022, patent.")
    assert chinese == "2023年4月9日来院复查，通畅。"
    assert english == "Seen on 04/09/2023, patent."


def test_both_languages_in_one_note_move_by_the_same_days() -> None:
    assert redacted("2022-03-05 stenting. 2022年3月7日出院。") == ["2023-04-09 stenting. 2023年4月11日出院。"]


def test_rows_keep_their_order() -> None:
    texts = [f"第{n}位" if n % 3 else f"number {n}" for n in range(9)]
    assert redacted(*texts) == texts


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("男，73岁，", "男，70-79岁，"),
        ("患者68 岁", "患者60-69 岁"),
        ("70 years, male", "70-79 years, male"),
        ("a 62-year-old man", "a 60-69-year-old man"),
        ("aged 62, was", "aged 60-69, was"),
        ("aged 90+", "aged 90+"),
        ("3 days after, 12 mm, 2022", "3 days after, 12 mm, 2022"),
    ],
)
def test_an_age_is_told_in_decades(text: str, told: str) -> None:
    assert in_decades(text) == told
