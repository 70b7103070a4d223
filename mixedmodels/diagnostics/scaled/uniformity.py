"""Whether scaled residuals are uniform: the distance of their distribution function from the diagonal."""

from __future__ import annotations

import numpy as np
import scipy
from scipy.special import smirnov

from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.scaled.record import Alternative

#: Names of the statistic, as R prints them.
STATISTICS: dict[Alternative, str] = {"two.sided": "D", "greater": "D^+", "less": "D^-"}
HYPOTHESES: dict[Alternative, str] = {
    "two.sided": "two-sided",
    "greater": "the distribution function of the residuals lies above the uniform one",
    "less": "the distribution function of the residuals lies below the uniform one",
}


def ks_statistic(U: FloatArray, alternative: Alternative = "two.sided") -> FloatArray:
    """Return the largest distance of the distribution function of each column from the diagonal.

    Parameters
    ----------
    U : ndarray, shape (m, ...)
        Scaled residuals.
    alternative : {"two.sided", "greater", "less"}
        Distances either way, above the diagonal or below it.

    Examples
    --------
    >>> ks_statistic(np.array([0.1, 0.2, 0.9])).round(4).item()
    0.4667
    """
    ascending = np.sort(U, axis=0)
    m = len(U)
    steps = np.arange(1, m + 1).reshape([-1] + [1] * (U.ndim - 1)) / m
    above, below = (steps - ascending).max(axis=0), (ascending - steps + 1.0 / m).max(axis=0)
    if alternative == "two.sided":
        return np.asarray(np.maximum(above, below))
    return np.asarray(above if alternative == "greater" else below)


def ks_p_value(D: float, m: int, alternative: Alternative = "two.sided") -> float:
    """Return the exact p-value of a distance for m independent residuals.

    Examples
    --------
    >>> round(ks_p_value(0.19312, 10), 4)
    0.7838
    """
    if alternative == "two.sided":
        return float(scipy.stats.kstwo.sf(D, m))
    return float(smirnov(m, D))
