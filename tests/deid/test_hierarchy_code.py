"""Code trees: ICD-10 by structure, other trees from a file, and what they miss told without a value."""

from pathlib import Path

import polars as pl
import pytest

from hdex.deid import hierarchy
from hdex.deid.errors import HierarchyIncomplete, InputInvalid
from hdex.deid.hierarchy import Hierarchy
from hdex.deid.hierarchy_code import ancestors

ICD10CM = Path(__file__).resolve().parents[2].parent / "shared/data/icd10cm/icd10cm_tabular_2026.csv.gz"


def path_of(ladder: Hierarchy, leaf: str | None) -> list[str | None]:
    index = ladder.levels[0].to_list().index(leaf)
    return [level[index] for level in ladder.levels]


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("E11.65", ["E11.65", "E11.6", "E11", "E10-E19", "E"]),
        ("E1165", ["E1165", "E116", "E11", "E10-E19", "E"]),
        ("I10", ["I10", "I10-I19", "I"]),
        ("C7A.1", ["C7A.1", "C7A", "C"]),  # ICD-10-CM categories may end in a letter
    ],
)
def test_a_code_climbs_to_its_letter(code: str, line: list[str]) -> None:
    assert ancestors(code) == line


def test_codes_of_unequal_depth_meet_at_the_ancestor_they_share() -> None:
    ladder = hierarchy.code_tree(pl.Series("dx", ["E11.65", "E11", "E10.9", "I10", None]))
    assert path_of(ladder, "E11.65") == ["E11.65", "E11.6", "E11", "E10-E19", "E", "*"]
    assert path_of(ladder, "E11") == ["E11", "E11", "E11", "E10-E19", "E", "*"]
    assert path_of(ladder, "I10") == ["I10", "I10", "I10", "I10-I19", "I", "*"]
    assert path_of(ladder, None)[:2] == [None, None]


def test_a_file_of_parents_gives_the_tree(tmp_path: Path) -> None:
    (tmp_path / "dx.csv").write_text("code,name,parent\nE11,t2,E10-E14\nE10,t1,E10-E14\nE10-E14,diabetes,IV\n")
    found = hierarchy.find_csv(tmp_path, "dx")
    assert found is not None
    ladder = hierarchy.from_file(found, pl.Series("dx", ["E11", "E10"]))
    assert path_of(ladder, "E11") == ["E11", "E10-E14", "IV"]


def test_what_the_tree_misses_is_told_by_kind() -> None:
    with pytest.raises(HierarchyIncomplete, match=r"column dx misses 1 of its distinct values \(codes\)") as caught:
        hierarchy.code_tree(pl.Series("dx", ["E11", "Z99"]), {"E11": "E10-E14"})
    assert "Z99" not in str(caught.value)
    with pytest.raises(HierarchyIncomplete, match="1 distinct values that do not read as ICD-10") as caught:
        hierarchy.code_tree(pl.Series("dx", ["E11", "Ada Lovelace"]))
    assert "Ada" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("17", "whole numbers"),
        ("17.5", "decimal numbers"),
        ("2024-03-09", "dates"),
        ("E11.9", "codes"),
        ("Ada Lovelace", "text"),
        (" ", "empty cells"),
        (None, "null"),
    ],
)
def test_a_ladder_tells_the_kind_of_what_it_misses(value: str | None, kind: str) -> None:
    ladder = hierarchy.suppress_only(pl.Series("a", ["x"]))
    with pytest.raises(HierarchyIncomplete, match=rf"column a misses 1 of its distinct values \({kind}\)"):
        ladder.encode(pl.Series("a", [value], dtype=pl.String))


def test_a_tree_that_bites_its_tail_is_refused() -> None:
    with pytest.raises(InputInvalid, match="more than 20 generations"):
        hierarchy.code_tree(pl.Series("dx", ["a"]), {"a": "b", "b": "a"})


def test_hierarchy_files_of_another_encoding_are_named(tmp_path: Path) -> None:
    path = tmp_path / "sex.csv"
    path.write_bytes("男;*\n女;*\n".encode("gb18030"))
    with pytest.raises(InputInvalid, match=r"sex\.csv is not UTF-8"):
        hierarchy.from_file(path, pl.Series("sex", ["男"]))


def test_the_american_edition_is_one_tree() -> None:
    if not ICD10CM.exists():
        pytest.skip("../shared/data is absent")
    table = pl.read_csv(ICD10CM, infer_schema=False)
    parents = dict(table.filter(pl.col("parent") != "").select("code", "parent").iter_rows())
    ladder = hierarchy.code_tree(pl.Series("dx", ["E11.9", "E10.65", "A00.0"]), parents)
    line = path_of(ladder, "E11.9")
    assert line[0] == "E11.9"
    assert {"E11", "E08-E13"} <= set(line)
