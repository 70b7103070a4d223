"""The place of the response among simulations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.diagnostics.scaled.draws import ResponseDraws, noise
from mixedmodels.diagnostics.scaled.ranks import randomized_ranks, uniforms
from mixedmodels.diagnostics.scaled.refitted import RefittedResiduals


@dataclass(frozen=True, slots=True)
class Ranked:
    """Where the response lies among the simulations.

    Attributes
    ----------
    source : ResponseDraws or RefittedResiduals
        What it is compared with.
    observed : ndarray, shape (m,)
        What is compared.
    below, equal : ndarray, shape (m,)
        Simulations below it, and equal to it.
    residuals : ndarray, shape (m,)
        Randomized ranks.
    is_discrete : bool
        Whether the response is a whole number.
    ties : Generator
        Breaks ties between simulations; copied, not moved on.
    """

    source: ResponseDraws | RefittedResiduals
    observed: FloatArray
    below: FloatArray
    equal: FloatArray
    residuals: FloatArray
    is_discrete: bool
    ties: np.random.Generator


def rank_observed(
    draws: ResponseDraws, refitted: RefittedResiduals | None, with_noise: bool, rng: np.random.Generator
) -> Ranked:
    """Return the place of the response; noise is added to whole numbers alone."""
    is_discrete = draws.is_discrete()
    source: ResponseDraws | RefittedResiduals = draws if refitted is None else refitted
    if is_discrete and with_noise and refitted is not None:
        refitted.add_noise(rng)
    observed = source.observed
    if is_discrete and with_noise and refitted is None:
        source, observed = draws.with_noise(), observed + noise(rng, observed.shape)
    below, equal = np.zeros(len(observed)), np.zeros(len(observed))
    for lower, same in source.map(partial(_compare, observed)):
        below += lower
        equal += same
    residuals = randomized_ranks(below, equal, source.nsim, uniforms(rng, len(observed)))
    return Ranked(source, observed, below, equal, residuals, is_discrete, rng)


def _compare(observed: FloatArray, Y: FloatArray) -> tuple[IntArray, IntArray]:
    """Return how many numbers of each row are below, and equal to, the observed one."""
    below = np.count_nonzero(observed[:, None] > Y, axis=1)
    return below, np.count_nonzero(observed[:, None] == Y, axis=1)
