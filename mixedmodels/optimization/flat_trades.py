"""Covariance parameters that the design tells apart and the data do not: trades that cost nothing.

Where the matrices of two parameters are nearly the same, as of a factor and another that differs from it in a
few rows, their estimates are one pair of many. The directions in which the matrices are nearest to dependent
come from the design (:mod:`mixedmodels.optimization.identification`); whether the objective is flat along
them is asked of the objective itself, at the end of the way: there one of the variances is used up, or what
was moved is as much as there was. A quadratic model at the optimum would promise too much and too little,
being straight where a variance ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import theta_slices

#: Rise of the objective (-2 log-likelihood) at both ends of a trade that says nothing against either: what
#: AIC charges for one parameter.
FLAT = 2.0
#: Share of the variance of the terms it moves that a trade must move, from end to end, to be one.
SUBSTANTIAL = 0.5
#: Halvings that find the end of the way, and how far below zero rounding may take covariances.
MAX_HALVINGS, ROUNDING = 24, 1e-10


def is_flat(
    objective: Callable[[FloatArray], float],
    terms: Sequence[RandomTerm],
    theta: FloatArray,
    changes: Mapping[int, FloatArray],
    residual: float,
) -> bool:
    """Tell whether covariances can be traded along a direction, from one end to the other, at no cost.

    Parameters
    ----------
    objective : callable
        -2 log-likelihood or REML criterion at a theta, the residual variance profiled out.
    terms : sequence of RandomTerm
        Terms in design order.
    theta : ndarray, shape (n_theta,)
        Optimum.
    changes : mapping of int to ndarray, each (S, S)
        Change of the covariance of terms along the direction.
    residual : float
        Change of the residual variance, which is 1.
    """
    value = objective(theta)
    covariances = {t: _covariance(terms, theta, t) for t in range(len(terms))}
    size = sum(_per_row(terms[t], covariances[t]) for t in changes)
    step = max(_per_row(terms[t], change) for t, change in changes.items())
    if not (size > 0.0 and step > 0.0):
        return False
    ends = [_length(covariances, changes, residual, sign * size / step) for sign in (1.0, -1.0)]
    if abs(ends[0] - ends[1]) * step < SUBSTANTIAL * size:
        return False
    return all(
        objective(_moved(terms, theta, covariances, changes, residual, end)) < value + FLAT for end in ends
    )


def _covariance(terms: Sequence[RandomTerm], theta: FloatArray, t: int) -> FloatArray:
    T = terms[t].structure.factor(theta[theta_slices(terms)[t]])
    return np.asarray(T @ T.T)


def _per_row(term: RandomTerm, covariance: FloatArray) -> float:
    """Return the variance that the effects of a term give to a row on average, at most."""
    Z = np.abs(term.Z)
    return float(np.einsum("ij,jk,ik->", Z, np.abs(covariance), Z)) / len(Z)


def _length(
    covariances: Mapping[int, FloatArray], changes: Mapping[int, FloatArray], residual: float, longest: float
) -> float:
    """Return how far along a direction covariances stay covariances, no further than `longest`."""
    inside, trial, step = 0.0, longest, longest
    for _ in range(MAX_HALVINGS):
        ends = [covariances[t] + trial * change for t, change in changes.items()]
        least = [np.linalg.eigvalsh(end)[0] + ROUNDING * np.trace(np.abs(end)) for end in ends]
        if min(least) >= 0.0 and 1.0 + trial * residual > 0.0:
            inside = trial
            if inside == longest:
                break
        step /= 2.0
        trial = inside + step
    return inside


def _moved(
    terms: Sequence[RandomTerm],
    theta: FloatArray,
    covariances: Mapping[int, FloatArray],
    changes: Mapping[int, FloatArray],
    residual: float,
    length: float,
) -> FloatArray:
    """Return theta at the end of a way, relative to the residual deviation there."""
    moved, sigma2 = theta.copy(), 1.0 + length * residual
    for t, (term, part) in enumerate(zip(terms, theta_slices(terms), strict=True)):
        end = (covariances[t] + length * changes.get(t, 0.0)) / sigma2
        values, vectors = np.linalg.eigh(end)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        T = np.asarray(np.linalg.qr(root.T, mode="r")).T
        moved[part] = term.structure.pullback(theta[part], T * np.where(np.diag(T) < 0.0, -1.0, 1.0))
    return moved
