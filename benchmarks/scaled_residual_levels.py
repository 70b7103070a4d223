"""How often tests of scaled residuals reject right models, and wrong ones, by simulation.

    python -m benchmarks.scaled_residual_levels --simulations 500

Twenty groups of five rows, few enough for estimated effects to follow the response. The residuals are those
with effects drawn once given the response (the default), with effects at their estimates, and with random
effects drawn afresh.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm

LEVEL, SEED, NSIM = 0.05, 20261128, 100
GROUPS, ROWS = 20, 5
RESIDUALS: dict[str, dict[str, Any]] = {
    "effects drawn": {},
    "effects estimated": {"effects": "estimated"},
    "random effects afresh": {"re_form": "0"},
}
Draw = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]
#: By name, the family and the response at linear predictor eta with predictor x.
CASES: dict[str, tuple[Any, Draw]] = {
    "right, counts": ("poisson", lambda rng, eta, x: rng.poisson(np.exp(eta))),
    "right, 0 and 1": ("binomial", lambda rng, eta, x: rng.binomial(1, 1.0 / (1.0 + np.exp(-eta)))),
    "right, linear": (None, lambda rng, eta, x: eta + rng.normal(size=len(eta))),
    "overdispersed counts": (
        "poisson",
        lambda rng, eta, x: rng.poisson(np.exp(eta + 0.6 * rng.normal(size=len(eta)))),
    ),
    "a quarter of zeros more": (
        "poisson",
        lambda rng, eta, x: rng.poisson(np.exp(eta + 0.5)) * (rng.random(len(eta)) > 0.25),
    ),
    "a curve left out, linear": (None, lambda rng, eta, x: eta + 0.5 * x**2 + rng.normal(size=len(eta))),
}


def fitted(case: str, rng: np.random.Generator) -> Any:
    """Return a model of one data set."""
    family, draw = CASES[case]
    g = np.repeat(np.arange(GROUPS), ROWS)
    x = rng.normal(size=len(g))
    y = draw(rng, 0.5 + 0.5 * x + 0.8 * rng.normal(size=GROUPS)[g], x)
    data = pd.DataFrame({"y": y, "x": x, "g": g.astype(str), "t": np.tile(np.arange(ROWS), GROUPS)})
    return mm.lmer("y ~ x + (1 | g)", data) if family is None else mm.glmer("y ~ x + (1 | g)", data, family)


def rejections(model: Any, options: dict[str, Any], seed: int) -> dict[str, bool]:
    """Return which tests reject a model."""
    residuals = mm.scaled_residuals(model, NSIM, rng=seed, **options)
    tests = dict(residuals.tests())
    tests["Durbin-Watson by group"] = residuals.test_temporal("t", series="g")
    return {name: test.p_value < LEVEL for name, test in tests.items()}


def simulate(case: str, simulations: int) -> pd.DataFrame:
    """Return the share of rejections of every test of every kind of residuals."""
    found: dict[str, list[dict[str, bool]]] = {name: [] for name in RESIDUALS}
    for seed in range(simulations):
        model = fitted(case, np.random.default_rng([SEED, seed]))
        for name, options in RESIDUALS.items():
            found[name].append(rejections(model, options, seed))
    shares = {name: pd.DataFrame(rows).astype(float).mean() for name, rows in found.items()}
    table = pd.DataFrame(shares).rename_axis("test").reset_index()
    table.insert(0, "model", case)
    return table.assign(simulations=simulations)


def main() -> None:
    """Simulate all cases and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--simulations", type=int, default=500)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/scaled_residual_levels.csv"))
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.MixedModelsWarning)
        table = pd.concat([simulate(case, options.simulations) for case in CASES], ignore_index=True)
    table.round(4).to_csv(options.output, index=False)
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
