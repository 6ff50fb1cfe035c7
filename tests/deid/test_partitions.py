"""A recipe over partitioned Parquet: what is written is counted again, byte by byte the same, all or nothing."""

import hashlib
import json
import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hdex.deid import partition, recipe
from hdex.deid.anonymize import typed
from hdex.deid.anonymize_models import diversity
from hdex.deid.errors import ArgumentInvalid, InputInvalid, RiskTooHigh
from hdex.deid.lattice import anonymize
from hdex.deid.partition import Job, Master, Written, apply_partition, is_open_to_others, places, read_master
from hdex.deid.partitions import Progress, find, in_turn, ladders_for, plan, require_protected, run, silent
from hdex.deid.pseudonym import derive_keys, pseudonyms
from hdex.deid.recipe import Recipe, Request
from hdex.deid.verify import verify_release

SECRET = b"a secret of thirty-two bytes....."
MASTER = Master(SECRET)
QUASI = ("age", "sex", "weight", "site")
KINDS = pl.Enum(["north", "south", "nowhere-at-all"])


def table(rows: int = 1200, seed: int = 7) -> pl.DataFrame:
    """Visits of patients, some with several; a NULL, a NaN and a -0.0 among the quasi-identifiers."""
    draw = np.random.default_rng(seed)
    weight = draw.choice([0.0, -0.0, 1.5, np.nan], rows)
    first = date(2024, 1, 31)
    return pl.DataFrame(
        {
            "pid": [f"P{number:04}" for number in draw.integers(0, rows * 2 // 3, rows)],
            "name": [f"Ada {number}" for number in range(rows)],
            "age": pl.Series(draw.integers(30, 90, rows)).set(pl.Series(draw.random(rows) < 0.01), None),
            "sex": draw.choice(["F", "M"], rows),
            "weight": weight,
            "site": pl.Series(draw.choice(["north", "south"], rows), dtype=KINDS),
            "seen": [first + timedelta(days=int(day)) for day in draw.integers(0, 300, rows)],
            "told": [f"2024-05-{day:02}" for day in draw.integers(1, 29, rows)],
            "row": range(rows),
        }
    )


def cut(frame: pl.DataFrame, folder: Path, parts: int = 3) -> Path:
    folder.mkdir()
    size = -(-frame.height // parts)
    for number in range(parts):
        frame.slice(number * size, size).write_parquet(folder / f"2024-0{number + 1}.parquet")
    return folder


def asked(**more: object) -> Request:
    return Request(QUASI, patient="pid", drop=("name",), shift=("seen", "told"), **more)  # type: ignore[arg-type]  # fields of Request


def released(out: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file) for file in sorted(out.iterdir())])


def digests(out: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(out.iterdir())}


def ill(frame: pl.DataFrame) -> pl.DataFrame:
    """The table with a diagnosis that goes with age, a cost written as text, and a NULL among them."""
    draw = np.random.default_rng(5)
    common = pl.Series(["flu", "cold", "gout", None]).gather(draw.integers(0, 4, frame.height))
    old = (frame["age"].fill_null(0) > 75) & pl.Series(draw.random(frame.height) < 0.8)
    costs = [str(number) for number in draw.integers(1, 30, frame.height)]
    return frame.with_columns(ill=pl.when(old).then(pl.lit("stroke")).otherwise(common), cost=pl.Series(costs))


@pytest.mark.parametrize(
    ("sensitive", "least_values", "distance"),
    [("ill", 3, None), ("ill", None, 0.25), ("ill", 2, 0.4), ("cost", 4, 0.2)],
)
def test_l_and_t_hold_over_all_partitions(
    tmp_path: Path, sensitive: str, least_values: int | None, distance: float | None
) -> None:
    frame = ill(table())
    source, out = cut(frame, tmp_path / "in"), tmp_path / "out"
    request = asked(k=3, suppression=0.1, sensitive=sensitive, l=least_values, t=distance)
    answer = run(source, request, out=out, master=MASTER)
    found = verify_release(
        out,
        list(QUASI),
        3,
        patient="pid",
        sensitive=[sensitive],
        least_values=least_values,
        distance=distance,
        whole=source,
    )
    assert found.ok
    assert answer["risk"]["l"] == found.l  # type: ignore[index]  # a dictionary
    assert answer["risk"]["t"] == pytest.approx(found.t, abs=1e-9)  # type: ignore[index]
    models = diversity(sensitive, least_values, distance)
    whole = frame.with_columns(
        typed(frame[sensitive]), weight=frame["weight"].to_numpy() + 0.0
    )  # -0.0 is 0.0 to partitions
    alone = anonymize(
        whole,
        ladders_for(whole.select(QUASI), None),
        k=3,
        patient="pid",
        suppression=0.1,
        models=models,
    )
    assert answer["loss"] == pytest.approx(alone.loss, abs=1e-9)
    assert answer["suppressed"] == alone.suppressed
    lax = plan(find(source), asked(k=3, suppression=0.1))
    assert lax.loss < float(str(answer["loss"])) - 1e-9  # else l and t asked for nothing here


def test_a_release_that_misses_l_is_noticed_when_it_is_counted_again(tmp_path: Path) -> None:
    source = cut(ill(table()), tmp_path / "in")
    run(source, asked(k=2, suppression=0.1), out=tmp_path / "out", master=MASTER)
    strict = plan(find(source), asked(k=2, suppression=0.1, sensitive="ill", l=3))
    with pytest.raises(RiskTooHigh, match="l or t"):
        require_protected(find(source), tmp_path / "out", strict)


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"l": 2}, ArgumentInvalid, "need the name of a sensitive column"),
        ({"sensitive": "age", "l": 2}, ArgumentInvalid, "kept as it is"),
        ({"sensitive": "pid", "l": 2}, ArgumentInvalid, "kept as it is"),
        ({"sensitive": "shoe", "l": 2}, ArgumentInvalid, "shoe is not in the partitions"),
        ({"sensitive": "parts", "l": 2}, InputInvalid, "asked are plain values"),
    ],
)
def test_a_sensitive_column_is_one_that_is_kept(
    tmp_path: Path, more: dict[str, object], error: type[Exception], message: str
) -> None:
    source = cut(table(60).with_columns(parts=pl.Series([[1]] * 60)), tmp_path / "in")
    with pytest.raises(error, match=message):
        run(source, asked(k=2, **more), out=tmp_path / "out", master=MASTER)


def test_a_recipe_without_a_sensitive_column_is_the_document_it_was(tmp_path: Path) -> None:
    source = find(cut(ill(table()), tmp_path / "in"))
    plain, more = plan(source, asked(k=3)), plan(source, asked(k=3, sensitive="ill", t=0.9))
    assert not {"sensitive", "l", "t", "least_values", "distance"} & set(json.loads(plain.to_json()))
    assert Recipe.from_json(plain.to_json()) == plain
    assert Recipe.from_json(more.to_json()) == more
    assert more.digest != plain.digest


def test_what_leaves_verifies_and_every_partition_becomes_one(tmp_path: Path) -> None:
    frame = table()
    source = cut(frame, tmp_path / "in")
    answer = run(source, asked(k=5, suppression=0.1), out=tmp_path / "out", master=MASTER)
    told = released(tmp_path / "out")
    found = verify_release(told, list(QUASI), 5, patient="pid")
    assert found.ok
    assert found.k == answer["risk"]["k"]  # type: ignore[index]  # a dictionary
    assert (found.rows, found.classes) == (1200 - int(str(answer["suppressed"])), answer["classes"])
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [f"part-0000{n}.parquet" for n in range(3)]
    assert answer["partitions"] == 3
    assert {entry.name for entry in tmp_path.iterdir()} == {"in", "out"}
    rows_of = [set(pl.read_parquet(file)["row"]) for file in sorted(source.iterdir())]
    for file in (tmp_path / "out").iterdir():
        assert sum(set(pl.read_parquet(file)["row"]) <= rows for rows in rows_of) == 1


def test_the_answer_is_that_of_the_engine_on_the_whole_table(tmp_path: Path) -> None:
    frame = table(600)
    source = find(cut(frame, tmp_path / "in"))
    found = plan(source, asked(k=4))
    whole = frame.with_columns(pl.col("weight").abs(), pl.col("site").cast(pl.String))
    ladders = ladders_for(whole.select(QUASI).unique(), None)
    expected = anonymize(whole, ladders, k=4, patient="pid")
    assert found.loss == pytest.approx(expected.loss, abs=1e-9)
    assert (found.transformation, found.suppressed) == (expected.transformation, expected.suppressed)
    assert len(found.classes["age"]) == expected.classes
    answer = run(tmp_path / "in", asked(k=4), out=tmp_path / "out", master=MASTER)
    kept = released(tmp_path / "out").sort("row")
    assert kept["row"].to_list() == expected.frame["row"].to_list()
    for name in QUASI:
        assert kept[name].to_list() == expected.frame[name].fill_nan(None).to_list() if name == "weight" else True
        assert kept[name].cast(pl.String).to_list() == expected.frame[name].cast(pl.String).to_list()
    assert answer["loss"] == found.loss


def test_identifiers_are_gone_pseudonyms_join_and_intervals_survive(tmp_path: Path) -> None:
    frame = table(400)
    run(cut(frame, tmp_path / "in"), asked(recipient="maker"), out=tmp_path / "out", master=MASTER)
    told = released(tmp_path / "out").join(frame, on="row", suffix="_true")
    assert "name" not in released(tmp_path / "out").columns
    key = derive_keys(SECRET, recipient="maker", project="").pseudonym
    assert told["pid"].to_list() == pseudonyms(told["pid_true"], key).to_list()  # those of the pipeline
    moved = told.with_columns(
        by=(pl.col("seen") - pl.col("seen_true")).dt.total_days(),
        text=(pl.col("told").str.to_date() - pl.col("told_true").str.to_date()).dt.total_days(),
    )
    assert (moved["by"] == moved["text"]).all()
    assert moved.group_by("pid").agg(pl.col("by").n_unique())["by"].to_list() == [1] * moved["pid"].n_unique()
    assert 0 not in moved["by"]


def test_equal_runs_are_equal_bytes_and_another_key_is_another_order(tmp_path: Path) -> None:
    source = cut(table(), tmp_path / "in")
    plain = Request(QUASI, drop=("name", "pid"))
    for name, secret in (("a", SECRET), ("b", SECRET), ("c", bytes(range(32)))):
        run(source, plain, out=tmp_path / name, master=Master(secret))
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    one, other = released(tmp_path / "a")["row"], released(tmp_path / "c")["row"]
    assert sorted(one) == sorted(other)
    assert one.to_list() != other.to_list()
    assert abs(np.corrcoef(np.argsort(one.to_numpy()), np.arange(len(one)))[0, 1]) < 0.9
    within = pl.read_parquet(tmp_path / "a" / "part-00000.parquet")["row"].to_numpy()
    assert abs(np.corrcoef(within, np.arange(len(within)))[0, 1]) < 0.25  # rows do not stand as they stood


def test_a_partition_larger_than_a_batch_is_ordered_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "in.parquet"
    table(900).write_parquet(file)
    run(file, asked(), out=tmp_path / "whole", master=MASTER)
    monkeypatch.setattr(partition, "CELLS", 0)
    monkeypatch.setattr(partition, "LEAST_BATCH", 101)
    run(file, asked(), out=tmp_path / "cut", master=MASTER)
    assert released(tmp_path / "whole").equals(released(tmp_path / "cut"))


@pytest.mark.parametrize("most", [60, 10, 1])
def test_more_distinct_tuples_than_are_searched_are_joined_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(recipe, "MOST_TUPLES", most)
    answer = run(cut(table(), tmp_path / "in"), asked(), out=tmp_path / "out", master=MASTER)
    assert verify_release(released(tmp_path / "out"), list(QUASI), 5, patient="pid").ok
    levels, floors = answer["transformation"], answer["floors"]
    assert floors
    assert answer["gap"] is None  # what is best below the floors is not known
    assert all(levels[name] >= low for name, low in floors.items())  # type: ignore[attr-defined,index]  # dictionaries


def test_places_of_a_batch_are_those_of_the_whole() -> None:
    whole = places(SECRET[:32], 3, 0, 100)
    assert places(SECRET[:32], 3, 40, 60).to_list() == whole[40:].to_list()
    assert whole.n_unique() == 100
    assert not set(whole) & set(places(SECRET[:32], 4, 0, 100))


def test_a_file_lists_no_category_that_nobody_holds(tmp_path: Path) -> None:
    request = Request(("age", "sex"), drop=("name", "pid"), k=2)
    run(cut(table(), tmp_path / "in"), request, out=tmp_path / "out", master=MASTER)
    assert all(b"nowhere-at-all" not in file.read_bytes() for file in (tmp_path / "out").iterdir())


def failing(jobs: list[Job], document: Recipe, master: Master, progress: Progress) -> list[Written]:
    """An engine whose second partition finds no space."""
    apply_partition(jobs[0], document, master.secret)
    raise OSError(28, "No space left on device")


def forgetful(jobs: list[Job], document: Recipe, master: Master, progress: Progress) -> list[Written]:
    """An engine that leaves a partition out."""
    return in_turn(jobs[1:], document, master, progress)


@pytest.mark.parametrize(("engine", "error"), [(failing, OSError), (forgetful, InputInvalid)])
def test_a_run_that_fails_leaves_nothing(tmp_path: Path, engine: object, error: type[Exception]) -> None:
    source = cut(table(), tmp_path / "in")
    with pytest.raises(error):
        run(source, asked(), out=tmp_path / "out", master=MASTER, engine=engine)  # type: ignore[arg-type]  # an Engine over lists
    assert {entry.name for entry in tmp_path.iterdir()} == {"in"}


def test_a_partition_that_changes_during_the_run_releases_nothing(tmp_path: Path) -> None:
    source = cut(table(), tmp_path / "in")

    def meddle(step: str, done: int, of: int) -> None:
        if (step, done) == ("write", 1):
            table(400, seed=8).write_parquet(source / "2024-01.parquet")

    with pytest.raises(InputInvalid, match=r"changed during the run|was not like this|not the one|were written"):
        run(source, asked(), out=tmp_path / "out", master=MASTER, progress=meddle)
    assert not (tmp_path / "out").exists()


def test_a_value_that_was_not_counted_is_not_told(tmp_path: Path) -> None:
    source = find(cut(table(), tmp_path / "in"))
    decided = plan(source, asked())
    odd = table(400).with_columns(pl.lit("Wilhelmina").alias("sex"))
    odd.write_parquet(source.files[0])
    job = Job(0, source.files[0], 400, tmp_path / "part", tmp_path)
    with pytest.raises(InputInvalid, match=r"column sex of partition 2024-01\.parquet") as caught:
        apply_partition(job, decided, SECRET)
    assert "Wilhelmina" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert not (tmp_path / "part").exists()


def test_bad_input_is_named_by_file_and_column(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputInvalid, match="folder empty holds 0 Parquet files"):
        find(empty)
    source = cut(table(), tmp_path / "in")
    part = source / "2024-02.parquet"
    with pytest.raises(ArgumentInvalid, match="columns shoe are not in the partitions"):
        plan(find(source), Request(("shoe",)))
    table().with_columns(pl.col("age").cast(pl.String)).write_parquet(part)
    with pytest.raises(InputInvalid, match=r"column age is String in partition 2024-02\.parquet, Int64 in 2024-01"):
        find(source)
    table().drop("sex").write_parquet(part)
    with pytest.raises(InputInvalid, match=r"2024-02\.parquet and 2024-01\.parquet do not both have the columns sex"):
        find(source)
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(InputInvalid, match=r"2024-02\.parquet is not a whole Parquet file"):
        find(source)
    part.unlink()
    (source / "more.csv").write_text("a\n1\n")
    with pytest.raises(InputInvalid, match="1 entries that are no Parquet files"):
        find(source)
    table().head(0).write_parquet(tmp_path / "none.parquet")
    with pytest.raises(InputInvalid, match="0 rows"):
        find(tmp_path / "none.parquet")


def test_nulls_among_patients_and_texts_that_are_no_days_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "in.parquet"
    table().with_columns(pl.when(pl.col("row") > 5).then("pid").alias("pid")).write_parquet(file)
    with pytest.raises(InputInvalid, match="6 rows name no patient in column pid"):
        plan(find(file), asked())
    table().with_columns(pl.lit("last spring").alias("told")).write_parquet(file)
    with pytest.raises(InputInvalid, match="column told") as caught:
        run(file, asked(), out=tmp_path / "out", master=MASTER)
    assert "spring" not in str(caught.value)
    with pytest.raises(InputInvalid, match="column row is Int64"):
        plan(find(file), Request(("age",), patient="pid", shift=("row",)))


def test_an_output_that_holds_anything_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "in.parquet"
    table().write_parquet(file)
    out = tmp_path / "out"
    out.mkdir()
    run(file, asked(), out=out, master=MASTER)  # an empty folder is taken
    before = digests(out)
    with pytest.raises(ArgumentInvalid, match="out is not empty"):
        run(file, asked(), out=out, master=MASTER)
    assert digests(out) == before
    with pytest.raises(ArgumentInvalid, match="is not there"):
        run(file, asked(), out=tmp_path / "a" / "b", master=MASTER)
    with pytest.raises(RiskTooHigh):
        run(file, asked(k=5000), out=tmp_path / "more", master=MASTER)


def test_keys_are_not_shown_and_short_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(SECRET + b"\n")
    path.chmod(0o600)
    assert read_master(path) == Master(SECRET, path)
    assert "secret" not in repr(Master(SECRET, path))
    assert not is_open_to_others(path)
    path.chmod(0o640)
    assert is_open_to_others(path)
    path.write_bytes(b"short")
    with pytest.raises(InputInvalid, match="key file key holds 5 bytes, asked are 32"):
        read_master(path)
    silent("nothing", 0, 0)
    assert os.path.exists(path)
