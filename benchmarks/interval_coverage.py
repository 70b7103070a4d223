"""Coverage of confidence and prediction intervals by simulation: known groups, new groups, random slopes.

    python -m benchmarks.interval_coverage --output benchmarks/results/interval_coverage.csv

Each data set is drawn anew with its random effects; a confidence interval covers if it holds the mean of its
row (a known group's own, or that of the population), a prediction interval if it holds a response drawn.
By default intervals take theta as known, which few groups punish: designs are shown with few and with many
groups, and of linear models beside ``df="satterthwaite"``, which counts that theta and sigma are estimates.
"""

from __future__ import annotations

import argparse
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

import mixedmodels as mm

LEVEL = 0.95
SEED = 20261128
BETA, SIGMA = np.array([1.0, 0.5]), 1.0
#: Standard deviations of intercepts and slopes, uncorrelated.
EFFECTS = np.array([1.0, 0.5])
#: Of the counts, on the scale of their logarithms.
COUNT_BETA, COUNT_EFFECT = np.array([1.0, 0.3]), 0.5
ROWS_A_GROUP = 8
#: Counts, whose limits are simulated in their turn, get a share of the simulations.
SHARES = (("gaussian", 1), ("poisson", 4))
#: Whether rows are of known groups, the population's mean or new groups: (name, re_form, new groups).
TARGETS = (("known group", None, False), ("population", "0", False), ("new group", None, True))


def design(n_groups: int) -> pd.DataFrame:
    """Return the rows of a number of groups, with a predictor that varies within them."""
    group = np.repeat(np.arange(n_groups), ROWS_A_GROUP)
    x = np.tile(np.linspace(-1.0, 1.0, ROWS_A_GROUP), n_groups)
    return pd.DataFrame({"g": [f"g{k:03d}" for k in group], "x": x})


def drawn(rows: pd.DataFrame, rng: np.random.Generator, family: str) -> tuple[np.ndarray, np.ndarray]:
    """Return conditional means of rows on the scale of the linear predictor, and responses."""
    codes = pd.factorize(rows["g"])[0]
    x = rows["x"].to_numpy()
    if family == "poisson":
        eta = COUNT_BETA[0] + COUNT_BETA[1] * x + COUNT_EFFECT * rng.normal(size=codes.max() + 1)[codes]
        return eta, rng.poisson(np.exp(eta)).astype(float)
    effects = EFFECTS * rng.normal(size=(codes.max() + 1, 2))
    eta = BETA[0] + BETA[1] * x + effects[codes, 0] + effects[codes, 1] * x
    return eta, eta + SIGMA * rng.normal(size=len(rows))


def covered(
    model: mm.LinearMixedModel | mm.GeneralizedLinearMixedModel,
    eta: np.ndarray,
    rng: np.random.Generator,
    family: str,
) -> dict[tuple[str, str, str], float]:
    """Return the share of rows covered by every kind of interval."""
    rows = design(len(model.ranef()["g"]))
    beta = COUNT_BETA if family == "poisson" else BETA
    new_eta, new_y = drawn(rows, rng, family)
    again = rng.poisson(np.exp(eta)) if family == "poisson" else eta + SIGMA * rng.normal(size=len(eta))
    found = {}
    for name, re_form, is_new in TARGETS:
        at = rows.assign(g="new " + rows["g"]) if is_new else rows
        options = {"re_form": re_form, "allow_new_levels": is_new, "level": LEVEL}
        mean = {"known group": eta, "population": beta[0] + beta[1] * rows["x"], "new group": new_eta}[name]
        y = again if name == "known group" else new_y
        kinds = (("confidence", mean, "link"), ("prediction", y, "response"))
        for (interval, truth, scale), df in product(kinds, (None, "satterthwaite")):
            if df is not None and family == "poisson":
                continue
            table = model.predict(at, type=scale, interval=interval, df=df, **options)
            inside = (table["lower"].to_numpy() <= truth) & (truth <= table["upper"].to_numpy())
            found[name, interval, df or "normal"] = float(np.mean(inside))
    return found


def simulate(family: str, n_groups: int, simulations: int) -> pd.DataFrame:
    """Return the coverage of every interval for one family and number of groups, with Monte Carlo errors."""
    rng = np.random.default_rng(SEED)
    data, found = design(n_groups), []
    for _ in range(simulations):
        eta, y = drawn(data, rng, family)
        table = data.assign(y=y)
        model = (
            mm.glmer("y ~ x + (1 | g)", table, "poisson")
            if family == "poisson"
            else mm.lmer("y ~ x + (x || g)", table)
        )
        found.append(covered(model, eta, rng, family))
    shares = pd.DataFrame(found)
    return pd.DataFrame(
        {
            "family": family,
            "groups": n_groups,
            "target": [name for name, _, _ in shares.columns],
            "interval": [interval for _, interval, _ in shares.columns],
            "df": [df for _, _, df in shares.columns],
            "coverage": shares.mean().to_numpy().round(4),
            "monte_carlo_error": (shares.std() / np.sqrt(simulations)).to_numpy().round(4),
            "simulations": simulations,
        }
    )


def main() -> None:
    """Run the simulation and write its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=None)
    arguments = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [
            simulate(family, n_groups, max(2, arguments.simulations // share))
            for family, share in SHARES
            for n_groups in (10, 50)
        ]
    table = pd.concat(parts, ignore_index=True)
    if arguments.output is not None:
        table.to_csv(arguments.output, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
