"""A linear mixed model that was fitted to sums over rows: everything but the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixedmodels.absent_rows import NO_ROWS, AbsentRows
from mixedmodels.arrays import FloatArray
from mixedmodels.checks import warn_unless_converged
from mixedmodels.engines.linear.estimates import LinearEstimates
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.call import Call
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import Design
from mixedmodels.models.linear import LinearMixedModel


class SummedLinearMixedModel(LinearMixedModel):
    """A linear mixed model fitted to :class:`mixedmodels.Moments`.

    Made by :func:`mixedmodels.lmer` of moments, or of a source that is read in batches. Estimates, tests,
    intervals, random effects and predictions at new rows are those of :class:`LinearMixedModel`; what needs the
    rows it was fitted to says so.

    Parameters
    ----------
    design : Design
        Names and recipes; the rows are absent.
    call : Call
        How the model was asked for.
    estimates : LinearEstimates
        The fit.
    problem : LinearProblem
        The cross-products.
    sum_weights : float
        Sum of the prior weights.
    """

    def __init__(
        self, design: Design, call: Call, estimates: LinearEstimates, problem: LinearProblem, sum_weights: float
    ) -> None:
        absent: Any = AbsentRows(design.n_rows)
        Fit.__init__(self, design, absent, absent, call, None)
        self.estimates = estimates
        self.problem = problem
        self.sum_weights = sum_weights

    def __getstate__(self) -> dict[str, Any]:
        """Keep the cross-products, which no rows can give again."""
        return super().__getstate__() | {"problem": self.problem}

    def nobs(self) -> int:
        """Return the number of observations, those of zero weight left out."""
        return self.problem.n

    @property
    def mean_information(self) -> float:
        """Mean of the prior weights."""
        return self.sum_weights / self.design.n_rows

    def deviance(self) -> float:
        """Return -2 log-likelihood at the estimates; of a REML fit, the ML value at the REML estimates."""
        if not self.is_reml:
            return self.estimates.solution.objective
        e, n = self.estimates.solution, self.nobs()
        logs = e.log_det_L2 - self.problem.sum_log_weights
        return float(logs + n * (1.0 + np.log(2.0 * np.pi * e.pwrss / n)))

    def _scaled_residuals(self) -> None:
        return None

    def refitML(self) -> SummedLinearMixedModel:
        """Fit the same model by maximum likelihood."""
        if not self.is_reml:
            return self
        H = self.estimates.inverse_hessian
        estimates = fit_linear(self.problem, False, self._warm_start, inverse_hessian=H)
        warn_unless_converged(estimates.convergence)
        return SummedLinearMixedModel(self.design, self.call, estimates, self.problem, self.sum_weights)

    def refit(self, newresp: Any) -> LinearMixedModel:
        """Raise: a new response has rows, the model has none."""
        raise NotAvailableError(NO_ROWS)

    def with_design(self, design: Design) -> LinearMixedModel:
        """Raise: another design has rows, the model has none."""
        raise NotAvailableError(NO_ROWS)

    def with_rows(self, design: Design, y: FloatArray, prior_weights: FloatArray) -> LinearMixedModel:
        """Raise: other rows are fitted by :func:`mixedmodels.lmer`."""
        raise NotAvailableError(NO_ROWS)
