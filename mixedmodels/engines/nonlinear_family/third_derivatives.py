"""Third derivatives of a curve, contracted with a matrix of each row: differences of its exact Hessian."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ConvergenceError
from mixedmodels.formula.design.nonlinear import MeanFunction

#: Step in units of the length over which a derivative changes by its size: fourth-order differences then
#: neglect some 1e-11 of it, and rounding is smaller still.
SHARE = 5e-3


def bent_slope(
    mean: MeanFunction, parameters: FloatArray, G: FloatArray, H: FloatArray, N: FloatArray
) -> FloatArray:
    """Return ``sum_kl N_kl dH_kl / d phi_m`` of each row, shape (K, n).

    Parameters
    ----------
    mean : MeanFunction
        The curve.
    parameters : ndarray, shape (K, n)
        Where.
    G, H : ndarray, shape (K, n) and (K, K, n)
        Its derivatives there.
    N : ndarray, shape (K, K, n)
        The matrices.

    Raises
    ------
    ConvergenceError
        If the curve is not finite beside these parameters.
    """
    found = np.zeros_like(parameters)
    for m, step in enumerate(_steps(parameters, G, H).tolist()):
        if step == 0.0:
            continue
        moved = np.zeros((len(parameters), 1))
        moved[m] = step
        near, far = (
            _contracted(mean, parameters + k * moved, N) - _contracted(mean, parameters - k * moved, N)
            for k in (1.0, 2.0)
        )
        found[m] = (8.0 * near - far) / (12.0 * step)
    if not np.isfinite(found).all():
        raise ConvergenceError("the mean is not finite beside the mode.")
    return found


def _steps(parameters: FloatArray, G: FloatArray, H: FloatArray) -> FloatArray:
    """Return a step for each parameter; zero for one that no second derivative depends on."""
    K = len(parameters)
    slope = np.sqrt(np.mean(G * G, axis=1))
    size = np.sqrt(np.mean(parameters * parameters, axis=1))
    steps = np.zeros(K)
    for m in range(K):
        # Over these lengths the derivatives change by their size, in this parameter and beside others.
        lengths = [slope[k] / bend for k in range(K) if (bend := float(np.sqrt(np.mean(H[k, m] ** 2)))) > 0.0]
        if lengths:
            steps[m] = SHARE * min([*lengths, *([size[m]] if size[m] > 0.0 else [])])
    return steps


def _contracted(mean: MeanFunction, parameters: FloatArray, N: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("kln,kln->n", N, mean.hessian(parameters)[2]))
