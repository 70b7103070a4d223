"""How the factor T of a structure moves with its parameters."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.differences import jacobian

#: Half the distance of the two points of a central difference, relative to the parameter or to 1 where that
#: is larger: its error, the square, is that of rounding divided by it.
STEP = 1e-5


def factor_jacobian(structure: CovarianceStructure, theta: FloatArray) -> FloatArray:
    """Return ``dT / dtheta_k``, shape (n_theta, S, S).

    From the structure's pullback, which is linear in the derivative it is given, element by element; where
    there are fewer parameters than coefficients from central differences of the factor, good to ten digits.

    Examples
    --------
    >>> from mixedmodels.covariance import Diagonal
    >>> factor_jacobian(Diagonal(2), np.ones(2))[1]
    array([[0., 0.],
           [0., 1.]])
    """
    S = structure.size
    if structure.n_theta < S:
        steps = STEP * np.maximum(1.0, np.abs(theta))
        return np.moveaxis(jacobian(structure.factor, theta, steps), -1, 0)
    found = np.zeros((structure.n_theta, S, S))
    for i in range(S):
        for j in range(i + 1):
            unit = np.zeros((S, S))
            unit[i, j] = 1.0
            found[:, i, j] = structure.pullback(theta, unit)
    return found
