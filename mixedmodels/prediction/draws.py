"""Simulation of responses from a fitted model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError, DataError
from mixedmodels.families.family import Family
from mixedmodels.families.modelled_dispersion import rows_of
from mixedmodels.families.response import TRIALS_FAMILIES
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import term_factors

#: Families whose means lie between 0 and 1.
MEANS_BELOW_ONE = (*TRIALS_FAMILIES, "beta")
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


def draw_observed(
    model: Fit, rng: np.random.Generator, eta: FloatArray, weights: FloatArray, family: Family | None
) -> FloatArray:
    """Draw observations about linear predictors, shape (m, count)."""
    if family is None:
        return draw_gaussian(rng, eta, model.sigma(), weights)
    mean = family.link.inverse(eta)
    _refuse_impossible(family, eta, mean)
    each = np.repeat(weights, eta.shape[1])
    of_draws = rows_of(family, np.repeat(np.arange(len(eta)), eta.shape[1]))
    y = of_draws.simulate(rng, mean.ravel(), each, model.drawn_phi).reshape(eta.shape)
    counts = model.design.response.kind == "cbind"
    return np.round(y * weights[:, None]) if counts else y


def _refuse_impossible(family: Family, eta: FloatArray, mean: FloatArray) -> None:
    """Raise DataError where a linear predictor leads to a mean that the family cannot have."""
    if family.name == "gaussian":
        return
    possible = family.link.gives_positive_mean(eta)
    if family.name in MEANS_BELOW_ONE:
        possible = (mean >= 0.0) & (mean <= 1.0)
    if not possible.all():
        raise DataError(
            f"the linear predictor {eta[~possible][0]:.4g} leads by the link {family.link.name!r} to no mean "
            f"that the {family.name} family can have, in {int((~possible).sum())} of {possible.size} "
            "draws: the random effects are too large for this link, or the fixed effects too near its end."
        )
