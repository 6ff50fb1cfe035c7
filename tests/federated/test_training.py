"""FedAvg and its kin over encrypted sums give what Flower's own strategies make of the sites' updates."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy as flower
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.federated.samples import FEATURES, TARGET, consortium, tables

from hdex.federated.apps.flower import be_task
from hdex.federated.apps.training import PooledGrid, strategy_named
from hdex.federated.disclosure import Limits
from hdex.federated.disclosure_membership import lower_chance, membership_auc
from hdex.federated.disclosure_regimes import strictest
from hdex.federated.disclosure_rules import model_breaches
from hdex.federated.draft import Question
from hdex.federated.errors import DisclosureRefused, NotConverged, StudyInvalid
from hdex.federated.grid_inproc import InprocGrid
from hdex.federated.journal_memory import MemoryJournal
from hdex.federated.kinds.network import LocalTraining, Network, clipped
from hdex.federated.kinds.training import STRATEGIES, Trained
from hdex.federated.run import run_study
from hdex.federated.simulate import simulate

RECIPE: dict[str, Any] = {"hidden": [4], "rounds": 3, "epochs": 1, "batch": 64, "learning_rate": 0.5, "seed": 3}


def trained(kind: str, *, secure: str = "plain", **recipe: Any) -> Trained:
    options = {**RECIPE, **recipe}
    done = simulate(tables(), kind=kind, target=TARGET, features=FEATURES, options=options, secure=secure, bits=2048)
    assert isinstance(done.result.answer, Trained)
    return done.result.answer


def pooled() -> tuple[np.ndarray, np.ndarray]:
    frame = pl.concat(list(tables().values()))
    return frame.select(FEATURES).to_numpy(), frame[TARGET].to_numpy()


def test_a_strategy_that_sends_messages_of_its_own_is_refused_in_words() -> None:
    grid = PooledGrid()
    for ask in (grid.push_messages, grid.pull_messages, grid.send_and_receive):
        with pytest.raises(StudyInvalid, match="messages of its own"):
            ask([])


def by_flower(name: str, arguments: dict[str, float], mu: float = 0.0) -> np.ndarray:
    """Return the weights after Flower's own strategy saw every site's update, site by site."""
    be_task(7)
    one = {"min_train_nodes": 1, "min_available_nodes": 1}
    strategy = getattr(flower, name)(**one, **arguments)
    x, _ = pooled()
    centre, scale = x.mean(axis=0), x.std(axis=0)
    network = Network((len(FEATURES), 4, 1))
    weights = network.start(3)
    training = LocalTraining(1, 64, 0.5, mu)
    for number in range(1, 4):
        arrays = ArrayRecord({"weights": Array(weights)})
        (message,) = strategy.configure_train(number, arrays, ConfigRecord(), PooledGrid())
        replies = []
        for frame in tables().values():
            local, y = (frame.select(FEATURES).to_numpy() - centre) / scale, frame[TARGET].to_numpy()
            order = np.random.default_rng([3, len(y)]).permutation(len(y))
            mine = np.sort(order[round(0.25 * len(y)) :])  # the rest is held out
            new = weights + clipped(training.update(network, weights, local[mine], y[mine], (3, number - 1)), 1.0)
            metrics = MetricRecord({"num-examples": len(y)})
            content = RecordDict({"arrays": ArrayRecord({"weights": Array(new)}), "metrics": metrics})
            replies.append(Message(content, reply_to=message))
        found, _ = strategy.aggregate_train(number, replies)
        weights = found["weights"].numpy()
    return weights


CASES: dict[str, dict[str, float]] = {
    "fedavg": {}, "fedavgm": {"server_momentum": 0.5}, "fedprox": {"proximal_mu": 0.3}, "fedadam": {"eta": 0.05},
    "fedadagrad": {"eta": 0.05}, "fedyogi": {"eta": 0.05},
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_the_pooled_sum_is_enough_for_the_strategy(kind: str) -> None:
    found = trained(kind, strategy=CASES[kind])
    expected = by_flower(STRATEGIES[kind], CASES[kind], CASES[kind].get("proximal_mu", 0.0))
    assert np.abs(found.weights - expected).max() <= 1e-9
    assert found.strategy == STRATEGIES[kind]


def test_encrypted_training_differs_from_plain_by_the_encoding_only() -> None:
    plain, secure = trained("fedavg"), trained("fedavg", secure="paillier")
    assert np.abs(plain.weights - secure.weights).max() <= 1e-6
    assert [lesson.n for lesson in secure.history] == [lesson.n for lesson in plain.history]


def test_the_loss_falls_and_the_answer_predicts() -> None:
    found = trained("fedavg", rounds=20, epochs=2)
    losses = [lesson.loss for lesson in found.history]
    assert len(losses) == 21
    assert losses[-1] < 0.9 * losses[0]
    x, y = pooled()
    accuracy = float(((found.probability(x) > 0.5) == (y == 1)).mean())
    assert accuracy == pytest.approx(found.history[-1].accuracy)
    assert found.document()["history"][0]["round"] == 1


def test_the_gradient_is_that_of_the_loss() -> None:
    network, random = Network((3, 4, 2, 1)), np.random.default_rng(1)
    weights, x, y = network.start(0), random.normal(size=(20, 3)), random.integers(0, 2, 20).astype(float)
    steps = 1e-6 * np.eye(network.weights)
    numeric = [(network.loss(weights + h, x, y) - network.loss(weights - h, x, y)) / 2e-6 / 20 for h in steps]
    assert np.abs(network.gradient(weights, x, y) - numeric).max() <= 1e-7


def test_an_update_is_no_longer_than_its_bound() -> None:
    assert np.linalg.norm(clipped(np.full(9, 3.0), 0.5)) == pytest.approx(0.5)
    assert clipped(np.array([0.1]), 0.5).tolist() == [0.1]
    assert np.isfinite(trained("fedavg", learning_rate=1e3).weights).all()


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ({"rounds": 0}, "rounds must be"),
        ({"rounds": 24}, "max_rounds of 26"),
        ({"hidden": [0]}, "hidden"),
        ({"clip": 0}, "clip"),
        ({"seed": -1}, "seed"),
        ({"holdout": 0}, "holdout"),
        ({"layers": [1]}, "knows no option layers"),
        ({"strategy": {"eta": 1}}, "does not take the arguments eta"),
        ({"strategy": {"server_momentum": "fast"}}, "must be numbers"),
    ],
)
def test_a_wrong_recipe_is_refused_before_anything_is_asked(recipe: dict[str, Any], says: str) -> None:
    with pytest.raises(StudyInvalid, match=says):
        trained("fedavg", **recipe)


def test_one_class_cannot_be_learnt() -> None:
    frames = {site: frame.with_columns(pl.lit(1.0).alias(TARGET)) for site, frame in tables().items()}
    with pytest.raises(NotConverged, match="one outcome class"):
        simulate(frames, kind="fedavg", target=TARGET, features=FEATURES, secure="plain")


def test_a_network_with_more_weights_than_the_rows_bear_is_refused_by_a_site() -> None:
    question = Question(TARGET, FEATURES, "DUO:0000006", kind="fedavg")
    party = consortium(question=question)
    with pytest.raises(DisclosureRefused, match="parameter_share"):
        run_study(party.envelope, grid=InprocGrid(party.handlers()), decryptor=party.decryptor, journal=MemoryJournal())


def run(frames: dict[str, pl.DataFrame], limits: Limits | None = None, **recipe: Any) -> Trained:
    """Return what a real run releases: sites and coordinator with their floors on."""
    question = Question(TARGET, FEATURES, "DUO:0000006", kind="fedavg", options=RECIPE | recipe)
    party = consortium(frames, secure="plain", question=question, limits=limits)
    done = run_study(
        party.envelope, grid=InprocGrid(party.handlers()), decryptor=party.decryptor, journal=MemoryJournal()
    )
    assert isinstance(done.answer, Trained)
    return done.answer


def test_a_network_that_learnt_the_sum_and_not_the_patients_is_released() -> None:
    assert run(tables(), hidden=[]).network.weights == 5


def test_a_network_that_learnt_its_patients_by_heart_stays_at_the_sites() -> None:
    """Outcomes by the toss of a coin: whatever is fitted beyond chance was learnt by heart."""
    random = np.random.default_rng(5)
    tossed = {
        site: frame.with_columns(pl.Series(TARGET, random.integers(0, 2, frame.height).astype(float)))
        for site, frame in tables().items()
    }
    by_heart = {"hidden": [32], "rounds": 2, "epochs": 90, "batch": 16, "learning_rate": 0.5, "clip": 50.0}
    with pytest.raises(DisclosureRefused, match="membership is guessed") as refused:
        run(tossed, Limits(3, 10, 1.0, 0.0), **by_heart)
    assert refused.value.rule == "membership"
    options = {**RECIPE, **by_heart}
    found = simulate(tossed, kind="fedavg", target=TARGET, features=FEATURES, options=options, secure="plain")
    assert any("membership" in warning for warning in found.warnings)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_the_attackers_score_is_the_mann_whitney_statistic(member: list[int], other: list[int]) -> None:
    found = lower_chance(np.array(member, dtype=float), np.array(other, dtype=float))
    assert found == pytest.approx(stats.mannwhitneyu(other, member).statistic / (len(member) * len(other)))


def test_the_luck_of_the_draw_is_taken_out_and_a_leak_is_not() -> None:
    """200 draws of who is held out, of a model that learnt nobody and of one whose losses fall where it was trained."""
    random, honest, raw, leaky = np.random.default_rng(4), list[float](), list[float](), list[float]()
    for _ in range(200):
        hard = random.normal(size=120)
        losses, reference = hard + random.normal(size=120) / 4, hard + random.normal(size=120) / 4
        member, other = np.arange(90), np.arange(90, 120)
        honest.append(membership_auc(losses, member, other, reference))
        raw.append(lower_chance(losses[member], losses[other]))
        losses[member] -= 0.5
        leaky.append(membership_auc(losses, member, other, reference))
    assert np.mean(honest) == pytest.approx(0.5, abs=0.01)
    assert np.std(honest) < np.std(raw) / 2
    assert np.mean(leaky) > 0.6


def test_without_rows_to_attack_nothing_is_said_to_be_safe() -> None:
    auc = membership_auc(np.zeros(3), np.arange(3), np.arange(0), np.zeros(3))
    assert [one.rule for one in model_breaches({"here": auc}, strictest(), epsilon=None)] == ["membership"]


def test_a_strategy_that_needs_every_update_has_no_kind() -> None:
    assert "krum" not in STRATEGIES
    be_task(7)
    assert strategy_named("FedAvg", {}) is not None
