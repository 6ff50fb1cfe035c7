"""Results as table, picture and page; questions as files; a buyer's diary of a study."""

import json
import math
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from tests.federated.samples import FEATURES, TARGET, tables

from hdex.federated.drawing import Axis, padded, spread
from hdex.federated.errors import StudyInvalid
from hdex.federated.pictures import as_html, as_svg
from hdex.federated.question_file import read_levels, read_option, read_question
from hdex.federated.report import as_text
from hdex.federated.simulate import simulate
from hdex.node.cli.main import main
from hdex.node.errors import NotFound, RequestInvalid
from hdex.node.study_diary import StudyDiary

SVG = "{http://www.w3.org/2000/svg}"
MALE = {"male": ("0", "1"), TARGET: ("0", "1")}
ASKED: dict[str, dict[str, Any]] = {
    "logistic": {"target": TARGET, "features": FEATURES},
    "linear": {"target": "pressure", "features": ("age", "bmi")},
    "variance": {"features": ("age", "bmi")},
    "histogram": {"features": ("age",), "options": {"edges": {"age": [40, 60, 70, 90]}}},
    "quantile": {"features": ("bmi",), "options": {"probabilities": [0.5], "resolution": 0.1}},
    "fedavg": {"target": TARGET, "features": FEATURES, "options": {"rounds": 3}},
    "crosstab": {"features": ("male", TARGET), "levels": MALE},
    "t-test": {"target": "bmi", "features": ("male",), "levels": {"male": MALE["male"]}},
    "kaplan-meier": {
        "target": TARGET, "features": ("male",), "levels": {"male": MALE["male"]},
        "options": {"time": "age", "grid": [50, 60, 70, 80]},
    },
}  # fmt: skip


def answer(kind: str) -> dict[str, Any]:
    return simulate(tables(), kind=kind, secure="plain", **{"target": "", **ASKED[kind]}).document()


@pytest.mark.parametrize("kind", ASKED)
def test_every_kind_has_a_table_that_json_survives(kind: str) -> None:
    document = json.loads(json.dumps(answer(kind)))
    text = as_text(document)
    assert "3 sites" in text
    first = ASKED[kind]["features"][0]
    assert first in text or kind in {"t-test", "kaplan-meier", "fedavg"}
    assert as_html(document).startswith("<!doctype html>")


@pytest.mark.parametrize("kind", ["logistic", "linear", "histogram", "kaplan-meier", "fedavg"])
def test_a_picture_is_whole_xml_with_words_for_those_who_do_not_see_it(kind: str) -> None:
    root = ET.fromstring(as_svg(answer(kind)))  # our own text
    assert root.find(f"{SVG}title") is not None
    words = root.find(f"{SVG}desc")
    assert words is not None
    assert words.text
    numbers = [float(value) for mark in root.iter() for key in ("x", "y") if (value := mark.get(key))]
    assert all(math.isfinite(number) and -50 <= number <= 800 for number in numbers)


def test_a_forest_plot_has_a_mark_for_every_covariate_and_none_for_the_intercept() -> None:
    drawn = as_svg(answer("logistic"))
    assert [name in drawn for name in FEATURES] == [True] * len(FEATURES)
    assert "intercept" not in drawn
    assert drawn.count("<rect") == len(FEATURES)


def test_what_is_only_numbers_has_no_picture() -> None:
    with pytest.raises(StudyInvalid, match="no picture"):
        as_svg(answer("crosstab"))


def test_names_cannot_break_out_of_a_picture() -> None:
    document = answer("linear")
    document["coefficients"][1]["name"] = "<script>"
    assert "<script>" not in as_html(document)


def test_an_axis_keeps_what_is_beyond_at_its_edge_and_ticks_inside() -> None:
    axis = Axis(0.5, 8.0, 100, 200, log=True)
    assert (axis.at(0.5), axis.at(2.0), axis.at(8.0), axis.at(99)) == (100, 150, 200, 200)
    assert axis.ticks() == [0.5, 1.0, 2.0, 5.0]
    assert len(Axis(0.95, 1.8, 0, 1, log=True).ticks()) > 2
    assert Axis(1, 4, 0, 1, whole=True).ticks() == [1, 2, 3, 4]
    assert spread([50, 10, 52, 49], 5) == [54, 10, 59, 49]
    assert all(0.1 <= tick <= 0.9 for tick in Axis(0.1, 0.9, 0, 1).ticks())
    low, high = padded([3.0, 3.0])
    assert low < 3.0 < high


TOML = """
id = "study-7"
purpose = "DUO:0000006"
kind = "cox"
target = "died"
features = ["age"]
[contracts]
hospital-a = "contract-a"
[options]
time = "months"
grid = [12, 24]
"""


def test_a_question_file_says_what_is_not_asked_for_too() -> None:
    question = read_question(TOML)
    assert (question["l2"], question["levels"], question["secure"]) == (0.0, {}, "paillier")
    assert question["options"] == {"time": "months", "grid": [12, 24]}
    assert read_question(json.dumps(question)) == question


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id = ", "cannot be read"),
        ("{", "cannot be read"),
        (TOML + "[model]\nx = 1\n", "unknown keys: model"),
        ("id = 'x'", "missing keys: purpose, contracts"),
        (TOML.replace('kind = "cox"', "kind = 3"), "kind has another type"),
    ],
)
def test_a_wrong_question_file_names_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(StudyInvalid, match=says):
        read_question(text)


def test_options_and_levels_of_the_command_line() -> None:
    assert read_option("grid=1..4") == ("grid", [1, 2, 3, 4])
    assert read_option("time=months") == ("time", "months")
    assert read_option('edges={"a": [1, 2]}') == ("edges", {"a": [1, 2]})
    assert read_levels("arm=control| drug") == ("arm", ("control", "drug"))
    for wrong in ("grid", "=1"):
        with pytest.raises(StudyInvalid):
            read_option(wrong)
        with pytest.raises(StudyInvalid):
            read_levels(wrong)


def test_a_diary_tells_how_far_a_study_is_and_how_it_ended(tmp_path: Path) -> None:
    diary = StudyDiary(tmp_path / "studies", "study-1")
    with pytest.raises(NotFound):
        list(diary.lines(follow=False))
    diary.begin("cox")
    diary.add("round", "1: moments over 3 sites")
    with pytest.raises(NotFound):
        diary.result()
    (tmp_path / "studies/study-1.jsonl").open("a").write('{"half')
    assert [line["step"] for line in diary.lines(follow=False)] == ["start", "round"]
    diary.begin("cox")
    diary.finish({"rounds": 1, "sites": ["a"], "kind": "cox"})
    assert [line["step"] for line in diary.lines(follow=True)] == ["start", "done"]
    assert diary.result()["kind"] == "cox"
    diary.fail(StudyInvalid("columns"))
    assert [line["words"] for line in diary.lines(follow=True)][-1] == "study-invalid: columns"
    with pytest.raises(RequestInvalid):
        StudyDiary(tmp_path, "../study")


def test_a_simulated_result_is_written_as_a_page_and_shown_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hdex(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["hdex", "federated", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        return capsys.readouterr().out

    paths = []
    for site, frame in tables().items():
        frame.write_csv(tmp_path / f"{site}.csv")
        paths.append(str(tmp_path / f"{site}.csv"))
    found = tmp_path / "result.json"
    question = ["--kind", "kaplan-meier", "--target", TARGET, "--features", "male", "--levels", "male=0|1"]
    options = ["--option", "time=age", "--option", "grid=40..90", "--secure", "plain", "--out", str(found)]
    assert hdex("simulate", "--sites", *paths, *question, *options) == ""
    assert "log-rank" in hdex("result", str(found))
    assert json.loads(hdex("result", str(found), "--json"))["kind"] == "kaplan-meier"
    hdex("result", str(found), "--out", str(tmp_path / "page.html"))
    assert "<svg" in (tmp_path / "page.html").read_text()
