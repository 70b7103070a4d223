"""How the factor T of a structure, and the covariance ``T T'``, move with its parameters."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.differences import jacobian

#: Share of second derivatives outside the directions in which a covariance moves, below which it is linear in
#: some coordinates: differences know them to about 1e-9.
LINEAR = 1e-6
#: Half the distance of the two points of a central difference, relative to the parameter or to 1 where that
#: is larger: its error, the square, is that of rounding divided by it.
STEP = 1e-5


def factor_jacobian(structure: CovarianceStructure, theta: FloatArray) -> FloatArray:
    """Return ``dT / dtheta_k``, shape (n_theta, S, S).

    From the structure's pullback, which is linear in the derivative it is given, element by element; where
    there are fewer parameters than coefficients from central differences of the factor, good to ten digits.

    Examples
    --------
    >>> from mixedmodels.covariance.diagonal import Diagonal
    >>> factor_jacobian(Diagonal(2), np.ones(2))[1]
    array([[0., 0.],
           [0., 1.]])
    """
    S = structure.size
    if structure.n_theta < S:
        steps = STEP * np.maximum(1.0, np.abs(theta))
        return np.moveaxis(jacobian(structure.factor, theta, steps), -1, 0)
    return _by_pullback(structure, theta)


def _by_pullback(structure: CovarianceStructure, theta: FloatArray) -> FloatArray:
    """Return ``dT / dtheta_k`` to full precision."""
    S = structure.size
    found = np.zeros((structure.n_theta, S, S))
    for i in range(S):
        for j in range(i + 1):
            unit = np.zeros((S, S))
            unit[i, j] = 1.0
            found[:, i, j] = structure.pullback(theta, unit)
    return found


def covariance_jacobian(structure: CovarianceStructure, theta: FloatArray) -> FloatArray:
    """Return ``d(T T') / dtheta_k`` to full precision, shape (n_theta, S, S).

    Examples
    --------
    >>> from mixedmodels.covariance.compound_symmetry import CompoundSymmetry
    >>> covariance_jacobian(CompoundSymmetry(2, homogeneous=True), np.array([2.0, 0.5]))[1, 0].round(9)
    array([0., 4.])
    """
    half = _by_pullback(structure, theta) @ structure.factor(theta).T
    return np.asarray(half + half.transpose(0, 2, 1))


def covariance_curvature(structure: CovarianceStructure, theta: FloatArray) -> FloatArray | None:
    """Return the second derivatives of ``T T'`` in variances and correlations, per unit of theta.

    Element k, l is ``sum_ij J_ik J_jl d^2 (T T') / dg_i dg_j`` for the coordinates g, squares of the
    deviations and everything else as it is, and ``J = dg / dtheta``.

    Returns
    -------
    ndarray, shape (n_theta, n_theta, S, S), or None
        None where the covariance is linear in some coordinates, as an unstructured, a diagonal and a
        homogeneous compound symmetric one are, or a parameter is at its bound.
    """
    rows, columns = structure.places()
    deviations = np.array(structure.is_lower_bound())
    if structure.is_unstructured or np.array_equal(rows, columns):
        return None
    if not theta[deviations].all() or structure.bounds_reached(theta):
        return None
    D = covariance_jacobian(structure, theta)
    steps = STEP * np.where(deviations, np.abs(theta), 1.0)
    second = np.moveaxis(jacobian(lambda at: covariance_jacobian(structure, at), theta, steps), -1, 0)
    own = np.flatnonzero(deviations)
    second[own, own] -= D[own] / theta[own, None, None]
    flat, moves = second.reshape(-1, D[0].size), D.reshape(len(D), -1)
    outside = flat - flat @ np.linalg.pinv(moves) @ moves
    return second if np.linalg.norm(outside) > LINEAR * np.linalg.norm(flat) else None
