"""A generalized linear model that was fitted to counted rows: everything but the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.absent_rows import AbsentRows
from mixedmodels.engines.glm.fit import GlmEstimates, fit_glm
from mixedmodels.families.family import Family
from mixedmodels.fits.call import Call
from mixedmodels.fits.counted_design import CountedDesign
from mixedmodels.fits.family_quantities import residuals, response_mean
from mixedmodels.formula.design.design import Design
from mixedmodels.models.glm import GeneralizedLinearModel
from mixedmodels.models.streamed_generalized import response_of_family
from mixedmodels.models.streamed_rows import StreamedRows


class CountedGeneralizedLinearModel(StreamedRows, GeneralizedLinearModel):
    """A generalized linear model fitted to the different rows of a source, each counted.

    Made by :func:`mixedmodels.glm` of a source that is read in batches. Coefficients, tests, intervals and
    predictions at new rows are those of :class:`GeneralizedLinearModel`; what needs every row it was fitted
    to says so.

    Parameters
    ----------
    counted : CountedDesign
        The different rows.
    call : Call
        How the model was asked for.
    family : Family
        Distribution of the response.
    estimates : GlmEstimates
        The fit to these rows, numbers of rows those of all.
    """

    _residuals_need_weights = True

    def __init__(self, counted: CountedDesign, call: Call, family: Family, estimates: GlmEstimates) -> None:
        absent: Any = AbsentRows(counted.n_rows)
        super().__init__(
            counted.without_rows(), counted.response(), absent, call, absent, family,
            replace(estimates, eta=absent, mu=absent),
        )  # fmt: skip
        self.counted, self.row_summary = counted, counted.summary

    def nobs(self) -> int:
        """Return the number of observations, those of zero weight left out."""
        return self.counted.n_observations

    def with_design(self, design: Design) -> CountedGeneralizedLinearModel:
        """Fit the same kind of model to some of its fixed effects.

        Raises
        ------
        NotAvailableError
            If a column is not among those of the model.
        """
        smaller = self.counted.smaller(design)
        estimates = estimates_of_counts(smaller, self._family)
        return CountedGeneralizedLinearModel(smaller, self.call, self._family, estimates)

    def _fitted_column(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows[[".mu"]].rename(columns={".mu": ".fitted"})

    def _augmented(self, rows: pd.DataFrame) -> pd.DataFrame:
        eta = np.asarray(GeneralizedLinearModel.predict(self, rows))
        y, weights = response_of_family(self.design, self.call.weights, self._family, rows)
        added = {
            ".fitted": eta,
            ".mu": response_mean(self._family, eta, self.phi),
            ".resid": residuals(self._family, "deviance", y, eta, weights, self.phi),
        }
        return rows.assign(**added)


def estimates_of_counts(counted: CountedDesign, family: Family) -> GlmEstimates:
    """Return the fit to the different rows, each with the weight of all that are equal."""
    c, rows = counted, counted.design
    found = fit_glm(c.y, c.weights, rows.X, rows.offset, family, c.constant)
    df_residual = c.n_observations - len(found.beta)
    if not family.is_quasi:
        more = c.n_observations - int(np.count_nonzero(c.weights > 0.0))
        return replace(found, df_residual=df_residual, df_null=found.df_null + more)
    # The dispersion of a quasi family is by the degrees of freedom of all rows.
    dispersion = found.pearson_X2 / df_residual if df_residual > 0 else float("nan")
    more = df_residual - found.df_residual
    vcov = found.vcov * (dispersion / found.dispersion)
    return replace(
        found, df_residual=df_residual, df_null=found.df_null + more, dispersion=dispersion, vcov=vcov
    )
