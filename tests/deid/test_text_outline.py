"""What a rule says it needs stands in every text it matches: nothing is skipped that would be found."""

from __future__ import annotations

import regex  # type: ignore[import-untyped]  # has no types
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hdex.deid.outline import Glance, Needs, Outline, Plan, first_heads, heads
from hdex.deid.rules import Rule, by_initial
from hdex.deid.rules_file import HOUSE_RULES

RULES = sorted({rule.name: rule for rules in HOUSE_RULES.values() for rule in rules}.items())
PIECES_TEXT = """
    2024-03-05|2024/3/5|2024年3月5日|3月5日|二〇二四年三月|03/05/50|3.5.2024|May 3|May 3rd, 2024|3rd of May|
    Sept. 2024|12-Jan2023|Dr. Smith|Ms|John Q. Smith|Smith, Jane|J. Smith|James T.|Mary431|PhD|MD|, M.D.|RN|
    patient|named|his name is|patient Ada Lovelace was|wife|Pt:|M.R.N.|123-45-6789|
    078 05 1120|(212) 555-0123|+86 138 0013 8000|
    1380\n0138000|0571-88888888|138****1234|+1-2-34|call 1-800.555 1234|ID: AB12-34|MRN #12345|record 4567-89|
    #1234567|No. 1|4111 1111 1111 1111|1 2 3 4 5 6 7 8 9|GB82WEST12345698765432|BB1388568|1HGCM82633A004352|
    A1b2C3d4-0000-1111-2222-333344445555|00:1A:2b:3C:4d:5E|10.2.3.4|1.2.840.10008.1|(01)51022222233336(21)12|
    11010519491231002X|1101051949 12310021|110105********002X|110105491231002|81234567890123456789|E12345678|
    沪A12345|Boston, MA 02115|zip: 02115|New York|the Bronx|St. Mary's|Mt Sinai|M.D. Anderson|Mayo Clinic|
    Cedar Crest Medical Center|seen at The Grove|treated in Ohio|lives in Salem|at Duke|12 Elm Street|
    5a N. Oak Ave|P.O. Box 12|aged 95 years|95yo|93岁|住院号:ZY100234|编号：77|电话 5551234|微信wx_abc123|
    病案号是A-9|家住红旗路3号|来自江苏省|上海市浦东新区|解放路12号|第三医院|姓名 王 小 明|患者:王小明|王某某|
    王*明|张主任|3床|姓樊|www.example.org|http://x.y|some.one@example.org|Ärzte|ß12|naïve50
"""
PIECES = [piece.lstrip("\n ").rstrip(" ") for piece in PIECES_TEXT.split("|")]
JOINTS = ["", " ", ", ", ". ", ":", "\n", "-", "（", "号:", " at ", " of "]
texts = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(JOINTS)), min_size=1, max_size=6).map(
    lambda parts: "".join(piece + joint for piece, joint in parts)
)


def skipped(rule: Rule, text: str) -> bool:
    """Whether a rule finds something in a text that it would not be tried on."""
    if rule.asked.met(Outline.of(text)):
        return False
    found = [match.group(rule.group) for match in rule.pattern.finditer(text)]
    return any(rule.check is None or rule.check(value) for value in found)


@settings(max_examples=300, deadline=None)
@given(texts)
@example(" ".join(PIECES))
def test_no_rule_matches_a_text_without_what_it_needs(text: str) -> None:
    assert [name for name, rule in RULES if rule.pattern is not None and skipped(rule, text)] == []


def test_every_piece_alone_is_tried_by_the_rules_that_match_it() -> None:
    assert [(name, piece) for piece in PIECES for name, rule in RULES if rule.pattern and skipped(rule, piece)] == []


def test_a_plan_leaves_what_the_text_lacks() -> None:
    plan = Plan([("digits", Needs(run=4)), ("word", Needs(words=("ward",), texts=("W",))), ("all", Needs())])
    assert plan.possible(Outline.of("Ward 1-2")) == ["word", "all"]
    assert plan.possible(Outline.of("ward 1-2 3 4")) == ["digits", "all"]
    assert Plan([("head", Needs(heads=frozenset({"St"})))]).possible(Outline.of("Street")) == []


def test_a_text_is_outlined_once_for_all_that_ask() -> None:
    glance, text = Glance(), "Room 12"
    assert glance.of(text) is glance.of(text)
    assert glance.of("Room 13").layout == "Aaaa 00"


def test_alternatives_grouped_by_initial_match_the_same_and_the_longest_first() -> None:
    source = r"New York City|New York|Boston|Nashville|Brigham (?:and|&) Women|B\.?C"
    plain, grouped = regex.compile(source), regex.compile(by_initial(source))
    for text in ("New York City", "New York", "Boston", "Brigham & Women", "B.C", "BC", "Bost", ""):
        assert (plain.match(text) or [None])[0] == (grouped.match(text) or [None])[0]
    assert first_heads("New York|St\\.? Louis") == {"New", "St"}
    assert heads("New York|UCSF") == {"New", "York", "UCSF"}


def test_the_short_way_through_presidio_finds_what_its_whole_engine_does() -> None:
    from presidio_analyzer import Pattern, PatternRecognizer

    from hdex.deid.detector_presidio import PresidioDetector

    idle = PatternRecognizer("NOTHING", patterns=[Pattern("nothing", "never written", 0.9)])
    short, whole = PresidioDetector(("en",)), PresidioDetector(("en",), recognizers=[idle])
    for text in (" ".join(PIECES), ", ".join(reversed(PIECES)), "mail a@b.org, ::1, 10.1.2.3, 912-70-1234"):
        assert short.find(text, "en") == whole.find(text, "en")
