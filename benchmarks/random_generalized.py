"""Random generalized models drawn from a number: a family, a shape of the random effects, a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm
from mixedmodels.arrays import FloatArray

FAMILIES: dict[str, Any] = {
    "Bernoulli": "binomial",
    "binomial": "binomial",
    "Poisson": "poisson",
    "nbinom2": "nbinom2",
    "Gamma(log)": mm.Gamma(link="log"),
    "Gamma(inverse)": mm.Gamma(link="inverse"),
    "inverse Gaussian": mm.inverse_gaussian(link="log"),
    "beta": "beta",
    "gaussian(log)": mm.gaussian(link="log"),
    "zero-inflated Poisson": "zero_inflated_poisson",
    "binomial(cloglog)": mm.binomial(link="cloglog"),
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
    "nested": "x + (1 | k) + (1 | g)",
    "low group": "x + (1 | g)",
}
# Deviations of the random effects: powers of ten between these ends.
SIZES = {"usual": (-1.0, 0.5), "large": (0.5, 1.2), "zero": (-np.inf, -np.inf)}
# What the linear predictor is kept to, so that counts stay countable.
LEAST_ETA, LARGEST_ETA = -8.0, 6.0
# The inverse link: means stay positive.
SMALLEST_INVERSE = 0.05


@dataclass(frozen=True, slots=True)
class RandomModel:
    """One model and its data.

    Attributes
    ----------
    family, shape, size : str
        Keys of FAMILIES, SHAPES and SIZES.
    data : DataFrame
        With the response y, trials m, predictors x and z, factors g, h (crossed) and k (g is nested in it).
    """

    family: str
    shape: str
    size: str
    data: pd.DataFrame

    @property
    def formula(self) -> str:
        """The formula of the model."""
        left = "cbind(y, m - y)" if self.family == "binomial" else "y"
        return f"{left} ~ {SHAPES[self.shape]}"


def drawn(seed: int) -> RandomModel:
    """Return the model of a number: families and shapes in turn, the rest by chance."""
    rng = np.random.default_rng(seed)
    family = tuple(FAMILIES)[seed % len(FAMILIES)]
    shape = tuple(SHAPES)[(seed // len(FAMILIES)) % len(SHAPES)]
    size = str(rng.choice(tuple(SIZES), p=(0.6, 0.25, 0.15)))
    n_levels, per_level = (int(rng.integers(3, 16)), int(rng.integers(3, 13)))
    if rng.random() < 0.2:
        n_levels, per_level = int(rng.integers(40, 80)), int(rng.integers(1, 5))
    g = np.repeat(np.arange(n_levels), per_level)
    h = rng.integers(0, max(3, n_levels // 2), len(g))
    x = rng.normal(size=len(g))
    z = rng.choice([1.0, 10.0, 50.0]) + rng.normal(size=len(g))
    sd = 10.0 ** rng.uniform(*SIZES[size], 3) if size != "zero" else np.zeros(3)
    eta = 0.3 + rng.normal(0.0, 0.5) * x + sd[0] * rng.normal(size=n_levels)[g]
    eta += sd[2] * rng.normal(size=n_levels + 3)[h]
    eta += (x if "z" not in SHAPES[shape] else z - z.mean()) * sd[1] * rng.normal(size=n_levels)[g]
    y, trials = response(family, np.clip(eta, LEAST_ETA, LARGEST_ETA), rng)
    if shape == "low group" and y.min() > 0.0 and family != "beta":
        y = np.where(g == 0, 10.0 ** rng.uniform(-9.0, -1.0), y)
    factors = {"g": g.astype(str), "h": h.astype(str), "k": (g // 3).astype(str)}
    return RandomModel(family, shape, size, pd.DataFrame({"y": y, "m": trials, "x": x, "z": z, **factors}))


def response(family: str, eta: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return a response of the family and its numbers of trials."""
    mu, trials = np.exp(eta), np.ones(len(eta))
    chance = mu / (1.0 + mu)
    if family.startswith(("Bernoulli", "binomial")):
        trials = rng.integers(1, 20, len(eta)).astype(float) if family == "binomial" else trials
        chance = 1.0 - np.exp(-mu) if "cloglog" in family else chance
        return rng.binomial(trials.astype(int), chance).astype(float), trials
    if family == "Gamma(inverse)":
        mu = 1.0 / np.maximum(1.0 + 0.3 * eta, SMALLEST_INVERSE)
    if family.startswith("Gamma"):
        return np.maximum(rng.gamma(3.0, mu / 3.0), 1e-12), trials
    if family == "inverse Gaussian":
        return np.maximum(rng.wald(mu, 3.0), 1e-9), trials
    if family == "beta":
        return np.clip(rng.beta(5.0 * chance + 0.05, 5.0 * (1.0 - chance) + 0.05), 1e-6, 1.0 - 1e-6), trials
    if family == "gaussian(log)":
        return np.abs(mu + 0.5 * rng.normal(size=len(eta))) + 0.01, trials
    if family == "nbinom2":
        return rng.negative_binomial(2.0, 2.0 / (2.0 + mu)).astype(float), trials
    counts = rng.poisson(mu).astype(float)
    return (counts * (rng.random(len(eta)) > 0.3) if "zero" in family else counts), trials
