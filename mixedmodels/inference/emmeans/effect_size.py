"""Standardized means: Cohen's d and its like, the uncertainty of the standard deviation included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixedmodels.inference.emmeans.linear_functions import (
    LinearFunctions,
    as_estimates,
    covariance,
    estimates,
)
from mixedmodels.inference.emmeans.options import positive_number


def effect_sizes(functions: LinearFunctions, sigma: float, edf: float) -> LinearFunctions:
    """Return the functions divided by a standard deviation that was estimated with `edf` degrees of freedom.

    By the delta method the covariance of ``d_i = m_i / sigma`` is ``V_ij / sigma^2 + d_i d_j / (2 edf)``.

    Raises
    ------
    ControlError
        If `sigma` or `edf` is not positive.
    """
    sigma, edf = positive_number("sigma", sigma), positive_number("edf", edf)
    found = estimates(functions)
    d = found.estimate / sigma
    V = covariance(functions) / sigma**2 + np.outer(d, d) / (2.0 * edf)
    basis, L = as_estimates(functions, d, V, found.df)
    return replace(functions, L=L, offset=np.zeros(len(L)), basis=basis, scale=None, type="link")
