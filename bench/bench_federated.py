"""Federated studies: exact beside statsmodels on pooled rows; Paillier beside phe and whatever else installs.

Every ratio is taken from one run in which ours and the peer's take turns. The heart data of ../shared/data/uci_heart
are used when they are there. A sum is checked against the integer sum before it is timed; a bar that is missed is told.
"""

import importlib.util
import math
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import phe
import polars as pl
import results_file
import statsmodels.api as sm
from federated_deaths import deaths
from results_file import figure, measure
from statsmodels.duration.hazard_regression import PHReg

from hdex.federated.paillier import PackSpec, aggregate, decrypt, encrypt, generate_keypair, mask_integers
from hdex.federated.paillier.masks import shared_secret
from hdex.federated.paillier.obfuscation import FixedBase
from hdex.federated.simulate import simulate
from hdex.node.keys import KeyKind, public_of

SEED, ROWS, SITES = 7, 3_000, 3
BARS = {"plain": 1e-10, "paillier": 1e-9}
MOST_ROUNDS = 8
NUMBERS, PHE_NUMBERS, PARTIES, PAIRS = 10_000, 16, 3, 3
CPU_BARS = {2048: 280.0, 3072: 400.0}
BYTE_BARS = {2048: 55.0, 3072: 80.0}
SITE_BARS_MS = {13: 50.0, 100: 1_000.0}
FEATURES = ["age", "bmi", "smoker", "pressure"]
GRID = list(range(1, 61))
HEART = results_file.ROOT.parent / "shared/data/uci_heart"
HOSPITALS = ("cleveland", "hungarian", "switzerland")
PEERS = {"pypaillier": "paillier", "tenseal": "tenseal"}  # distribution -> module
TABLE = results_file.RESULTS / "federated.md"


def main() -> None:
    figures: dict[str, Any] = {}
    for part in (exactness, heart, paillier, site_rounds, deaths):
        began = time.perf_counter()
        figures[part.__name__] = part()
        print(f"{part.__name__}: {time.perf_counter() - began:.1f} s", flush=True)
    figures["absent"] = [name for name, module in PEERS.items() if importlib.util.find_spec(module) is None]
    inputs = {"seed": SEED, "rows": ROWS, "sites": SITES, "numbers": NUMBERS, "numbers_for_phe": PHE_NUMBERS}
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
    within = max(off.values()) <= BARS["paillier"]
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
    """Sum NUMBERS floats of PARTIES: ours packed and masked, phe number by number, in turns; CPU seconds and bytes.

    cold: every party first builds its table for the study's key, as in a study's first round; warm: it has it. phe's
    cost is linear in the numbers: it is measured on fewer and told for as many as ours.
    """
    return {str(bits): paillier_at(bits) for bits in CPU_BARS}


def paillier_at(bits: int) -> dict[str, Any]:
    public, private = generate_keypair(bits)
    values = np.random.default_rng(SEED).normal(scale=100, size=(PARTIES, NUMBERS))
    spec = PackSpec(24, 12, 1024, bits)
    warm = [FixedBase(public) for _ in range(PARTIES)]
    total, size = packed_sum(public, private, values, spec, warm)
    assert np.abs(total - np.round(values * 2**12).sum(axis=0) / 2**12).max() == 0  # the integer sum, exactly
    assert np.allclose(naive_sum(public, private, values[:, :2]), values[:, :2].sum(axis=0))
    seconds: dict[str, list[float]] = {"cold": [], "warm": [], "phe": []}
    for _ in range(PAIRS):
        seconds["cold"] += cpu(
            lambda: packed_sum(public, private, values, spec, [FixedBase(public) for _ in range(PARTIES)])
        )
        seconds["warm"] += cpu(lambda: packed_sum(public, private, values, spec, warm))
        few = cpu(lambda: naive_sum(public, private, values[:, :PHE_NUMBERS]))
        seconds["phe"] += [value * NUMBERS / PHE_NUMBERS for value in few]
    naive_bytes = NUMBERS * math.ceil(2 * bits / 8)
    told: dict[str, Any] = {name: figure(found, "CPU s") for name, found in seconds.items()}
    for name in ("cold", "warm"):
        ratios = [peer / own for peer, own in zip(seconds["phe"], seconds[name], strict=True)]
        told[f"ratio_{name}"] = figure(ratios, "x")
    told |= {"bar_ratio": CPU_BARS[bits], "bytes_ours": size, "bytes_phe": naive_bytes}
    return told | {"bytes_ratio": results_file.short(naive_bytes / size), "bar_bytes_ratio": BYTE_BARS[bits]}


def cpu(work: Callable[[], object]) -> list[float]:
    return measure(work, repeats=1, warm_up=0, clock=time.process_time)


def packed_sum(public: Any, private: Any, values: Any, spec: PackSpec, tables: list[FixedBase]) -> tuple[Any, int]:
    """Return (sum, bytes of one party's vector) as a study makes it, everything done by this process."""
    keys = {f"site-{number}": secrets.token_bytes(32) for number in range(len(values))}
    roster = {site: public_of(KeyKind.X25519, secret) for site, secret in keys.items()}
    vectors = []
    for numbers, table, (site, secret) in zip(values, tables, keys.items(), strict=True):
        masks = mask_integers(
            site, roster, lambda peer, mine=secret: shared_secret(mine, peer),
            context=bytes(32), n=public.n, count=spec.plaintexts(len(numbers)),
        )  # fmt: skip
        vectors.append(encrypt(public, numbers, spec, obfuscator=table, masks=masks))
    return decrypt(private, aggregate(vectors), contributors=len(values)), len(vectors[0].to_bytes())


def naive_sum(public: phe.PaillierPublicKey, private: phe.PaillierPrivateKey, values: Any) -> list[float]:
    """Return the sum with phe alone, one ciphertext a number."""
    encrypted = [[public.encrypt(float(value)) for value in numbers] for numbers in values]
    return [private.decrypt(sum(column[1:], column[0])) for column in zip(*encrypted, strict=True)]


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
    lines += ["| Paillier | cold | warm | phe | ratio cold, warm (bar) | bytes ratio (bar) |", "| --- |" + " --- |" * 5]
    for bits, row in figures["paillier"].items():
        cold, warm, peer = (f"{row[part]['median']:g} CPU s" for part in ("cold", "warm", "phe"))
        ratios = f"{row['ratio_cold']['median']:g}, {row['ratio_warm']['median']:g} ({row['bar_ratio']:g})"
        size = f"{row['bytes_ratio']:g} ({row['bar_bytes_ratio']:g})"
        lines.append(f"| {bits} bits | {cold} | {warm} | {peer} | {ratios} | {size} |")
    lines += ["", "| a site's round | CPU (bar) |", "| --- | --- |"]
    for features, row in figures["site_rounds"].items():
        lines.append(f"| p = {features} | {row['cpu']['median']:g} ms ({row['bar_ms']:g}) |")
    lines += ["", "| a site or the coordinator ends | until known, or resumed (bar) |", "| --- | --- |"]
    for how, row in figures["deaths"].items():
        lines.append(f"| {how} | {row['median']:.3g} s ({row['bar_s']:g}) |")
    lines += ["", f"Not installed here, so not beside us: {', '.join(figures['absent']) or 'none'}.", ""]
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
