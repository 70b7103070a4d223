"""The likelihood where effects cross or are related, which have no quadrature, by importance sampling.

    L = E_q[ f(y | u) phi(u) / q(u) ]

with u drawn from q, a mixture of the normal distribution at the conditional mode, the same with twice its
deviations, and the prior, which bounds the weights. Draws are the same for every fit. Fisher's identity gives
the gradient from the same draws: that of log L is the average of those of log f(y | u), by the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.pirls import Mode
from mixedmodels.engines.generalized.problem import GeneralizedProblem, unpack
from mixedmodels.factorization.weighted.penalized_system import SphericalRows, spherical_to_rows

# Effects and rows up to which a sample costs a few milliseconds and says something.
MOST_EFFECTS, MOST_EVALUATIONS = 60, 1e5
# Draws, and how few of them may be made where there are more rows.
DRAWS, FEWEST_DRAWS = 1000, 300
# Shares of the components of the mixture, and the deviations of the wide one relative to the mode's.
SHARES, WIDE = (0.5, 0.25, 0.25), 2.0
# Change of a covariance parameter, relative to 1, over which the slope of the linear predictor is taken.
DIFFERENCE = 1e-6
SEED = 1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sampled:
    """What a sample of random effects says of the likelihood at one point.

    Attributes
    ----------
    objective, standard_error : float
        -2 log-likelihood, and by how much chance may have it wrong.
    steps, step_errors : ndarray, shape (m,)
        Newton's step from there, by the inverse Hessian of the approximation, and its standard errors; zero
        in the family's own parameters.
    n_draws : int
        Size of the sample.
    """

    objective: float
    standard_error: float
    steps: FloatArray
    step_errors: FloatArray
    n_draws: int


def n_draws_for(problem: GeneralizedProblem) -> int:
    """Return how many draws a model is given; 0 where a sample costs too much or says too little."""
    n_effects = problem.system.slices[-1].stop
    n = int(min(DRAWS, MOST_EVALUATIONS / len(problem.y)))
    return n if n_effects <= MOST_EFFECTS and n >= FEWEST_DRAWS else 0


def sampled(
    problem: GeneralizedProblem, mode: Mode, psi: FloatArray, inverse_hessian: FloatArray
) -> Sampled | None:
    """Return -2 log-likelihood at an optimum of the Laplace approximation by importance sampling.

    None where a sample costs too much, or the mode has no curvature to draw by.
    """
    n_draws = n_draws_for(problem)
    if not n_draws:
        return None
    A = _dense_rows(problem, mode.parameters.zeta, len(mode.u))
    H = np.eye(len(mode.u)) + A.T @ (mode.rows.information[:, None] * A)
    try:
        L = np.asarray(np.linalg.cholesky(H), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    u, log_q = _draw(mode.u, L, n_draws)
    loglik, d1 = _at_draws(problem, mode, A, u)
    log_weights = loglik - 0.5 * np.einsum("is,is->i", u, u) - log_q
    log_likelihood = float(logsumexp(log_weights)) - np.log(n_draws)
    if not np.isfinite(log_likelihood):
        return None
    weights = np.exp(log_weights - log_likelihood) / n_draws
    scores = _scores(problem, mode, psi, u, d1) @ (-2.0 * inverse_hessian)
    steps = weights @ scores
    spread = np.sqrt(weights**2 @ (scores - steps) ** 2)
    error = float(np.sqrt(max(n_draws * (weights @ weights) - 1.0, 0.0) / n_draws))
    return Sampled(-2.0 * log_likelihood, 2.0 * error, steps, spread, n_draws)


def _dense_rows(problem: GeneralizedProblem, zeta: SphericalRows, n_effects: int) -> FloatArray:
    """Return ``Z Lambda``, shape (n, sum q S)."""
    return np.column_stack([spherical_to_rows(problem.system, zeta, unit) for unit in np.eye(n_effects)])


def _draw(mode: FloatArray, L: FloatArray, n_draws: int) -> tuple[FloatArray, FloatArray]:
    """Return draws of u, one a row, and their log-density without its powers of 2 pi."""
    rng = np.random.default_rng(SEED)
    z = rng.standard_normal((n_draws, len(mode)))
    component = rng.choice(len(SHARES), size=n_draws, p=SHARES)
    scale = np.where(component == 1, WIDE, 1.0)
    u = mode + scale[:, None] * solve_triangular(L, z.T, lower=True, trans="T").T
    u = np.where((component == 2)[:, None], z, u)
    squared = np.square((u - mode) @ L).sum(axis=1)
    log_det, m = float(np.log(np.diagonal(L)).sum()), len(mode)
    of_components = (
        np.log(SHARES[0]) + log_det - 0.5 * squared,
        np.log(SHARES[1]) + log_det - m * np.log(WIDE) - 0.5 * squared / WIDE**2,
        np.log(SHARES[2]) - 0.5 * np.einsum("is,is->i", u, u),
    )
    return u, np.asarray(logsumexp(of_components, axis=0))


def _at_draws(
    problem: GeneralizedProblem, mode: Mode, A: FloatArray, u: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the log-likelihood of each draw, and the derivatives of its rows, shape (draws, n)."""
    fixed = problem.fixed_basis @ mode.parameters.gamma + problem.offset
    eta = fixed + u @ A.T
    y, weights, constant = (
        np.broadcast_to(part, eta.shape) for part in (problem.y, problem.weights, problem.constant)
    )
    with np.errstate(all="ignore"):
        rows = problem.family.evaluate(
            y, eta, weights, mode.parameters.phi, observed=problem.observed, constant=constant
        )
    loglik = np.where(np.isnan(rows.loglik), -np.inf, rows.loglik).sum(axis=1)
    return loglik, np.where(np.isfinite(loglik)[:, None], rows.d1, 0.0)


def _scores(
    problem: GeneralizedProblem, mode: Mode, psi: FloatArray, u: FloatArray, d1: FloatArray
) -> FloatArray:
    """Return the derivatives of log f(y | u) in covariance parameters and fixed effects, for each draw."""
    scores = np.zeros((len(u), len(psi)))
    for k in range(problem.n_theta):
        h = DIFFERENCE * (1.0 + abs(psi[k]))
        ahead, behind = psi.copy(), psi.copy()
        ahead[k] += h
        behind[k] -= h
        A, B = (_dense_rows(problem, unpack(problem, at).zeta, u.shape[1]) for at in (ahead, behind))
        scores[:, k] = np.einsum("in,in->i", d1, u @ ((A - B).T / (2.0 * h)))
    end = problem.n_theta + problem.n_fixed
    scores[:, problem.n_theta : end] = d1 @ problem.fixed_basis
    return scores
