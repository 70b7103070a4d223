"""The nonlinear mixed model, as fitted by ``nlmer``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self

import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import check_response_varies, identified, warn_unless_converged
from mixedmodels.control import one_of
from mixedmodels.engines.linear.reml import evaluate
from mixedmodels.engines.nonlinear.estimates import Method, NonlinearEstimates
from mixedmodels.engines.nonlinear.fit import fit_nonlinear
from mixedmodels.engines.nonlinear.lindstrom_bates import Criterion, fit_linearised, independent_step
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.call import Call
from mixedmodels.fits.new_response import response_values
from mixedmodels.fits.nonlinear import NonlinearFit, problem_of
from mixedmodels.formula.design.nonlinear import NonlinearDesign
from mixedmodels.inference.fixed_effects import Ddf
from mixedmodels.inference.robust import RobustType
from mixedmodels.inference.summary import Summary
from mixedmodels.models.curve_model import CurveModel
from mixedmodels.reports.fit_text import FitDescription

VcovMethod = Literal["hessian", "rx"]


def estimated(
    nonlinear: NonlinearDesign,
    y: FloatArray,
    beta: FloatArray,
    *,
    method: Method,
    REML: Criterion = False,
    nAGQ: int = 1,
    observed: bool = False,
    theta: FloatArray | None = None,
    u: tuple[FloatArray, ...] | None = None,
) -> NonlinearEstimates:
    """Return the estimates of a nonlinear design with a response; arguments as for the two engines."""
    problem = problem_of(nonlinear, y)
    if method == "lindstrom-bates":
        step = independent_step(nonlinear.design.weights, REML)
        return fit_linearised(problem, beta, step, REML is not False)
    return fit_nonlinear(problem, beta, theta, nAGQ=nAGQ, observed=observed, u=u)


class NonlinearMixedModel(CurveModel, NonlinearFit):
    """A fitted nonlinear mixed model.

    Made by :func:`mixedmodels.nlmer`. Estimates and design are stored; everything else is derived.

    Parameters
    ----------
    nonlinear : NonlinearDesign
        Arrays of the model, and its mean.
    y : ndarray, shape (n,)
        Response.
    call : Call
        How the model was asked for.
    data : table
        The data, for the model frame.
    estimates : NonlinearEstimates
        The fit.
    """

    _with_p_values = False

    def vcov(
        self,
        type: RobustType | None = None,
        cluster: Any = None,
        full: bool = False,
        method: VcovMethod | None = None,
    ) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects.

        Parameters
        ----------
        type, cluster : optional
            A cluster-robust covariance of the linear model around the estimates, as for
            :meth:`FittedModel.vcov`.
        full : bool
            Whether to return the joint covariance of prediction errors of (b, beta) instead, dense.
        method : {"hessian", "rx"}, optional
            From the Hessian of the likelihood in fixed effects and covariance parameters (the default), or
            from the linear model around the estimates, theta as known: what lme4 falls back on, and what nlme
            has, whose method="lindstrom-bates" has no other.

        Returns
        -------
        DataFrame

        Raises
        ------
        ControlError
            If `method` is neither.
        NotAvailableError
            If the Hessian is asked for and there is none, or it is not positive definite.
        """
        one_of("method", method, (None, "hessian", "rx"))
        if full or type is not None or cluster is not None:
            return super().vcov(type, cluster, full)
        if method == "hessian" and self.estimates.covariance is None:
            raise NotAvailableError(
                "there is no positive definite Hessian of the likelihood; vcov(method='rx') is the "
                "covariance of the linear model around the estimates."
            )
        return self._labelled(
            self.sigma() ** 2 * self.unscaled_vcov if method == "rx" else self._fixed_covariance()
        )

    def summary(self, correlation: bool | None = None, ddf: Ddf | None = None, vcov: Any = None) -> Summary:
        """Summarise the fit: ``print(m.summary())`` gives lme4's text, without p-values unless asked for.

        Parameters
        ----------
        correlation : bool, optional
            Whether to print the correlations of the fixed effects; by default for up to 12 coefficients.
        ddf : {None, "z", "residual"}
            Degrees of freedom of tests, None for lme4's table of t values alone.
        vcov : {"CR0", ..., "CR3"} or array of shape (p, p), optional
            Another covariance of the fixed effects.
        """
        return super().summary(correlation, ddf, vcov)

    def deviance(self) -> float:
        """Return -2 log-likelihood.

        Raises
        ------
        NotAvailableError
            If the REML criterion was taken.
        """
        if self.is_reml:
            raise NotAvailableError("a REML fit has no deviance; see REMLcrit(), or fit with REML=False.")
        return self.estimates.objective

    def REMLcrit(self) -> float:
        """Return the REML criterion of the linear model around the estimates.

        Raises
        ------
        NotAvailableError
            If the model was fitted by maximum likelihood.
        """
        return self.estimates.objective if self.is_reml else super().REMLcrit()

    # Related fits.

    @classmethod
    def judged(
        cls, nonlinear: NonlinearDesign, y: FloatArray, call: Call, data: Any, estimates: NonlinearEstimates
    ) -> Self:
        """Return the model with the verdict on whether design and data identify its parameters, and warn.

        What random effects can be told apart is asked of the linear model around the estimates.
        """
        model = cls(nonlinear, y, call, data, estimates)
        verdict = identified(
            estimates.convergence, model.design, estimates.theta, model.design.weights,
            REML=False, residual=True, objective=partial(evaluate, model.problem, REML=False),
        )  # fmt: skip
        model.estimates = replace(estimates, convergence=verdict)
        warn_unless_converged(verdict)
        return model

    def refit(self, newresp: Any) -> Self:
        """Fit the same model to another response.

        Parameters
        ----------
        newresp : array_like, shape (n,)
            New values of the response at the rows used, or at all input rows.

        Raises
        ------
        DataError
            If the length is wrong or a value is not finite.
        """
        y = response_values(newresp, self.nonlinear.design)
        check_response_varies(y, self.design.response.text)
        return self._fitted_to(self.nonlinear, y)

    def refitML(self) -> Self:
        """Fit the same model by maximum likelihood."""
        return self._fitted_to(self.nonlinear, self.y, REML=False) if self.is_reml else self

    def _fitted_to(self, nonlinear: NonlinearDesign, y: FloatArray, REML: bool | None = None) -> Self:
        e = self.estimates
        theta = None if self.is_singular() else e.theta
        found = estimated(
            nonlinear, y, e.beta, method=e.method, REML=e.REML if REML is None else REML, nAGQ=e.nAGQ,
            observed=e.observed, theta=theta,
        )  # fmt: skip
        return type(self).judged(nonlinear, y, self.call, self.data, found)

    # Text.

    def _describe(self) -> FitDescription:
        e = self.estimates
        method = "REML" if self.is_reml else "maximum likelihood "
        criteria: Mapping[str, float] = {"REML": e.objective} if self.is_reml else self._likelihood_criteria()
        return FitDescription(
            title=f"Nonlinear mixed model fit by {method}{_approximation(e)}",
            class_name="nlmerMod",
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


def _approximation(estimates: NonlinearEstimates) -> str:
    """Return how the likelihood is approximated, where that is not lme4's way."""
    if estimates.method == "lindstrom-bates":
        return " (Lindstrom-Bates)" if estimates.REML else "(Lindstrom-Bates)"
    return f"(Adaptive Gauss-Hermite Quadrature, nAGQ = {estimates.nAGQ})" if estimates.nAGQ > 1 else ""
