"""`hdex node cohort ask` and `hdex buy cohort`: what an offer asks for, and what a buyer is told."""

import json
from pathlib import Path

import pytest
from tests.node.record_stage import offer
from typer.testing import CliRunner

from hdex.catalog.cohort import CohortColumn
from hdex.catalog.documents import to_document
from hdex.node.cli.main import app
from hdex.node.cli.node_cohort import dimension
from hdex.node.errors import ConfigInvalid
from hdex.node.hospital.publishing import Offer


def test_an_offer_asks_for_counts_by_the_dimensions_named(tmp_path: Path) -> None:
    file = tmp_path / "offer.json"
    file.write_text(json.dumps(to_document(offer())), encoding="utf-8")
    by = ["--by", "age=60,70,80", "--by", "sex", "--by", "diagnosis:3"]
    done = CliRunner().invoke(app, ["node", "cohort", "ask", str(file), *by, "--k", "20"])
    assert done.exit_code == 0, done.output
    assert "asks for counts by age=60,70,80, sex, diagnosis:3, none below 20" in done.stderr
    asked = Offer.from_document(json.loads(file.read_text(encoding="utf-8"))).cohort
    assert asked is not None
    assert asked.k == 20
    assert asked.dimensions == (
        CohortColumn(column="age", edges=(60.0, 70.0, 80.0)),
        CohortColumn(column="sex"),
        CohortColumn(column="diagnosis", prefix=3),
    )


@pytest.mark.parametrize("by", [["sex"], ["sex", "sex"], ["a", "b", "c", "d", "e", "f"]])
def test_too_few_or_too_many_dimensions_leave_the_offer_as_it_was(tmp_path: Path, by: list[str]) -> None:
    file = tmp_path / "offer.json"
    file.write_text("{}", encoding="utf-8")
    words = [word for one in by for word in ("--by", one)]
    with pytest.raises(ConfigInvalid, match="--by were given; 2 to 5 are asked, each of another column"):
        CliRunner().invoke(app, ["node", "cohort", "ask", str(file), *words], catch_exceptions=False)
    assert file.read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize("word", ["age=sixty", "code:x", "age=60,,70"])
def test_a_dimension_that_cannot_be_read_is_refused(word: str) -> None:
    with pytest.raises(ConfigInvalid, match="a dimension is written"):
        dimension(word)


def test_the_verbs_say_what_they_take() -> None:
    for words in (["buy", "cohort", "--help"], ["node", "cohort", "--help"]):
        assert CliRunner().invoke(app, words).exit_code == 0
