"""Identifiers that hide: twelve surface forms, found by value where the patient is known, else by shape."""

from __future__ import annotations

import random
from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.detector_rules import RulesDetector
from hdex.deid.folding import compact, flowing, fold, unbroken
from hdex.deid.identity import Identity
from hdex.deid.pinyin import latin_spellings
from hdex.deid.ports import Span
from hdex.deid.text import Tags, redact_notes, residue_sweep

CYRILLIC = str.maketrans("ABEKMHOPCTXaeopcyxij", "АВЕКМНОРСТХаеорсухіј")
GREEK = str.maketrans("ABEZHIKMNOPTYXov", "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧον")
FORMS: dict[str, Callable[[str], str]] = {
    "full width": lambda v: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in v),
    "mathematical": lambda v: "".join(chr(0x1D7CE + int(c)) if c.isdigit() and c.isascii() else c for c in v),
    "zero width joiner": lambda v: "\u200d".join(v),
    "soft hyphen": lambda v: "\u00ad".join(v),
    "line break": lambda v: v[: len(v) // 2] + "\n" + v[len(v) // 2 :],
    "wrapped with spaces": lambda v: v[: len(v) // 2] + " \r\n  " + v[len(v) // 2 :],
    "spaced": lambda v: " ".join(v),
    "cyrillic": lambda v: v.translate(CYRILLIC),
    "greek": lambda v: v.translate(GREEK),
    "arabic digits": lambda v: "".join(chr(0x660 + int(c)) if c.isdigit() and c.isascii() else c for c in v),
    "accents on their own": lambda v: "".join(c + "\u0301" if c in "aeiouAEIOU" else c for c in v),
    "upper": lambda v: v.upper(),
}
NAMES = ["Wilhelmina Ostrander", "Temperance Copeland", "Hepzibah Axelrod"]


class Nothing:
    def find(self, text: str, lang: str) -> list[Span]:
        return []


def canary(seed: int) -> Identity:
    rng = random.Random(seed)
    return Identity(
        f"p{seed}",
        names=(rng.choice(NAMES),),
        ids=(f"{rng.randrange(10**8, 10**9)}", f"MR-{rng.randrange(10**6, 10**7)}"),
        phones=(f"212-555-{rng.randrange(1000, 9999)}",),
        addresses=(f"{rng.randrange(100, 999)} Candlewick Crescent",),
    )


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), form=st.sampled_from(sorted(FORMS)))
def test_a_known_value_is_found_in_every_form(seed: int, form: str) -> None:
    person = canary(seed)
    values = [*person.names, *person.ids, *person.phones, *person.addresses]
    notes = [f"Seen: {FORMS[form](value)}, stable." for value in values]
    done = redact_notes(pl.Series(notes), [person] * len(notes), detector=Nothing(), surrogate=Tags(), lang="en")
    assert [text.partition("]")[2] for text in done.texts] == [", stable."] * len(notes)
    assert all(text.startswith("Seen: [") for text in done.texts)
    assert residue_sweep(done.texts, [person]) == 0


SHAPES = [
    ("en", "call 212-555-\n0123 now", "212-555-\n0123", "PHONE"),
    ("en", "SSN 123-45-\r\n 6789.", "123-45-\r\n 6789", "SSN"),
    ("en", "MRN: 99\u20601\u20608877", "99\u20601\u20608877", "ID"),
    ("en", "no. 4 1 5 5 5 5 0 1 9 9 given", "4 1 5 5 5 5 0 1 9 9", "ID"),
    ("en", "Dr. Jоhn Smіth came", "Jоhn Smіth", "NAME"),  # Cyrillic о and і
    ("en", "on ０３／０５／２０２４.", "０３／０５／２０２４", "DATE"),
    ("zh", "电话１３８\n００１３８０００，", "１３８\n００１３８０００", "PHONE"),
    ("zh", "手机1\u00ad3\u00ad8\u00ad00138000。", "1\u00ad3\u00ad8\u00ad00138000", "PHONE"),
    ("zh", "身份证１１０１０５１９４９１２３１００２Ｘ，", "１１０１０５１９４９１２３１００２Ｘ", "RESIDENT_ID"),
    ("zh", "手机𝟏𝟑𝟖𝟎𝟎𝟏𝟑𝟖𝟎𝟎𝟎。", "𝟏𝟑𝟖𝟎𝟎𝟏𝟑𝟖𝟎𝟎𝟎", "PHONE"),
]


@pytest.mark.parametrize(("lang", "text", "identifier", "kind"), SHAPES)
def test_a_hidden_shape_is_found_whole(lang: str, text: str, identifier: str, kind: str) -> None:
    at = text.index(identifier)
    found = [s for s in RulesDetector().find(text, lang) if s.start <= at and s.end >= at + len(identifier)]
    assert kind in {span.type for span in found}


@pytest.mark.parametrize(
    "text", ["INR 2\n3 tablets", "120\n80\n72", "1 2 3 4 5 6 7 8 9 10", "2024\n12 mg", "5\n- aspirin"]
)
def test_numbers_that_only_stand_near_are_left_alone(text: str) -> None:
    assert RulesDetector().find(text, "en") == []


def test_letters_that_look_like_digits_hide_nothing() -> None:
    person = Identity("p", ids=("310580917",))
    done = redact_notes(pl.Series(["MRN 3lO58O9l7."]), [person], detector=Nothing(), surrogate=Tags(), lang="en")
    assert done.texts[0] == "MRN [ID]."


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("王小明", "Wang Xiaoming"),
        ("王小明", "WANG XIAO-MING"),
        ("欧阳丽", "Li Ouyang"),
        ("吕芳", "Lyu Fang"),
        ("李娜", "Li Na"),
    ],
)
def test_a_chinese_name_is_found_in_latin_letters(name: str, spelt: str) -> None:
    note = pl.Series([f"{spelt} was seen; linalool and Malibu."])
    done = redact_notes(note, [Identity("p", names=(name,))], detector=Nothing(), surrogate=Tags(), lang="en")
    assert done.texts[0] == "[NAME] was seen; linalool and Malibu."
    assert latin_spellings("王", "𠮷") == []


def test_a_name_without_its_accents_is_found_and_its_word_is_not() -> None:
    person = Identity("p", names=("José Peña",))
    done = redact_notes(
        pl.Series(["Jose Pena; vale la pena; PEÑA"]), [person], detector=Nothing(), surrogate=Tags(), lang="es"
    )
    assert done.texts[0] == "[NAME]; vale la pena; [NAME]"


@given(st.text(max_size=60))
def test_every_view_leads_back_into_the_text(text: str) -> None:
    view = fold(text)
    for made in (view, flowing(view), compact(view), unbroken(view) or view):
        assert len(made.text) == len(made.offsets)
        assert list(made.offsets) == sorted(set(made.offsets))
        for place in range(len(made.text)):
            start, end = made.original(place, place + 1)
            assert 0 <= start < end <= len(text)
