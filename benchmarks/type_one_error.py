"""Type I error of the tests of fixed effects on small designs, by simulation: which tests keep their 5 %.

    python -m benchmarks.type_one_error --simulations 2000 --output benchmarks/results/type_one_error.csv

Responses are drawn without the effect that is tested. Beside Satterthwaite's and Kenward and Roger's tests
stand those that trust the estimated variances: the normal test and the likelihood ratio. Fits of the larger
model whose covariance is singular, where an estimated variance or correlation is at its boundary, are counted
apart too.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import mixedmodels as mm
from mixedmodels.inference.contrasts import contrast_tests
from mixedmodels.inference.fixed_effects import fixed_effects

LEVEL = 0.05
SEED = 20261128


def balanced() -> tuple[str, str, pd.DataFrame]:
    """Return two formulas and data: two treatments of four groups each, six rows a group."""
    group = np.repeat(np.arange(8), 6)
    data = pd.DataFrame({"g": np.array(list("abcdefgh"))[group], "x": (group % 2).astype(float)})
    return "y ~ x + (1 | g)", "y ~ 1 + (1 | g)", data


def unbalanced() -> tuple[str, str, pd.DataFrame]:
    """Return two formulas and data: ten groups of three to eight rows, a trend in each."""
    sizes = [3, 4, 8, 5, 3, 7, 4, 6, 3, 8]
    group = np.repeat(np.arange(10), sizes)
    time = np.concatenate([np.arange(n, dtype=float) for n in sizes])
    data = pd.DataFrame({"g": np.array(list("abcdefghij"))[group], "t": time})
    return "y ~ t + (t | g)", "y ~ 1 + (t | g)", data


DESIGNS: dict[str, Callable[[], tuple[str, str, pd.DataFrame]]] = {
    "balanced": balanced,
    "unbalanced": unbalanced,
}


def drawn(data: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Return a response with an intercept, and a trend where there is one, that vary between groups."""
    codes = pd.factorize(data["g"])[0]
    effects = rng.normal(size=(codes.max() + 1, 2)) * [1.0, 0.5]
    slope = data["t"].to_numpy() * effects[codes, 1] if "t" in data else 0.0
    return effects[codes, 0] + slope + rng.normal(size=len(data))


def p_values(large: mm.LinearMixedModel, small: mm.LinearMixedModel) -> dict[str, float]:
    """Return the p-values of the last coefficient of the larger model by every test."""
    L = np.eye(len(large.beta))[-1:]
    tests = {
        "Satterthwaite": "satterthwaite",
        "Kenward-Roger": "kenward-roger",
        "normal": "z",
    }
    found = {
        name: float(contrast_tests(fixed_effects(large, ddf), L).p_value[0]) for name, ddf in tests.items()
    }
    ratio = 2.0 * (large.refitML().loglik() - small.refitML().loglik())
    return found | {"likelihood ratio": float(stats.chi2.sf(max(ratio, 0.0), 1))}


def simulate(design: str, simulations: int) -> pd.DataFrame:
    """Return the share of rejections of every test on one design, singular fits apart as well."""
    larger, smaller, data = DESIGNS[design]()
    rng = np.random.default_rng(SEED)
    data = data.assign(y=drawn(data, rng))
    large, small = mm.lmer(larger, data), mm.lmer(smaller, data)
    found, at_boundary = [], []
    for _ in range(simulations):
        y = drawn(data, rng)
        fit = large.refit(y)
        found.append(p_values(fit, small.refit(y)))
        at_boundary.append(fit.is_singular())
    rejected, boundary = pd.DataFrame(found) < LEVEL, np.array(at_boundary)
    parts = {"all": rejected, "interior": rejected[~boundary], "boundary": rejected[boundary]}
    return pd.concat([_shares(design, fits, part) for fits, part in parts.items() if len(part)])


def _shares(design: str, fits: str, rejected: pd.DataFrame) -> pd.DataFrame:
    """Return the share of rejections of every test among some of the fits."""
    return pd.DataFrame(
        {
            "design": design,
            "fits": fits,
            "test": rejected.columns,
            "rejected": rejected.mean().to_numpy(),
            "monte_carlo_error": np.sqrt(LEVEL * (1.0 - LEVEL) / len(rejected)),
            "simulations": len(rejected),
        }
    )


def main() -> None:
    """Simulate all designs and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/type_one_error.csv"))
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mm.MixedModelsWarning)
        table = pd.concat([simulate(design, options.simulations) for design in DESIGNS], ignore_index=True)
    table.round(5).to_csv(options.output, index=False)
    print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
