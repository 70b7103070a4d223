"""Whether a fit is singular: a variance, or a combination of random effects, that is zero."""

from __future__ import annotations

import numpy as np

from mixedmodels.control import tolerance
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.formula.design.theta import mean_squares, term_factors

SINGULAR_TOLERANCE = 1e-4  # lme4's default for isSingular


def is_singular(model: MixedFit, tol: float = SINGULAR_TOLERANCE) -> bool:
    """Tell whether a diagonal element of some T is zero.

    Parameters
    ----------
    model : MixedFit
        The fit.
    tol : float
        A diagonal element of T counts as zero below it, on the scale of a predictor of unit root mean square
        and of rows of unit information, so that the unit of prior weights does not matter.

    Raises
    ------
    ControlError
        If `tol` is not a number, 0 or more.
    """
    tol = tolerance("tol", tol)
    unit = np.sqrt(model.mean_information)
    return any(
        bool((np.abs(np.diag(T)) * unit * np.sqrt(mean_squares(term)) < tol).any())
        for term, T in zip(model.random, term_factors(model.random, model.theta_values), strict=True)
    )
