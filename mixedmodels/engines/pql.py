"""Penalized quasi-likelihood: a generalized linear mixed model by repeated linear ones.

Breslow & Clayton (1993), J. Am. Stat. Assoc. 88, 9-25, section 2.2, with an estimated scale, as
MASS::glmmPQL: linearise the model about the current predictor and fit the linear mixed model of the
working response z with the working weights w,

    z = eta + (y - mu) / (dmu/deta),    w = (prior weight) (dmu/deta)^2 / V(mu),

until eta no longer moves. There is no likelihood at the end, only that of the last working model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.differences import hessian_by_standard_errors
from mixedmodels.engines.glm.fit import fit_glm
from mixedmodels.engines.linear.estimates import LinearEstimates
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import LinearProblem, linear_problem
from mixedmodels.engines.linear.reml import objective_and_gradient, solve
from mixedmodels.errors import ConvergenceError, FamilyError
from mixedmodels.families.family import Family
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.theta import term_factors
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport

# Relative change of eta (root of the ratio of sums of squares) at which the loop ends.
TOLERANCE = 1e-10
MAX_ITERATIONS = 200
# Relative change of eta from which on theta moves by single Newton steps.
NEWTON_FROM = 1e-5
# A row whose working weight is below this share of the largest is fitted perfectly: its working response
# is dominated by rounding.
NEGLIGIBLE_WEIGHT = 1e-14


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PqlEstimates:
    """Estimates by penalized quasi-likelihood.

    Attributes
    ----------
    linear : LinearEstimates
        The last working linear mixed model: beta, theta relative to sigma, u, and sigma, the square root
        of the dispersion. Its objective is not a likelihood of the data.
    eta, mu : ndarray, shape (n,)
        Linear predictor, offset included, and mean of the response.
    working_response, working_weights : ndarray, shape (n,)
        Data of the last working model, offset subtracted.
    REML : bool
        Whether the working models were fitted by REML.
    n_iterations : int
        Working models fitted.
    change : float
        Relative change of eta in the last iteration.
    convergence : ConvergenceReport
        The verdict.
    """

    linear: LinearEstimates
    eta: FloatArray
    mu: FloatArray
    working_response: FloatArray
    working_weights: FloatArray
    REML: bool
    n_iterations: int
    change: float
    convergence: ConvergenceReport

    @property
    def theta(self) -> FloatArray:
        """Covariance parameters relative to sigma, shape (k,)."""
        return self.linear.theta

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self.linear.beta

    @property
    def u(self) -> tuple[FloatArray, ...]:
        """Spherical random effects by term, each (q, S)."""
        return self.linear.u

    @property
    def optimization(self) -> OptimizationReport:
        """How the last working model was fitted."""
        return self.linear.optimization


def fit_pql(
    y: FloatArray,
    weights: FloatArray,
    X: FloatArray,
    terms: Sequence[RandomTerm],
    offset: FloatArray | None,
    family: Family,
    *,
    REML: bool = False,
    sigma: float | None = None,
) -> PqlEstimates:
    """Fit a generalized linear mixed model by penalized quasi-likelihood.

    Parameters
    ----------
    y, weights : ndarray, shape (n,)
        Response and prior weights as ``initialize`` returns them.
    X : ndarray, shape (n, p)
        Fixed-effects matrix of full column rank.
    terms : sequence of RandomTerm
        Random-effects terms.
    offset : ndarray, shape (n,), or None
        Known part of the linear predictor.
    family : Family
        Any family whose only parameter is a dispersion; quasi families are legal.
    REML : bool
        Whether the working models are fitted by REML; MASS::glmmPQL uses maximum likelihood.
    sigma : float, optional
        Square root of the dispersion, to hold it fixed (1 is Breslow & Clayton's choice for binomial and
        Poisson); estimated by default.

    Raises
    ------
    FamilyError
        If the family has parameters of its own other than a dispersion.
    ConvergenceError
        If so many rows are fitted perfectly that the others do not determine the fixed effects.
    """
    unit = _unit_dispersion(family)
    shift = np.zeros(len(y)) if offset is None else offset
    eta = fit_glm(y, weights, X, offset, family).eta
    linear, H, change, n_iterations = None, None, np.inf, 0
    while n_iterations < MAX_ITERATIONS and (change >= TOLERANCE or H is None):
        n_iterations += 1
        z, w = working_data(y, weights, eta, family, unit)
        _check_rows_left(X, weights, w)
        problem = linear_problem(z - shift, X, terms, w)
        if linear is None or change > NEWTON_FROM:
            linear = fit_linear(problem, REML, _warm_start(linear), sigma=sigma)
        else:
            H = theta_hessian(problem, linear.theta, REML, sigma) if H is None else H
            linear = newton_step(problem, linear, H, REML, sigma)
        previous, eta = eta, predictor(X, terms, linear) + shift
        change = relative_change(eta, previous)
    assert linear is not None
    return PqlEstimates(
        linear=linear,
        eta=eta,
        mu=family.link.inverse(eta),
        working_response=z - shift,
        working_weights=w,
        REML=REML,
        n_iterations=n_iterations,
        change=change,
        convergence=_verdict(linear, change, n_iterations),
    )


def _warm_start(linear: LinearEstimates | None) -> FloatArray | None:
    """Return the last theta, unless it holds a zero, where the objective is flat in every direction."""
    return None if linear is None or np.any(linear.theta == 0.0) else linear.theta


def theta_hessian(problem: LinearProblem, theta: FloatArray, REML: bool, sigma: float | None) -> FloatArray:
    """Return the Hessian of the working objective in theta, by central differences of its gradient.

    Rows and columns of a theta at zero are those of the identity: the objective is even there, so that
    its gradient is zero and a Newton step leaves it where it is.
    """
    unknown = np.full(len(theta), np.inf)
    H = hessian_by_standard_errors(
        lambda at: objective_and_gradient(problem, at, REML, sigma)[1], theta, unknown, problem.scales
    )
    fixed = theta == 0.0
    H[fixed] = H[:, fixed] = 0.0
    H[fixed, fixed] = 1.0
    return H


def newton_step(
    problem: LinearProblem, linear: LinearEstimates, H: FloatArray, REML: bool, sigma: float | None
) -> LinearEstimates:
    """Return the working model at theta after one Newton step, which the slow changes of eta call for.

    A fresh fit would stop as soon as its objective is flat to rounding, and leave theta less exact than
    the loop needs.
    """
    _, gradient = objective_and_gradient(problem, linear.theta, REML, sigma)
    gradient = np.where(linear.theta == 0.0, 0.0, gradient)
    theta = linear.theta - np.linalg.solve(H, gradient)
    return replace(linear, theta=theta, solution=solve(problem, theta, REML, sigma))


def working_data(
    y: FloatArray, weights: FloatArray, eta: FloatArray, family: Family, unit: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the working response and weights at eta, each of shape (n,).

    ``w = information`` and ``z = eta + score / information``, which equals ``(y - mu) / (dmu/deta)``.
    """
    rows = family.evaluate(y, eta, weights, unit)
    w = rows.information
    used = w > NEGLIGIBLE_WEIGHT * w.max(initial=0.0)
    return eta + np.where(used, rows.d1, 0.0) / np.where(used, w, 1.0), np.where(used, w, 0.0)


def predictor(X: FloatArray, terms: Sequence[RandomTerm], linear: LinearEstimates) -> FloatArray:
    """Return X beta + Z b, shape (n,)."""
    eta = X @ linear.beta
    for term, T, u in zip(terms, term_factors(terms, linear.theta), linear.u, strict=True):
        b = u @ T.T if term.relationship is None else term.relationship @ (u @ T.T)
        eta = eta + np.einsum("ij,ij->i", term.Z, b[term.codes])
    return np.asarray(eta)


def relative_change(eta: FloatArray, previous: FloatArray) -> float:
    """Return the root of the sum of squared changes relative to the sum of squares."""
    size = float(eta @ eta)
    moved = eta - previous
    return float(np.sqrt(float(moved @ moved) / size)) if size > 0.0 else 0.0


def _unit_dispersion(family: Family) -> FloatArray:
    """Return phi at dispersion 1, or raise when the family has another parameter."""
    if family.phi_names and not family.has_dispersion:
        raise FamilyError(
            f"Penalized quasi-likelihood cannot estimate {family.phi_names[0]} of the {family.name} family: "
            "it knows only means and variances up to a scale. Use method='laplace', or fix the parameter."
        )
    return np.ones(len(family.phi_names))


def _check_rows_left(X: FloatArray, weights: FloatArray, working: FloatArray) -> None:
    """Raise when the rows that still have a working weight do not determine the fixed effects."""
    lost = (weights > 0.0) & (working == 0.0)
    if lost.any() and np.linalg.matrix_rank(X[working > 0.0]) < X.shape[1]:
        raise ConvergenceError(
            f"Penalized quasi-likelihood diverges: {np.count_nonzero(lost)} rows are fitted perfectly and "
            "the others do not determine the fixed effects. The data are probably separated, as when a "
            "level has no success; glm() of the fixed part names the coefficients."
        )


def _verdict(linear: LinearEstimates, change: float, iterations: int) -> ConvergenceReport:
    """Return the verdict of the last working model, unless eta still moves."""
    if change < TOLERANCE:
        return linear.convergence
    reason = (
        f"The linear predictor still moves by {change:.1e} of its size after {iterations} working models."
    )
    return ConvergenceReport("not converged", linear.convergence.decrement, (reason,))
