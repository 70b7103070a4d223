"""Working correlation and scale of a marginal model, with their standard errors."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd

from mixedmodels.control import one_of
from mixedmodels.engines.gee.correlation.structure import correlation_matrices
from mixedmodels.engines.gee.covariance import association_covariance
from mixedmodels.fits.gee import GeeFit

Derivatives = Literal["exact", "geepack"]
#: Name of the row of the scale.
SCALE = "phi"


def association(fit: GeeFit, derivatives: Derivatives = "exact") -> pd.DataFrame:
    """Return estimates and standard errors of the working correlation and of the scale.

    Parameters
    ----------
    fit : GeeFit
        The fit.
    derivatives : {"exact", "geepack"}
        Derivatives of the estimating equations of alpha and phi in beta.

    Raises
    ------
    ControlError
        If `derivatives` is none of these.
    """
    one_of("derivatives", derivatives, get_args(Derivatives))
    found = association_covariance(
        fit.problem,
        fit.correlation,
        fit.solution,
        fit.scores,
        fit.fixed_scale is not None,
        derivatives == "geepack",
    )
    estimates = [*fit.solution.alpha.tolist(), fit.solution.phi]
    errors = np.sqrt([*np.diag(found.alpha).tolist(), found.phi])
    return pd.DataFrame(
        {"Estimate": estimates, "Std.err": errors}, index=[*fit.correlation.labels, SCALE], dtype=float
    )


def working_matrix(fit: GeeFit) -> pd.DataFrame:
    """Return the working correlation matrix of a group that has all times; NaN where it is not known."""
    names = [str(name) for name in fit.groups.levels]
    with np.errstate(invalid="ignore"):
        R = correlation_matrices(fit.correlation, fit.solution.alpha, np.arange(len(names))[None])[0]
    return pd.DataFrame(R, index=names, columns=names)
