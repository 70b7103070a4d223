"""The linear mixed model, as fitted by ``lmer``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.checks import check_response_varies, identified, warn_unless_converged
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.linear.estimates import LinearEstimates
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import LinearProblem, linear_problem
from mixedmodels.engines.linear.reml import evaluate
from mixedmodels.engines.linear.vanishing import is_small
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.linear import LinearFit
from mixedmodels.fits.new_response import response_values
from mixedmodels.formula.design.design import Design
from mixedmodels.models.mixed_model import MixedModel

with on_first_use():
    from mixedmodels.engines.linear import some_columns
    from mixedmodels.inference import fixed_effects
    from mixedmodels.reports import fit_text

if TYPE_CHECKING:
    from mixedmodels.inference.robust import RobustType
    from mixedmodels.reports.fit_text import FitDescription


def judged(design: Design, problem: LinearProblem, estimates: LinearEstimates) -> LinearEstimates:
    """Return estimates with the verdict on whether design and data identify their parameters."""
    verdict = identified(
        estimates.convergence, design, estimates.theta, design.weights,
        REML=estimates.REML, residual=True, objective=partial(evaluate, problem, REML=estimates.REML),
    )  # fmt: skip
    return estimates if verdict is estimates.convergence else replace(estimates, convergence=verdict)


class LinearMixedModel(MixedModel, LinearFit):
    """A fitted linear mixed model.

    Made by :func:`mixedmodels.lmer`. Estimates and design are stored; everything else is derived.

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
    estimates : LinearEstimates
        The fit.
    problem : LinearProblem, optional
        The engine's form of the design; rebuilt when needed, after unpickling for one.
    """

    _with_p_values = False

    def vcov(
        self,
        type: RobustType | Literal["kenward-roger"] | None = None,
        cluster: Any = None,
        full: bool = False,
    ) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects.

        Parameters
        ----------
        type, cluster : optional
            A cluster-robust covariance, as for :meth:`FittedModel.vcov`; or ``"kenward-roger"``, adjusted for
            the variances being estimates.
        full : bool
            Whether to return the joint covariance of prediction errors of (b, beta) instead, dense.

        Returns
        -------
        DataFrame

        Raises
        ------
        NotAvailableError
            If Kenward and Roger's is asked for and the fit is by maximum likelihood, or too large for it.
        """
        if type == "kenward-roger":
            return self._labelled(fixed_effects.fixed_effects(self, type).covariance)
        return super().vcov(type, cluster, full)

    # Criteria.

    def REMLcrit(self) -> float:
        """Return the REML criterion at convergence.

        Raises
        ------
        NotAvailableError
            If the model was fitted by maximum likelihood.
        """
        if not self.is_reml:
            raise NotAvailableError(
                "The model was fitted by maximum likelihood and has no REML criterion; "
                "fit it with REML=True, or use deviance()."
            )
        return self.estimates.solution.objective

    def deviance(self) -> float:
        """Return -2 log-likelihood at the estimates; of a REML fit, the ML value at the REML estimates."""
        if not self.is_reml:
            return self.estimates.solution.objective
        e, n = self.estimates.solution, self.nobs()
        log_weights = np.log(self.prior_weights[self.prior_weights > 0]).sum()
        return float(e.log_det_L2 - log_weights + n * (1.0 + np.log(2.0 * np.pi * e.pwrss / n)))

    # Related fits.

    def refit(self, newresp: Any) -> LinearMixedModel:
        """Fit the same model to another response.

        Parameters
        ----------
        newresp : array_like, shape (n,)
            New values of the response at the rows used (or at all input rows, of which those used are taken).

        Raises
        ------
        DataError
            If the length is wrong or a value is not finite.
        """
        y = response_values(newresp, self.design)
        check_response_varies(y, self.design.response.text)
        problem = self.problem.with_response(y)
        return self._sibling(y, problem, self.is_reml)

    def refitML(self) -> LinearMixedModel:
        """Fit the same model by maximum likelihood."""
        return self._sibling(self.y, self.problem, False) if self.is_reml else self

    def loglik_with_columns(self, kept: IntArray) -> float | None:
        """Return the log-likelihood of the fit with some columns of X, from the cross-products there are."""
        if self.is_reml or not len(kept) or not some_columns.can_leave_out(self.problem):
            return None
        problem = some_columns.with_columns(self.problem, kept)
        try:
            estimates = fit_linear(
                problem, False, self._warm_start, inverse_hessian=self.estimates.inverse_hessian
            )
        except np.linalg.LinAlgError:
            return None
        if is_small(problem, estimates.solution.sigma**2):
            return None
        warn_unless_converged(estimates.convergence)
        return -0.5 * estimates.solution.objective

    def with_design(self, design: Design) -> LinearMixedModel:
        """Fit the same kind of model to another design with the same response."""
        problem = linear_problem(self.y, design.fixed, design.random, design.weights, design.offset)
        estimates = fit_linear(problem, self.is_reml and design.fixed.shape[1] > 0, y=self.y)
        estimates = judged(design, problem, estimates)
        return LinearMixedModel(design, self.y, self.call, self.data, estimates, problem)

    @cached_property
    def _warm_start(self) -> FloatArray | None:
        """Theta to start like fits from; a singular one is no start, its gradient vanishing in any data."""
        return None if self.is_singular() else self.theta_values

    def with_rows(self, design: Design, y: FloatArray, prior_weights: FloatArray) -> LinearMixedModel:
        """Fit the same kind of model to another design and response."""
        problem = linear_problem(y, design.fixed, design.random, design.weights, design.offset)
        estimates = fit_linear(problem, self.is_reml, y=y)
        warn_unless_converged(estimates.convergence)
        return LinearMixedModel(design, y, self.call, self.data, estimates, problem)

    def _sibling(self, y: FloatArray, problem: LinearProblem, REML: bool) -> LinearMixedModel:
        H = self.estimates.inverse_hessian
        estimates = fit_linear(problem, REML, self._warm_start, inverse_hessian=H, y=y)
        # What one response leaves inside its bounds and identified, the design identifies for all.
        if self.convergence().verdict != "converged":
            estimates = judged(self.design, problem, estimates)
        warn_unless_converged(estimates.convergence)
        return LinearMixedModel(self.design, y, self.call, self.data, estimates, problem)

    # Text.

    def _describe(self) -> FitDescription:
        method = "REML" if self.is_reml else "maximum likelihood "
        criteria: Mapping[str, float] = (
            {"REML": self.estimates.solution.objective} if self.is_reml else self._likelihood_criteria()
        )
        return fit_text.FitDescription(
            title=f"Linear mixed model fit by {method}",
            class_name="lmerMod",
            formula=self.formula(),
            criteria=criteria,
            terms=self.term_covariances(),
            residual_sd=self.residual_sd,
            nobs=self.nobs(),
            ngrps=self.ngrps(),
            call=self.call.lines(),
            notes=self._notes(),
            warnings=self._fit_warnings(),
            optimizer=self.optimization.method,
            messages=self._messages(),
            converged=self.convergence().is_optimum,
        )
