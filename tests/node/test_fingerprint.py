"""The fingerprint's engine: what it moves, what it leaves alone, whom it names, whom it never names."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdex.node.fingerprint import (
    NAMED_FROM,
    Grain,
    Secrets,
    Weights,
    chosen,
    keystream,
    marked,
    names,
    numbers,
    signs,
    told_cells,
    weights,
    z_of,
)
from hdex.node.fingerprint_match import align

ROWS = 20_000
GRAINS = {"systolic": Grain(1.0, (140.0,)), "diastolic": Grain(1.0), "ldl": Grain(0.01), "bmi": Grain(0.1)}
SECRETS = Secrets(b"s" * 32, b"r" * 32)
BUYERS = {f"c-{n}": SECRETS.buyer(f"c-{n}") for n in range(30)}
GUILTY = "c-3"


def sample(rows: int = ROWS, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "age_band": rng.choice(["50-59", "60-69", "70-79"], rows),
            "systolic": np.clip(rng.normal(130, 18, rows).round(), 70, 230).astype(np.int64),
            "diastolic": rng.normal(80, 11, rows).round().astype(np.int64),
            "ldl": rng.normal(3, 0.9, rows).round(2),
            "bmi": rng.normal(26, 4, rows).round(1),
        }
    )


RELEASE = sample()
COPY = marked(RELEASE, GRAINS, SECRETS, BUYERS[GUILTY])


def read(leak: pl.DataFrame, release: pl.DataFrame = RELEASE) -> Weights:
    return weights(leak, release, align(leak, release, GRAINS), GRAINS, SECRETS)


def told(leak: pl.DataFrame) -> list[str]:
    """Return whom a leaked table names."""
    return [contract for contract, z in names(BUYERS, read(leak)) if z >= NAMED_FROM]


def test_a_quarter_of_the_cells_moves_by_one_last_digit_and_no_sum_moves() -> None:
    for name, grain in GRAINS.items():
        apart = (COPY[name] - RELEASE[name]).to_numpy() / grain.step
        assert set(np.round(apart, 6)) == {-1.0, 0.0, 1.0}
        assert 0.2 < np.mean(apart != 0) < 0.27
        assert abs(numbers(COPY[name]).mean() / numbers(RELEASE[name]).mean() - 1) < 1e-12  # the bar is 1e-4
        assert COPY[name].dtype == RELEASE[name].dtype
    assert COPY["age_band"].equals(RELEASE["age_band"])


def test_no_cell_reaches_or_crosses_a_clinical_threshold_or_leaves_the_range() -> None:
    moved = COPY.filter(COPY["systolic"] != RELEASE["systolic"])["systolic"].to_numpy()
    before = RELEASE.filter(COPY["systolic"] != RELEASE["systolic"])["systolic"].to_numpy()
    assert not (before == 140).any()
    assert not (moved == 140).any()
    assert ((before < 140) == (moved < 140)).all()
    for name in GRAINS:
        assert COPY[name].min() == RELEASE[name].min()
        assert COPY[name].max() == RELEASE[name].max()


def test_the_same_contract_gets_the_same_copy_and_another_one_another() -> None:
    assert marked(RELEASE, GRAINS, SECRETS, BUYERS[GUILTY]).equals(COPY)
    other = marked(RELEASE, GRAINS, SECRETS, BUYERS["c-4"])
    cells = [(other[name] != RELEASE[name]).equals(COPY[name] != RELEASE[name]) for name in GRAINS]
    assert all(cells)  # the same cells: who compares two copies finds only those where the signs differ
    assert not other.equals(COPY)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.none() | st.floats(-50, 50).map(lambda x: round(x, 1)) | st.just(math.nan), min_size=1, max_size=60),
    st.integers(0, 2**32),
)
def test_empty_cells_and_those_that_are_no_numbers_stay_as_they_are(cells: list[float | None], seed: int) -> None:
    frame = pl.DataFrame({"x": cells}, schema={"x": pl.Float64})
    copy = marked(frame, {"x": Grain(0.1)}, Secrets(seed.to_bytes(32, "big"), b""), b"k" * 32)
    assert copy["x"].is_null().equals(frame["x"].is_null())
    before, after = numbers(frame["x"]), numbers(copy["x"])
    assert (np.isnan(before) == np.isnan(after)).all()
    assert np.nansum(after) == pytest.approx(np.nansum(before))
    assert np.nanmax(np.abs(after - before), initial=0.0) < 0.1 + 1e-9


def rounded(steps: int) -> pl.DataFrame:
    """Return the copy with its numbers rounded to so many steps."""
    return COPY.with_columns((pl.col(n) / g.step / steps).round() * steps * g.step for n, g in GRAINS.items())


LEAKS = {
    "as it was": COPY,
    "500 rows": COPY.sample(500, seed=1),
    "500 rows in another order, without the exact column": COPY.sample(500, seed=2, shuffle=True).drop("age_band"),
    "two columns": COPY.sample(8000, seed=3).select("age_band", "systolic", "ldl"),
    "rounded to ten steps": rounded(10),
    "as text": COPY.sample(500, seed=4).select(pl.all().cast(pl.String)),
    "with a constant added": COPY.sample(500, seed=5).with_columns(pl.col("ldl") + 0.01),
    "with every third cell cut out": COPY.sample(1000, seed=6).with_columns(
        pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.col("ldl")).alias("ldl")
    ),
}  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS)
def test_who_leaked_is_named_and_nobody_else(leak: str) -> None:
    assert told(LEAKS[leak]) == [GUILTY]


def test_ten_who_average_their_copies_are_all_named_and_nobody_else() -> None:
    copies = [marked(RELEASE, GRAINS, SECRETS, BUYERS[f"c-{n}"]) for n in range(10)]
    average = RELEASE.with_columns(pl.Series(n, np.mean([numbers(one[n]) for one in copies], axis=0)) for n in GRAINS)
    assert set(told(average)) == {f"c-{n}" for n in range(10)}


def test_the_release_itself_and_a_table_of_others_name_nobody() -> None:
    assert told(RELEASE) == []
    assert told(sample(seed=9)) == []
    assert told(pl.DataFrame({"unknown": [1, 2]})) == []
    assert told_cells(read(pl.DataFrame({"systolic": ["no number"]}))) == 0


def test_the_same_row_many_times_is_told_once() -> None:
    """Otherwise one lucky cell, copied a thousand times, would name an innocent."""
    found = read(pl.concat([COPY.head(1)] * 500))
    assert told_cells(found) <= len(GRAINS)
    assert max(z for _, z in names(BUYERS, found)) < NAMED_FROM


def test_of_many_innocent_buyers_none_is_named() -> None:
    """100,000 buyers who had nothing to do with the leak: signs drawn as the engine draws them, one stream a column."""
    found = read(COPY.sample(500, seed=7))
    rng, power = np.random.default_rng(5), math.sqrt(sum(float(w @ w) for w in found.values()))
    told_of = np.concatenate([weight[weight != 0] for weight in found.values()])
    highest = 0.0
    for _ in range(100):
        coins = rng.integers(0, 2, (1000, len(told_of)), dtype=np.int8) * 2 - 1
        highest = max(highest, float((coins @ told_of).max() / power))
    engine = [z_of(found, SECRETS.buyer(f"other-{n}")) for n in range(1000)]
    assert max(highest, *engine) < NAMED_FROM
    assert np.std(engine) == pytest.approx(1, abs=0.1)  # a z is a z: the engine's own signs, as the theory says


def test_choice_and_signs_are_those_of_the_keys() -> None:
    values = numbers(RELEASE["ldl"])
    assert len(chosen(values, GRAINS["ldl"], b"a" * 32)) > 0
    assert not np.array_equal(
        chosen(values, GRAINS["ldl"], b"a" * 32)[:50], chosen(values, GRAINS["ldl"], b"b" * 32)[:50]
    )
    assert abs(signs(b"k" * 32, "ldl", 10_000).mean()) < 0.05
    # NIST SP 800-38A, F.5.5: AES-256 in counter mode; here the counter starts at 0, so compare with one block of ECB
    assert keystream(bytes(32), 16).hex() == "dc95c078a2408989ad48a21492842087"  # FIPS 197 AES-256, zero key and block
