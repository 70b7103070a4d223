"""Partial autocorrelations, in which stationary processes and Toeplitz matrices fill a cube.

Any numbers between -1 and 1 are the partial autocorrelations of one stationary process: of its autoregressive
coefficients, by the recursion of Durbin and Levinson (Monahan 1984; Jones 1980), and of its autocorrelations.
All functions take complex numbers too, so that their derivatives can be taken by complex steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mixedmodels.arrays import FloatArray

#: Real numbers, or complex ones for a derivative.
Numbers = npt.NDArray[Any]
#: The step of a complex-step derivative has no rounding to balance: as small as it can be.
_COMPLEX_STEP = 1e-30


def autoregressive_coefficients(partial: Numbers) -> Numbers:
    """Return the coefficients phi of the autoregression with these partial autocorrelations, shape (p,).

    Examples
    --------
    >>> autoregressive_coefficients(np.array([0.5, 0.2])).round(10).tolist()
    [0.4, 0.2]
    """
    phi = partial.copy()
    for k in range(1, len(partial)):
        phi[:k] = phi[:k] - partial[k] * phi[:k][::-1]
    return phi


def partial_of_coefficients(phi: FloatArray) -> FloatArray:
    """Return the partial autocorrelations of a stationary autoregression: the recursion run backwards."""
    partial = phi.astype(np.float64)
    for k in range(len(phi) - 1, 0, -1):
        scale = max(1.0 - partial[k] ** 2, np.finfo(np.float64).eps)
        partial[:k] = (partial[:k] + partial[k] * partial[:k][::-1]) / scale
    return partial


def autocorrelations(partial: Numbers) -> Numbers:
    """Return the autocorrelations at lags 1 to p, shape (p,): those of a positive definite Toeplitz matrix.

    Examples
    --------
    >>> autocorrelations(np.array([0.5, 0.2])).round(10).tolist()
    [0.5, 0.4]
    """
    r = np.zeros_like(partial)
    phi = np.zeros_like(partial)
    variance = 1.0
    for k, last in enumerate(partial):
        r[k] = last * variance + phi[:k] @ r[:k][::-1]
        phi[:k] = phi[:k] - last * phi[:k][::-1]
        phi[k] = last
        variance = variance * (1.0 - last**2)
    return r


def partial_of_autocorrelations(r: FloatArray) -> FloatArray:
    """Return the partial autocorrelations of autocorrelations at lags 1 to p."""
    partial = np.zeros(len(r))
    phi = np.zeros(len(r))
    variance = 1.0
    for k in range(len(r)):
        last = (r[k] - phi[:k] @ r[:k][::-1]) / variance
        partial[k] = last
        phi[:k] = phi[:k] - last * phi[:k][::-1]
        phi[k] = last
        variance = max(variance * (1.0 - last**2), np.finfo(np.float64).eps)
    return partial


def exact_jacobian(function: Callable[[Numbers], Numbers], x: FloatArray) -> FloatArray:
    """Return ``d function / d x_k`` along the last axis, by complex steps: exact to rounding.

    Parameters
    ----------
    function : callable
        From shape (m,) to (k,), of arithmetic alone.
    x : ndarray, shape (m,)
        Where.
    """
    columns = []
    for k in range(len(x)):
        moved = x.astype(np.complex128)
        moved[k] += _COMPLEX_STEP * 1j
        columns.append(function(moved).imag / _COMPLEX_STEP)
    return np.stack(columns, axis=-1) if columns else np.zeros((0, 0))
