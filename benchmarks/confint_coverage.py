"""Coverage of 95 % intervals by simulation: how often each holds the value that the data were drawn with.

    python -m benchmarks.confint_coverage --simulations 400 --output benchmarks/results/confint_coverage.csv

Responses are drawn from the models of sleepstudy and cbpp at their estimates. The three kinds of bootstrap
interval come from the same replicates.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import mixedmodels as mm

LEVEL = 0.95
SEED = 20261128
#: Bootstrap replicates of each response: (R + 1) (1 - level) / 2 is a whole number.
NSIM = 399
BOOTSTRAP = ("percentile", "basic", "bca")


def sleepstudy() -> mm.LinearMixedModel:
    """Return 18 subjects of ten rows with correlated intercepts and slopes."""
    return mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))


def cbpp() -> mm.GeneralizedLinearMixedModel:
    """Return 15 herds of up to four counts."""
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return mm.glmer(formula, mm.load_dataset("cbpp"), family="binomial")


DESIGNS: dict[str, Callable[[], mm.LinearMixedModel | mm.GeneralizedLinearMixedModel]] = {
    "sleepstudy": sleepstudy,
    "cbpp": cbpp,
}


def intervals(
    model: mm.LinearMixedModel | mm.GeneralizedLinearMixedModel, seed: int
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Return the limits of all parameters by every method, each of shape (parameters, 2)."""
    replicates = mm.bootstrap(model, nsim=NSIM, rng=seed)
    found = {f"bootstrap, {kind}": replicates.confint(level=LEVEL, type=kind) for kind in BOOTSTRAP}
    for method in ("profile", "Wald"):
        try:
            found[method] = model.confint(level=LEVEL, method=method)
        except mm.MixedModelsError:  # no interval holds no value
            found[method] = found["bootstrap, basic"] * np.nan
    return {method: table.to_numpy(dtype=np.float64) for method, table in found.items()}


def simulate(design: str, simulations: int) -> pd.DataFrame:
    """Return the coverage of every interval of one design, with its Monte Carlo error."""
    model = DESIGNS[design]()
    names = model.confint(method="Wald", signames=False).index
    truth = mm.bootstrap(model, nsim=1, rng=0).estimates
    held: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]] = {}
    Y = model.simulate(simulations, seed=SEED)
    for number in range(simulations):
        refitted = model.refit(Y.iloc[:, number])
        for method, limits in intervals(refitted, SEED + number).items():
            held.setdefault(method, []).append((limits[:, 0] <= truth) & (truth <= limits[:, 1]))
    error = np.sqrt(LEVEL * (1.0 - LEVEL) / simulations)
    shares = {method: np.mean(rows, axis=0) for method, rows in held.items()}
    table = pd.DataFrame(shares, index=names).rename_axis("parameter").reset_index()
    table = table.melt("parameter", var_name="method", value_name="coverage")
    table.insert(0, "design", design)
    return table.assign(monte_carlo_error=error, simulations=simulations)


def main() -> None:
    """Simulate all designs and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/confint_coverage.csv"))
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.MixedModelsWarning)
        table = pd.concat([simulate(design, options.simulations) for design in DESIGNS], ignore_index=True)
    table.round(5).to_csv(options.output, index=False)
    print(
        table.pivot(index=["design", "parameter"], columns="method", values="coverage").round(3).to_string()
    )


if __name__ == "__main__":
    main()
