"""Linear mixed models whose residual variance is small beside the others', or zero.

Cross-products hold the residual as what random effects leave of a whole: beside group effects ten thousand
times as large eight digits of it are gone. Here the criterion is that of the rows themselves, turned once
into those the random effects reach and the others (:mod:`mixedmodels.engines.linear.separated_rows`), where
sigma is not profiled out. Dense in the columns of Z, so for models of moderate size.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.estimates import LinearEstimates
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import LinearSolution
from mixedmodels.optimization.canonical import canonical, with_exact_zeros
from mixedmodels.optimization.convergence import judge
from mixedmodels.optimization.minimum import Minimum
from mixedmodels.optimization.quasi_newton import minimize
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport

with on_first_use():
    from mixedmodels.engines.linear import separated_rows

if TYPE_CHECKING:
    from mixedmodels.engines.linear.separated_rows import SeparatedRows, SeparatedSolution

#: Share of the reference that stands for a residual variance of zero: theta, relative to it, stays finite.
ZERO_SHARE = 1e-8
#: Fall of the objective for every e-fold of a residual variance at zero that has no end: half a dimension.
ENDLESS_SLOPE = 0.5
#: Decrease that ends the search, and most evaluations.
TOLERANCE, MAX_EVALUATIONS = 1e-9, 500
#: Largest change of a parameter in one step; distance of the points of a difference of gradients.
MAX_STEP, DIFFERENCE = 2.0, 1e-4
#: Searches in a row, each with the Hessian where the last one ended.
MAX_SEARCHES = 6
#: Least eigenvalue of a Hessian that a search starts with.
LEAST_CURVATURE = 1e-2


#: At a point: gradient, root of the inverse covariance of the fixed effects, parameters.
Derivatives: TypeAlias = Callable[[FloatArray], tuple[FloatArray, FloatArray, FloatArray]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SeparatedSearch:
    """The objective in (free coordinates of theta relative to s, log or root of the residual variance)."""

    problem: LinearProblem
    rows: SeparatedRows
    REML: bool

    @property
    def df(self) -> int:
        """Divisor of the sum of squares."""
        return self.problem.n - self.problem.p if self.REML else self.problem.n

    def solved(self, free: FloatArray, variance: float) -> SeparatedSolution:
        """Return everything at free coordinates of theta and a residual variance."""
        factors = starting.factors_of(self.problem, free)
        return separated_rows.solve_separated(self.rows, factors, variance, self.df, self.REML)

    def variance(self, last: float) -> float:
        """Return the residual variance; that of a saturated model, which may reach zero, from its root."""
        return last * last + ZERO_SHARE if self.rows.is_saturated else math.exp(last)

    def point(self, free: FloatArray, sigma: float) -> FloatArray:
        """Return the point of a theta relative to a residual deviation, no diagonal zero."""
        problem, rows = self.problem, self.rows
        theta = _scaled(problem, starting.theta_of(problem, free), sigma / rows.s)
        last = sigma / rows.s if rows.is_saturated else math.log(rows.residual)
        return np.append(starting.free_of(problem, starting.off_zero(problem, theta, 1.0)), last)

    def units(self, x: FloatArray) -> FloatArray:
        """Return, for each coordinate, a change that the data begin to notice, 1 at most."""
        unit = np.ones(len(x))
        at = self.solved(x[:-1], self.variance(x[-1]))
        for (term, part), Z in zip(self.problem.parts, self.rows.Z, strict=True):
            if term.structure.is_unstructured:
                # The trace of Z'V^-1 Z over the levels, the curvature along a row of the factor.
                squares = np.sum((at.L_inverse @ Z.reshape(len(Z), -1)) ** 2, axis=0)
                weight = 2.0 * squares.reshape(Z.shape[1:]).sum(axis=0)
                rows = np.broadcast_to(weight[:, None], (term.size, term.size))
                unit[:-1][part] = np.minimum(1.0 / np.sqrt(term.structure.pullback(x[:-1][part], rows)), 1.0)
        return unit

    def user_objective(self, value: float) -> float:
        """Return the criterion of the user's response and columns."""
        problem = self.problem
        value += 2.0 * self.df * math.log(self.rows.s) - problem.sum_log_weights
        return value + self.REML * problem.fixed_basis.log_det_R2

    def __call__(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Return objective and gradient."""
        free, variance = x[:-1], self.variance(x[-1])
        at = self.solved(free, variance)
        gradient = np.empty(len(x))
        for k, (term, part) in enumerate(self.problem.parts):
            structure, own, dT = term.structure, free[part], at.by_factor[k]
            if structure.is_unstructured:
                gradient[:-1][part] = structure.pullback(own, dT)
            else:
                along = structure.pullback(structure.from_free(own), self.problem.column_bases[k].C.T @ dT)
                gradient[:-1][part] = structure.free_pullback(own, along)
        gradient[-1] = at.by_variance * (2.0 * x[-1] if self.rows.is_saturated else variance)
        return at.objective, gradient


def fit_separated(
    problem: LinearProblem, y: FloatArray, REML: bool, free: FloatArray, sigma: float
) -> LinearEstimates:
    """Fit from the rows themselves.

    Parameters
    ----------
    problem : LinearProblem
        The problem.
    y : ndarray, shape (n,)
        Its response.
    REML : bool
        Which criterion.
    free : ndarray, shape (n_theta,)
        Where the search over cross-products came to, relative to its residual deviation.
    sigma : float
        That deviation.

    Raises
    ------
    DataError
        If the response does not vary where the random effects do not reach.
    """
    search = SeparatedSearch(problem, separated_rows.separate_rows(problem, y), REML)
    return fit_separated_from(search, search.point(free, sigma))


def fit_separated_from(search: SeparatedSearch, x: FloatArray) -> LinearEstimates:
    """Fit from a point of the search.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the covariance there is not positive definite.
    """
    began, problem = time.perf_counter(), search.problem
    found = _minimized(search, x)
    variance = search.variance(found.x[-1])

    def objective(theta: FloatArray) -> float:
        return search.solved(starting.free_of(problem, theta), variance).objective

    theta = canonical(problem.terms, starting.theta_of(problem, found.x[:-1]))
    theta, _ = with_exact_zeros(objective, problem.terms, theta, problem.scales, found.objective)
    return _estimates(search, theta, variance, found, time.perf_counter() - began)


def _scaled(problem: LinearProblem, theta: FloatArray, size: float) -> FloatArray:
    """Return theta with every deviation multiplied by `size`; correlations stay."""
    scaled = [
        theta[part]
        * np.where(term.structure.is_unstructured | np.array(term.structure.is_lower_bound()), size, 1.0)
        for term, part in problem.parts
    ]
    return np.concatenate(scaled)


def _minimized(search: SeparatedSearch, x: FloatArray) -> Minimum:
    """Minimise from a point, until the Hessian itself agrees that nothing is left to gain."""
    first, n_evaluations = search(x), 1
    for _ in range(MAX_SEARCHES):
        inverse = _inverse_hessian(search, x, first[1])
        found = minimize(
            search, x, inverse, first=first, tolerance=TOLERANCE,
            max_evaluations=MAX_EVALUATIONS, max_step=MAX_STEP,
        )  # fmt: skip
        n_evaluations += len(x) + found.n_evaluations
        if found.n_evaluations == 0:
            break
        x, first = found.x, (found.objective, found.gradient)
    inverse = _inverse_hessian(search, found.x, found.gradient)
    decrement = float(found.gradient @ inverse @ found.gradient) / 2.0
    return replace(found, inverse_hessian=inverse, decrement=decrement, n_evaluations=n_evaluations)


def _inverse_hessian(search: SeparatedSearch, x: FloatArray, gradient: FloatArray) -> FloatArray:
    """Return the inverse of the Hessian from differences of the gradient, made positive definite.

    Steps and eigenvalues are in units of each parameter: an effect that is hardly there beside another has
    its elements of the factor known to the residual deviation, a share of 1e-8.
    """
    unit = search.units(x)
    steps = DIFFERENCE * unit
    H = np.array([(search(x + step)[1] - gradient) * unit / DIFFERENCE for step in np.diag(steps)])
    values, vectors = np.linalg.eigh((H + H.T) / 2.0)
    root = unit[:, None] * vectors / np.sqrt(np.maximum(np.abs(values), LEAST_CURVATURE))
    return np.asarray(root @ root.T)


def _estimates(
    search: SeparatedSearch, theta: FloatArray, variance: float, found: Minimum, seconds: float
) -> LinearEstimates:
    """Put the optimum on the scale of the user, theta relative to sigma."""
    problem = search.problem
    relative = _scaled(problem, theta, 1.0 / math.sqrt(variance))
    solution = _solution(search, theta, variance)
    unit = np.sqrt(2.0 * np.abs(found.inverse_hessian.diagonal()))
    report = OptimizationReport(
        method="BFGS with exact gradient, from the rows",
        n_evaluations=found.n_evaluations,
        seconds=seconds,
        gradient_norm=float(np.abs(found.gradient * unit).max()),
        points=found.path,
        parameters_at=partial(_theta_at, search),
        message=found.message,
    )
    moving = (found.inverse_hessian @ found.gradient / unit)[:-1]
    # Reflections leave a residual known to a rounding error of the whole, and so its sum of squares.
    rounding = problem.n * float(np.finfo(np.float64).eps) / math.sqrt(variance)
    verdict = judge(
        problem.terms, relative, found.decrement, solution.objective, moving, found.message, rounding
    )
    if search.rows.is_saturated and variance <= 2.0 * ZERO_SHARE:
        at = search.solved(starting.free_of(problem, theta), variance)
        verdict = _at_zero(problem, verdict, _slope(variance, at))
    return LinearEstimates(
        theta=relative,
        solution=solution,
        REML=search.REML,
        inverse_hessian=found.inverse_hessian[:-1, :-1],
        optimization=report,
        convergence=verdict,
    )


def _solution(search: SeparatedSearch, theta: FloatArray, variance: float) -> LinearSolution:
    """Return what follows from theta relative to s and the residual variance, on the scale of the user."""
    problem, s, p = search.problem, search.rows.s, search.problem.p
    free = starting.free_of(problem, theta)
    at, factors = search.solved(free, variance), starting.factors_of(problem, free)
    sigma, R_inverse = s * math.sqrt(variance), problem.fixed_basis.R_inverse
    root = np.linalg.inv(at.root).T @ R_inverse.T / math.sqrt(variance)
    log_det_R2 = problem.fixed_basis.log_det_R2
    return LinearSolution(
        beta=R_inverse @ (problem.projection + s * at.gamma),
        u=tuple(sigma * b @ T for b, T in zip(at.score, factors, strict=True)),
        sigma=sigma,
        objective=search.user_objective(at.objective),
        pwrss=sigma**2 * at.quadratic,
        unscaled_vcov=root.T @ root,
        log_det_L2=at.log_det - problem.n * math.log(variance),
        log_det_RX2=at.log_det_fixed + p * math.log(variance) + log_det_R2,
    )


def around_separated(
    problem: LinearProblem, y: FloatArray, REML: bool, theta: FloatArray, sigma: float
) -> tuple[FloatArray, bool, Derivatives]:
    """Return the coordinates of an optimum in the criterion of theta and sigma, and its derivatives.

    Parameters
    ----------
    problem : LinearProblem
        The problem.
    y : ndarray, shape (n,)
        Its response.
    REML : bool
        Which criterion.
    theta : ndarray, shape (k,)
        Covariance parameters relative to sigma.
    sigma : float
        Residual standard deviation.

    Returns
    -------
    x : ndarray, shape (k + 1,)
        Free coordinates of theta relative to the reference, and one of the residual variance.
    is_logarithm : bool
        Whether that one is its logarithm; otherwise its root, which may be zero.
    derivatives : callable
        At such coordinates: gradient of the criterion, some R with ``R'R`` the inverse covariance of the
        orthonormal fixed effects, theta and sigma.
    """
    search = SeparatedSearch(problem, separated_rows.separate_rows(problem, y), REML)
    s, is_logarithm = search.rows.s, not search.rows.is_saturated
    variance = (sigma / s) ** 2
    last = math.log(variance) if is_logarithm else math.sqrt(max(variance - ZERO_SHARE, 0.0))

    def derivatives(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        variance = search.variance(x[-1])
        R = search.solved(x[:-1], variance).root / s
        return search(x)[1], R, np.append(_theta_at(search, x), s * math.sqrt(variance))

    free = starting.free_of(problem, _scaled(problem, theta, sigma / s))
    return np.append(free, last), is_logarithm, derivatives


def _theta_at(search: SeparatedSearch, x: FloatArray) -> FloatArray:
    """Return theta relative to sigma at a point of the search."""
    theta = starting.theta_of(search.problem, x[:-1])
    return _scaled(search.problem, theta, 1.0 / math.sqrt(search.variance(x[-1])))


def _slope(variance: float, at: SeparatedSolution) -> float:
    """Return the derivative of the objective in the logarithm of the residual variance.

    Towards an optimum at zero it vanishes. Elsewhere the covariance loses rank with the residual, and it
    tends to the number of dimensions lost, one at least: the objective falls without end.
    """
    return variance * at.by_variance


def _at_zero(problem: LinearProblem, verdict: ConvergenceReport, slope: float) -> ConvergenceReport:
    """Return the verdict on a residual variance at zero, in whose logarithm the objective has a slope."""
    if slope > ENDLESS_SLOPE:
        reasons = (unbounded(problem), *verdict.reasons)
        return replace(
            verdict, verdict="not converged", decrement=max(verdict.decrement, slope), reasons=reasons
        )
    boundary = "boundary" if verdict.is_optimum else verdict.verdict
    return replace(verdict, verdict=boundary, reasons=(_zero_residual(problem), *verdict.reasons))


def unbounded(problem: LinearProblem) -> str:
    """Say why a likelihood has no maximum."""
    terms = " and ".join(f"({term.expression})" for term in problem.terms)
    return (
        f"The likelihood has no maximum: it rises without end as the residual variance goes to zero, where "
        f"{terms} and the fixed effects reproduce the response. Take a term out of the model."
    )


def _zero_residual(problem: LinearProblem) -> str:
    terms = " and ".join(f"({term.expression})" for term in problem.terms)
    return (
        f"The residual variance is zero: the random effects {terms} and the fixed effects take all the "
        "variation of single rows. A share of 1e-8 stands for it, to which theta is relative."
    )
