"""The linear mixed model, as fitted by ``lmer``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import check_response_varies, warn_unless_converged
from mixedmodels.engines.linear.estimates import LinearEstimates
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import LinearProblem, linear_problem
from mixedmodels.engines.linear.reml import conditional_covariances
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.call import Call
from mixedmodels.fits.family_quantities import ResidualType
from mixedmodels.fits.new_response import response_values
from mixedmodels.formula.design.design import Design
from mixedmodels.models.mixed_model import MixedModel
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport
from mixedmodels.reports.fit_text import FitDescription
from mixedmodels.reports.printed import Printed


class LinearMixedModel(MixedModel):
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

    p_values = False

    def __init__(
        self,
        design: Design,
        y: FloatArray,
        call: Call,
        data: Any,
        estimates: LinearEstimates,
        problem: LinearProblem | None = None,
    ) -> None:
        weights = np.ones(len(y)) if design.weights is None else design.weights
        super().__init__(design, y, weights, call, data)
        self.estimates = estimates
        if problem is not None:
            self.problem = problem

    @cached_property
    def problem(self) -> LinearProblem:
        """The engine's form of the design."""
        design = self.design
        return linear_problem(self.y, design.X, design.random, design.weights, design.offset)

    # Estimates.

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self.estimates.beta

    @property
    def spherical(self) -> tuple[FloatArray, ...]:
        """Spherical random effects by term, each (q, S)."""
        return self.estimates.u

    @property
    def theta_values(self) -> FloatArray:
        """Covariance parameters, shape (k,)."""
        return self.estimates.theta

    @property
    def npar(self) -> int:
        """Number of fixed effects and covariance parameters, sigma included."""
        return len(self.beta) + len(self.theta_values) + 1

    @property
    def unscaled_vcov(self) -> FloatArray:
        """``(R_X' R_X)^-1``, shape (p, p)."""
        return self.estimates.unscaled_vcov

    @property
    def random_scale(self) -> float:
        """Sigma: theta is relative to it."""
        return self.estimates.sigma

    @property
    def residual_sd(self) -> float | None:
        """Sigma."""
        return self.estimates.sigma

    @property
    def mean(self) -> FloatArray:
        """Fitted values at the rows used, shape (n,)."""
        return self.linear_predictor

    @property
    def row_information(self) -> FloatArray:
        """Prior weights."""
        return self.prior_weights

    def sigma(self) -> float:
        """Return the residual standard deviation."""
        return self.estimates.sigma

    def _fixed_covariance(self) -> FloatArray:
        return self.estimates.sigma**2 * self.estimates.unscaled_vcov

    def _conditional_covariances(self) -> tuple[FloatArray, ...]:
        relative = conditional_covariances(self.problem, self.theta_values)
        return tuple(self.estimates.sigma**2 * V for V in relative)

    def _raw_residuals(self, type: ResidualType) -> FloatArray:
        difference = self.y - self.mean
        return difference if type in ("response", "working") else np.sqrt(self.prior_weights) * difference

    def convergence(self) -> ConvergenceReport:
        """Return the verdict on the fit, with its reasons."""
        return self.estimates.convergence

    @property
    def optimization(self) -> OptimizationReport:
        """How the optimum was found: evaluations, seconds, gradient norm, path."""
        return self.estimates.optimization

    @property
    def factorization(self) -> Printed:
        """The blocks of the factorization and how each is handled, as a table."""
        return Printed(self.problem.description())

    # Criteria.

    @property
    def is_reml(self) -> bool:
        """Whether the model was fitted by REML."""
        return self.estimates.REML

    def loglik(self) -> float:
        """Return the log-likelihood; for a REML fit, minus half the REML criterion."""
        return -0.5 * self.estimates.objective

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
        return self.estimates.objective

    def deviance(self) -> float:
        """Return -2 log-likelihood at the estimates; of a REML fit, the ML value at the REML estimates."""
        if not self.is_reml:
            return self.estimates.objective
        e, n = self.estimates, self.nobs()
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

    def with_design(self, design: Design) -> LinearMixedModel:
        """Fit the same kind of model to another design with the same response and random effects."""
        problem = linear_problem(self.y, design.X, design.random, design.weights, design.offset)
        estimates = fit_linear(problem, self.is_reml and design.X.shape[1] > 0)
        return LinearMixedModel(design, self.y, self.call, self.data, estimates, problem)

    @cached_property
    def _warm_start(self) -> FloatArray | None:
        """Theta to start like fits from; a singular one is no start, its gradient vanishing in any data."""
        return None if self.is_singular() else self.theta_values

    def _sibling(self, y: FloatArray, problem: LinearProblem, REML: bool) -> LinearMixedModel:
        H = self.estimates.inverse_hessian
        estimates = fit_linear(problem, REML, self._warm_start, inverse_hessian=H)
        warn_unless_converged(estimates.convergence)
        return LinearMixedModel(self.design, y, self.call, self.data, estimates, problem)

    # Text.

    def _describe(self) -> FitDescription:
        method = "REML" if self.is_reml else "maximum likelihood "
        criteria: Mapping[str, float] = (
            {"REML": self.estimates.objective} if self.is_reml else self._likelihood_criteria()
        )
        return FitDescription(
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
