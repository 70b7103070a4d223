"""Whether the default start of generalized models finds the best optimum that any start finds: random models.

    python -m benchmarks.global_optimum_generalized [--models 240] [--first 0]

Each model is drawn from its number: a family, a shape of the random effects and a size. It is fitted from the
default start and from constant theta, and the table says how far the default is above the best of them.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from mixedmodels.arrays import FloatArray

STARTS = (0.05, 0.3, 1.0, 3.0, 10.0)
# Difference of -2 log-likelihood that is another optimum.
MISSED = 1e-4
RESULTS = Path(__file__).parent / "results" / "global_optimum_generalized.csv"

FAMILIES: dict[str, Any] = {
    "binary": "binomial",
    "binomial": "binomial",
    "poisson": "poisson",
    "Gamma": mm.Gamma(link="log"),
    "inverse Gaussian": mm.inverse_gaussian(link="log"),
    "nbinom2": "nbinom2",
    "gaussian(log)": mm.gaussian(link="log"),
    "zero-inflated Poisson": "zero_inflated_poisson",
}
SHAPES = {
    "intercept": "x + (1 | g)",
    "slope": "x + (x | g)",
    "uncorrelated slope": "x + (x || g)",
    "uncentred slope": "z + (z | g)",
    "uncentred, uncorrelated": "z + (z || g)",
    "slopes alone": "x + z + (0 + x + z | g)",
    "crossed": "x + (1 | g) + (1 | h)",
    "slope and crossed": "x + (x | g) + (1 | h)",
    "low group": "x + (1 | g)",
}


@dataclass(frozen=True, slots=True)
class Result:
    """One model: how far its default fit is above the best, and what the fits cost.

    Attributes
    ----------
    model : int
        Number, the seed of the model.
    family, shape : str
        Of the model.
    rows : int
        Rows of the data.
    default, best : float
        -2 log-likelihood of the default fit, and the lowest of any fit called an optimum.
    above : float
        Their difference.
    best_start : str
        Where the lowest started.
    verdict : str
        Of the default fit.
    evaluations : int
        Of the default fit.
    """

    model: int
    family: str
    shape: str
    rows: int
    default: float
    best: float
    above: float
    best_start: str
    verdict: str
    evaluations: int


def drawn(seed: int) -> tuple[str, str, pd.DataFrame]:
    """Return the family, the shape and the data of a model."""
    rng = np.random.default_rng(seed)
    family = tuple(FAMILIES)[seed % len(FAMILIES)]
    shape = tuple(SHAPES)[(seed // len(FAMILIES)) % len(SHAPES)]
    n_levels, per_level = int(rng.integers(3, 16)), int(rng.integers(3, 13))
    g = np.repeat(np.arange(n_levels), per_level)
    h = rng.integers(0, max(3, n_levels // 2), len(g))
    x = rng.normal(size=len(g))
    z = rng.choice([1.0, 10.0, 50.0]) + rng.normal(size=len(g))
    sd = 10.0 ** rng.uniform(-1.0, 0.5, 3)
    eta = (
        0.3 + rng.normal(0.0, 0.5) * x + sd[0] * rng.normal(size=n_levels)[g] + sd[2] * rng.normal(size=15)[h]
    )
    eta += (x if "z" not in SHAPES[shape] else z - z.mean()) * sd[1] * rng.normal(size=n_levels)[g]
    y, trials = _response(family, np.clip(eta, -8.0, 6.0), rng)
    if shape == "low group" and family in ("Gamma", "inverse Gaussian", "gaussian(log)"):
        y = np.where(g == 0, 10.0 ** rng.uniform(-9.0, -1.0), y)
    table = {"y": y, "m": trials, "x": x, "z": z, "g": g.astype(str), "h": h.astype(str)}
    return family, shape, pd.DataFrame(table)


def _response(family: str, eta: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return a response of the family and its numbers of trials."""
    mu, trials = np.exp(eta), np.ones(len(eta))
    if family in ("binary", "binomial"):
        trials = trials if family == "binary" else rng.integers(1, 20, len(eta)).astype(float)
        return rng.binomial(trials.astype(int), mu / (1.0 + mu)).astype(float), trials
    if family == "Gamma":
        return np.maximum(rng.gamma(3.0, mu / 3.0), 1e-12), trials
    if family == "inverse Gaussian":
        return np.maximum(rng.wald(mu, 3.0), 1e-9), trials
    if family == "gaussian(log)":
        return np.abs(mu + 0.5 * rng.normal(size=len(eta))) + 0.01, trials
    if family == "nbinom2":
        return rng.negative_binomial(2.0, 2.0 / (2.0 + mu)).astype(float), trials
    counts = rng.poisson(mu).astype(float)
    return (counts * (rng.random(len(eta)) > 0.3) if "zero" in family else counts), trials


def fits(family: str, shape: str, data: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    """Yield (start, model) of the default start and of each constant theta; of those that can be fitted."""
    left = "cbind(y, m - y)" if family in ("binary", "binomial") else "y"
    formula, n_theta = f"{left} ~ {SHAPES[shape]}", 0
    for start in (None, *STARTS):
        try:
            given = None if start is None else {"theta": np.full(n_theta, start)}
            model = mm.glmer(formula, data, FAMILIES[family], start=given)
        except mm.MixedModelsError:
            if start is None:
                return
            continue
        n_theta = len(model.theta())
        yield "default" if start is None else f"{start:g}", model


def searched(seed: int) -> Result | None:
    """Return what the default start of one model finds beside the others; None if it cannot be fitted."""
    family, shape, data = drawn(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.ConvergenceWarning)
        warnings.simplefilter("ignore", mm.DataWarning)
        found = list(fits(family, shape, data))
    if not found:
        return None
    default = found[0][1]
    optima = [(start, m) for start, m in found if m.convergence().is_optimum] or found[:1]
    start, best = min(optima, key=lambda pair: -float(pair[1].loglik()))
    values = -2.0 * default.loglik(), -2.0 * best.loglik()
    return Result(
        seed, family, shape, len(data), *(round(v, 5) for v in values), round(values[0] - values[1], 5),
        start, default.convergence().verdict, default.optimization.n_evaluations,
    )  # fmt: skip


def write(results: Sequence[Result], path: Path = RESULTS) -> None:
    """Write the table."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Result)])
        writer.writeheader()
        writer.writerows(asdict(result) for result in results)


def main() -> None:
    """Search, print what was missed, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=288)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    began, results = time.perf_counter(), []
    for seed in range(arguments.first, arguments.first + arguments.models):
        result = searched(seed)
        if result is None:
            continue
        results.append(result)
        if result.above > MISSED:
            print(result, flush=True)
    write(results, arguments.out)
    missed = sum(result.above > MISSED for result in results)
    print(f"{missed} of {len(results)} missed, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
