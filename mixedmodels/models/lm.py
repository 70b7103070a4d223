"""The linear model, as fitted by ``lm``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import check_response_varies
from mixedmodels.covariance.term_covariance import covariance_to_correlation
from mixedmodels.engines.least_squares import fit_least_squares
from mixedmodels.fits.least_squares import LeastSquaresFit
from mixedmodels.fits.new_response import response_values
from mixedmodels.formula.design.design import Design
from mixedmodels.inference.summary import Summary
from mixedmodels.models.fixed_effects_model import FixedEffectsModel
from mixedmodels.optimization.report import ConvergenceReport
from mixedmodels.reports.fit_text import FitDescription
from mixedmodels.reports.linear_text import LinearDescription, linear_print_text, linear_summary_text
from mixedmodels.reports.page import Page


class LinearModel(FixedEffectsModel, LeastSquaresFit):
    """A fitted linear model: ordinary or weighted least squares.

    Made by :func:`mixedmodels.lm`.

    Parameters
    ----------
    design : Design
        Arrays of the model.
    y : ndarray, shape (n,)
        Response.
    call : Call
        How the model was asked for.
    data : table
        The data, for the model frame.
    estimates : LeastSquaresEstimates
        The fit.
    """

    def convergence(self) -> ConvergenceReport:
        """Return the verdict, which never is in doubt: least squares has a closed form."""
        return ConvergenceReport("converged", 0.0, ())

    @property
    def test_df(self) -> float | None:
        """Residual degrees of freedom."""
        return float(self.df_residual())

    # Related fits.

    def refit(self, newresp: Any) -> LinearModel:
        """Fit the same model to another response.

        Raises
        ------
        DataError
            If the length is wrong or a value is not finite.
        """
        y = response_values(newresp, self.design)
        check_response_varies(y, self.design.response.text)
        return self._sibling(self.design, y)

    def with_design(self, design: Design) -> LinearModel:
        """Fit the same kind of model to another design with the same response."""
        return self._sibling(design, self.y)

    def with_rows(self, design: Design, y: FloatArray, prior_weights: FloatArray) -> LinearModel:
        """Fit the same kind of model to other rows."""
        estimates = fit_least_squares(y, design.X, prior_weights, design.offset)
        return LinearModel(design, y, self.call, self.data, estimates)

    def _sibling(self, design: Design, y: FloatArray) -> LinearModel:
        estimates = fit_least_squares(y, design.X, self.prior_weights, design.offset)
        return LinearModel(design, y, self.call, self.data, estimates)

    # Text.

    def _plain_summary(self, correlation: bool | None) -> LinearSummary:
        return LinearSummary(
            description=self._describe(),
            coefficients=self._coefficient_table(),
            fixed_correlation=covariance_to_correlation(self._fixed_covariance()),
            scaled_residuals=self._row_residuals()[0] / self.sigma(),
            show_correlation=correlation,
            linear=self._linear_description(),
        )

    def __repr__(self) -> str:
        return linear_print_text(self._linear_description(), self.beta)

    def _describe(self) -> FitDescription:
        return FitDescription(
            title="Linear model fit by least squares",
            class_name="lm",
            formula=self.formula(),
            criteria=self._likelihood_criteria(),
            terms=(),
            residual_sd=self.sigma(),
            nobs=self.nobs(),
            ngrps={},
            call=self.call.lines(),
            notes=self._notes(),
            warnings=self._fit_warnings(),
        )

    def _linear_description(self) -> LinearDescription:
        design = self.design
        residuals, labels, is_weighted = self._row_residuals()
        estimated = np.zeros(len(design.recipe.fixed.names), dtype=bool)
        estimated[design.recipe.kept] = True
        return LinearDescription(
            call=self._call_text(),
            names=design.recipe.fixed.names,
            estimated=estimated,
            residuals=residuals,
            labels=labels,
            is_weighted=is_weighted,
            sigma=self.sigma(),
            df_residual=self.df_residual(),
            r_squared=self.r_squared(),
            adjusted_r_squared=self.r_squared(adjusted=True),
            f_statistic=self.f_statistic(),
            n_missing=design.missing.n_dropped,
        )

    def _row_residuals(self) -> tuple[FloatArray, tuple[str, ...], bool]:
        """Return the residuals of the rows that count, their labels, and whether their weights differ."""
        counted = self.prior_weights > 0.0
        labels = tuple(map(str, self.design.index[counted]))
        differ = bool(np.ptp(self.prior_weights[counted]) > 0.0)
        return self._raw_residuals("pearson")[counted], labels, differ

    def _call_text(self) -> str:
        call = self.call
        given = (
            ("formula", self.formula()),
            ("data", call.data),
            ("subset", call.subset),
            ("weights", call.weights),
            ("offset", call.offset),
        )
        return f"lm({', '.join(f'{name} = {text}' for name, text in given if text is not None)})"


@dataclass(frozen=True, slots=True, repr=False)
class LinearSummary(Summary):
    """Summary of a linear model; printing it gives R's text.

    Attributes
    ----------
    linear : LinearDescription
        Residuals, residual standard error, R-squared and F statistic.
    """

    linear: LinearDescription = field(kw_only=True)

    def __repr__(self) -> str:
        columns = list(self.coefficients.columns)
        text = linear_summary_text(self.linear, self.coefficients.to_numpy(), columns)
        return Page([text, self.tests, ""]) if self.tests else text
