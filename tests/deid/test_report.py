"""The certificate: JSON with canonical bytes, and a page in two languages that needs nobody."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
import rfc8785

from hdex.deid.certificate import dictionary
from hdex.deid.classify import classify_dataset
from hdex.deid.columns import Category, ColumnProfile, LevelDecision, Role
from hdex.deid.errors import ArgumentInvalid
from hdex.deid.pipeline import Release, deidentify
from hdex.deid.policy import preset
from hdex.deid.pseudonym import derive_keys
from hdex.deid.report import ColumnReport, render_html

KEYS = derive_keys(bytes(32), recipient="r", project="p")


def made(level: int = 3) -> Release:
    random = np.random.default_rng(5)
    frame = pl.DataFrame(
        {
            "id": range(300),
            "age": random.integers(40, 99, 300),
            "sex<b>": random.choice(["F", "M"], 300),
            "outcome": random.random(300) < 0.3,
        }
    )
    roles = {"id": (Role.DIRECT, 4), "age": (Role.QUASI, 3), "sex<b>": (Role.QUASI, 2), "outcome": (Role.SENSITIVE, 3)}
    known = [ColumnProfile("t", n, role, Category.HEALTH_STATUS, one) for n, (role, one) in roles.items()]
    decision = LevelDecision(level, ("level: by hand",), 2, min(level, 5 if level == 5 else 2))
    return deidentify(frame, known, preset("controlled"), keys=KEYS, patient="id", seed=3, decision=decision)


class Reader(HTMLParser):
    """Collects tags, their balance and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src", "action"}]
        if tag not in {"meta", "rect", "path"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in {"rect", "path"}:
            return
        assert self.open.pop() == tag


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("level", [3, 5])
def test_the_page_is_whole_and_asks_for_nothing(lang: str, level: int) -> None:
    page = render_html(made(level).report, lang)
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert reader.addresses == []
    assert "script" not in reader.tags
    assert not re.search(r"https?://|url\(|@import", page)
    assert "sex<b>" not in page


def test_the_page_shows_the_plots_of_a_release() -> None:
    page = render_html(made().report)
    assert page.count("<svg") >= 6
    assert "Meets preset controlled" in page
    assert "符合预设" in render_html(made().report, "zh")


def test_a_level_five_page_says_that_no_row_leaves() -> None:
    assert "no row leaves" in render_html(made(5).report)


def test_both_languages_have_the_same_words() -> None:
    def keys(table: object, prefix: str = "") -> set[str]:
        if not isinstance(table, dict):
            return {prefix}
        return {key for name, value in table.items() for key in keys(value, f"{prefix}.{name}")}

    def fields(words: object) -> list[str]:
        return sorted(set(re.findall(r"{(\w+)}", str(words))))

    words = dictionary()
    assert keys(words["en"]) == keys(words["zh"])
    assert all(fields(words["en"][key]) == fields(words["zh"][key]) for key in words["en"])


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ArgumentInvalid, match="language fr"):
        render_html(made().report, "fr")


def test_the_json_has_canonical_bytes_that_do_not_change() -> None:
    assert rfc8785.dumps(made().report.to_dict()) == rfc8785.dumps(made().report.to_dict())  # type: ignore[arg-type]
    document = made().report.to_dict()
    assert document["columns_by_level"] == {"1": 0, "2": 1, "3": 2, "4": 1, "5": 0}
    assert document["level_after"] == 3


def test_a_column_is_said_to_be_what_it_became() -> None:
    report = made().report
    columns = [
        ColumnReport("sex", "quasi", "health_status", 2, "generalise", "0/1"),
        ColumnReport("age", "quasi", "health_status", 3, "generalise", "2/5, 90+"),
        ColumnReport("day", "quasi", "health_status", 4, "generalise", "5/5"),
    ]
    page = render_html(replace(report, columns=tuple(columns), redacted={"NAME": 3}))
    assert "sex <i>unaltered</i>" in page
    assert "<td>generalised</td><td>step 2 of 5, 90+</td>" in page
    assert "<td>generalised</td><td>one value for all</td>" in page
    assert "leave with the values they had: sex." in page
    assert "the days between them are true" in page
    assert "受控项目 (controlled)" in render_html(report, "zh")


def test_every_reason_for_a_level_is_told_in_the_language_of_the_page() -> None:
    known = [ColumnProfile("t<b>", f"c{n}", Role.DIRECT, Category.HEALTH_STATUS, 4) for n in range(7)]
    found = classify_dataset(known, inclusion=["HIV"], k_without_suppression=2, minor_under_14=True)
    report = replace(
        made().report, reasons=(*found.reasons, "level 4: by hand", "level 5: 1 columns: a, holding values of X")
    )
    english, chinese = render_html(report), render_html(report, "zh")
    for page in (english, chinese):
        assert "<li>level 4: by hand</li>" in page
        assert page.count("<li>level") == 1
        assert "t&lt;b&gt;.c0" in page
    assert "及另外 2 列" in chinese
    assert ";含以下类别的取值:X" in chinese
    assert "第 3 级:最小群体只有 2 位患者,第 2 级要求" in chinese


def test_the_dossier_names_attackers_and_what_a_model_still_learns() -> None:
    report = made().report
    assert report.dossier is not None
    (one, *_) = report.dossier.attacks
    assert one["within_bound"]
    assert report.dossier.risk["k"] == report.risk_after.k  # type: ignore[union-attr]  # a release with rows has it
    model = report.dossier.worth["model"]
    assert isinstance(model, dict)
    assert model["target"] == "outcome"
    page = render_html(report)
    assert "to find the person" in page
    assert "area under the ROC curve" in page
    assert "谁尝试过识别患者" in render_html(report, "zh")
