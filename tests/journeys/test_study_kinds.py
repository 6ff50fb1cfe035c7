"""Questions of other kinds over real processes: the same key holder, journal and admission as a regression's."""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats
from statsmodels.duration.survfunc import SurvfuncRight
from tests.journeys.stage import Stage, silent

from hdex.federated.simulate import simulate
from hdex.node.config import BuyerConfig, load
from hdex.node.demo import rows
from hdex.node.demo.acts_market import allow
from hdex.node.demo.rows import study_rows
from hdex.node.demo.setting import BUYER, HOSPITALS
from hdex.node.study_diary import StudyDiary

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("studies")]


def allowed(stage: Stage, kind: str) -> dict[str, str]:
    """Return each hospital's contract, under which its officer lets studies of this kind pass."""
    memory = stage.reach("federate")
    contracts = {hospital: memory.contracts[hospital] for hospital in HOSPITALS}
    for hospital, contract_id in contracts.items():
        allow(memory, hospital, contract_id, kind)
    return contracts


def asked(stage: Stage, study_id: str, kind: str, **question: Any) -> dict[str, Any]:
    """Return the answer of a study by the story's own buyer."""
    contracts, memory = allowed(stage, kind), stage.memory
    whole = {"id": study_id, "kind": kind, "purpose": memory.plot.purpose, "contracts": contracts, **question}
    return memory.cast.buyer.study(whole, silent)


def pooled(stage: Stage) -> pl.DataFrame:
    memory = stage.reach("federate")
    columns = [*memory.features, memory.target]
    frames = rows.study_rows(memory).values()
    return pl.concat([frame.select(columns).cast(pl.Float64) for frame in frames])


def test_a_variance_over_three_hospitals_is_the_pooled_one(stage: Stage) -> None:
    frame = pooled(stage)
    names = list(stage.memory.features)
    found = asked(stage, "study-variance", "variance", target="", features=names)
    assert found["rounds"] == 2
    for row in found["columns"]:
        values = frame[row["name"]].drop_nulls().to_list()
        assert row["n"] == len(values)
        assert abs(row["variance"] - statistics.variance(values)) <= 1e-9 * row["variance"]


def test_a_t_test_over_three_hospitals_is_the_pooled_one(stage: Stage) -> None:
    frame = pooled(stage)
    value, group = stage.memory.features[0], stage.memory.target
    found = asked(stage, "study-groups", "t-test", target=value, features=[group], levels={group: ["0", "1"]})
    whole = frame.drop_nulls([value, group])
    parts = [whole.filter(pl.col(group) == code)[value].to_list() for code in (0, 1)]
    oracle = scipy.stats.ttest_ind(*parts, equal_var=False)
    assert [row["n"] for row in found["groups"]] == [len(part) for part in parts]
    assert found["welch"]["t"] == pytest.approx(oracle.statistic, rel=1e-9)
    assert found["welch"]["p"] == pytest.approx(oracle.pvalue, rel=1e-9)


def agreed(stage: Stage) -> dict[str, str]:
    """Return new contracts for the kinds below: the rounds of the story's own are nearly spent."""
    stage.reach("federate")
    return {hospital: stage.agree(hospital, "federated", "kinds") for hospital in HOSPITALS}


@pytest.fixture(scope="module")
def further(stage: Stage) -> dict[str, str]:
    return agreed(stage)


def further_asked(stage: Stage, contracts: dict[str, str], kind: str, **question: Any) -> dict[str, Any]:
    """Return the answer of a study under the new contracts."""
    for hospital, contract_id in contracts.items():
        allow(stage.memory, hospital, contract_id, kind)
    whole = {"id": f"study-{kind}", "kind": kind, "purpose": stage.memory.plot.purpose, "contracts": contracts}
    return stage.memory.cast.buyer.study(whole | question, silent)


def test_a_survival_curve_over_three_hospitals_is_the_pooled_one(stage: Stage, further: dict[str, str]) -> None:
    """The first covariate stands for the time, the outcome for the event: what counts is that nothing is lost."""
    time, died = stage.memory.features[0], stage.memory.target
    frame = pooled(stage).drop_nulls([time, died])
    grid = [float(edge) for edge in np.quantile(frame[time].to_numpy(), [0.4, 0.7, 1.0])]
    options = {"time": time, "grid": grid}
    found = further_asked(stage, further, "kaplan-meier", target=died, features=[], options=options)
    (group,) = found["groups"]
    told = np.array([row["time"] for row in group["curve"]])
    times, events = frame[time].to_numpy(), frame[died].to_numpy()
    cell = np.searchsorted(told, times)
    inside = cell < len(told)
    oracle = SurvfuncRight(np.where(inside, told[np.minimum(cell, len(told) - 1)], told[-1] + 1), events * inside)
    assert group["n"] == frame.height
    assert [row["events"] for row in group["curve"]] == oracle.n_events[: len(told)].tolist()
    assert [row["survival"] for row in group["curve"]] == pytest.approx(
        oracle.surv_prob[: len(told)].tolist(), abs=1e-12
    )
    assert min(row["events"] for row in group["curve"]) >= 11


def test_a_network_over_three_hospitals_is_the_one_that_a_simulation_trains(
    stage: Stage, further: dict[str, str]
) -> None:
    memory = stage.memory
    asked: dict[str, Any] = {"target": memory.target, "features": list(memory.features)}
    options = {"hidden": [], "rounds": 2, "learning_rate": 0.05, "holdout": 0.5}
    found = further_asked(stage, further, "fedavg", options=options, **asked)
    columns = [*memory.features, memory.target]
    frames = {name: kept.select(columns).cast(pl.Float64) for name, kept in study_rows(memory).items()}
    expected = simulate(frames, kind="fedavg", options=options, secure="plain", **asked).document()
    assert found["rounds"] == expected["rounds"] == 4
    assert found["n"] == expected["n"]
    assert found["model"]["weights"] == pytest.approx(expected["model"]["weights"], abs=1e-6)


def test_a_study_file_is_run_by_the_command_and_its_result_is_kept(stage: Stage, tmp_path: Path) -> None:
    contracts = "\n".join(f'{hospital} = "{contract}"' for hospital, contract in allowed(stage, "mean").items())
    memory = stage.memory
    name = memory.features[0]
    file = tmp_path / "study.toml"
    file.write_text(
        f'id = "study-file"\nkind = "mean"\nfeatures = ["{name}"]\npurpose = "{memory.plot.purpose}"\n'
        f"[contracts]\n{contracts}\n",
        encoding="utf-8",
    )
    config = str(stage.setting.config_file(BUYER))
    command = [sys.executable, "-m", "hdex.node.cli", "federated"]
    run = subprocess.run([*command, "run", str(file), "--config", config, "--json"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["columns"][0]["mean"] == pytest.approx(statistics.mean(pooled(stage)[name].drop_nulls().to_list()))
    diary = StudyDiary(load(Path(config), BuyerConfig).data_dir / "studies", "study-file")
    assert diary.result() == found
    steps = [line["step"] for line in diary.lines(follow=True)]
    assert [step for step in steps if step != "waiting"] == ["start", "started", "round", "round", "done"]
