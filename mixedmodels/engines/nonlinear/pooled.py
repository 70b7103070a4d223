"""Nonlinear least squares without random effects: the curve of all rows together, where searches begin."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.nonlinear.levenberg_marquardt import LeastSquares, least_squares
from mixedmodels.formula.design.nonlinear import MeanFunction


def population_parameters(X: FloatArray, fixed_parameter: IntArray, K: int, beta: FloatArray) -> FloatArray:
    """Return the parameters of the mean at random effects of zero, shape (K, n).

    Parameters
    ----------
    X : ndarray, shape (n, p)
        Columns of the fixed effects.
    fixed_parameter : ndarray of int, shape (p,)
        The parameter that each of them belongs to.
    K : int
        Number of parameters.
    beta : ndarray, shape (p,)
        Fixed effects.
    """
    phi = np.zeros((K, len(X)))
    for j, k in enumerate(fixed_parameter):
        phi[k] += X[:, j] * beta[j]
    return phi


def pooled_least_squares(
    mean: MeanFunction,
    X: FloatArray,
    fixed_parameter: IntArray,
    y: FloatArray,
    beta: FloatArray,
    weights: FloatArray | None = None,
) -> LeastSquares:
    """Return the minimum that Levenberg and Marquardt's method finds from beta.

    Parameters
    ----------
    mean : MeanFunction
        The mean on the n rows.
    X, fixed_parameter
        As for :func:`population_parameters`.
    y : ndarray, shape (n,)
        Response.
    beta : ndarray, shape (p,)
        Where the search begins.
    weights : ndarray, shape (n,), optional
        Prior weights.
    """
    K = len(mean.parameters)
    root = np.ones_like(y) if weights is None else np.sqrt(weights)

    def at(b: FloatArray) -> tuple[FloatArray, FloatArray]:
        value, J = mean.jacobian(population_parameters(X, fixed_parameter, K, b))
        return root * (value - y), root[:, None] * (J[fixed_parameter].T * X)

    with np.errstate(all="ignore"):
        return least_squares(at, beta)
