"""The canonical form of an optimum: non-negative diagonals, exact zeros, and the test of those zeros."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.covariance.triangle import lower_triangle
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import boundaries, theta_slices

#: A diagonal element below this, in units of its scale, is tried at exactly zero.
NEAR_ZERO = 1e-2
#: A zero is kept if the objective rises by no more than the optimiser's own tolerance ...
ZERO_TOLERANCE = 1e-9
#: ... and the rounding of an objective of its size.
OBJECTIVE_ROUNDING = 1e-13
#: Size, in units of its scale, at which the slope away from a zero is measured.
PROBE = 1e-3
#: Slopes above minus this many units of the objective per unit of scaled variance are flat.
FLAT_SLOPE = 1e-4


def canonical(terms: Sequence[RandomTerm], theta: FloatArray) -> FloatArray:
    """Return the equivalent theta with non-negative diagonals and, below a zero diagonal, zeros."""
    parts = []
    for term, part in zip(terms, theta_slices(terms), strict=True):
        structure, own = term.structure, theta[part]
        if structure.is_unstructured:
            T = structure.factor(own)
            if T.diagonal().min() > 0.0:
                parts.append(own)
                continue
            own = _without_dead_columns(T)[lower_triangle(structure.size)]
        parts.append(structure.canonical(own))
    return np.concatenate(parts)


def _without_dead_columns(T: FloatArray) -> FloatArray:
    """Return the factor of ``T T'`` in which every column with a zero diagonal is zero.

    Entries below a zero pivot are moved into the columns to their right by an orthogonal transformation.
    """
    T = T.copy()
    for j in range(len(T)):
        if T[j, j] == 0.0 and T[j + 1 :, j].any():
            R = np.asarray(np.linalg.qr(T[j + 1 :, j:].T, mode="r"))
            T[j + 1 :, j] = 0.0
            T[j + 1 :, j + 1 :] = np.tril(R.T)
    return T


def with_exact_zeros(
    objective: Callable[[FloatArray], float],
    terms: Sequence[RandomTerm],
    theta: FloatArray,
    scale: FloatArray,
    current: float,
) -> tuple[FloatArray, float]:
    """Set the diagonals that are nearly zero to exactly zero where the objective does not get worse.

    Parameters
    ----------
    objective : callable
        Objective at a theta.
    terms : sequence of RandomTerm
        Terms in design order.
    theta, scale : ndarray, shape (n_theta,)
        Optimum and the size of a unit-variance effect.
    current : float
        Objective at `theta`.
    """
    near = np.abs(theta) < NEAR_ZERO * scale
    if not near.any():
        return theta, current
    small = np.flatnonzero(near & boundaries(terms) & (theta != 0.0))
    if not len(small):
        return theta, current
    allowed = current + ZERO_TOLERANCE + OBJECTIVE_ROUNDING * abs(current)
    together = theta.copy()
    together[small] = 0.0
    value = objective(together)
    if value <= allowed:
        return canonical(terms, together), value
    if len(small) == 1:
        return theta, current
    for k in small[np.argsort(np.abs(theta[small]) / scale[small])]:
        trial = theta.copy()
        trial[k] = 0.0
        value = objective(trial)
        if value <= allowed:
            theta, current = trial, value
    return canonical(terms, theta), current


def is_saddle(
    terms: Sequence[RandomTerm], theta: FloatArray, scale: FloatArray, gradient: FloatArray
) -> bool:
    """Tell whether the objective falls along some variance that is zero at `theta`.

    `gradient` is taken at theta with every zero diagonal moved to ``PROBE`` times its scale.
    The objective is even in such a diagonal t, so its derivative in the variance ``t^2`` is
    ``(d/dt) / 2t``; for an unstructured term the derivatives in the column below t complete the matrix
    of derivatives in the covariance, which must have no negative eigenvalue on the null directions.
    """
    for term, part in zip(terms, theta_slices(terms), strict=True):
        zero = np.array(term.structure.is_lower_bound()) & (theta[part] == 0.0)
        if not zero.any():
            continue
        own = gradient[part] * scale[part]
        if not term.structure.is_unstructured:
            slopes = own[zero] / (2.0 * PROBE)
        else:
            slopes = np.linalg.eigvalsh(_null_derivative(term, own, zero))
        if slopes.min() < -FLAT_SLOPE:
            return True
    return False


def _null_derivative(term: RandomTerm, gradient: FloatArray, zero: BoolArray) -> FloatArray:
    """Return the derivative in the scaled covariance, restricted to coefficients of zero diagonal."""
    G = term.structure.factor(gradient) / (2.0 * PROBE)
    G = np.tril(G) + np.tril(G, -1).T
    dead = np.flatnonzero(np.diagonal(term.structure.factor(zero.astype(np.float64))))
    return G[np.ix_(dead, dead)]
