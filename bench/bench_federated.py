"""Federated studies: exact beside statsmodels on pooled rows; Paillier beside phe and whatever else installs.

Every ratio is taken from one run in which ours and the peer's take turns. The heart data of ../shared/data/uci_heart
are used when they are there. A sum is checked against the integer sum before it is timed; a bar that is missed is told.
"""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_federated_paillier
import numpy as np
import polars as pl
import results_file
import statsmodels.api as sm
from federated_deaths import deaths
from results_file import figure, measure
from statsmodels.duration.hazard_regression import PHReg

from hdex.federated.paillier import PackSpec, encrypt, generate_keypair, mask_integers
from hdex.federated.paillier.masks import shared_secret
from hdex.federated.paillier.obfuscation import FixedBase
from hdex.federated.simulate import simulate
from hdex.node.keys import KeyKind, public_of

QUICK = bench_federated_paillier.QUICK  # BENCH_QUICK=1: does it run; nothing is written
SEED, ROWS, SITES = 7, 3_000, 3
BARS = {"plain": 1e-10} if QUICK else {"plain": 1e-10, "paillier": 1e-9}
MOST_ROUNDS = 8
SITE_BARS_MS = {13: 50.0, 100: 1_000.0}
FEATURES = ["age", "bmi", "smoker", "pressure"]
GRID = list(range(1, 61))
HEART = results_file.ROOT.parent / "shared/data/uci_heart"
HOSPITALS = ("cleveland", "hungarian", "switzerland")
TABLE = results_file.RESULTS / "federated.md"


def main() -> None:
    figures: dict[str, Any] = {}
    for part in (exactness, survival, heart, paillier, site_rounds, deaths):
        began = time.perf_counter()
        figures[part.__name__] = part()
        print(f"{part.__name__}: {time.perf_counter() - began:.1f} s", flush=True)
    if QUICK:
        print(markdown(figures))
        return
    inputs = {"seed": SEED, "rows": ROWS, "sites": SITES, "numbers": bench_federated_paillier.NUMBERS}
    inputs |= {"parties": bench_federated_paillier.PARTIES, "numbers_for_phe": bench_federated_paillier.PHE_NUMBERS}
    path = results_file.write("federated", command="make bench-federated", inputs=inputs, figures=figures)
    TABLE.write_text(markdown(figures), encoding="utf-8")
    print(f"{path.relative_to(results_file.ROOT)} and {TABLE.relative_to(results_file.ROOT)} are rewritten")


def cohort() -> pl.DataFrame:
    """Return patients with an outcome of every kind."""
    random = np.random.default_rng(SEED)
    x = np.column_stack(
        [
            random.normal(66, 9, ROWS),
            random.normal(27, 4, ROWS),
            random.integers(0, 2, ROWS),
            random.normal(135, 16, ROWS),
        ]
    )
    eta = (x - x.mean(axis=0)) / x.std(axis=0) @ np.array([0.6, 0.2, 0.4, 0.3])
    time, lost = random.exponential(80 * np.exp(-eta)), random.uniform(6, 60, ROWS)
    return pl.DataFrame(x, schema=FEATURES).with_columns(
        event=pl.Series((random.random(ROWS) < 1 / (1 + np.exp(1.2 - eta))).astype(float)),
        cost=pl.Series(9_000 + 900 * eta + random.normal(0, 500, ROWS)),
        visits=pl.Series(random.poisson(np.exp(0.5 + 0.4 * eta)).astype(float)),
        months=pl.Series(np.ceil(np.minimum(time, lost))),
        died=pl.Series((time <= lost).astype(float)),
    )


def pooled(frame: pl.DataFrame) -> Iterator[tuple[str, str, dict[str, Any], Any]]:
    """Yield (kind, target, options, statsmodels' fit on the pooled rows)."""
    x = frame.select(FEATURES).to_numpy()
    design = sm.add_constant(x)
    y = {name: frame[name].to_numpy() for name in ("event", "cost", "visits", "months", "died")}
    yield "linear", "cost", {}, sm.OLS(y["cost"], design).fit()
    yield "logistic", "event", {}, sm.Logit(y["event"], design).fit(disp=0, method="newton", tol=1e-14, maxiter=100)
    yield "poisson", "visits", {}, sm.GLM(y["visits"], design, sm.families.Poisson()).fit(tol=1e-14, maxiter=100)
    cox = PHReg(y["months"], x, status=y["died"], ties="breslow").fit(disp=0, tol=1e-14, maxiter=100)
    yield "cox", "died", {"time": "months", "grid": GRID}, cox


def exactness() -> dict[str, Any]:
    """Return the largest difference of estimates, standard errors and p to the pooled fit, relative above 1."""
    frame = cohort()
    frames = {f"site-{number}": frame[number::SITES] for number in range(SITES)}
    found: dict[str, Any] = {}
    for kind, target, options, fit in pooled(frame):
        for secure, bar in BARS.items():
            asked = {"kind": kind, "target": target, "features": FEATURES, "options": options, "secure": secure}
            done = simulate(frames, **asked).document()
            rows = done["coefficients"]
            parts = {"estimate": fit.params, "se": fit.bse, "p": fit.pvalues}
            off = {name: largest([row[name] for row in rows], oracle) for name, oracle in parts.items()}
            within = max(off.values()) <= bar and done["rounds"] <= MOST_ROUNDS
            found[f"{kind} {secure}"] = {**off, "rounds": done["rounds"], "seconds": done["seconds"], "within": within}
    return found


def survival() -> dict[str, Any]:
    """Return the largest difference of Kaplan-Meier and Cox to lifelines on the pooled rows, in the peers' environment.

    lifelines knows Efron's ties only, which are Breslow's where no two patients have one day: every day is its own.
    """
    if not bench_federated_paillier.PYTHON.exists():
        return {"skipped": "no environment of peers: make .venv-peers/.done"}
    random, rows = np.random.default_rng(SEED), 400
    x = random.normal(size=(rows, 2))
    days = np.argsort(np.argsort(random.exponential(np.exp(-x @ np.array([0.7, -0.4]))))) + 1.0
    died = (random.random(rows) < 0.7).astype(float)
    frame = pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "day": days, "died": died})
    frames = {f"site-{number}": frame[number::SITES] for number in range(SITES)}
    asked = {"target": "died", "options": {"time": "day", "grid": list(range(1, rows + 1))}, "secure": "plain"}
    oracle = lifelines_of(frame)
    points = simulate(frames, kind="kaplan-meier", features=[], **asked).document()["groups"][0]["curve"]
    cox = simulate(frames, kind="cox", features=["a", "b"], **asked).document()["coefficients"]
    curve = [oracle["km"][str(float(row["time"]))] for row in points]
    return {
        "kaplan-meier": largest([row["survival"] for row in points], curve),
        "cox estimate": largest([row["estimate"] for row in cox], oracle["estimate"]),
        "cox se": largest([row["se"] for row in cox], oracle["se"]),
        "lifelines": oracle["version"],
    }


def lifelines_of(frame: pl.DataFrame) -> dict[str, Any]:
    command = [bench_federated_paillier.PYTHON, Path(__file__).with_name("peers_federated.py")]
    asked = json.dumps({"peer": "lifelines", "rows": frame.to_dict(as_series=False)})
    done = subprocess.run(command, input=asked + "\n", stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def survival_lines(found: dict[str, Any]) -> list[str]:
    if "skipped" in found:
        return ["", f"lifelines: {found['skipped']}."]
    off = ", ".join(f"{name} {found[name]:.1e}" for name in ("kaplan-meier", "cox estimate", "cox se"))
    return ["", f"Largest difference to lifelines {found['lifelines']} on the pooled rows: {off}."]


def largest(found: Any, expected: Any) -> float:
    expected = np.asarray(expected)
    return float(np.max(np.abs(np.asarray(found) - expected) / np.maximum(1.0, np.abs(expected))))


def heart() -> dict[str, Any]:
    """Return the fit over three hospitals beside the pooled one, to full precision."""
    if not HEART.exists():
        return {"skipped": "../shared/data/uci_heart is absent"}
    frames = {name: heart_of(name) for name in HOSPITALS}
    features = [name for name in frames[HOSPITALS[0]].columns if name != "y"]
    asked = {"kind": "logistic", "target": "y", "features": features, "standardize": "global", "l2": 1.0}
    done = simulate(frames, **asked).document()
    beta, se = ridge(pl.concat(list(frames.values())), features)
    rows = done["coefficients"]
    off = {
        "estimate": largest([row["estimate"] for row in rows], beta),
        "se": largest([row["se"] for row in rows], se),
    }
    pairs = {row["name"]: [repr(row["estimate"]), repr(float(b))] for row, b in zip(rows, beta, strict=True)}
    within = max(off.values()) <= 1e-9
    return {**off, "within": within, "n": done["n"], "rounds": done["rounds"], "federated_and_pooled": pairs}


def heart_of(hospital: str) -> pl.DataFrame:
    """Return one hospital's complete rows without ca, slope, thal; cp and restecg one-hot."""
    before, after = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg"], ["thalach", "exang", "oldpeak"]
    names = [*before, *after, "slope", "ca", "thal", "num"]
    lines = (HEART / f"processed.{hospital}.data").read_text(encoding="utf-8").split()
    cells = [[None if cell in {"?", "NaN"} else float(cell) for cell in line.split(",")] for line in lines]
    frame = pl.DataFrame(cells, schema=dict.fromkeys(names, pl.Float64), orient="row").drop("ca", "slope", "thal")
    dummies = [(pl.col(name) == code).cast(pl.Float64).alias(f"{name}_{code}")
               for name, codes in (("cp", (2, 3, 4)), ("restecg", (1, 2))) for code in codes]  # fmt: skip
    return (
        frame.drop_nulls().with_columns(*dummies, y=(pl.col("num") > 0).cast(pl.Float64)).drop("cp", "restecg", "num")
    )


def ridge(frame: pl.DataFrame, features: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return (coefficients, SE) of a plain penalised Newton on pooled, standardised rows."""
    x, y = frame.select(features).to_numpy(), frame["y"].to_numpy()
    design = np.column_stack([np.ones(len(x)), (x - x.mean(axis=0)) / x.std(axis=0)])
    penalty = np.concatenate([[0.0], np.ones(len(features))])
    beta = np.zeros(len(penalty))
    for _ in range(60):
        mean = 1 / (1 + np.exp(-design @ beta))
        hessian = (design.T * (mean * (1 - mean))) @ design + np.diag(penalty)
        beta = beta + np.linalg.solve(hessian, design.T @ (y - mean) - penalty * beta)
    return beta, np.sqrt(np.diag(np.linalg.inv(hessian)))


def paillier() -> dict[str, Any]:
    """Return the sums under encryption beside the peers', and every bar of theirs."""
    return bench_federated_paillier.measure()


def site_rounds() -> dict[str, Any]:
    """One site's round of a logistic Newton step at 3072 bits: encode, mask for three parties, encrypt."""
    public, _ = generate_keypair(3072)
    table = FixedBase(public, window=6)
    return {str(features): site_round(public, table, features) for features in SITE_BARS_MS}


def site_round(public: Any, table: FixedBase, features: int) -> dict[str, Any]:
    parameters = features + 1
    values = np.random.default_rng(SEED).normal(size=1 + parameters + parameters * (parameters + 1) // 2)
    spec = PackSpec(64, 40, SITES, 3072)
    keys = {f"site-{number}": secrets.token_bytes(32) for number in range(SITES)}
    roster = {site: public_of(KeyKind.X25519, secret) for site, secret in keys.items()}

    def work() -> None:
        masks = mask_integers(
            "site-0", roster, lambda peer: shared_secret(keys["site-0"], peer),
            context=bytes(32), n=public.n, count=spec.plaintexts(len(values)),
        )  # fmt: skip
        encrypt(public, values, spec, obfuscator=table, masks=masks)

    milliseconds = [1e3 * seconds for seconds in measure(work, repeats=5, clock=time.process_time)]
    bar = SITE_BARS_MS[features]
    ciphertexts = spec.plaintexts(len(values))
    return {
        "cpu": figure(milliseconds, "CPU ms"),
        "ciphertexts": ciphertexts,
        "bar_ms": bar,
        "within": sorted(milliseconds)[2] <= bar,
    }


def markdown(figures: dict[str, Any]) -> str:
    """Return what was found as tables for people."""
    lines = ["# Federated studies, measured", "", "Written by `make bench-federated`.", ""]
    lines += ["| kind, sums | estimate | SE | p | rounds | within the bar |", "| --- | --- | --- | --- | --- | --- |"]
    for name, row in figures["exactness"].items():
        off = " | ".join(f"{row[part]:.1e}" for part in ("estimate", "se", "p"))
        lines.append(f"| {name} | {off} | {row['rounds']} | {'yes' if row['within'] else 'no'} |")
    lines += ["", "Largest difference to statsmodels on the pooled rows, relative above 1.", ""]
    lines += survival_lines(figures["survival"])
    lines += ["", "## Sums under encryption", "", *bench_federated_paillier.lines(figures["paillier"])]
    lines += ["", "| a site's round | CPU (bar) |", "| --- | --- |"]
    for features, row in figures["site_rounds"].items():
        lines.append(f"| p = {features} | {row['cpu']['median']:g} ms ({row['bar_ms']:g}) |")
    lines += ["", "| a site or the coordinator ends | until known, or resumed (bar) |", "| --- | --- |"]
    for how, row in figures["deaths"].items():
        lines.append(f"| {how} | {row['median']:.3g} s ({row['bar_s']:g}) |")
    lines += [""]
    lines += heart_lines(figures["heart"])
    return "\n".join(lines) + "\n"


def heart_lines(found: dict[str, Any]) -> list[str]:
    if "skipped" in found:
        return [f"Heart data: {found['skipped']}."]
    head = ["| heart data, three hospitals | federated | pooled |", "| --- | --- | --- |"]
    return [*head, *(f"| {name} | {a} | {b} |" for name, (a, b) in found["federated_and_pooled"].items())]


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
