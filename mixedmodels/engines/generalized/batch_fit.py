"""Fit a binomial-logit or Poisson-log model with one scalar random effect to many responses together.

The Laplace approximation of every response at its own parameters, with the responses as a last axis. Per
level, ``a = sum z w (y - mu)``, ``W = sum z^2 w mu'``, ``W' = sum z^3 w mu''`` and ``D = 1 + theta^2 W``,

    mode        u = theta a,  by Newton's method
    objective   sum_l u^2 + log D - 2 sum log f
    d/d eta_i   -2 w (y - mu) + theta^2 z^2 w mu'' / D - theta^4 W' z w mu' / D^2
    d/d theta   sum_l u sum z d/d eta + 2 theta W / D + theta^3 W' a / D^2

the last terms by the implicit function theorem. A response that does not come to a clear end is left to
:mod:`mixedmodels.engines.generalized.fit`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.engines.batch_estimates import BatchEstimates
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates
from mixedmodels.engines.generalized.hessian import natural_parameters
from mixedmodels.engines.generalized.problem import GeneralizedProblem, natural_to_psi
from mixedmodels.optimization.batched_quasi_newton import BatchMinimum, minimize_batch
from mixedmodels.optimization.canonical import FLAT_SLOPE, NEAR_ZERO, PROBE, ZERO_TOLERANCE

#: Doubles of one array over rows and responses: more do not stay in the cache.
ELEMENTS = 1 << 16
#: Most and fewest responses fitted together.
MOST, FEWEST = 1024, 32
#: Decrease that ends a search, and evaluations after which a response is left to the ordinary one.
TOLERANCE, MAX_EVALUATIONS = 1e-10, 60
#: Newton decrement at which a mode is found, relative to the size of the squares; most steps.
MODE_TOLERANCE, MAX_NEWTON = 1e-14, 40
#: Linear predictors beyond this belong to means at the end of their range: for the ordinary fit to judge.
LARGEST_ETA = 12.0
#: Step of a difference of gradients, in standard errors.
DIFFERENCE = 1e-3
#: Number of the binomial family in the kernels.
BINOMIAL = 0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Rows:
    """Rows as the formulas need them: (n, 1) beside the responses; levels by their first row."""

    Q: FloatArray
    z: FloatArray
    w: FloatArray
    offset: FloatArray
    starts: IntArray
    codes: IntArray
    is_binomial: bool


@dataclass(slots=True, eq=False, repr=False)
class _Batch:
    """Responses, shape (n, R), and the modes where each search stands, shape (q, R)."""

    rows: _Rows
    Y: FloatArray
    U: FloatArray

    def objective(self, psi: FloatArray, which: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return objectives and gradients; those that cannot be computed are infinite."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            f, g, u = laplace_batch(self.rows, self.Y[:, which], psi, self.U[:, which])
        regular = np.isfinite(f) & np.isfinite(g).all(axis=0)
        self.U[:, which[regular]] = u[:, regular]
        return np.where(regular, f, np.inf), np.where(regular, g, 0.0)


def reaches(problem: GeneralizedProblem, estimates: GeneralizedEstimates) -> bool:
    """Tell whether responses of this model can be fitted together, from estimates that are a start."""
    plain = problem.by_level is not None and problem.row_origin.equal is None and problem.n_phi == 0
    scalar = len(problem.terms) == 1 and problem.terms[0].size == 1 and problem.column_bases == (None,)
    good = estimates.convergence.verdict == "converged" and bool(estimates.theta.all())
    return plain and scalar and good and estimates.nAGQ == 1


def batch_size(problem: GeneralizedProblem) -> int:
    """Return how many responses are best fitted together."""
    return int(np.clip(ELEMENTS // len(problem.y), FEWEST, MOST))


def fit_batch(
    problem: GeneralizedProblem, near: GeneralizedEstimates, Y: FloatArray, constants: FloatArray
) -> BatchEstimates:
    """Fit by maximum likelihood, Laplace approximation.

    Parameters
    ----------
    problem : GeneralizedProblem
        The model, of those that `reaches` tells.
    near : GeneralizedEstimates
        Estimates to start from.
    Y : ndarray, shape (n, R)
        Responses as the family reads them, rows as given.
    constants : ndarray, shape (R,)
        Parts of the log-likelihoods that do not depend on parameters.
    """
    rows, R = _rows(problem), Y.shape[1]
    if problem.row_origin.order is not None:
        Y = Y[problem.row_origin.order]
    batch = _Batch(rows, np.ascontiguousarray(Y), np.repeat(near.u[0], R, axis=1))
    start = np.repeat(natural_to_psi(problem, natural_parameters(near))[:, None], R, axis=1)
    H = np.repeat(near.inverse_hessian[:, :, None], R, axis=2)
    first = batch.objective(start, np.arange(R))
    tolerance = np.full(R, TOLERANCE)
    found = minimize_batch(batch.objective, start, H, first, tolerance, MAX_EVALUATIONS)
    return _estimates(problem, batch, found, constants)


def _rows(problem: GeneralizedProblem) -> _Rows:
    assert problem.by_level is not None
    (term,) = problem.terms
    starts = problem.by_level.starts[:-1]
    codes = np.repeat(np.arange(len(starts)), np.diff(problem.by_level.starts))
    return _Rows(
        problem.fixed_basis, term.Z[:, :1], problem.weights[:, None], problem.offset[:, None], starts, codes,
        problem.by_level.kind == BINOMIAL,
    )  # fmt: skip


def laplace_batch(
    rows: _Rows, Y: FloatArray, psi: FloatArray, U: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return objectives (R,), gradients (1 + p, R) and modes (q, R), the search for these from U."""
    theta, fixed = psi[0], rows.Q @ psi[1:] + rows.offset
    u = _modes(rows, Y, theta, fixed, U)
    eta = fixed + theta * rows.z * u[rows.codes]
    mu, residual, first = _derivatives(rows, Y, eta)
    second = first * (1.0 - 2.0 * mu) if rows.is_binomial else first
    a = _by_level(rows, rows.z * residual)
    W = _by_level(rows, rows.z**2 * first)
    W2 = _by_level(rows, rows.z**3 * second)
    D = 1.0 + theta**2 * W
    objective = (u**2 + np.log(D)).sum(axis=0) - 2.0 * _log_likelihood(rows, Y, eta, mu)
    across = theta**4 * W2 / D**2
    along = theta**2 / D
    d_eta = -2.0 * residual + along[rows.codes] * rows.z**2 * second - across[rows.codes] * rows.z * first
    d_theta = u * _by_level(rows, rows.z * d_eta) + 2.0 * theta * W / D + theta**3 * W2 * a / D**2
    gradient = np.concatenate([d_theta.sum(axis=0)[None], rows.Q.T @ d_eta])
    return objective, gradient, u


def _modes(rows: _Rows, Y: FloatArray, theta: FloatArray, fixed: FloatArray, U: FloatArray) -> FloatArray:
    """Solve ``u = theta a(u)`` for every level: the difference rises with u, so its size tells progress."""
    u, before = U, U
    size = np.full(U.shape, np.inf)
    for _ in range(MAX_NEWTON):
        _, residual, first = _derivatives(rows, Y, fixed + theta * rows.z * u[rows.codes])
        F = u - theta * _by_level(rows, rows.z * residual)
        D = 1.0 + theta**2 * _by_level(rows, rows.z**2 * first)
        too_far = np.abs(F) > size
        step = np.where(too_far, 0.5 * (before - u), -F / D)
        before = np.where(too_far, before, u)
        size = np.where(too_far, size, np.abs(F))
        u = u + step
        if not (F**2 / D > MODE_TOLERANCE).any():
            return u
    return np.full(U.shape, np.nan)


def _derivatives(rows: _Rows, Y: FloatArray, eta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mu, ``w (y - mu)`` and ``w mu'``, each (n, R)."""
    mu = expit(eta) if rows.is_binomial else np.exp(eta)
    weighted = rows.w * mu
    return mu, rows.w * Y - weighted, weighted * (1.0 - mu) if rows.is_binomial else weighted


def _log_likelihood(rows: _Rows, Y: FloatArray, eta: FloatArray, mu: FloatArray) -> FloatArray:
    """Return ``sum log f`` without its constant, shape (R,)."""
    cumulant = np.maximum(eta, 0.0) + np.log1p(np.exp(-np.abs(eta))) if rows.is_binomial else mu
    return np.asarray((rows.w * (Y * eta - cumulant)).sum(axis=0))


def _by_level(rows: _Rows, values: FloatArray) -> FloatArray:
    return np.asarray(np.add.reduceat(values, rows.starts, axis=0))


def _estimates(
    problem: GeneralizedProblem, batch: _Batch, found: BatchMinimum, constants: FloatArray
) -> BatchEstimates:
    """Return the estimates at the optima, exact zeros and standard errors included."""
    everyone = np.arange(len(constants))
    # 1. The last quasi-Newton step; theta without its sign; zeros exact where the objective allows.
    psi = found.x - np.einsum("ijr,jr->ir", found.inverse_hessian, found.gradient)
    psi[0] = np.abs(psi[0])
    psi, zero, clear = _with_exact_zeros(problem, batch, psi, found.objective)
    batch.U[:, zero] = 0.0
    f, _ = batch.objective(psi, everyone)
    settled = found.converged & clear & (f <= found.objective + ZERO_TOLERANCE + TOLERANCE)
    eta = batch.rows.Q @ psi[1:] + batch.rows.offset
    eta = eta + psi[0] * batch.rows.z * batch.U[batch.rows.codes]
    settled &= np.abs(eta).max(axis=0) < LARGEST_ETA
    # 2. Standard errors from the Hessian, by differences of the gradient.
    se = np.full((len(everyone), problem.n_fixed), np.nan)
    for chosen, parameters in ((~zero, slice(0, None)), (zero, slice(1, None))):
        which = np.flatnonzero(settled & chosen)
        if len(which):
            se[which], regular = _standard_errors(
                problem, batch, psi, found.inverse_hessian, which, parameters
            )
            settled[which[~regular]] = False
    return BatchEstimates(
        theta=psi[:1].T,
        beta=(problem.unscale @ psi[1:]).T,
        se=se,
        sigma=np.ones(len(everyone)),
        objective=f - 2.0 * constants,
        at_boundary=zero,
        settled=settled,
    )


def _with_exact_zeros(
    problem: GeneralizedProblem, batch: _Batch, psi: FloatArray, objective: FloatArray
) -> tuple[FloatArray, BoolArray, BoolArray]:
    """Return the parameters with small theta at zero, which are so, and where that is clear."""
    (term,) = problem.terms
    rms = np.sqrt(np.mean(term.Z**2)) or 1.0
    small = np.flatnonzero(psi[0] < NEAR_ZERO / rms)
    zero, clear = np.zeros((2, len(objective)), dtype=bool)
    clear[:] = True
    if not len(small):
        return psi, zero, clear
    trial, probe = psi[:, small].copy(), psi[:, small].copy()
    trial[0], probe[0] = 0.0, PROBE / rms
    f, _ = batch.objective(trial, small)
    # At a zero the objective must not fall as the variance, the square of theta, grows.
    slope = batch.objective(probe, small)[1][0] / rms / (2.0 * PROBE)
    is_zero = (f <= objective[small] + ZERO_TOLERANCE) & (slope > -FLAT_SLOPE)
    zero[small] = is_zero
    clear[small] = is_zero
    psi = psi.copy()
    psi[0, small[is_zero]] = 0.0
    return psi, zero, clear


def _standard_errors(
    problem: GeneralizedProblem,
    batch: _Batch,
    psi: FloatArray,
    inverse_hessian: FloatArray,
    which: IntArray,
    parameters: slice,
) -> tuple[FloatArray, BoolArray]:
    """Return standard errors of beta, shape (R, p), and where the Hessian is positive definite."""
    at = psi[:, which]
    m = len(psi)
    chosen = range(m)[parameters]
    H = np.empty((len(chosen), len(chosen), len(which)))
    for row, k in enumerate(chosen):
        step = np.zeros(at.shape)
        step[k] = DIFFERENCE * np.sqrt(2.0 * inverse_hessian[k, k, which])
        up, down = (batch.objective(at + sign * step, which)[1] for sign in (1.0, -1.0))
        H[row] = (up - down)[parameters] / (2.0 * step[k])
    values, vectors = np.linalg.eigh(_symmetric(H))
    regular = values[:, 0] > 0.0
    safe = np.where(regular[:, None], values, 1.0)
    covariance = 2.0 * np.einsum("ria,ra,rja->rij", vectors, 1.0 / safe, vectors)
    first = len(chosen) - problem.n_fixed
    fixed = covariance[:, first:, first:]
    variances = np.einsum("ai,rij,aj->ra", problem.unscale, fixed, problem.unscale)
    return np.sqrt(np.maximum(variances, 0.0)), regular


def _symmetric(H: FloatArray) -> FloatArray:
    """Return the symmetric parts of matrices (m, m, R) as (R, m, m)."""
    return np.ascontiguousarray(0.5 * (H + H.transpose(1, 0, 2)).transpose(2, 0, 1))
