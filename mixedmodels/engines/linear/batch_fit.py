"""Fit many responses of one design with one grouping factor together.

Every response that does not come to a clear end is left to the ordinary search of
:mod:`mixedmodels.engines.linear.fit`: what stands here is never more than a quicker way to the same optimum.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import islice

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.engines.batch_estimates import BatchEstimates, scattered, unsettled
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.batch_problem import BatchProblem, Responses, enter_responses
from mixedmodels.engines.linear.batch_reml import BatchEvaluation, evaluate_batch, inverse_curvature
from mixedmodels.engines.linear.fit import INTERIOR, OFF_ZERO
from mixedmodels.engines.linear.looks import far_points, further_starts
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.search import MAX_SCORING_STEPS, SCORING_GAIN, TOLERANCE
from mixedmodels.engines.linear.step_sizes import LEAST_CURVATURE
from mixedmodels.engines.linear.vanishing import SMALL_SHARE
from mixedmodels.formula.design.theta import boundaries
from mixedmodels.optimization.batched_quasi_newton import BatchMinimum, minimize_batch
from mixedmodels.optimization.canonical import (
    NEAR_ZERO,
    OBJECTIVE_ROUNDING,
    PROBE,
    ZERO_TOLERANCE,
    canonical,
    is_saddle,
)

#: Doubles of one array over kinds of levels and responses: more do not stay in the cache.
ELEMENTS = 1 << 16
#: Most and fewest responses fitted together.
MOST, FEWEST = 2048, 64
#: Decrease that ends a search: a tenth of that of the ordinary one, for quasi-Newton estimates of the
#: curvature here have seen fewer steps.
FINE = 0.1 * TOLERANCE
#: Evaluations after which a response is left to the ordinary search.
MAX_EVALUATIONS = 60
#: Rounding of an objective above which its response is left to the ordinary search, which keeps more digits.
DIGITS = 1e-7
#: A further look counts if it comes lower by this much.
LOWER = 1e-7


@dataclass(slots=True, eq=False, repr=False)
class _Batch:
    """The responses of one batch; the last selection of them is kept, for searches ask for it again."""

    problem: BatchProblem
    responses: Responses
    REML: bool
    which: IntArray | None = None
    selected: Responses | None = None

    def at(self, free: FloatArray, which: IntArray) -> BatchEvaluation:
        """Evaluate some responses."""
        if self.which is None or self.selected is None or not np.array_equal(which, self.which):
            self.which, self.selected = which, self.responses.take(which)
        return evaluate_batch(self.problem, self.selected, free, self.REML)

    def objective(self, free: FloatArray, which: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return objectives and gradients, those that cannot be computed infinite."""
        try:
            at = self.at(free, which)
        except np.linalg.LinAlgError:
            if len(which) == 1:
                return np.full(1, np.inf), np.zeros_like(free)
            half = len(which) // 2
            parts = [self.objective(free[:, s], which[s]) for s in (slice(0, half), slice(half, None))]
            return np.concatenate([f for f, _ in parts]), np.concatenate([g for _, g in parts], axis=1)
        return at.objective, at.gradient


def batch_size(batch: BatchProblem) -> int:
    """Return how many responses are best fitted together."""
    S, _, G = batch.kinds.faces.shape
    return int(np.clip(ELEMENTS // (S * S * G), FEWEST, MOST))


def fit_batch(batch: BatchProblem, Y: FloatArray, REML: bool, start: FloatArray | None) -> BatchEstimates:
    """Fit by REML or maximum likelihood.

    Parameters
    ----------
    batch : BatchProblem
        From :func:`~mixedmodels.engines.linear.batch_problem.batch_problem`.
    Y : ndarray, shape (n, R)
        Responses.
    REML : bool
        Which criterion.
    start : ndarray, shape (k,), optional
        Theta to start all from; by default chosen from the design.
    """
    problem = batch.problem
    theta = starting.first_theta(problem) if start is None else start
    free = starting.free_of(problem, starting.off_zero(problem, theta, OFF_ZERO))
    responses = enter_responses(batch, Y)
    varied = np.flatnonzero(~responses.is_fitted_exactly)
    if not len(varied):
        return unsettled(problem.n_theta, problem.p, Y.shape[1])
    run = _Batch(batch, responses.take(varied), REML)
    try:
        found = _search(run, np.repeat(free[:, None], len(varied), axis=1), np.arange(len(varied)))
        found = _best_of_looks(run, found, like=start is not None)
        estimates = _estimates(run, found)
    except np.linalg.LinAlgError:
        # Some response has no regular system on the common part of the way.
        return unsettled(problem.n_theta, problem.p, Y.shape[1])
    return scattered(estimates, varied, Y.shape[1])


def _search(run: _Batch, free: FloatArray, which: IntArray, scoring: bool = True) -> BatchMinimum:
    """Minimise from points, with Fisher scoring on request while that gains much."""
    at = run.at(free, which)
    f, g = at.objective.copy(), at.gradient.copy()
    H = inverse_curvature(run.problem, at, free, LEAST_CURVATURE)
    scored = np.arange(len(which))
    for _ in range(MAX_SCORING_STEPS if scoring else 0):
        trial = free[:, scored] - np.einsum("ijr,jr->ir", H[:, :, scored], g[:, scored])
        at = run.at(trial, which[scored])
        gain = f[scored] - at.objective
        better = np.flatnonzero(gain > 0.0)
        new, H_new = scored[better], inverse_curvature(run.problem, at, trial, LEAST_CURVATURE)
        free[:, new], f[new], g[:, new] = trial[:, better], at.objective[better], at.gradient[:, better]
        H[:, :, new] = H_new[:, :, better]
        scored = scored[gain > SCORING_GAIN]
        if not len(scored):
            break
    tolerance = FINE + OBJECTIVE_ROUNDING * np.abs(f)
    return minimize_batch(
        lambda x, active: run.objective(x, which[active]), free, H, (f, g), tolerance, MAX_EVALUATIONS
    )


def _best_of_looks(run: _Batch, found: BatchMinimum, like: bool) -> BatchMinimum:
    """Return the lowest of the optima and what further starts lead to, where there may be others.

    From the optimum of a like response most searches come to their own: only those that end at zero look once
    more, from where the data say.
    """
    problem = run.problem.problem
    everyone = np.arange(len(found.objective))
    theta = _theta_map(problem) @ found.x
    size = np.abs(theta) / problem.scales[:, None]
    doubtful = size[boundaries(problem.terms)].min(axis=0) < (NEAR_ZERO if like else INTERIOR)
    for far in () if like else far_points(problem):
        free = np.repeat(starting.free_of(problem, far)[:, None], len(everyone), axis=1)
        doubtful |= run.objective(free, everyone)[0] < found.objective
    which = np.flatnonzero(doubtful)
    if not len(which):
        return found
    looks = further_starts(problem, every=False, data=like)
    for other, scored in islice(looks, 1) if like else looks:
        free = np.repeat(starting.free_of(problem, other)[:, None], len(which), axis=1)
        again = _search(run, free, which, scored)
        lower = again.objective < found.objective[which] - LOWER
        # One that has come lower without an end is for the ordinary search to follow.
        found.converged[which[lower & ~again.converged]] = False
        better = again.converged & lower
        for field in fields(found):
            getattr(found, field.name)[..., which[better]] = getattr(again, field.name)[..., better]
    return found


def _theta_map(problem: LinearProblem) -> FloatArray:
    """Return the matrix that makes theta of free coordinates, which are linear in it here."""
    return np.column_stack([starting.theta_of(problem, unit) for unit in np.eye(problem.n_theta)])


def _estimates(run: _Batch, found: BatchMinimum) -> BatchEstimates:
    """Return the estimates at the optima in canonical form, with exact zeros."""
    problem, R = run.problem.problem, len(found.objective)
    to_theta, everyone = _theta_map(problem), np.arange(R)
    to_free = np.asarray(np.linalg.inv(to_theta), dtype=np.float64)
    # 1. The last quasi-Newton step, too short to matter to the objective, is taken all the same.
    last = found.x - np.einsum("ijr,jr->ir", found.inverse_hessian, found.gradient)
    theta = _flipped(problem, to_theta @ last)
    # 2. Variances that are zero up to what the objective can tell are exactly zero.
    theta, settled = _with_exact_zeros(run, theta, to_free, found)
    # 3. At a zero the objective must not fall as the variance grows.
    settled &= found.converged & ~_at_saddle(run, theta, to_free)
    at = run.at(to_free @ theta, everyone)
    allowed = TOLERANCE + OBJECTIVE_ROUNDING * np.abs(found.objective)
    settled &= at.objective <= found.objective + allowed
    settled &= at.sigma2 >= SMALL_SHARE * run.responses.rss / problem.n
    settled &= _lost_digits(run, theta, at.sigma2) < DIGITS
    # 4. Where a deviation is nearly zero and is not, the way to the optimum may be long and flat.
    bounded = boundaries(problem.terms)[:, None]
    zero, near = (theta == 0.0) & bounded, np.abs(theta) < NEAR_ZERO * problem.scales[:, None]
    settled &= ~(near & ~zero & bounded).any(axis=0)
    return replace(_user_scale(run, at), theta=theta.T, at_boundary=zero.any(axis=0), settled=settled)


def _lost_digits(run: _Batch, theta: FloatArray, sigma2: FloatArray) -> FloatArray:
    """Return the rounding of each objective: of the residual, times what the factors magnify it by."""
    problem = run.problem.problem
    rows_per_level = problem.n / min(term.n_levels for term in problem.terms)
    magnified = 1.0 + rows_per_level * np.square(theta / problem.scales[:, None]).max(axis=0)
    return np.asarray(np.finfo(np.float64).eps * magnified * run.responses.rss / sigma2)


def _user_scale(run: _Batch, at: BatchEvaluation) -> BatchEstimates:
    """Return what an evaluation says about the fixed effects and sigma on the user's scale."""
    R_inverse = run.problem.problem.fixed_basis.R_inverse
    half = np.einsum("ap,pqr->aqr", R_inverse, at.fixed_inverse)
    variances = np.einsum("aqr,aq->ra", half, R_inverse) * at.sigma2[:, None]
    none = np.zeros(len(at.objective), dtype=bool)
    return BatchEstimates(
        theta=np.empty((0, 0)),
        beta=(R_inverse @ (run.responses.projection + at.gamma)).T,
        se=np.sqrt(variances),
        sigma=np.sqrt(at.sigma2),
        objective=at.objective,
        at_boundary=none,
        settled=none,
    )


def _flipped(problem: LinearProblem, theta: FloatArray) -> FloatArray:
    """Return theta, shape (k, R), with the columns of T turned so that no diagonal is negative."""
    owner = np.empty(problem.n_theta, dtype=np.intp)
    for term, part in problem.parts:
        rows, columns = term.structure.places()
        number = term.structure.parameter_at()
        diagonal = {int(j): int(k) for i, j, k in zip(rows, columns, number, strict=True) if i == j}
        for j, k in zip(columns, number, strict=True):
            owner[part.start + k] = part.start + diagonal[int(j)]
    return np.asarray(theta * np.where(theta[owner] < 0.0, -1.0, 1.0))


def _with_exact_zeros(
    run: _Batch, theta: FloatArray, to_free: FloatArray, found: BatchMinimum
) -> tuple[FloatArray, BoolArray]:
    """Set small diagonals to exactly zero where the objective allows; tell where that is clear."""
    problem = run.problem.problem
    small = (np.abs(theta) < NEAR_ZERO * problem.scales[:, None]) & boundaries(problem.terms)[:, None]
    clear = np.ones(theta.shape[1], dtype=bool)
    which = np.flatnonzero(small.any(axis=0))
    if not len(which):
        return theta, clear
    zeroed = np.where(small, 0.0, theta)[:, which]
    value, _ = run.objective(to_free @ zeroed, which)
    current = found.objective[which]
    is_zero = value <= current + ZERO_TOLERANCE + OBJECTIVE_ROUNDING * np.abs(current)
    theta = theta.copy()
    for r, values in zip(which[is_zero], zeroed.T[is_zero], strict=True):
        theta[:, r] = canonical(problem.terms, values)
    # Of several small ones only some may be zero: for the ordinary search to tell.
    clear[which] = is_zero | (small[:, which].sum(axis=0) == 1)
    return theta, clear


def _at_saddle(run: _Batch, theta: FloatArray, to_free: FloatArray) -> BoolArray:
    """Tell where the objective falls when a variance that is zero grows."""
    problem = run.problem.problem
    zero = (theta == 0.0) & boundaries(problem.terms)[:, None]
    saddle = np.zeros(theta.shape[1], dtype=bool)
    which = np.flatnonzero(zero.any(axis=0))
    if not len(which):
        return saddle
    off = np.where(zero, PROBE * problem.scales[:, None], theta)[:, which]
    gradient = to_free.T @ run.objective(to_free @ off, which)[1]
    for r, values, slopes in zip(which, theta[:, which].T, gradient.T, strict=True):
        saddle[r] = is_saddle(problem.terms, values, problem.scales, slopes)
    return saddle
