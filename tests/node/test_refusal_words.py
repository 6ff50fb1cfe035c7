"""A refusal is written once, in English; a page in Chinese says what its rule means and what to do next."""

import importlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.node.refusal_sites import Site, sites

from hdex.node.errors import STATUSES, kebab
from hdex.node.web.buyer_words import BuyerWords
from hdex.node.web.desk_words import DeskWords, OfficeWords
from hdex.node.web.refusals import refusal_table, sentence_of
from hdex.node.web.words import slug

FOUND = list(sites())
HAN = re.compile(r"[\u3400-\u9fff]")
CODE = re.compile(r"[\w{}-]+(\.[\w{}-]+)*")  # a rule's code, no sentence
DESKS = (DeskWords("zh"), BuyerWords("zh"), OfficeWords("zh"))
ROOMS = ("catalog", "deid", "federated", "ledger", "node", "node.sources")


def filled(template: str) -> str:
    """Return a sentence as it is told: something stands in each hole."""
    return template.replace("{}", "x-1")


def told(template: str) -> bool:
    return any(HAN.search(word) for word in re.findall(r"\w+", DeskWords("zh").told(filled(template))))


def test_the_source_is_read() -> None:
    """Were it not, the tests below would be true of nothing."""
    assert len(FOUND) > 200
    assert any(site.rules == {"query.small"} and site.steps for site in FOUND)


def test_every_rule_that_can_be_shown_has_a_meaning_in_chinese() -> None:
    bare = {
        (rule, site.where)
        for site in FOUND
        for rule in site.rules
        if CODE.fullmatch(rule) and not all(HAN.search(words.meaning(filled(rule))) for words in DESKS)
    }
    assert not bare


def test_every_next_step_that_can_be_shown_is_said_in_chinese() -> None:
    bare = {(step, site.where) for site in FOUND for step in site.steps if not CODE.fullmatch(step) and not told(step)}
    assert not bare


@pytest.mark.parametrize("room", ROOMS)
def test_every_error_is_named_in_chinese(room: str) -> None:
    """What has no code of its own is told by the name of its class."""
    errors = importlib.import_module(f"hdex.{room}.errors")
    named = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}
    named = {
        name for name in named if not isinstance(getattr(vars(errors)[name], "rule", None), str) or name in STATUSES
    }
    assert {name for name in named if not HAN.search(DeskWords("zh").meaning(slug(kebab(name))))} == set()


def test_a_translation_has_the_holes_of_its_sentence() -> None:
    for english, chinese in (refusal_table()["sentence"] | refusal_table()["evidence"]).items():
        assert english.count("{}") == chinese.count("{}"), english


def test_no_sentence_of_the_table_is_left_over() -> None:
    """A next step that nobody writes any more goes out of the table."""
    assert set(refusal_table()["sentence"]) - {step for site in FOUND for step in site.steps} == set()


def test_roles_are_named_in_the_readers_language() -> None:
    assert DeskWords("zh").told("ask the data_steward and the privacy_officer") == "请由数据管理员与隐私官办理"
    assert (
        DeskWords("zh").told("ask one of data_steward, privacy_officer") == "请由以下角色之一办理：数据管理员、隐私官"
    )


def test_what_is_not_known_stays_as_it_was_written() -> None:
    assert DeskWords("zh").told("the committee meets on Friday") == ""
    assert DeskWords("en").told("the committee meets on Friday") == "the committee meets on Friday"
    assert DeskWords("zh").meaning("nobody.knows") == ""


@given(st.text(max_size=3000))
def test_any_text_of_a_peer_is_looked_up_without_harm(text: str) -> None:
    found = sentence_of(text)
    assert found is None or isinstance(DeskWords("zh").told(text), str)


def test_a_site_tells_where_it_stands() -> None:
    assert all(isinstance(site, Site) and site.where.endswith(tuple("0123456789")) for site in FOUND)
