"""Answers over two versions of a product are each other's tracker: the difference tells who came and who went."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.catalog.samples import sample_product
from tests.node.market_stage import BUYER, Market
from tests.node.test_queries import FLOOR, FRAME, where

from hdex.node.errors import AccessDenied
from hdex.node.hospital.query_versions import SideBySide, matched
from hdex.node.question import question_of

FEMALE = where("sex", "=", "female")


def newer(gone: int) -> pl.DataFrame:
    """Return the rows of a version that `gone` women have left."""
    women = FRAME.with_row_index("at").filter(pl.col("sex") == "female")["at"].head(gone)
    return FRAME.with_row_index("at").filter(~pl.col("at").is_in(women.to_list())).drop("at")


def market_of(folder: Path, second: pl.DataFrame) -> Market:
    """Return a market in which the buyer has a contract for each of two versions."""
    market = Market(folder)
    market.finalized(market.list_product(sample_product(), FRAME), "query", "c-1")
    product = replace(sample_product(), version="1.1.0", records=second.height)
    market.finalized(market.list_product(product, second), "query", "c-2")
    return market


def ask(market: Market, contract: str, **question: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = market.buyers[BUYER].query(contract, question_of(question))["rows"]
    return rows


def attack(market: Market, **question: Any) -> int | None:
    """Ask the same of both versions and return by how many they differ; None where the second answer is refused."""
    first = ask(market, "c-1", kind="count", **question)[0]["n"]
    try:
        second = ask(market, "c-2", kind="count", **question)[0]["n"]
    except AccessDenied:
        return None
    return int(first - second)


@pytest.mark.parametrize("question", [{}, {"where": FEMALE}, {"where": where("systolic", ">=", 100)}])
def test_the_difference_of_two_versions_tells_of_nobody(tmp_path: Path, question: dict[str, Any]) -> None:
    """Three women left: their number, and what they have in common, is not to be had by subtraction."""
    assert attack(market_of(tmp_path, newer(3)), **question) is None


def test_without_the_comparison_the_attack_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hdex.node.hospital.query_register import QueryRegister

    monkeypatch.setattr(QueryRegister, "require_versions_apart", lambda *given, **named: None)
    assert attack(market_of(tmp_path, newer(3)), where=FEMALE) == 3


def test_a_group_that_nobody_left_and_one_that_many_left_are_told(tmp_path: Path) -> None:
    assert attack(market_of(tmp_path, newer(3)), where=where("sex", "=", "male")) == 0
    assert attack(market_of(tmp_path / "2", newer(FLOOR + 9)), where=FEMALE) == FLOOR + 9


def test_several_answers_together_are_no_way_round(tmp_path: Path) -> None:
    """Men of both versions and everybody of both: the women's difference follows from four safe-looking numbers."""
    market = market_of(tmp_path, newer(3))
    ask(market, "c-1", kind="count", by=["sex"])
    with pytest.raises(AccessDenied) as refused:
        ask(market, "c-2", kind="count")
    assert refused.value.rule in ("query.cells", "query.solvable")


def test_versions_that_tell_a_column_otherwise_are_not_compared_and_not_told(tmp_path: Path) -> None:
    banded = newer(3).with_columns(pl.format("about {}", "age_band").alias("age_band"))
    market = market_of(tmp_path, banded)
    ask(market, "c-1", kind="count", by=["age_band", "sex"])
    with pytest.raises(AccessDenied) as refused:
        ask(market, "c-2", kind="count", by=["age_band"])
    assert refused.value.rule in ("query.versions", "query.cells", "query.solvable")


def test_rows_that_are_gone_refuse_instead_of_forgetting(tmp_path: Path) -> None:
    market = market_of(tmp_path, newer(3))
    ask(market, "c-1", kind="count")
    for path in (tmp_path / "hospital-a").rglob("*"):
        if path.is_file() and b"release-1.0.0" in path.read_bytes()[:400]:
            path.unlink()
    with pytest.raises(AccessDenied) as refused:
        ask(market, "c-2", kind="count")
    assert refused.value.rule == "query.version_gone"


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), gone=st.integers(0, 20), changed=st.integers(0, 5))
def test_who_stayed_is_matched_whatever_left_and_whatever_one_value_became(seed: int, gone: int, changed: int) -> None:
    rng = np.random.default_rng(seed)
    now = pl.DataFrame({name: rng.integers(0, 40, 60) for name in ("a", "b", "c")})
    kept = rng.permutation(60)[gone:]
    then = now[kept.tolist()]
    values = then["a"].to_numpy().copy()
    values[:changed] = 99
    then = then.with_columns(pl.Series("a", values))
    partners, alike = matched(now, then, ["a", "b", "c"])
    assert alike >= then.height - changed
    found = partners[partners >= 0]
    assert len(found) == len(set(found.tolist())) == then.height
    side = SideBySide(now, then, ["a", "b", "c"])
    inside = side.of_then(np.zeros(then.height, np.int64)) >= 0
    assert inside.sum() == then.height
    assert (side.of_now(np.zeros(60, np.int64)) >= 0).sum() == 60
    assert len(inside) == 60  # nobody is only in the second
