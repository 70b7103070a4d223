"""What a print says of the residual structure of a fit: records from a design and parameters."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.variance import Ident, OfCovariate
from mixedmodels.formula.design.residual import ResidualDesign, VarianceTerm
from mixedmodels.reports.residual_text import CorrelationDescription, VarianceDescription


def correlation_description(residual: ResidualDesign, rho: FloatArray) -> CorrelationDescription:
    """Return what a print says of the correlation structure.

    Parameters
    ----------
    residual : ResidualDesign
        The structure and its groups.
    rho : ndarray
        Natural parameters of the correlation, stacked by arm.
    """
    structure = residual.structure
    return CorrelationDescription(
        title=structure.title,
        formula=residual.formula,
        names=structure.parameter_names(),
        values=rho.reshape(len(residual.arm_names), structure.n_parameters),
        arms=residual.arm_names,
        levels=residual.levels if structure.name == "us" else (),
    )


def variance_description(term: VarianceTerm, delta: FloatArray) -> VarianceDescription:
    """Return what a print says of a variance function.

    Parameters
    ----------
    term : VarianceTerm
        The function.
    delta : ndarray
        Its natural parameters.
    """
    function = term.function
    if isinstance(function, Ident):
        return VarianceDescription(
            function.name, term.formula, function.levels, np.concatenate([[1.0], delta])
        )
    strata = function.strata if isinstance(function, OfCovariate) else ("",)
    return VarianceDescription(function.name, term.formula, function.parameter_names(), delta, strata)
