"""The nonlinear mixed model whose response has a family, as fitted by ``nlmer(..., family=)``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self

import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.checks import check_response_varies, identified, warn_unless_converged
from mixedmodels.control import one_of
from mixedmodels.engines.nonlinear_family.estimates import NonlinearFamilyEstimates
from mixedmodels.engines.nonlinear_family.fit import fit_nonlinear_family
from mixedmodels.engines.nonlinear_family.problem import FamilyProblem
from mixedmodels.errors import ConvergenceError, NotAvailableError
from mixedmodels.families import initialize
from mixedmodels.families.family import Family
from mixedmodels.fits.call import Call
from mixedmodels.fits.new_response import new_response
from mixedmodels.fits.nonlinear_family import NonlinearFamilyFit, family_problem
from mixedmodels.formula.design.nonlinear import NonlinearDesign
from mixedmodels.inference.robust import RobustType
from mixedmodels.models.curve_model import CurveModel
from mixedmodels.reports.family_text import family_label, family_note
from mixedmodels.reports.fit_text import FitDescription

VcovMethod = Literal["hessian", "rx"]


class GeneralizedNonlinearMixedModel(CurveModel, NonlinearFamilyFit):
    """A fitted nonlinear mixed model whose response has a family.

    Made by :func:`mixedmodels.nlmer` with ``family=``. Estimates and design are stored; everything else is
    derived.

    Parameters
    ----------
    nonlinear : NonlinearDesign
        Arrays of the model, and its curve.
    y, prior_weights : ndarray, shape (n,)
        Response and weights as the family reads them.
    call : Call
        How the model was asked for.
    data : table
        The data, for the model frame.
    family : Family
        Distribution of the response about the inverse link of the curve.
    estimates : NonlinearFamilyEstimates
        The fit.
    """

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
            Not available: there are no cluster scores of such a fit.
        full : bool
            Whether to return the joint covariance of prediction errors of (b, beta) instead, dense.
        method : {"hessian", "rx"}, optional
            From the Hessian of the likelihood in all parameters (the default), or from the model linear
            around the estimates, the others as known.

        Returns
        -------
        DataFrame

        Raises
        ------
        ControlError
            If `method` is neither.
        NotAvailableError
            If the Hessian is asked for and not positive definite, or a robust covariance is.
        """
        one_of("method", method, (None, "hessian", "rx"))
        if type is not None or cluster is not None:
            raise NotAvailableError(
                "a nonlinear mixed model with family= has no robust covariance; leave out type= and cluster=."
            )
        if full:
            return super().vcov(full=True)
        if method == "hessian" and self.estimates.covariance is None:
            raise NotAvailableError(
                "there is no positive definite Hessian of the likelihood; vcov(method='rx') is the "
                "covariance of the linear model around the estimates."
            )
        return self._labelled(self.estimates.vcov_rx if method == "rx" else self._fixed_covariance())

    def deviance(self) -> float:
        """Return the sum of squared deviance residuals given the random effects, as for glmer()."""
        return float((self._raw_residuals("deviance") ** 2).sum())

    # Related fits.

    @classmethod
    def fitted_to(
        cls,
        nonlinear: NonlinearDesign,
        y: FloatArray,
        weights: FloatArray,
        call: Call,
        data: Any,
        family: Family,
        *,
        nAGQ: int,
        hessian: str | None,
        near: NonlinearFamilyEstimates | None = None,
    ) -> Self:
        """Return the model fitted to a design and a response, with the verdict, and warn."""
        problem = family_problem(nonlinear, y, weights, family, hessian != "expected")
        if near is None:
            assert nonlinear.start is not None
            fit = partial(fit_nonlinear_family, beta=nonlinear.start, nAGQ=nAGQ)
        else:
            theta = None if (near.theta == 0.0).any() else near.theta
            fit = partial(fit_nonlinear_family, beta=near.beta, theta=theta, phi=near.phi, nAGQ=nAGQ)
        may_change = hessian is None and family.has_expected_information
        estimates = _by_either_hessian(problem, fit) if may_change else fit(problem)
        model = cls(nonlinear, y, weights, call, data, family, estimates)
        verdict = identified(
            estimates.convergence, model.design, estimates.theta, model.design.weights,
            REML=False, residual=False,
        )  # fmt: skip
        model.estimates = replace(estimates, convergence=verdict)
        warn_unless_converged(verdict)
        return model

    def refit(self, newresp: Any) -> Self:
        """Fit the same model to another response.

        Parameters
        ----------
        newresp : array_like
            New response at the rows used (or at all input rows): numbers of successes for a ``cbind``
            response (or two columns), else values on the scale of y.

        Raises
        ------
        DataError, FamilyError
            If the length is wrong or a value is outside the range of the family.
        """
        response, e = new_response(newresp, self.nonlinear.design), self.estimates
        y, weights = initialize(response, self.nonlinear.design.weights, self._family)
        check_response_varies(y, response.text)
        return type(self).fitted_to(
            self.nonlinear, y, weights, self.call, self.data, self._family, nAGQ=e.nAGQ,
            hessian="observed" if e.observed else "expected", near=e,
        )  # fmt: skip

    # Text.

    def _describe(self) -> FitDescription:
        nodes = self.estimates.nAGQ
        how = "Laplace Approximation" if nodes == 1 else f"Adaptive Gauss-Hermite Quadrature, nAGQ = {nodes}"
        return FitDescription(
            title=f"Generalized nonlinear mixed model fit by maximum likelihood ({how})",
            class_name="nlmerMod",
            formula=self.formula(),
            criteria=self._likelihood_criteria(),
            terms=self.term_covariances(),
            residual_sd=None,
            nobs=self.nobs(),
            ngrps=self.ngrps(),
            family=(family_label(self._family, self.phi), self._family.link.name),
            call=self.call.lines(),
            notes=(*self._notes(), *family_note(self._family, self.phi)),
            warnings=self._fit_warnings(),
            optimizer=self.optimization.method,
            messages=self._messages(),
            converged=self.convergence().is_optimum,
        )


def _by_either_hessian(
    problem: FamilyProblem, fit: Callable[[FamilyProblem], NonlinearFamilyEstimates]
) -> NonlinearFamilyEstimates:
    """Return the fit by the exact curvature, or by Gauss and Newton's where that leads nowhere.

    Far from where a curve is nearly linear the exact one may vanish, and Laplace's approximation with it.
    """
    first: NonlinearFamilyEstimates | None = None
    try:
        first = fit(problem)
        if first.convergence.verdict != "not converged":
            return first
        second = fit(replace(problem, observed=False))
    except ConvergenceError:
        if first is not None:
            return first
        second = fit(replace(problem, observed=False))
    if first is not None and second.convergence.verdict == "not converged":
        return first
    note = (
        "Fitted with hessian='expected': with the exact curvature Laplace's approximation has no "
        "optimum that could be found."
    )
    report = second.convergence
    return replace(second, convergence=replace(report, reasons=(*report.reasons, note)))
