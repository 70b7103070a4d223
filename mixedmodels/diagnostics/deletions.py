"""Estimates of a model without some of its rows: by a refit from those of all rows, or in one step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.diagnostics.gee_deletions import GeeDeletions
from mixedmodels.diagnostics.singular import is_singular
from mixedmodels.engines.generalized.hessian import natural_parameters
from mixedmodels.engines.generalized.one_step import one_step as generalized_step
from mixedmodels.engines.generalized.problem_from_data import generalized_problem
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.one_step import one_step as linear_step
from mixedmodels.engines.linear.problem import LinearProblem, linear_problem
from mixedmodels.engines.linear.reml import LinearSolution
from mixedmodels.errors import DataError, MixedModelsWarning, NotAvailableError
from mixedmodels.families import log_constant
from mixedmodels.fits.family_quantities import response_scale
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.gee import GeeFit
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.fits.glm import GlmFit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.formula import check_random_terms
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.fixed_effects import dependence
from mixedmodels.formula.design.rows import design_of_rows
from mixedmodels.inference.refits import FAILED, RESPONSE_ERRORS
from mixedmodels.optimization.report import ConvergenceReport

#: Refits to the optimum, or one Newton step towards it.
Method = Literal["exact", "one-step"]
#: Covariance of the fixed effects of a generalized mixed model: as in its summary, or theta taken as known.
CovarianceMethod = Literal["hessian", "rx"]
#: The verdict on estimates that were not searched for.
ONE_STEP = "one step"


@dataclass(frozen=True, slots=True)
class Deletion:
    """Estimates without some of the rows; NaN where there are none.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Fixed effects; NaN for a column that the other rows do not determine.
    vcov : ndarray, shape (p, p)
        Their covariance.
    theta, phi : ndarray
        Covariance parameters and parameters of the family.
    sigma : float
        Residual standard deviation.
    verdict, reason : str
        How the search ended, and why if not at an optimum.
    """

    beta: FloatArray
    vcov: FloatArray
    theta: FloatArray
    phi: FloatArray
    sigma: float
    verdict: str
    reason: str = ""


#: Estimates of a design that has some of the rows of the fit, those numbered.
Estimator = Callable[[Design, IntArray], Deletion]


class Deleter:
    """Estimates a model without some of its rows.

    Parameters
    ----------
    fit : Fit
        The model.
    method : {"exact", "one-step"}
        How.
    covariance : {"hessian", "rx"}
        Covariance of the fixed effects of a generalized mixed model.

    Raises
    ------
    NotAvailableError
        If there is no step to take: the fit is of another kind, or its Hessian is singular.
    """

    def __init__(self, fit: Fit, method: Method = "exact", covariance: CovarianceMethod = "hessian") -> None:
        self.fit, self.method, self.covariance = fit, method, covariance
        self.checked = _passes_checks(fit, fit.design)
        self.marginal = GeeDeletions(fit) if method == "one-step" and isinstance(fit, GeeFit) else None
        self.estimator = _estimator(fit, "exact" if self.marginal else method, covariance)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is rebuilt from the fit."""
        return {"fit": self.fit, "method": self.method, "covariance": self.covariance}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def full(self) -> Deletion:
        """Return the estimates of the fit itself."""
        return _of_fit(self.fit, self.covariance)

    def each(self, deleted: Sequence[IntArray]) -> list[Deletion]:
        """Return the estimates without each of several sets of rows."""
        return [self.without(rows) for rows in deleted]

    def without(self, rows: IntArray) -> Deletion:
        """Return the estimates without some rows."""
        found = None if self.marginal is None else self.marginal.without(rows)
        if found is not None:
            fit = self.fit
            return Deletion(*found, fit.theta_values, fit.phi, fit.sigma(), ONE_STEP)
        # Where a column goes with the rows, the model is another one, which is fitted.
        kept = np.delete(np.arange(len(self.fit.y)), rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MixedModelsWarning)
            try:
                design = design_of_rows(self.fit.design, kept)
                if self.checked:
                    check_random_terms(design, isinstance(self.fit, LinearFit))
                return _on_all_columns(self.estimator(design, kept), design, self.fit, kept)
            except RESPONSE_ERRORS as error:
                return _failed(self.fit, str(error))


def _passes_checks(fit: Fit, design: Design) -> bool:
    """Tell whether the fit passes the checks of numbers of levels and effects, which may be turned off."""
    try:
        check_random_terms(design, isinstance(fit, LinearFit))
    except DataError:
        return False
    return True


def _failed(fit: Fit, reason: str) -> Deletion:
    p, k, m = len(fit.beta), len(fit.theta_values), len(fit.phi)
    beta, vcov, theta, phi = (np.full(shape, np.nan) for shape in (p, (p, p), k, m))
    return Deletion(beta, vcov, theta, phi, np.nan, FAILED, reason)


def _on_all_columns(found: Deletion, design: Design, fit: Fit, rows: IntArray) -> Deletion:
    """Return estimates of all fixed effects, NaN for those that the rows do not determine.

    A column that was kept is not determined either where one that was dropped depends on it: without the
    first level of a factor there is no intercept for the others to differ from.
    """
    names = fit.design.x_names
    kept = np.flatnonzero(np.isin(names, design.x_names))
    C = dependence(fit.design.X[rows], kept)
    if C is None:
        return found
    alone = (C == 0.0).all(axis=1)
    beta, vcov = np.full(len(names), np.nan), np.full((len(names), len(names)), np.nan)
    known = kept[alone]
    beta[known], vcov[np.ix_(known, known)] = found.beta[alone], found.vcov[np.ix_(alone, alone)]
    return replace(found, beta=beta, vcov=vcov)


# How estimates are found.


def _estimator(fit: Fit, method: Method, covariance: CovarianceMethod) -> Estimator:
    """Return what finds the estimates of a reduced design."""
    if method == "exact":
        return _linear_refit(fit) if isinstance(fit, LinearFit) else _refit(fit, covariance)
    if isinstance(fit, LinearFit):
        return _linear_step(fit)
    if isinstance(fit, GeneralizedFit):
        return _generalized_step(fit)
    raise NotAvailableError(
        "method='one-step' is for models fitted by lmer(), gee(), and by glmer() with nAGQ of 1 or more; "
        "method='exact' refits any model."
    )


def _refit(fit: Fit, covariance: CovarianceMethod) -> Estimator:
    """Return the estimator by a fit like any other of its kind."""

    def estimate(design: Design, kept: IntArray) -> Deletion:
        return _of_fit(fit.with_rows(design, fit.y[kept], fit.prior_weights[kept]), covariance)

    return estimate


def _of_fit(fit: Fit, covariance: CovarianceMethod) -> Deletion:
    """Return the estimates of a fit."""
    by_rx = covariance == "rx" and isinstance(fit, GeneralizedFit)
    vcov = fit.estimates.vcov_rx if by_rx else fit._fixed_covariance()  # type: ignore[attr-defined]
    verdict, reason = "converged", ""
    if isinstance(fit, MixedFit | GlmFit | GeeFit):
        verdict, reason = _ending(fit.convergence())
    return Deletion(fit.beta, vcov, fit.theta_values, fit.phi, fit.sigma(), verdict, reason)


def _ending(report: ConvergenceReport) -> tuple[str, str]:
    is_well = report.verdict in ("converged", "boundary")
    return report.verdict, "" if is_well else " ".join(report.reasons) or report.verdict


def _linear_refit(fit: LinearFit) -> Estimator:
    """Return the estimator by a search from theta of the fit, and with its curvature."""
    # The gradient in a zero variance vanishes whatever the data: no start.
    start = None if is_singular(fit) else fit.theta_values
    H = fit.estimates.inverse_hessian

    def estimate(design: Design, kept: IntArray) -> Deletion:
        problem, y = _linear_problem(fit, design, kept)
        found = fit_linear(problem, fit.is_reml, start, inverse_hessian=H, y=y)
        return _linear_deletion(found.theta, found.solution, *_ending(found.convergence))

    return estimate


def _linear_problem(fit: LinearFit, design: Design, kept: IntArray) -> tuple[LinearProblem, FloatArray]:
    y = fit.y[kept]
    return linear_problem(y, design.fixed, design.random, design.weights, design.offset), y


def _linear_deletion(theta: FloatArray, at: LinearSolution, verdict: str, reason: str = "") -> Deletion:
    return Deletion(at.beta, at.sigma**2 * at.unscaled_vcov, theta, np.empty(0), at.sigma, verdict, reason)


def _linear_step(fit: LinearFit) -> Estimator:
    """Return the estimator by one Newton step in theta; fixed effects and sigma are exact given theta."""
    k = len(fit.theta_values)
    covariance = fit.parameter_covariance.of_theta_and_sigma()[:k, :k]

    def estimate(design: Design, kept: IntArray) -> Deletion:
        problem, _ = _linear_problem(fit, design, kept)
        theta, solution = linear_step(problem, fit.theta_values, covariance, fit.is_reml)
        return _linear_deletion(theta, solution, ONE_STEP)

    return estimate


def _generalized_step(fit: GeneralizedFit) -> Estimator:
    """Return the estimator by one Newton step in all parameters."""
    V, family = fit.hessian_covariance, fit.family()
    if V is None or not np.isfinite(V).all():
        raise NotAvailableError(
            "method='one-step' needs a positive definite Hessian of the log-likelihood at the fit, which "
            "nAGQ=0 does not maximise in the fixed effects; method='exact' refits."
        )
    natural, nAGQ = natural_parameters(fit.estimates), fit.estimates.nAGQ
    information = np.asarray(np.linalg.inv(V), dtype=np.float64)
    by_beta = np.asarray(np.linalg.inv(fit.estimates.vcov_rx), dtype=np.float64)

    def estimate(design: Design, kept: IntArray) -> Deletion:
        y, weights = fit.y[kept], fit.prior_weights[kept]
        constant = log_constant(design, y, weights, family)
        problem = generalized_problem(
            y, weights, design.X, design.random, design.offset, family, fit.observed, constant
        )
        known = np.isin(fit.design.x_names, design.x_names)
        chosen = np.concatenate([np.ones(problem.n_theta, bool), known, np.ones(problem.n_phi, bool)])
        at = generalized_step(
            problem, natural[chosen], information[np.ix_(chosen, chosen)], by_beta[np.ix_(known, known)], nAGQ
        )
        sigma = response_scale(family, at.phi)
        return Deletion(at.beta, at.vcov_rx, at.theta, at.phi, sigma, ONE_STEP)

    return estimate
