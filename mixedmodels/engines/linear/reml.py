"""The profiled objective of a linear mixed model (Bates et al. 2015, J. Stat. Softw. 67(1), section 3.4).

The cross-products of the rows are at hand (:mod:`mixedmodels.engines.linear.problem`). One
evaluation is: theta -> factors T -> factorization -> one solve, and ``pwrss`` is what the solve leaves of the
sum of squares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.system import System
from mixedmodels.factorization.blocks import Block, block_factor, term_slices
from mixedmodels.formula.design.theta import term_factors, theta_slices

with on_first_use():
    from mixedmodels.factorization.constant import blocked
    from mixedmodels.factorization.constant import inverse as on_pattern

LOG_2PI = math.log(2.0 * math.pi)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evaluation:
    """The objective at one T and what it was computed from.

    Attributes
    ----------
    objective : float
        REML criterion or -2 log-likelihood.
    system : System
        The penalized least-squares system, solved; fixed effects are relative to the least-squares fit and
        of the orthonormal columns.
    """

    objective: float
    system: System


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LinearSolution:
    """Estimates given theta, on the user's scale.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Fixed effects.
    u : tuple of ndarray, each (q, S)
        Spherical random effects at the conditional mode by term, in design order, ``b = u @ T.T``.
    sigma : float
        Residual standard deviation.
    objective, pwrss : float
        REML criterion or -2 log-likelihood; penalized weighted residual sum of squares.
    unscaled_vcov : ndarray, shape (p, p)
        ``(R_X' R_X)^-1``; the covariance of beta is sigma^2 times this.
    log_det_L2, log_det_RX2 : float
        ``log|L|^2`` and ``log|R_X|^2`` on the scale of the user's X (Bates et al. 2015, eq. 42).
    """

    beta: FloatArray
    u: tuple[FloatArray, ...]
    sigma: float
    objective: float
    pwrss: float
    unscaled_vcov: FloatArray
    log_det_L2: float
    log_det_RX2: float


def _engine_factors(problem: LinearProblem, theta: FloatArray) -> list[FloatArray]:
    """Return ``C T`` of every term."""
    factors = term_factors(problem.terms, theta)
    return [basis.C @ T for basis, T in zip(problem.column_bases, factors, strict=True)]


def evaluate(problem: LinearProblem, theta: FloatArray, REML: bool, sigma: float | None = None) -> float:
    """Return the REML criterion or -2 log-likelihood at theta, beta and sigma profiled out.

    Parameters
    ----------
    problem : LinearProblem
        From :func:`linear_problem`.
    theta : ndarray, shape (n_theta,)
        Covariance parameters, terms in design order.
    REML : bool
        Which criterion.
    sigma : float, optional
        Fixed residual standard deviation; None profiles it out.
    """
    return evaluation_at(problem, theta, REML, sigma).objective


def evaluation(
    problem: LinearProblem, factors: Sequence[FloatArray], REML: bool, sigma: float | None = None
) -> Evaluation:
    """Evaluate the objective at the factors ``C T`` of every term, and keep the solved system.

    Equation numbers are those of Bates et al. (2015).
    """
    df = problem.n - problem.p if REML else problem.n
    # 1. T of every block; Omega = Lambda'Z'WZ Lambda + I is factored, u and gamma solved for (eq. 17, 18).
    by_block = [block_factor(block, factors) for block in problem.equations.pattern.blocks]
    system = problem.solver(problem.equations, by_block, df, 0.0 if sigma is None else sigma**2, REML)
    # 2. sigma^2 = r^2 / df (eq. 34, 41), or the one that was fixed.
    sigma2 = system.sigma2
    # 3. log|L|^2 - log|W| + df log(2 pi sigma^2) + r^2 / sigma^2 (eq. 32, 35); REML adds log|R_X|^2 (eq. 40).
    objective = system.log_det_L2 - problem.sum_log_weights + df * (LOG_2PI + math.log(sigma2))
    objective += system.pwrss / sigma2
    if REML:
        objective += system.log_det_RX2 + problem.fixed_basis.log_det_R2
    return Evaluation(objective, system)


def objective_and_gradient(
    problem: LinearProblem, theta: FloatArray, REML: bool, sigma: float | None = None
) -> tuple[float, FloatArray]:
    """Return the objective and its exact gradient in theta, shape (n_theta,)."""
    at = evaluation_at(problem, theta, REML, sigma)
    return at.objective, _pull_back(problem, theta, [block.gradient for block in at.system.moments()])


def _pull_back(problem: LinearProblem, theta: FloatArray, by_block: Sequence[FloatArray]) -> FloatArray:
    """Return the gradient in theta from the derivatives in the factor of each block."""
    gradient = np.empty(problem.n_theta)
    slices = theta_slices(problem.terms)
    for block, dT in zip(problem.equations.blocks, by_block, strict=True):
        for k, rows in term_slices(block):
            dT_term = problem.column_bases[k].C.T @ dT[rows, rows]
            gradient[slices[k]] = problem.terms[k].structure.pullback(theta[slices[k]], dT_term)
    return gradient


def solve(
    problem: LinearProblem, theta: FloatArray, REML: bool, sigma: float | None = None
) -> LinearSolution:
    """Return all estimates given theta, on the user's scale."""
    return solution_of(problem, evaluation_at(problem, theta, REML, sigma))


def evaluation_at(
    problem: LinearProblem, theta: FloatArray, REML: bool, sigma: float | None = None
) -> Evaluation:
    """Evaluate the objective at theta, and keep the solved system."""
    return evaluation(problem, _engine_factors(problem, theta), REML, sigma)


def solution_of(problem: LinearProblem, at: Evaluation) -> LinearSolution:
    """Return all estimates of a solved system, on the user's scale."""
    system, R_inverse = at.system, problem.fixed_basis.R_inverse
    return LinearSolution(
        beta=R_inverse.dot(problem.projection + system.gamma),
        u=spherical_by_term(problem, system.u),
        sigma=math.sqrt(system.sigma2),
        objective=at.objective,
        pwrss=system.pwrss,
        unscaled_vcov=system.fixed_covariance(R_inverse),
        log_det_L2=system.log_det_L2,
        log_det_RX2=system.log_det_RX2 + problem.fixed_basis.log_det_R2,
    )


def spherical_by_term(problem: LinearProblem, u: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
    """Return random effects by term in design order, each (q, S), from those by block."""
    by_term: dict[int, FloatArray] = {}
    for block, values in zip(problem.equations.blocks, u, strict=True):
        for k, rows in term_slices(block):
            by_term[k] = np.ascontiguousarray(_spherical(block, values[rows].T))
    return tuple(by_term[k] for k in range(len(problem.terms)))


def _spherical(block: Block, effects: FloatArray) -> FloatArray:
    """Return the spherical effects of the terms of a block, shape (q, S), from those of the engine."""
    if block.precision is not None:
        return block.precision.solve(effects)
    return effects if block.rotation is None else block.rotation @ effects


def conditional_covariances(problem: LinearProblem, theta: FloatArray) -> tuple[FloatArray, ...]:
    """Return ``Var(b_l | y, beta) / sigma^2`` of every level, one (q, S, S) array per term."""
    T = _engine_factors(problem, theta)
    pattern = problem.pattern
    factors = [block_factor(block, T) for block in pattern.blocks]
    factor = blocked.factorize(pattern, problem.equations.A, factors)
    inverse = on_pattern.invert_on_pattern(factor, fixed_effects=False, cross=False)
    by_term = [np.empty((term.n_levels, term.size, term.size)) for term in problem.terms]
    for j, index in enumerate(pattern.chain):
        faces = on_pattern.level_faces(factor, inverse, j, None).transpose(2, 0, 1)
        _place(by_term, pattern.blocks[index], faces)
    for r, index in enumerate(pattern.tail):
        _place(by_term, pattern.blocks[index], inverse.tail.covariances(r))
    return tuple(
        basis.inverse @ V @ basis.inverse.T for V, basis in zip(by_term, problem.column_bases, strict=True)
    )


def _place(by_term: Sequence[FloatArray], block: Block, faces: FloatArray) -> None:
    """Put the covariances of the levels of a block, shape (q, S, S), where its terms have them."""
    for k, rows in term_slices(block):
        by_term[k][slice(None) if block.levels is None else block.levels] = faces[:, rows, rows]
