"""Noise has the distribution it claims, costs what closed forms say, and is added before anything is encrypted."""

import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.federated.samples import SITES, consortium, now, tables, with_privacy

from hdex.federated.broadcast import Broadcast
from hdex.federated.contributor import Contributor
from hdex.federated.disclosure import Limits
from hdex.federated.draft import Question
from hdex.federated.errors import AdmissionRefused, StudyInvalid
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.kinds.table import kind_of
from hdex.federated.privacy import GRID_BITS, Privacy
from hdex.federated.privacy_accountant import epsilon_of, gaussian_delta, ratio_of, round_costs
from hdex.federated.privacy_sampling import bernoulli_exp, discrete_gaussian, discrete_laplace
from hdex.federated.run import run_study

SAMPLES = 6_000
LEAST_P = 1e-4  # of a goodness-of-fit test with a fixed seed


def fits(found: list[int], weight: Any) -> float:
    """Return the p-value of integers against weights that are proportional to their probability."""
    reach = max(map(abs, found)) + 200
    places = np.arange(-reach, reach + 1)
    weights = np.array([weight(int(place)) for place in places])
    expected = weights / weights.sum() * len(found)
    counted = np.array([np.sum(np.array(found) == place) for place in places])
    common = expected >= 5
    observed = np.append(counted[common], counted[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum())
    kept = wanted > 0
    return float(stats.chisquare(observed[kept], wanted[kept] * observed[kept].sum() / wanted[kept].sum()).pvalue)


@pytest.mark.parametrize("variance", [Fraction(1, 2), Fraction(9), Fraction(1234, 100)])
def test_the_sampler_draws_the_discrete_gaussian(variance: Fraction) -> None:
    source = random.Random(20_261_121)
    found = [discrete_gaussian(variance, source.randrange) for _ in range(SAMPLES)]
    assert fits(found, lambda x: math.exp(-x * x / (2 * float(variance)))) > LEAST_P
    assert fits(found, lambda x: math.exp(-x * x / (2.4 * float(variance)))) < LEAST_P  # the test would see 20 % more


def test_the_sampler_draws_the_discrete_laplace() -> None:
    source = random.Random(7)
    found = [discrete_laplace(4, source.randrange) for _ in range(SAMPLES)]
    assert fits(found, lambda x: math.exp(-abs(x) / 4)) > LEAST_P


@pytest.mark.parametrize("gamma", [Fraction(0), Fraction(1, 3), Fraction(1), Fraction(7, 3)])
def test_a_coin_of_probability_exp_minus_gamma(gamma: Fraction) -> None:
    source = random.Random(3)
    heads = sum(bernoulli_exp(gamma, source.randrange) for _ in range(SAMPLES))
    assert stats.binomtest(heads, SAMPLES, math.exp(-gamma)).pvalue > LEAST_P


def test_the_closed_form_of_the_gaussian_mechanism() -> None:
    """Dong, Roth, Su (2019), corollary 2.13 with mu = 1: Phi(-1/2) - e Phi(-3/2)."""
    assert gaussian_delta(1.0, 1.0) == pytest.approx(stats.norm.cdf(-0.5) - math.e * stats.norm.cdf(-1.5), abs=1e-15)
    assert gaussian_delta(1.0, 1.0) == pytest.approx(0.12693673750664397, rel=1e-12)


# dp-accounting 0.6.0, PLDAccountant's distributions for delta 1e-6 at a discretisation of 1e-4: deviation over
# sensitivity, rounds, epsilon from above (connect the dots) and from below (privacy buckets).
PLD = [
    (2.0, 1, 2.2540846567607074, 2.2540346569996923),
    (2.0, 4, 4.886554138487531, 4.886354127516661),
    (10.0, 1, 0.3968574295477211, 0.3968073740454072),
    (10.0, 50, 3.3076010244792373, 3.305100849675717),
    (40.0, 4, 0.18921342185139986, 0.18901328497537956),
    (1.0, 12, 21.839216427780634, 21.83861641156752),
]
# The same of the discrete Gaussian: deviation and sensitivity in whole numbers, rounds, epsilon from above.
PLD_DISCRETE = [(30.0, 3, 1, 0.3969128444906292), (30.0, 3, 4, 0.8342523662090623), (200.0, 10, 8, 0.5752596938384753)]


@pytest.mark.parametrize(("deviation", "rounds", "above", "below"), PLD)
def test_the_accountant_lies_between_the_bounds_of_dp_accounting(
    deviation: float, rounds: int, above: float, below: float
) -> None:
    assert below <= epsilon_of(math.sqrt(rounds) / deviation, 1e-6) <= above


@pytest.mark.parametrize(("deviation", "sensitivity", "rounds", "above"), PLD_DISCRETE)
def test_what_is_kept_for_discreteness_covers_it(deviation: float, sensitivity: int, rounds: int, above: float) -> None:
    ratio = math.sqrt(rounds) * sensitivity / deviation
    loss, growth = ratio**2 / (2 * sensitivity), ratio**2 / (8 * sensitivity**2)
    bound = epsilon_of(ratio, 1e-6 * math.exp(-growth)) + loss
    assert above <= bound <= above * 1.1


@pytest.mark.parametrize("rounds", [1, 4, 50])
def test_it_costs_less_than_renyi_accounting_says(rounds: int) -> None:
    """Canonne, Kamath, Steinke 2020, proposition 12, at its best order on a fine grid."""
    rho = rounds / 200
    orders = 1 + np.exp(np.linspace(-8, 12, 20_000))
    excess = orders - 1
    renyi = np.min(rho * orders + np.log(excess / orders) - (math.log(1e-6) + np.log(orders)) / excess)
    assert renyi * 0.85 < epsilon_of(math.sqrt(2 * rho), 1e-6) < renyi * 0.97


@example(8.5, 7)  # rho * 7 / 7 is more than rho
@given(st.floats(0.01, 20), st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_the_rounds_together_never_cost_more_than_was_promised(epsilon: float, rounds: int) -> None:
    costs = round_costs(epsilon, 1e-6, rounds)
    assert len(costs) == rounds
    assert sum(map(Fraction, costs)) <= Fraction(epsilon)
    assert sum(costs) == pytest.approx(epsilon, rel=1e-6)
    assert epsilon_of(ratio_of(epsilon, 1e-6), 1e-6) <= epsilon
    assert gaussian_delta(epsilon, 1.01 * ratio_of(epsilon, 1e-6)) > 1e-6  # and no noise is added for nothing


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40), st.floats(0.01, 1e6))
@settings(max_examples=100, deadline=None)
def test_no_row_reaches_further_than_its_clip(vector: list[float], clip: float) -> None:
    clipped = Privacy(1.0, clip=clip).clipped(np.array(vector))
    allowed = Fraction(clip) * 2**GRID_BITS + math.isqrt(len(vector)) + 1
    assert sum(value * value for value in clipped) <= allowed * allowed


@pytest.mark.parametrize(
    "wrong",
    [
        {"epsilon": 0.0}, {"epsilon": -1.0}, {"epsilon": float("nan")}, {"epsilon": float("inf")}, {"epsilon": 1e300},
        {"epsilon": "1"}, {"epsilon": True}, {"epsilon": 1.0, "delta": 0.0}, {"epsilon": 1.0, "delta": 0.5},
        {"epsilon": 1.0, "clip": 0.0}, {"epsilon": 1.0, "clip": float("nan")}, {"delta": 1e-6}, {"epsilons": 1.0},
    ],
)  # fmt: skip
def test_a_promise_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StudyInvalid):
        Privacy.of(wrong)


def test_a_lone_site_cannot_hide_its_noise_from_itself() -> None:
    with pytest.raises(StudyInvalid):
        Privacy(1.0).share_variance(3, sites=1, rounds=1)


def test_a_clip_near_the_grid_is_refused_for_a_long_vector() -> None:
    Privacy(1.0, clip=0.001).share_variance(3, sites=3, rounds=1)
    with pytest.raises(StudyInvalid, match="larger clip"):
        Privacy(1.0, clip=0.001).share_variance(10_000, sites=3, rounds=1)


def test_the_shares_of_all_sites_but_one_carry_the_promise() -> None:
    privacy = Privacy(0.5, clip=3.0)
    needed = (3.0 * 2**GRID_BITS) ** 2 / (ratio_of(0.5, 1e-6) ** 2 / 4)
    assert privacy.share_variance(10, sites=5, rounds=4) * 4 >= needed
    assert float(privacy.share_variance(10, sites=5, rounds=4) * 4) == pytest.approx(needed, rel=1e-3)


def test_the_key_holder_opens_noisy_sums_and_the_same_question_has_the_same_noise() -> None:
    party = with_privacy(consortium(), {"epsilon": 2.0, "clip": 400.0}, max_rounds=1)
    sites = {name: Contributor(name, party.sites[name], clock=now) for name in SITES}
    question = Broadcast(party.study.id, party.study.digest(), 1, 1, "moments", None).to_bytes()
    answers = [site.answer(party.envelope, question).to_bytes() for site in sites.values()]
    again = [site.answer(party.envelope, question).to_bytes() for site in sites.values()]
    assert answers == again
    opened = party.keyholder.open_sum(party.study.id, 1, answers).values
    kind = kind_of(party.study)
    clear = np.sum(
        [kind.sums(kind.rows(frame, party.study), party.study, "moments", None) for frame in tables().values()], axis=0
    )
    privacy = Privacy.of(party.study.privacy)
    assert privacy is not None
    length = kind.length(party.study, "moments")
    deviation = math.sqrt(3 * privacy.share_variance(length, sites=3, rounds=1)) / 2**GRID_BITS
    rows = sum(frame.height for frame in tables().values())
    assert not np.array_equal(opened, clear)
    assert 0 < abs(opened[1]) < 8 * deviation  # nobody was dropped: noise alone
    assert abs(opened[0] - clear[0]) < rows + 8 * deviation
    assert np.std(opened[np.abs(clear) < 1]) < 8 * deviation


def test_a_private_count_is_near_the_count_and_is_not_it() -> None:
    asked = Question("", ("age", "bmi"), "DUO:0000006", kind="count")
    party = with_privacy(consortium(question=asked), {"epsilon": 1.0, "clip": 3.0}, max_rounds=1)
    result = run_study(
        party.envelope, grid=InprocGrid(party.handlers()), decryptor=party.keyholder, journal=MemoryJournal()
    )
    rows = sum(frame.height for frame in tables().values())
    privacy = Privacy.of(party.study.privacy)
    assert privacy is not None
    deviation = math.sqrt(3 * privacy.share_variance(4, sites=3, rounds=1)) / 2**GRID_BITS
    found = [column["n"] for column in result.document()["columns"]]
    missing = [column["missing"] for column in result.document()["columns"]]
    assert all(abs(n - rows) < 8 * deviation for n in found)
    assert [*found, *missing] != [rows, rows, 0, 0]  # noise of 15 rows leaves all four alone once in two million runs


def test_a_trained_update_is_no_sum_over_rows_and_has_no_private_form() -> None:
    asked = Question("event", ("age", "bmi"), "DUO:0000006", kind="fedavg", options={"rounds": 2})
    party = with_privacy(consortium(question=asked), {"epsilon": 1.0}, max_rounds=12)
    question = Broadcast(party.study.id, party.study.digest(), 1, 1, "moments", None).to_bytes()
    with pytest.raises(AdmissionRefused) as refused:
        Contributor(SITES[0], party.sites[SITES[0]], clock=now, limits=Limits(1, 1, 1.0, 0.0)).answer(
            party.envelope, question
        )
    assert refused.value.rule == "privacy.kind"
