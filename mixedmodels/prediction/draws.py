"""Simulation of responses from a fitted model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError
from mixedmodels.fits.linear_predictor import random_effects
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import term_factors

Seed = int | np.random.Generator | np.random.SeedSequence | None


def generator(seed: Seed) -> np.random.Generator:
    """Return the random number generator of a seed.

    Raises
    ------
    ControlError
        If `seed` is none that NumPy takes.
    """
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise ControlError(f"the seed must be a whole number or a numpy Generator, not {seed!r}.") from error


def draw_random_effects(
    rng: np.random.Generator, terms: Sequence[RandomTerm], theta: FloatArray, sigma: float
) -> tuple[FloatArray, ...]:
    """Draw ``b ~ N(0, sigma^2 Lambda Lambda')`` of each term, shape (q, S)."""
    u = [sigma * rng.standard_normal((term.n_levels, term.size)) for term in terms]
    return random_effects(terms, theta, u)


def draw_new_levels(
    rng: np.random.Generator, term: RandomTerm, theta: FloatArray, sigma: float, n_levels: int
) -> FloatArray:
    """Draw the effects of `n_levels` levels that were not in the data, shape (n_levels, S)."""
    (T,) = term_factors([term], theta)
    return sigma * rng.standard_normal((n_levels, term.size)) @ T.T


def draw_gaussian(
    rng: np.random.Generator, mean: FloatArray, sigma: float, weights: FloatArray
) -> FloatArray:
    """Draw ``y ~ N(mean, sigma^2 / w)``, shape (n,); rows of zero weight get the noise of weight 1."""
    precision = np.where(weights > 0.0, weights, 1.0)
    return mean + sigma / np.sqrt(precision) * rng.standard_normal(len(mean))
