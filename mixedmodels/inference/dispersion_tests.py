"""Wald tests of the coefficients of a model of the dispersion."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import NotAvailableError
from mixedmodels.families.modelled_dispersion import ModelledDispersion
from mixedmodels.fits.family_dispersion import dispersion_name
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.inference.wald import wald_table
from mixedmodels.reports.fit_text import DispersionTable


def dispersion_coefficients(fit: GeneralizedFit) -> pd.DataFrame:
    """Return estimates, standard errors from the joint Hessian, z values and p-values.

    Raises
    ------
    NotAvailableError
        If the dispersion is not modelled.
    """
    family = fit.family()
    if not isinstance(family, ModelledDispersion):
        raise NotAvailableError(
            "the model has no dispersion model; fit with dispersion='~ x'. m.family_parameters() has the "
            "parameters of the family."
        )
    columns = ["Estimate", "Std. Error", "z value", "Pr(>|z|)"]
    return pd.DataFrame(_tests(fit, len(family.names)), index=list(family.names), columns=columns)


def dispersion_table(fit: GeneralizedFit, with_tests: bool) -> DispersionTable | None:
    """Return what is printed of the dispersion model; None where there is none."""
    family = fit.family()
    if not isinstance(family, ModelledDispersion):
        return None
    k = len(family.names)
    table = _tests(fit, k) if with_tests else fit.phi[:k, None]
    return DispersionTable(dispersion_name(fit), family.names, table)


def _tests(fit: GeneralizedFit, k: int) -> FloatArray:
    """Return the table of tests, shape (k, 4); NaN where the Hessian gives no standard errors."""
    first, errors = len(fit.theta_values) + len(fit.beta), np.full(k, np.nan)
    if fit.hessian_covariance is not None:
        errors = np.sqrt(np.diagonal(fit.hessian_covariance)[first : first + k])
    return np.asarray(wald_table(fit.phi[:k], errors, True, None))
