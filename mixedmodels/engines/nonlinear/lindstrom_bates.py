"""The alternation of Lindstrom & Bates (1990, Biometrics 46, 673-687): nlme's tables are published with it.

A step of penalized nonlinear least squares for fixed and random effects, and the covariance parameters of the
linear mixed model around them, in turn until neither moves. What is reported is the likelihood, or the REML
criterion, of that linear model.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.problem import linear_problem
from mixedmodels.engines.linear.reml import solve
from mixedmodels.engines.nonlinear.estimates import NonlinearEstimates
from mixedmodels.engines.nonlinear.linearised import LinearisedRows, linearised
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.errors import ConvergenceError
from mixedmodels.formula.design.theta import term_factors
from mixedmodels.optimization.anderson import Anderson
from mixedmodels.optimization.convergence import boundary_reasons
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport

#: Rounds after which the alternation has not settled, and halvings of one step.
MAX_ROUNDS, MAX_HALVINGS = 200, 20
#: Largest change of a settled round: of fixed effects in standard errors, of theta relative to its size.
SETTLED = 1e-9
#: Change from which the next round is taken for the last: it moves by a tenth of that or less.
NEAR_THE_END = 1e-7
#: The same where rounds come no closer: theta is known to the square root of what its objective tells.
NEARLY_SETTLED = 1e-5
#: Share of the largest theta below which one is measured by that.
THETA_SHARE = 1e-3
#: Rounds that come no closer (by a half) after which the last digits are rounding.
MAX_STALLED = 8
#: Residual sum of squares, relative to that before, that a step may lead to.
WORSE = 4.0


#: Fixed effects (p,), and random effects b by term, each (levels, S).
Effects = tuple[FloatArray, list[FloatArray]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LinearStep:
    """The fit of the linear mixed model around the current effects.

    Attributes
    ----------
    theta : ndarray, shape (k,)
        Covariance parameters.
    beta : ndarray, shape (p,)
        Fixed effects.
    u : tuple of ndarray, each (levels, S)
        Spherical random effects by term.
    sigma, objective : float
        Residual standard deviation; -2 log-likelihood or REML criterion.
    unscaled_vcov : ndarray, shape (p, p)
        Covariance of beta over sigma^2.
    n_evaluations : int
        Evaluations that it took.
    convergence : ConvergenceReport
        The verdict.
    inverse_hessian : ndarray, shape (k, k), or None
        Curvature that the next round begins with; None at a boundary, where it says nothing.
    """

    theta: FloatArray
    beta: FloatArray
    u: tuple[FloatArray, ...]
    sigma: float
    objective: float
    unscaled_vcov: FloatArray
    n_evaluations: int
    convergence: ConvergenceReport
    inverse_hessian: FloatArray | None = None


#: Maximum likelihood, REML as nlme has it, or the REML criterion of the linear model truly maximised.
Criterion = bool | Literal["maximised"]
#: Fits the linear model of linearised rows, near the last step where there is one, with further looks where
#: asked.
Step = Callable[[LinearisedRows, LinearStep | None, bool], LinearStep]


def independent_step(weights: FloatArray | None, REML: Criterion) -> Step:
    """Return the step of residuals that are independent, with prior weights.

    Parameters
    ----------
    weights : ndarray, shape (n,), or None
        Prior weights.
    REML : {False, True, "maximised"}
        Which criterion. True is what nlme does: its step of nonlinear least squares moves the covariance
        parameters back to those of maximum likelihood, so that sigma and criterion alone are of REML.
    """

    def step(rows: LinearisedRows, near: LinearStep | None, looks: bool) -> LinearStep:
        problem = linear_problem(rows.y, rows.X, rows.terms, weights)
        theta, H = (None, None) if near is None else (near.theta, near.inverse_hessian)
        found = fit_linear(problem, REML == "maximised", theta, inverse_hessian=H, y=rows.y, looks=looks)
        s = solve(problem, found.theta, True) if REML is True else found.solution
        return LinearStep(
            found.theta, s.beta, s.u, s.sigma, s.objective, s.unscaled_vcov,
            found.optimization.n_evaluations, found.convergence,
            found.inverse_hessian if found.convergence.verdict == "converged" else None,
        )  # fmt: skip

    return step


def fit_linearised(
    problem: NonlinearProblem, beta: FloatArray, step: Step, REML: bool, u: Sequence[FloatArray] | None = None
) -> NonlinearEstimates:
    """Fit by the alternation of linear steps.

    Parameters
    ----------
    problem : NonlinearProblem
        The problem.
    beta : ndarray, shape (p,)
        Fixed effects to begin from.
    step : callable
        Fits the linear model of linearised rows, near the last step where there is one, with further looks
        where asked.
    REML : bool
        Which criterion it minimises.
    u : sequence of ndarray, optional
        Random effects b to begin from, by term; by default none.

    Raises
    ------
    ConvergenceError
        If the mean is not finite where the alternation begins, or nowhere near where a step leads.
    """
    began = time.perf_counter()
    b = [np.zeros((t.n_levels, t.size)) for t in problem.terms] if u is None else list(u)
    found: LinearStep | None = None
    scale: FloatArray | None = None
    moved, pace, looks = math.inf, _Pace(), True
    path: list[tuple[FloatArray, float]] = []
    n_evaluations, rounds = 0, Anderson()
    for _ in range(MAX_ROUNDS):
        last = found
        found = step(linearised(problem, beta, b), found, looks)
        n_evaluations += found.n_evaluations
        new = _effects(problem, found)
        moved = _movement(found, last, beta)
        if scale is None:
            scale = _scale((found.beta, new), found)
        beta, b = _onwards(problem, rounds, (beta, b), (found.beta, new), scale)
        path.append((np.concatenate([found.theta, found.beta]), found.objective))
        # Further looks cost as much as many rounds: the first and the last linear models have them.
        # A last one that moves no further than theta is known has found nothing else.
        settled, looked = pace.is_settled(moved), looks
        if looked and (settled or moved <= NEARLY_SETTLED):
            break
        looks = settled or moved <= NEAR_THE_END
    assert found is not None
    report = OptimizationReport(
        "Lindstrom-Bates", n_evaluations, time.perf_counter() - began, moved, tuple(path), lambda x: x,
        f"{len(path)} linear mixed models, the last step {moved:.1e} standard errors",
    )  # fmt: skip
    return NonlinearEstimates(
        found.theta, found.beta, found.u, found.sigma, found.objective, "lindstrom-bates", 1, REML, False,
        found.unscaled_vcov, None, report, _judged(problem, found, moved),
    )  # fmt: skip


def _effects(problem: NonlinearProblem, found: LinearStep) -> list[FloatArray]:
    """Return the random effects b of a step by term, each (levels, S)."""
    effects = []
    factors = term_factors(problem.terms, found.theta)
    for term, u, T in zip(problem.terms, found.u, factors, strict=True):
        b = u @ T.T
        effects.append(b if term.relationship is None else term.relationship @ b)
    return effects


@dataclass(slots=True, eq=False, repr=False)
class _Pace:
    """How rounds come closer: the least movement so far, and the rounds since it was last halved."""

    least: float = math.inf
    n_since: int = 0

    def is_settled(self, moved: float) -> bool:
        """Tell whether the rounds need not go on."""
        if moved < 0.5 * self.least:
            self.least, self.n_since = moved, 0
        else:
            self.n_since += 1
        return moved <= SETTLED or (moved <= NEARLY_SETTLED and self.n_since >= MAX_STALLED)


def _movement(found: LinearStep, last: LinearStep | None, beta: FloatArray) -> float:
    """Return the largest change of a round: of beta in standard errors, of theta relative to its size."""
    if last is None:
        return math.inf
    se = found.sigma * np.sqrt(np.maximum(found.unscaled_vcov.diagonal(), np.finfo(np.float64).tiny))
    size = np.maximum(np.abs(found.theta), THETA_SHARE * np.abs(found.theta).max(initial=0.0))
    theta = np.abs(found.theta - last.theta) / np.where(size > 0.0, size, 1.0)
    return float(max(np.abs((found.beta - beta) / se).max(initial=0.0), theta.max(initial=0.0)))


def _onwards(
    problem: NonlinearProblem,
    rounds: Anderson,
    old: Effects,
    new: Effects,
    scale: FloatArray,
) -> Effects:
    """Return the effects to go on from: where the last rounds point, if the mean fits about as well there."""
    x = rounds.next(_stacked(old) / scale, _stacked(new) / scale) * scale
    ahead = _unstacked(x, old)
    if _rss(problem, *ahead) <= WORSE * _rss(problem, *old):
        return ahead
    rounds.forget()
    return _towards(problem, old, new)


def _scale(effects: Effects, found: LinearStep) -> FloatArray:
    """Return the sizes that changes of the effects are measured by, stacked."""
    se = found.sigma * np.sqrt(np.maximum(found.unscaled_vcov.diagonal(), np.finfo(np.float64).tiny))
    sizes = [np.broadcast_to(np.sqrt(np.mean(b * b, axis=0)), b.shape).ravel() for b in effects[1]]
    stacked = np.concatenate([se, *sizes])
    return np.where(stacked > 0.0, stacked, 1.0)


def _stacked(effects: Effects) -> FloatArray:
    return np.concatenate([effects[0], *(b.ravel() for b in effects[1])])


def _unstacked(x: FloatArray, like: Effects) -> Effects:
    ends = np.cumsum([len(like[0]), *(b.size for b in like[1])])
    parts = np.split(x, ends[:-1])
    return parts[0], [part.reshape(b.shape) for part, b in zip(parts[1:], like[1], strict=True)]


def _towards(problem: NonlinearProblem, old: Effects, new: Effects) -> Effects:
    """Return the new effects, or as far on the way to them as the residuals stay within reach.

    A step of least squares may overshoot into where the mean is not finite, or fits far worse.
    """
    before = _rss(problem, *old)
    for halving in range(MAX_HALVINGS):
        share = 0.5**halving
        beta = old[0] + share * (new[0] - old[0])
        b = [o + share * (n - o) for o, n in zip(old[1], new[1], strict=True)]
        if _rss(problem, beta, b) <= WORSE * before:
            return beta, b
    raise ConvergenceError(
        "the mean is not finite, or fits far worse, wherever a step of least squares leads."
    )


def _rss(problem: NonlinearProblem, beta: FloatArray, b: list[FloatArray]) -> float:
    """Return the weighted residual sum of squares; infinity where the mean is not finite."""
    effects = problem.at_rows(problem.by_cluster(b))
    with np.errstate(all="ignore"):
        e = problem.y - problem.mean.value(problem.with_effects(problem.fixed_part(beta), effects))
        total = float(problem.weights @ (e * e))
    return total if math.isfinite(total) else math.inf


def _judged(problem: NonlinearProblem, found: LinearStep, moved: float) -> ConvergenceReport:
    """Return the verdict: that of the last linear model, if the rounds have settled."""
    reasons = boundary_reasons(problem.terms, found.theta)
    if moved > NEARLY_SETTLED:
        why = (
            f"The rounds of the alternation still move by {moved:.1e} standard errors. Give other starting "
            "values, take random effects out, or fit by method='laplace'."
        )
        return ConvergenceReport("not converged", math.inf, (why, *reasons))
    if not found.convergence.is_optimum or found.convergence.verdict == "not identified":
        return found.convergence
    return ConvergenceReport("boundary" if reasons else "converged", found.convergence.decrement, reasons)
