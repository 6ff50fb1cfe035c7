"""The generator's hospitals are reproducible, plausible, differ in dialect, and say one thing to one mapping."""

import hashlib
import re
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hdex.node.harmonize import Common, apply, propose
from hdex.node.sources import Export, read_export
from hdex.node.synthetic import Truth, generate
from hdex.node.synthetic.people import check_character


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, seed=7)
    return folder


@pytest.fixture(scope="module")
def exports(out: Path) -> dict[str, Export]:
    return {name: read_export(out / name) for name in ("hospital-a", "hospital-b", "hospital-c")}


@pytest.fixture(scope="module")
def commons(exports: dict[str, Export]) -> dict[str, Common]:
    return {name: apply(export, propose(export, name=name)) for name, export in exports.items()}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    def digest(seed: int, folder: str) -> str:
        generate(tmp_path / folder, seed=seed, patients=60)
        files = sorted(path for path in (tmp_path / folder).rglob("*") if path.is_file())
        return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()

    assert digest(1, "a") == digest(1, "b")
    assert digest(1, "a") != digest(2, "c")


def test_a_whole_cohort_is_made_in_seconds(tmp_path: Path) -> None:
    begin = time.process_time()
    truth = generate(tmp_path, seed=3)
    assert time.process_time() - begin < 6  # CPU seconds; usually below 2
    assert sum(hospital.patients for hospital in truth.hospitals.values()) == 2_550


def test_the_three_hospitals_write_three_dialects(exports: dict[str, Export]) -> None:
    seen = {name: next(iter(export.tables.values())).dialect for name, export in exports.items()}
    marks = {name: (dialect.encoding, dialect.delimiter) for name, dialect in seen.items()}
    assert marks == {"hospital-a": ("gb18030", ","), "hospital-b": ("utf-8", "|"), "hospital-c": ("utf-16", ";")}
    assert exports["hospital-c"].tables["laborwerte"].dialect.decimal == ","
    assert exports["hospital-c"].kind == "mixed"
    patterns = {
        pattern.split(" ")[0]
        for export in exports.values()
        for t in export.tables.values()
        for _, pattern in t.dialect.dates
    }
    assert patterns == {"YYYY年MM月DD日", "YYYY-MM-DD", "MM/DD/YYYY", "DD.MM.YYYY"}


def test_every_row_and_every_column_finds_its_place(exports: dict[str, Export], commons: dict[str, Common]) -> None:
    for name, export in exports.items():
        mapping = propose(export)
        assert mapping.unmapped_tables == ()
        assert {table.model for table in mapping.tables} == set(commons[name].tables) - {"procedure"}
        assert [column for table in mapping.tables for column in table.unmapped] == []
        assert commons[name].quarantine.is_empty()


def test_the_common_models_agree_on_words_and_units(commons: dict[str, Common]) -> None:
    for common in commons.values():
        assert set(common["person"]["sex"]) == {"male", "female"}
        assert set(common["person"]["smoking"]) == {"never", "former", "current"}
        ldl = common["measurement"].filter(pl.col("code") == "13457-7")
        assert set(ldl["unit"]) == {"mmol/L"}
        assert ldl["value"].mean() == pytest.approx(2.9, abs=0.2)
        assert set(common["consent"]["purpose"]) == {"DUO:0000006"}
        assert set(common["consent"]["recipient_class"]) == {"any", "academic"}


def test_resident_ids_are_valid_and_fit_birth_and_sex(commons: dict[str, Common]) -> None:
    # GB 11643-1999, annex: 11010519491231002X and 440524188001010014
    assert check_character("11010519491231002") == "X"
    assert check_character("44052418800101001") == "4"
    for common in commons.values():
        for number, birth, sex in common["person"].select("resident_id", "birth_date", "sex").iter_rows():
            assert number[-1] == check_character(number[:17])
            assert number[6:14] == f"{birth:%Y%m%d}"
            assert (int(number[16]) % 2 == 1) == (sex == "male")
        assert common["person"]["resident_id"].is_unique().all()
        assert common["person"]["phone"].is_unique().all()


def test_notes_name_the_patient_in_the_hospitals_language(commons: dict[str, Common]) -> None:
    for name, common in commons.items():
        notes = (
            common["note"]
            .join(common["person"], on="person_id")
            .with_columns(han=pl.col("text").str.contains(r"\p{Han}"))
        )
        named = notes.filter(pl.col("text").str.contains(pl.col("record_number"), literal=True))
        assert named.height == notes.height
        share = notes["han"].mean()
        assert share == {"hospital-a": 1.0, "hospital-b": 0.0}.get(name, pytest.approx(0.6, abs=0.1))


def test_the_truth_survives_its_file_and_counts_what_is_there(out: Path, commons: dict[str, Common]) -> None:
    truth = Truth.load(out / "truth.json")
    for name, planted in truth.hospitals.items():
        person = commons[name]["person"]
        assert set(planted.identifiers["name"]) == set(person["name"])
        assert set(planted.identifiers["serial"]) == set(commons[name]["device"]["serial"])
        assert planted.patients == person.height
        assert planted.without_consent / planted.patients == pytest.approx(0.06, abs=0.025)
        assert 0.12 < planted.events / planted.patients < 0.25
    assert [planted.hiv >= 60 for planted in truth.hospitals.values()] == [False, False, True]
    assert all(re.search(r"\w", value) and len(value) >= 2 for value in truth.identifiers())


def test_restenosis_depends_on_the_covariates_as_the_truth_says(out: Path, commons: dict[str, Common]) -> None:
    from hdex.node.views import build_view, load_view

    frame = pl.concat([build_view(common, load_view("carotid_stent"), None).frame for common in commons.values()])
    truth = Truth.load(out / "truth.json").coefficients
    x = frame.select(list(truth)).to_numpy().astype(float)
    y = frame["restenosis_12m"].to_numpy().astype(float)
    center, design = x.mean(0), np.column_stack([np.ones(len(x)), x - x.mean(0)])
    assert np.isfinite(center).all()
    beta = np.zeros(design.shape[1])
    for _ in range(12):
        chance = 1 / (1 + np.exp(-design @ beta))
        hessian = design.T @ (design * (chance * (1 - chance))[:, None])
        beta += np.linalg.solve(hessian, design.T @ (y - chance))
    error = np.sqrt(np.diag(np.linalg.inv(hessian)))[1:]
    assert (np.abs(beta[1:] - np.array(list(truth.values()))) < 3.5 * error).all()
