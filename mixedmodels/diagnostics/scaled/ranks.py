"""Where responses lie among simulated ones: randomized ranks, which are uniform under the right model.

A response y with B simulated ones below it and E equal to it gets ``(B + V (E + 1)) / (nsim + 1)`` with V
uniform on (0, 1). Where y and its simulations come from one distribution, of whatever kind, this is uniform
for any number of simulations: y is equally likely to take each place among the nsim + 1. With more and more
of them it becomes the randomized quantile residual ``F(y-) + V f(y)`` (Dunn & Smyth 1996, J. Comput. Graph.
Stat. 5).
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray

#: Numbers ranked at once.
RANKED_AT_ONCE = 2**21
#: Half the step between the numbers that a generator draws in [0, 1): keeps them off zero.
HALF_STEP = 2.0**-54


def uniforms(rng: np.random.Generator, shape: int | tuple[int, ...]) -> FloatArray:
    """Draw from the uniform distribution on (0, 1), both ends excluded."""
    return np.asarray(rng.random(shape) + HALF_STEP)


def randomized_ranks(below: FloatArray, equal: FloatArray, nsim: int, V: FloatArray) -> FloatArray:
    """Return scaled residuals, in (0, 1).

    Parameters
    ----------
    below, equal : ndarray, shape (m,)
        Simulated responses below, and equal to, the observed one.
    nsim : int
        Simulated responses.
    V : ndarray, shape (m,)
        Uniform numbers.

    Examples
    --------
    >>> randomized_ranks(np.array([0.0, 2.0]), np.array([0.0, 1.0]), 3, np.array([0.5, 0.5])).tolist()
    [0.125, 0.75]
    """
    largest = np.nextafter(1.0, 0.0)
    return np.minimum((below + V * (equal + 1.0)) / (nsim + 1.0), largest)


def ranks_of_all(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the scaled residuals of every column among all columns, shape (m, N).

    Under the right model each column is as likely as another to be the observed one, so that what a
    statistic is in the others is its distribution, whatever the dependence between rows.

    Parameters
    ----------
    values : ndarray, shape (m, N)
        Responses, one data set a column.
    rng : Generator
        Breaks ties.
    """
    found = np.empty_like(values)
    rows = max(1, RANKED_AT_ONCE // values.shape[1])
    for first in range(0, len(values), rows):
        found[first : first + rows] = _ranked(values[first : first + rows], rng)
    return found


def _ranked(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    N = values.shape[1]
    order = np.argsort(values, axis=1)
    first, last = _runs(np.take_along_axis(values, order, axis=1))
    sizes = last - first + 1
    ranks = np.empty_like(values)
    np.put_along_axis(ranks, order, (first + uniforms(rng, values.shape) * sizes) / N, axis=1)
    return np.minimum(ranks, np.nextafter(1.0, 0.0))


def _runs(ascending: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the first and the last place of the run of equal values that each value stands in."""
    N = ascending.shape[1]
    place = np.broadcast_to(np.arange(N), ascending.shape)
    starts = np.ones(ascending.shape, dtype=bool)
    starts[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    first = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
    ends = np.roll(starts, -1, axis=1)
    ends[:, -1] = True
    last = np.minimum.accumulate(np.where(ends, place, N - 1)[:, ::-1], axis=1)[:, ::-1]
    return first, last
