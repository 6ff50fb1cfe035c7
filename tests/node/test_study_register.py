"""Two studies of one hospital are of the same patients or of a crowd fewer, also when only missing values differ."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.node.market_stage import Market
from tests.node.study_stage import Round, patients

from hdex.federated.disclosure_cells import Partition
from hdex.federated.errors import AdmissionRefused, DisclosureRefused
from hdex.federated.kinds.table import kind_named
from hdex.federated.study import Study
from hdex.node.documents import MemoryDocuments
from hdex.node.errors import AccessDenied
from hdex.node.hospital.populations import THRESHOLD
from hdex.node.hospital.study_register import CELLS, KIND, StudyRegister
from hdex.node.keys import MemoryKeys
from hdex.node.vault import Vault

EVERYBODY = [f"p{number:03}" for number in range(80)]


def register(folder: Path, documents: MemoryDocuments | None = None, keys: MemoryKeys | None = None) -> StudyRegister:
    return StudyRegister(documents or MemoryDocuments(), Vault(folder, keys or MemoryKeys()), b"s" * 32)


def test_the_first_study_sums_everybody_asked(tmp_path: Path) -> None:
    assert register(tmp_path).settle("cohort", EVERYBODY) == EVERYBODY


def test_one_patient_fewer_takes_a_crowd_along_also_in_another_data_set(tmp_path: Path) -> None:
    kept = register(tmp_path)
    kept.settle("cohort", EVERYBODY)
    settled = kept.settle("subcohort", EVERYBODY[1:])
    assert "p000" not in settled
    assert len(set(EVERYBODY) - set(settled)) == THRESHOLD


def test_the_register_outlives_the_process_and_names_nobody(tmp_path: Path) -> None:
    documents, keys = MemoryDocuments(), MemoryKeys()
    register(tmp_path, documents, keys).settle("cohort", EVERYBODY)
    again = register(tmp_path, documents, keys)
    settled = again.settle("cohort", EVERYBODY[1:])
    assert len(settled) == len(EVERYBODY) - THRESHOLD
    assert again.settle("cohort", list(reversed(EVERYBODY[1:]))) == settled
    assert "p0" not in str(documents.all(KIND))


def test_what_trackers_need_is_refused_or_made_coarser(tmp_path: Path) -> None:
    kept = register(tmp_path)
    one, two, three = EVERYBODY[:20], EVERYBODY[20:40], EVERYBODY[40:60]
    for population in ([*one, *two], [*one, *three], [*two, *three]):
        assert kept.settle("cohort", population) == sorted(population)
    target = EVERYBODY[79]
    settled = set(kept.settle("cohort", [*one, *two, *three, target]))
    assert target not in settled or len({*one, *two, *three} - settled) >= 1


def test_nobody_left_to_hide_in_is_a_refusal(tmp_path: Path) -> None:
    kept = register(tmp_path)
    kept.settle("cohort", EVERYBODY[:15])
    with pytest.raises(AccessDenied) as refused:
        kept.settle("cohort", EVERYBODY[:14])
    assert refused.value.rule == "population.too_close"


def test_a_missing_value_in_one_column_does_not_single_its_patient_out(tmp_path: Path) -> None:
    """Two studies, one with a column that a single patient lacks: without the register their difference is he."""
    stage = Round(Market(tmp_path), rows=60)
    lacking = patients(60).with_columns(
        pl.when(pl.col("person_id") == "p0007").then(None).otherwise(pl.col("diameter_mm")).alias("diameter_mm")
    )
    stage.fill(lacking, "f")
    first = stage.site.frame(replace(stage.study(), features=("systolic",))).drop_nulls()
    second = stage.site.frame(stage.study("study-2")).drop_nulls()
    assert first.height == 60
    assert second.height == 60 - THRESHOLD
    whole = stage.site.frame(stage.study("study-3"))
    assert whole.height == 60 - THRESHOLD + 1
    assert whole.null_count().row(0) == (1, 1, 1)  # of the incomplete row no value is left to sum


def test_level_5_asks_twenty_rows(tmp_path: Path) -> None:
    for rows, level, enough in ((19, 5, False), (20, 5, True), (19, 2, True), (9, 2, False)):
        stage = level_stage(tmp_path / f"{rows}-{level}", rows, level)
        if enough:
            assert stage.site.frame(stage.study()).height == rows
            continue
        with pytest.raises(DisclosureRefused) as refused:
            stage.site.frame(stage.study())
        assert refused.value.rule == "min_rows"
        assert stage.market.hospital.ground.refusals()[-1] == ("round.join", "min_rows")


def level_stage(folder: Path, rows: int, level: int) -> Round:
    folder.mkdir()
    market = Market(folder)
    product = market.level_5() if level == 5 else market.stents()
    dataset = product.id.partition(".")[2]
    market.hospital.ground.documents.put("release", f"{dataset}/{product.version}", {"recipient_class": ""})
    return Round(market, product=product, rows=rows)


def test_a_column_of_text_is_asked_with_its_levels_and_not_without(tmp_path: Path) -> None:
    stage = Round(Market(tmp_path), rows=60)
    sexes = ["male", "female", "NA"] + ["male", "female"] * 28 + ["male"]
    stage.fill(patients(60).with_columns(pl.Series("sex", sexes)), "f")
    levels = {"sex": ("male", "female")}
    study = replace(stage.study(), features=("sex", "systolic"), levels=levels)
    frame = stage.site.frame(study)
    assert frame["sex"].null_count() == 1
    assert set(frame["sex"].drop_nulls()) == {"male", "female"}
    with pytest.raises(AdmissionRefused) as refused:
        stage.site.frame(replace(study, id="study-2", levels={}))
    assert refused.value.rule == "study.columns"


def histogram(stage: Round, study_id: str, *edges: float) -> Study:
    options = {"edges": {"systolic": list(edges)}}
    return kind_study(stage, study_id, "histogram", features=("systolic",), target="", options=options)


def groups(stage: Round, study_id: str, column: str) -> Study:
    levels = {column: ("0", "1")}
    return kind_study(stage, study_id, "t-test", target="systolic", features=(column,), levels=levels)


def kind_study(stage: Round, study_id: str, kind: str, **asked: Any) -> Study:
    pack = {step: encoding.document() for step, encoding in kind_named(kind).steps.items()}
    return replace(stage.study(study_id), kind=kind, pack=pack, **asked)


def test_an_edge_moved_by_one_is_refused_and_the_same_bins_or_coarser_ones_are_not(tmp_path: Path) -> None:
    """Two histograms whose edges differ by one tell together how many lie between: here a few patients."""
    stage = Round(Market(tmp_path), rows=160)
    told = histogram(stage, "study-1", 120, 130, 140, 150)
    stage.site.frame(told)
    stage.site.frame(told)  # the next round of the same study
    stage.site.frame(histogram(stage, "study-2", 120, 130, 140, 150))
    stage.site.frame(histogram(stage, "study-3", 130, 150))
    with pytest.raises(AdmissionRefused) as refused:
        stage.site.frame(histogram(stage, "study-4", 120, 131, 140, 150))
    assert refused.value.rule == "population.cells"
    assert stage.market.hospital.ground.refusals()[-1] == ("round.join", "population.cells")
    with pytest.raises(AdmissionRefused):  # a refused study is not remembered as one that was told
        stage.site.frame(histogram(stage, "study-4", 120, 131, 140, 150))


def test_two_groups_that_differ_by_one_patient_are_not_both_compared(tmp_path: Path) -> None:
    stage = Round(Market(tmp_path), rows=60)
    frame = patients(60)
    nearly = pl.when(pl.col("person_id") == "p0007").then(1 - pl.col("restenosis")).otherwise(pl.col("restenosis"))
    stage.fill(frame.with_columns(diameter_mm=nearly), export="f")
    stage.site.frame(groups(stage, "study-1", "restenosis"))
    with pytest.raises(AdmissionRefused) as refused:
        stage.site.frame(groups(stage, "study-2", "diameter_mm"))
    assert refused.value.rule == "population.cells"


def test_cells_name_nobody_and_outlive_the_process(tmp_path: Path) -> None:
    documents, keys = MemoryDocuments(), MemoryKeys()
    first = np.arange(80) < 40
    register(tmp_path, documents, keys).require_cells("a" * 64, EVERYBODY, [Partition(first.astype(np.int64))])
    again = register(tmp_path, documents, keys)
    with pytest.raises(AccessDenied):
        again.require_cells("b" * 64, EVERYBODY, [Partition((np.arange(80) < 41).astype(np.int64))])
    again.require_cells("c" * 64, list(reversed(EVERYBODY)), [Partition(np.flip(first).astype(np.int64))])
    assert "p0" not in str(documents.all(CELLS))
