"""Stems, spelling, and what a query asks."""

import sqlite3
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdex.catalog.asked import MOST_TERMS, TermKind, terms
from hdex.catalog.spelling import Names, edits, nearest
from hdex.catalog.stem import stem
from hdex.catalog.words import fold

# The examples that stand beside the rules in Porter's paper, program 14(3), 1980.
PAPER = """caresses caress|ponies poni|ties ti|cats cat|feed feed|agreed agre|plastered plaster|bled bled|motoring motor
|sing sing|conflated conflat|troubled troubl|sized size|hopping hop|tanned tan|falling fall|hissing hiss|fizzed fizz
|failing fail|filing file|happy happi|sky sky|relational relat|conditional condit|rational ration|valenci valenc
|digitizer digit|operator oper|feudalism feudal|decisiveness decis|hopefulness hope|callousness callous
|formaliti formal|sensitiviti sensit|sensibiliti sensibl|triplicate triplic|formative form|formalize formal
|electrical electr|hopeful hope|goodness good|revival reviv|allowance allow|inference infer|airliner airlin
|adjustable adjust|defensible defens|irritant irrit|replacement replac|adjustment adjust|dependent depend
|adoption adopt|communism commun|activate activ|effective effect|bowdlerize bowdler|probate probat|rate rate
|cease ceas|controll control|roll roll"""
LETTERS = st.text("aeioubstlrnmy", min_size=1, max_size=6).filter(lambda word: "yy" not in word)
ENDINGS = st.from_regex(
    "(s|ies|sses|eed|ed|ing|ational|izer|bli|entli|iveness|fulness|logi|icate|alize|ness|ance|ement|ion|ive|y|e|ll)",
    fullmatch=True,
)


@pytest.mark.parametrize("pair", PAPER.replace("\n", "").split("|"))
def test_stems_are_those_of_the_paper(pair: str) -> None:
    word, root = pair.split()
    assert stem(word) == root


@given(words=st.lists(st.builds(str.__add__, LETTERS, ENDINGS).filter(lambda word: len(word) > 3), max_size=50))
def test_stems_are_those_of_sqlites_tokenizer(words: list[str]) -> None:
    words = [word for word in words if "yy" not in word]
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE held USING fts5(word, tokenize='porter ascii', content='')")
    db.execute("CREATE VIRTUAL TABLE told USING fts5vocab('held', 'instance')")
    db.executemany("INSERT INTO held (rowid, word) VALUES (?, ?)", enumerate(words))
    told = {number: term for term, number in db.execute("SELECT term, doc FROM told")}
    db.close()
    assert [stem(word) for word in words] == [told[number] for number in range(len(words))]


@given(one=st.text("abc", max_size=7), other=st.text("abc", max_size=7))
def test_edits_are_counted_as_by_the_definition(one: str, other: str) -> None:
    def slow(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        ways = [slow(a[:-1], b) + 1, slow(a, b[:-1]) + 1, slow(a[:-1], b[:-1]) + (a[-1] != b[-1])]
        if len(a) > 1 and len(b) > 1 and a[-1] == b[-2] and a[-2] == b[-1]:
            ways.append(slow(a[:-2], b[:-2]) + 1)
        return min(ways)

    one, other = one[:5], other[:5]
    assert edits(one, other, 2) == min(slow(one, other), 3)


def test_the_nearer_name_is_meant_then_the_commoner() -> None:
    assert nearest("stnt", {"stent": 1, "stint": 9}) == "stint"
    assert nearest("carotis", {"carotid": 1, "parotis": 1, "carotidsx": 99}) == "carotid"
    assert nearest("carotid", {"carotid": 5}) is None


def test_names_are_forgotten_with_their_last_product() -> None:
    names = Names()
    names.add(("carotid", "stent"))
    names.add(("carotid",))
    names.remove(("carotid", "stent"))
    assert names.like("carotis") == {"carotid": 1}
    assert names.like("stant") == {}


def test_a_query_is_bounded_and_asks_each_thing_once() -> None:
    assert len(terms(" ".join(f"word{n}" for n in range(900)))) == MOST_TERMS
    assert [term.kind for term in terms('heart "heart failure" heart 心力衰竭 "心力衰竭"')] == [
        *(TermKind.WORD, TermKind.PHRASE, TermKind.PAIR, TermKind.PAIR, TermKind.PAIR, TermKind.HAN_PHRASE)
    ]


HAN_WITH_MARKS = st.text("京海病房0aZé，（Ａ）ｶﾞがはぱ゛㈠①ﾊﾟ한́ⅣßİK ", max_size=12)


@given(HAN_WITH_MARKS | st.text(max_size=12))
def test_folding_is_what_unicode_says_whichever_way_it_takes(text: str) -> None:
    bare = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in bare if not unicodedata.combining(char))
    assert fold(text) == unicodedata.normalize("NFKC", bare).casefold()
