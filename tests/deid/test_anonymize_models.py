"""Models asked for by name hold in the file that is written, counted by hand; what makes no sense is refused."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from hdex.deid.anonymize import anonymize_file
from hdex.deid.anonymize_models import MODELS, Protection, model_of
from hdex.deid.errors import ArgumentInvalid, InputInvalid
from hdex.deid.verify import verify_release

Shares = dict[str, float]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    chance = random.Random(5)
    ill = ["flu", "flu", "flu", "cold", "cold", "gout"]
    rows = [(chance.randint(30, 60), chance.choice("abcd"), chance.choice(ill)) for _ in range(240)]
    path = tmp_path / "in.csv"
    pl.DataFrame(rows, schema=["age", "zone", "ill"], orient="row").write_csv(path)
    return path


def entropy(inside: Shares, _: Shares) -> bool:
    return math.exp(-sum(share * math.log(share) for share in inside.values())) >= 2 - 1e-9


def recursive(inside: Shares, _: Shares) -> bool:
    counts = sorted(inside.values(), reverse=True)
    return counts[0] < 3 * sum(counts[1:])


def near(inside: Shares, whole: Shares) -> bool:
    return sum(abs(inside.get(value, 0.0) - share) for value, share in whole.items()) / 2 <= 0.2 + 1e-9


def likely(inside: Shares, whole: Shares) -> bool:
    return all((share - whole[value]) / whole[value] <= 0.9 + 1e-9 for value, share in inside.items())


def close(inside: Shares, whole: Shares) -> bool:
    return all(abs(math.log(share / whole[value])) < 0.9 for value, share in inside.items())


def strictly_close(inside: Shares, whole: Shares) -> bool:
    return set(inside) == set(whole) and close(inside, whole)


HELD: dict[str, Callable[[Shares, Shares], bool]] = {
    "entropy-l=2": entropy,
    "recursive-l=3,2": recursive,
    "t-equal=0.2": near,
    "beta=0.9": likely,
    "enhanced-beta=0.9": likely,
    "delta-disclosure=0.9": strictly_close,
    "delta-disclosure-present=0.9": close,
}


@pytest.mark.parametrize("engine", ["exact", "local"])
@pytest.mark.parametrize("model", HELD)
def test_every_class_of_the_file_meets_the_model(source: Path, tmp_path: Path, model: str, engine: str) -> None:
    out, protection = tmp_path / "out.csv", Protection("ill", further=(model,))
    answer = anonymize_file(
        source, out=out, quasi=["age", "zone"], k=3, suppression=0.2, protection=protection, engine=engine
    )
    assert answer["models"] == [model]
    assert verify_release(out, ["age", "zone"], 3).ok
    classes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for age, zone, ill in pl.read_csv(out, infer_schema=False).iter_rows():
        classes[age, zone].append(ill)
    whole = shares(pl.read_csv(source)["ill"].to_list())
    assert len(classes) > 1
    assert all(HELD[model](shares(inside), whole) for inside in classes.values())
    plain = anonymize_file(source, out=out, quasi=["age", "zone"], k=3, suppression=0.2, engine=engine)
    assert float(str(plain["loss"])) < float(str(answer["loss"]))  # else the model asked for nothing here


def shares(values: list[str]) -> Shares:
    return {value: count / len(values) for value, count in Counter(values).items()}


@pytest.mark.parametrize("engine", ["exact", "local"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_sample_is_generalised_with_its_population(source: Path, tmp_path: Path, engine: str, suffix: str) -> None:
    people, sample = pl.read_csv(source), tmp_path / "sample.csv"
    population = tmp_path / f"people{suffix}"
    people.write_csv(population) if suffix == ".csv" else people.write_parquet(population)
    people.gather_every(6).with_columns(note=pl.int_range(40)).write_csv(sample)
    out = tmp_path / "out.csv"

    def made(*further: str, k: int = 1) -> dict[str, object]:
        protection = Protection(further=further, population=population if further else None)
        return anonymize_file(
            sample, out=out, quasi=["age", "zone"], k=k, suppression=0.1, protection=protection, engine=engine
        )

    answer = made("k-map=6")
    released = pl.read_csv(out, infer_schema=False)
    assert (answer["rows"], answer["suppressed"], answer["population"]) == (40, 40 - released.height, 240)
    assert released.height >= 36
    original = {str(row["note"]): row for row in pl.read_csv(sample).iter_rows(named=True)}
    for row in released.iter_rows(named=True):
        fitting = [one for one in people.iter_rows(named=True) if fits(row, one)]
        assert len(fitting) >= 6
        assert fits(row, original[row["note"]])
    assert float(str(answer["loss"])) < float(str(made(k=6)["loss"]))
    made("k-map=6", k=3)
    assert verify_release(out, ["age", "zone"], 3).ok
    made("delta-presence=0,0.3")
    for row in pl.read_csv(out, infer_schema=False).iter_rows(named=True):
        members = sum(fits(row, one) for one in original.values())
        assert members / sum(fits(row, one) for one in people.iter_rows(named=True)) <= 0.3


def fits(released: dict[str, str], person: dict[str, object]) -> bool:
    """Whether a released row may be of this person: its labels hold his values."""
    low, _, high = released["age"].replace("*", "0-999").replace("–", "-").partition("-")
    in_age = int(low) <= int(str(person["age"])) <= int(high or low)
    return in_age and released["zone"] in ("*", person["zone"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"further": ("magic=1",)}, "model magic is not there; there is entropy-l=L"),
        ({"further": ("entropy-l=2",)}, "needs the name of a sensitive column"),
        ({"least_values": 2}, "need the name of a sensitive column"),
        ({"sensitive": "ill", "further": ("entropy-l",)}, "asked as entropy-l=L"),
        ({"sensitive": "ill", "further": ("beta=nan",)}, "asked as beta=BETA"),
        ({"sensitive": "ill", "further": ("recursive-l=2",)}, "asked as recursive-l=C,RANK"),
        ({"sensitive": "ill", "further": ("recursive-l=2,1.5",)}, "RANK of model recursive-l is 1.5"),
        ({"sensitive": "ill", "further": ("beta=0",)}, "beta of column ill is 0"),
        ({"further": ("k-map=5",)}, "need the table of the population"),
        ({"population": Path("x.csv")}, "name one of them"),
        ({"sensitive": "ill", "further": ("k-map=5",), "population": Path("x.csv")}, "know no sensitive column"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentInvalid, match=message):
        Protection(**asked)  # type: ignore[arg-type]  # wrong on purpose


def test_every_name_makes_a_model() -> None:
    values = {"L": "2", "C,RANK": "3,2", "LEAST,MOST": "0,0.5"}
    for name, (form, _) in MODELS.items():
        assert model_of(f"{name}={values.get(form, '1')}", "ill").sensitive == "ill"


def test_a_sample_that_is_none_and_a_patient_column_are_refused(source: Path, tmp_path: Path) -> None:
    stranger, out = tmp_path / "stranger.csv", tmp_path / "out.csv"
    stranger.write_text("age,zone,ill\n99,a,flu\n")
    asked = Protection(further=("k-map=2",), population=source)
    with pytest.raises(InputInvalid, match="1 of 1 rows of the sample have no counterpart"):
        anonymize_file(stranger, out=out, quasi=["age"], k=1, protection=asked)
    with pytest.raises(ArgumentInvalid, match="leave the patient column out"):
        anonymize_file(source, out=out, quasi=["age"], k=1, protection=asked, patient="zone")
    for wrong, message in ((0, "k is 0"), (1, "suppression is 2")):
        with pytest.raises(ArgumentInvalid, match=message):
            anonymize_file(source, out=out, quasi=["age"], k=wrong, suppression=2.0 * wrong, protection=asked)
    assert not out.exists()
