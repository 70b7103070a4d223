"""A linear mixed model that was fitted to sums over rows: everything but the rows."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.absent_rows import AbsentResponse, AbsentRows
from mixedmodels.checks import warn_unless_converged
from mixedmodels.engines.linear.estimates import LinearEstimates
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.fits.call import Call
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_model_equations import JointSystem, joint_system_of_products
from mixedmodels.fits.summed_design import SummedDesign
from mixedmodels.formula.design.design import Design
from mixedmodels.missing import NA
from mixedmodels.models.linear import LinearMixedModel
from mixedmodels.models.streamed_rows import StreamedRows, numeric_response


class SummedLinearMixedModel(StreamedRows, LinearMixedModel):
    """A linear mixed model fitted to :class:`mixedmodels.Moments`.

    Made by :func:`mixedmodels.lmer` of moments, or of a source that is read in batches. Estimates, tests,
    intervals, random effects and predictions at new rows are those of :class:`LinearMixedModel`; what needs
    the rows it was fitted to says so.

    Parameters
    ----------
    summed : SummedDesign
        Names, recipes and sums.
    call : Call
        How the model was asked for.
    estimates : LinearEstimates
        The fit.
    problem : LinearProblem, optional
        The cross-products; formed again when needed.
    """

    summed: SummedDesign

    def __init__(
        self,
        summed: SummedDesign,
        call: Call,
        estimates: LinearEstimates,
        problem: LinearProblem | None = None,
    ) -> None:
        n, fixed = summed.design.n_rows, summed.fixed
        absent: Any = AbsentRows(n)
        y: Any = AbsentResponse(n, fixed.rss + float(fixed.projection @ fixed.projection))
        Fit.__init__(self, summed.design, y, absent, call, absent)
        self.summed, self.row_summary = summed, summed.summary
        self.estimates = estimates
        if problem is not None:
            self.problem = problem

    @cached_property
    def problem(self) -> LinearProblem:
        """The engine's form of the design."""
        return self.summed.problem()

    def _augmented(self, rows: pd.DataFrame) -> pd.DataFrame:
        fitted = LinearMixedModel.predict(self, rows)
        fixed = LinearMixedModel.predict(self, rows, re_form=NA)
        y = numeric_response(self.design, rows)
        added = {".fitted": np.asarray(fitted), ".fixed": np.asarray(fixed), ".resid": y - np.asarray(fitted)}
        return rows.assign(**added)

    # What the sums say.

    def nobs(self) -> int:
        """Return the number of observations, those of zero weight left out."""
        return self.problem.n

    @property
    def mean_information(self) -> float:
        """Mean of the prior weights."""
        return self.summed.sums.sum_weights / self.design.n_rows

    def deviance(self) -> float:
        """Return -2 log-likelihood at the estimates; of a REML fit, the ML value at the REML estimates."""
        if not self.is_reml:
            return self.estimates.solution.objective
        e, n = self.estimates.solution, self.nobs()
        logs = e.log_det_L2 - self.problem.sum_log_weights
        return float(logs + n * (1.0 + np.log(2.0 * np.pi * e.pwrss / n)))

    def with_design(self, design: Design) -> SummedLinearMixedModel:
        """Fit the same kind of model to some of its fixed and random effects.

        Raises
        ------
        NotAvailableError
            If the sums have no such column.
        """
        smaller = self.summed.smaller(design)
        problem = smaller.problem()
        estimates = fit_linear(problem, self.is_reml and bool(design.x_names))
        warn_unless_converged(estimates.convergence)
        return SummedLinearMixedModel(smaller, self.call, estimates, problem)

    def joint_system(self) -> JointSystem:
        """Return the factorized mixed-model equations at the estimates."""
        return joint_system_of_products(
            self.summed.random_products(), self.problem, self.random, self.theta_values
        )

    def refitML(self) -> SummedLinearMixedModel:
        """Fit the same model by maximum likelihood."""
        if not self.is_reml:
            return self
        H = self.estimates.inverse_hessian
        estimates = fit_linear(self.problem, False, self._warm_start, inverse_hessian=H)
        warn_unless_converged(estimates.convergence)
        return SummedLinearMixedModel(self.summed, self.call, estimates, self.problem)
