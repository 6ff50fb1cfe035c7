"""All previews of one data set share a privacy budget: when it is spent, nothing new is drawn."""

import polars as pl

from hdex.catalog.product import Preview, PreviewKind
from hdex.node.hospital.previews import BUDGET, EPSILON, drawn_before, preview_of, spent

FRAME = pl.DataFrame({"sex": ["F", "M"] * 100, "age": [40 + n % 40 for n in range(200)]})


def test_previews_are_drawn_until_the_budget_is_spent_and_then_shown_again() -> None:
    drawn: list[Preview] = []
    for _ in range(int(BUDGET / EPSILON) + 3):
        drawn.append(preview_of(FRAME, drawn))
    assert spent(drawn) == BUDGET
    assert drawn[-1] == drawn[int(BUDGET / EPSILON) - 1]
    assert len({str(preview.rows) for preview in drawn}) == int(BUDGET / EPSILON)
    assert all(row["synthetic"] is True for preview in drawn for row in preview.rows)


def test_rows_that_do_not_fit_any_more_are_not_shown_again() -> None:
    drawn = [preview_of(FRAME, []) for _ in range(int(BUDGET / EPSILON))]
    found = preview_of(FRAME.rename({"age": "years"}), drawn)
    assert (found.kind, found.rows, found.histograms) == (PreviewKind.AGGREGATE, (), ())


def test_the_previews_of_a_product_are_those_of_all_its_drafts() -> None:
    previews = [{"kind": "synthetic", "epsilon": 1.0, "rows": [{"synthetic": True, "n": n}]} for n in range(3)]
    drafts = [
        {"id": "a.x", "version": "1.10.0", "preview": previews[1]},
        {"id": "a.x", "version": "1.9.0", "preview": previews[0]},
        {"id": "a.y", "version": "1.0.0", "preview": previews[2]},
    ]
    assert [preview.rows[0]["n"] for preview in drawn_before(drafts, "a.x")] == [0, 1]
