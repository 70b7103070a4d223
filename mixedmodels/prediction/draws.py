"""Simulation of responses from a fitted model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError
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
    rng: np.random.Generator, terms: Sequence[RandomTerm], theta: FloatArray, sigma: float, count: int
) -> tuple[FloatArray, ...]:
    """Draw ``b ~ N(0, sigma^2 Lambda Lambda')`` of each term `count` times, shape (q, S, count)."""
    effects = []
    for term, T in zip(terms, term_factors(terms, theta), strict=True):
        b = _draw_levels(rng, T, sigma, term.n_levels, count)
        effects.append(
            b if term.relationship is None else (term.relationship @ b.reshape(len(b), -1)).reshape(b.shape)
        )
    return tuple(effects)


def draw_new_levels(
    rng: np.random.Generator, term: RandomTerm, theta: FloatArray, sigma: float, n_levels: int, count: int
) -> FloatArray:
    """Draw the effects of `n_levels` levels that were not in the data, shape (n_levels, S, count)."""
    (T,) = term_factors([term], theta)
    return _draw_levels(rng, T, sigma, n_levels, count)


def _draw_levels(
    rng: np.random.Generator, T: FloatArray, sigma: float, n_levels: int, count: int
) -> FloatArray:
    u = sigma * rng.standard_normal((n_levels, len(T), count))
    return np.asarray(np.einsum("st,qtr->qsr", T, u))


def draw_gaussian(
    rng: np.random.Generator, mean: FloatArray, sigma: float, weights: FloatArray
) -> FloatArray:
    """Draw ``y ~ N(mean, sigma^2 / w)``, shape (n, count); rows of zero weight get the noise of weight 1."""
    sd = sigma / np.sqrt(np.where(weights > 0.0, weights, 1.0))
    return np.asarray(mean + sd[:, None] * rng.standard_normal(mean.shape))
