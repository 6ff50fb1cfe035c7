"""The patient's own identifiers do not survive in his notes, in any spelling; the rest of the note does."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.deid.dates import read_date, shift_text, spellings
from hdex.deid.detector_rules import RulesDetector
from hdex.deid.errors import InputInvalid
from hdex.deid.folding import compact_key
from hdex.deid.identifiers import resident_id_check_character
from hdex.deid.ports import Span
from hdex.deid.text import Identity, Surrogates, Tags, redact_notes, residue_sweep

KEY = bytes(range(32))
NOTES = Path(__file__).resolve().parents[2].parent / "shared/data/synthea_notes_en"


class Nothing:
    """A detector that finds nothing: what is removed under it is removed because the patient is known."""

    def find(self, text: str, lang: str) -> list[Span]:
        """Return no span."""
        return []


def chinese(seed: int) -> Identity:
    rng = random.Random(seed)
    born = date(1935, 1, 1) + timedelta(days=rng.randrange(25000))
    first17 = f"3101{rng.randrange(1, 20):02d}{born:%Y%m%d}{rng.randrange(1000):03d}"
    return Identity(
        patient=f"p{seed}",
        names=(rng.choice("王李张刘陈杨欧") + rng.choice("伟芳娜敏静磊") + rng.choice("明华军丽强平"),),
        ids=(first17 + resident_id_check_character(first17), f"ZY{rng.randrange(10**6):06d}"),
        phones=(f"13{rng.randrange(10**9):09d}",),
        addresses=(f"上海市浦东新区世纪大道{rng.randrange(100, 2000)}号{rng.randrange(1, 30)}室",),
        dates=(born,),
        kin=(rng.choice("赵钱孙周吴郑") + rng.choice("秀桂玉") + rng.choice("英兰珍"),),
        shift_days=rng.choice([-40, -3, 5, 77]),
    )


def english(seed: int) -> Identity:
    rng = random.Random(seed)
    first, last = (
        rng.choice(["Shelly431", "Barney", "Leanne", "José"]),
        rng.choice(["Gulgowski816", "O'Conner", "Smith", "Van"]),
    )
    return Identity(
        patient=f"q{seed}",
        names=(f"{first} {rng.choice(['Ann', 'Maryetta775', 'Q'])} {last}xton",),
        ids=(f"999-{rng.randrange(10, 99)}-{rng.randrange(1000, 9999)}", f"A{rng.randrange(10**7, 10**8)}"),
        phones=(f"212-555-{rng.randrange(1000, 9999)}",),
        addresses=(f"{rng.randrange(100, 999)} Hintz Estate Suite {rng.randrange(1, 99)}",),
        dates=(date(1950, 1, 1) + timedelta(days=rng.randrange(25000)),),
        shift_days=13,
    )


def wide(text: str) -> str:
    """Full-width form."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


SURFACES: dict[str, Callable[[str], str]] = {
    "exact": lambda v: v,
    "full width": wide,
    "zero width": lambda v: "\u200b".join(v),
    "spaced": lambda v: " ".join(v),
    "line break": lambda v: v[: len(v) // 2] + "\n" + v[len(v) // 2 :],
    "upper": lambda v: v.upper(),
}


def every_value(identity: Identity) -> list[str]:
    return [*identity.names, *identity.kin, *identity.ids, *identity.phones, *identity.addresses]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), lang=st.sampled_from(["zh", "en"]), surface=st.sampled_from(sorted(SURFACES)))
def test_a_patients_own_values_are_removed_in_every_surface_form(seed: int, lang: str, surface: str) -> None:
    identity = chinese(seed) if lang == "zh" else english(seed)
    before, after = ("患者", "，入院。") if lang == "zh" else ("Seen: ", ", admitted.")
    notes = [f"{before}{SURFACES[surface](value)}{after}" for value in every_value(identity)]
    done = redact_notes(pl.Series(notes), [identity] * len(notes), detector=Nothing(), surrogate=Tags(), lang=lang)
    for text in done.texts:
        kind = text[len(before) : len(text) - len(after)]
        assert text == f"{before}{kind}{after}"
        assert kind.startswith("[")
        assert kind.endswith("]")
    assert residue_sweep(done.texts, [identity]) == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), born=st.dates(date(1900, 1, 1), date(2024, 12, 31)))
def test_a_known_date_is_removed_in_every_usual_spelling(seed: int, born: date) -> None:
    identity = Identity(patient=f"p{seed}", dates=(born,))
    notes = pl.Series([f"x {way} y" for way in spellings(born)])
    done = redact_notes(notes, [identity] * notes.len(), detector=Nothing(), surrogate=Tags(), lang="en")
    assert set(done.texts) == {"x [DATE] y"}


@pytest.mark.parametrize(
    ("lang", "note", "expected"),
    [
        ("zh", "王先生诉头晕，小明服药，王**复查，老王出院", "[NAME]诉头晕，[NAME]服药，[NAME]复查，[NAME]出院"),
        ("zh", "身份证310101********0018，手机138****8000", "身份证[RESIDENT_ID]，手机[PHONE]"),
        ("en", "Mr. Donnelly; BUFFY DONNELLY; Donnelly, B. was seen", "Mr. [NAME]; [NAME]; [NAME]. was seen"),
        ("en", "B. Donnelly and Buffy came", "[NAME] and [NAME] came"),
    ],
)
def test_generated_variants_are_removed(lang: str, note: str, expected: str) -> None:
    identity = Identity(
        "p",
        names=("王小明",) if lang == "zh" else ("Buffy Micheline Donnelly",),
        ids=("310101194912310018",),
        phones=("13800138000",),
    )
    done = redact_notes(pl.Series([note]), [identity], detector=Nothing(), surrogate=Tags(), lang=lang)
    assert done.texts[0] == expected


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("Ann May Brown", "Annual exam in may; brown stool; brownish skin; Annabel; Mayor."),
        ("Will Green", "He will return; green sputum; greenish; goodwill."),
        ("王小明", "国王小心明灯，王后不在此列"),
        ("Al Li", "All lithium levels normal; pH 7.4"),
    ],
)
def test_neighbours_of_a_name_are_untouched(name: str, note: str) -> None:
    done = redact_notes(
        pl.Series([note]), [Identity("p", names=(name,))], detector=Nothing(), surrogate=Tags(), lang="en"
    )
    assert done.texts[0] == note


def test_numbers_inside_longer_numbers_are_untouched() -> None:
    identity = Identity("p", ids=("12345",))
    note = "dose 9123456, 12345A, 012345 and 12345.6"
    done = redact_notes(pl.Series([note]), [identity], detector=Nothing(), surrogate=Tags(), lang="en")
    assert done.texts[0] == "dose 9123456, 12345A, 012345 and [ID].6"


def test_surrogates_are_consistent_for_a_patient_and_differ_between_patients_and_projects() -> None:
    one, two = Identity("p1", names=("Buffy Donnelly",)), Identity("p2", names=("Buffy Donnelly",))
    notes = pl.Series(["Buffy Donnelly came.", "Donnelly, Buffy left. DONNELLY again.", "Buffy Donnelly came."])

    def made(key: bytes) -> list[str]:
        return redact_notes(
            notes, [one, one, two], detector=Nothing(), surrogate=Surrogates(key), lang="en"
        ).texts.to_list()

    first, second, other = made(KEY)
    family = first.removesuffix(" came.").split()[1]
    assert family in second
    assert second.count(family) == 2
    assert other != first
    assert made(KEY) == [first, second, other]
    assert made(b"\x01" * 32) != [first, second, other]
    assert "Buffy" not in first + second + other


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_surrogates_equal_no_real_value_and_leave_no_residue(seed: int) -> None:
    identities = [chinese(seed), english(seed)]
    notes = pl.Series([" ".join(every_value(i)) for i in identities])
    done = redact_notes(notes, identities, detector=RulesDetector(), surrogate=Surrogates(KEY), lang="zh")
    joined = compact_key(" ".join(done.texts))
    assert not any(compact_key(value) in joined for i in identities for value in every_value(i))
    assert residue_sweep(done.texts, identities) == 0


@given(day=st.dates(date(1950, 1, 1), date(2049, 1, 1)), days=st.integers(-200, 200).filter(bool))
def test_a_date_moves_by_the_patients_offset_in_the_form_it_was_written(day: date, days: int) -> None:
    moved = day + timedelta(days=days)
    for template in (
        "{0:%Y-%m-%d}",
        "{0:%m/%d/%Y}",
        "{0.year}年{0.month}月{0.day}日",
        "{0:%Y%m%d}",
        "{0:%B} {0.day}, {0.year}",
    ):
        written = shift_text(template.format(day), days)
        assert written == template.format(moved)
        assert written is not None
        assert template.startswith("{0:%B}") or read_date(written) == moved


def test_intervals_between_dates_of_a_note_survive() -> None:
    identity = Identity("p", shift_days=-17)
    note = "2024年3月5日入院，2024-03-09手术，03/15/2024出院，3月20日复查。"
    text = redact_notes(
        pl.Series([note]), [identity], detector=RulesDetector(), surrogate=Surrogates(KEY), lang="zh"
    ).texts[0]
    assert text == "2024年2月17日入院，2024-02-21手术，02/27/2024出院，3月3日复查。"


def test_without_an_offset_a_date_becomes_a_tag() -> None:
    done = redact_notes(
        pl.Series(["on 2024-03-05."]), [Identity("p")], detector=RulesDetector(), surrogate=Surrogates(KEY), lang="en"
    )
    assert done.texts[0] == "on [DATE]."
    moved = redact_notes(
        pl.Series(["on 2024-03-05."]),
        [Identity("p")],
        detector=RulesDetector(),
        surrogate=Surrogates(KEY),
        lang="en",
        shift=[1],
    )
    assert moved.texts[0] == "on 2024-03-06."


def test_values_of_other_patients_are_removed_too() -> None:
    identities = [chinese(1), chinese(2)]
    notes = pl.Series([f"与{identities[1].names[0]}同室，电话{identities[1].phones[0]}", "病情平稳"])
    done = redact_notes(notes, identities, detector=Nothing(), surrogate=Tags(), lang="zh")
    assert done.texts[0] == "与[NAME]同室，电话[ID]"
    assert residue_sweep(notes, identities) == 2


@pytest.mark.parametrize("surface", sorted(SURFACES))
def test_the_sweep_sees_hidden_forms(surface: str) -> None:
    identity = chinese(3)
    notes = [f"前{SURFACES[surface](value)}后" for value in (*identity.names, *identity.ids, *identity.phones)]
    assert residue_sweep(notes, [identity]) == len(notes)
    assert residue_sweep(["病情平稳", None, ""], [identity]) == 0


def test_overlapping_spans_leave_no_rest() -> None:
    class Overlapping:
        def find(self, text: str, lang: str) -> list[Span]:
            return [Span(0, 6, "NAME", "a"), Span(4, 12, "LOCATION", "b"), Span(12, 14, "ID", "c")]

    done = redact_notes(
        pl.Series(["abcdefghijklmnop"]), [Identity("p")], detector=Overlapping(), surrogate=Tags(), lang="en"
    )
    assert done.texts[0] == "[LOCATION][ID]op"
    assert done.spans[0] == (Span(0, 12, "LOCATION", "b"), Span(12, 14, "ID", "c"))
    assert done.counts == {"ID": 1, "LOCATION": 1}


def test_empty_notes_stay_and_a_missing_identity_is_refused() -> None:
    notes = pl.Series(["", None, "text"], dtype=pl.String)
    done = redact_notes(notes, [Identity("p")] * 3, detector=RulesDetector(), surrogate=Tags(), lang="en")
    assert done.texts.to_list() == ["", None, "text"]
    with pytest.raises(InputInvalid, match="3 notes have 1"):
        redact_notes(notes, [Identity("p")], detector=RulesDetector(), surrogate=Tags(), lang="en")


def test_an_identity_is_read_from_a_structured_row_and_never_shown() -> None:
    row = {
        "Id": "A28747856",
        "BIRTHDATE": "2013-08-03",
        "SSN": "999-93-8648",
        "FIRST": "Shelly431",
        "MIDDLE": "Maryetta775",
        "LAST": "Gulgowski816",
        "MAIDEN": None,
        "GENDER": "F",
        "ADDRESS": "673 Hintz Estate",
        "CITY": "Philadelphia",
        "PHONE": "2125550123",
    }
    identity = Identity.from_row("p", row, shift_days=4)
    assert "Shelly431 Maryetta775 Gulgowski816" in identity.names
    assert identity.ids == ("A28747856", "999-93-8648")
    assert identity.addresses == ("673 Hintz Estate",)
    assert identity.phones == ("2125550123",)
    assert identity.dates == (date(2013, 8, 3),)
    assert not any(
        str(value) in repr(identity) + repr(identity.variants()) + repr(Surrogates(KEY))
        for value in row.values()
        if value and len(value) > 1
    )
    chinese_row = {
        "姓名": "王小明",
        "身份证号": "11010519491231002X",
        "联系电话": "13800138000",
        "联系人姓名": "李秀英",
        "出生日期": "1949/12/31",
    }
    known = Identity.from_row("p", chinese_row)
    assert (known.names, known.kin, known.phones) == (("王小明",), ("李秀英",), ("13800138000",))


def test_notes_of_known_people_keep_nothing_of_them() -> None:
    if not NOTES.exists():
        pytest.skip("../shared/data is absent")
    import tarfile

    people = {row["Id"]: row for row in pl.read_csv(NOTES / "patients.csv", infer_schema=False).to_dicts()}
    notes, identities = [], []
    with tarfile.open(NOTES / "notes.tar.gz") as archive:
        for member in archive:
            if file := archive.extractfile(member):
                patient = member.name.removesuffix(".txt").rpartition("_")[2]
                notes.append(file.read().decode()[:6000])
                identities.append(Identity.from_row(patient, people[patient], shift_days=9))
    done = redact_notes(pl.Series(notes), identities, detector=RulesDetector(), surrogate=Surrogates(KEY), lang="en")
    left = [
        word
        for text, i in zip(done.texts, identities, strict=True)
        for name in i.names
        for word in name.split()
        if word in text
    ]
    assert (len(notes), left, residue_sweep(done.texts, identities)) == (45, [], 0)
