"""The profiled objective of a linear mixed model (Bates et al. 2015, J. Stat. Softw. 67(1), section 3.4).

The rows of the data enter once, in :func:`linear_problem`. X is replaced by orthonormal columns and y by
its least-squares residual, which leaves the random-effects part of the model unchanged and makes every
later number free of the scale and location of predictors and response. One evaluation then is: theta ->
factors T -> factorization -> one solve, and ``pwrss`` is what the solve leaves of the sum of squares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate

import numpy as np
from scipy.linalg.lapack import dpotrf

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.system import Equations, Solver, System, choose_solver
from mixedmodels.engines.orthonormal import OrthonormalBasis, orthonormalize
from mixedmodels.errors import DataError
from mixedmodels.factorization.blocks import amalgamate, block_factor, term_slices
from mixedmodels.factorization.constant.blocked import factorize
from mixedmodels.factorization.constant.cross_products import RightHandSide, fill, right_hand_side
from mixedmodels.factorization.constant.description import describe
from mixedmodels.factorization.constant.inverse import invert_on_pattern
from mixedmodels.factorization.dense import lower_inverse
from mixedmodels.factorization.pattern import Pattern, build_pattern
from mixedmodels.formula.design.design import RandomTerm

#: Residual sum of squares, relative to that of the response, that is nothing but rounding.
EXACT_FIT = 1e-28
LOG_2PI = math.log(2.0 * math.pi)
#: A pivot of the correlations of a term's columns below this is rounding: the columns are dependent.
DEPENDENT_PIVOT = 1e-7


@dataclass(frozen=True, slots=True)
class LinearProblem:
    """Everything about a linear mixed model that does not change with theta.

    Attributes
    ----------
    terms : tuple of RandomTerm
        Random-effects terms in design order.
    bases : tuple of ndarray, each (S, S)
        Lower triangular L of each term with ``Z = Q L``: the engine works with the columns of Q, which are
        orthogonal over the rows, and with factors ``L T``.
    inverse_bases : tuple of ndarray, each (S, S)
        Their inverses.
    equations : Equations
        Cross-products of the columns of Q, of the orthonormal fixed effects and of the weighted residual e of
        y on X, whose products with the fixed effects are zero up to rounding.
    solver : callable
        Solves them at given factors.
    basis : OrthonormalBasis
        Orthonormal fixed effects and the way back to the user's X.
    projection : ndarray, shape (p,)
        ``Q'W^1/2 (y - offset)``.
    n : int
        Rows of positive weight.
    sum_log_weights : float
        Sum of the logarithms of the positive weights.
    root_weights, offset : ndarray, shape (n_rows,), or None
        Square roots of the prior weights and the offset.
    parts : tuple of (RandomTerm, slice)
        Every term with its part of theta.
    scales : ndarray, shape (n_theta,)
        Size of every free parameter for an effect of the size of the residual.
    """

    terms: tuple[RandomTerm, ...]
    bases: tuple[FloatArray, ...]
    inverse_bases: tuple[FloatArray, ...]
    equations: Equations
    solver: Solver
    basis: OrthonormalBasis
    projection: FloatArray
    n: int
    sum_log_weights: float
    root_weights: FloatArray | None
    offset: FloatArray | None
    parts: tuple[tuple[RandomTerm, slice], ...]
    scales: FloatArray

    @property
    def pattern(self) -> Pattern:
        """Blocks and the order of their elimination."""
        return self.equations.pattern

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return len(self.projection)

    @property
    def n_theta(self) -> int:
        """Number of covariance parameters."""
        return len(self.scales)

    def with_response(self, y: FloatArray) -> LinearProblem:
        """Return the same problem for another response; nothing but its own cross-products is formed."""
        rhs, rss, projection = _enter_response(self.pattern, self.basis, y, self.root_weights, self.offset)
        return replace(self, equations=replace(self.equations, rhs=rhs, rss=rss), projection=projection)

    def description(self) -> str:
        """Return the blocks of the factorization and how each is handled, as a printable table."""
        return describe(self.pattern, self.equations.A)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class LinearSolution:
    """Estimates given theta, on the user's scale.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Fixed effects.
    u : tuple of ndarray, each (q, S)
        Spherical random effects by term, in design order.
    sigma : float
        Residual standard deviation.
    objective, pwrss : float
        REML criterion or -2 log-likelihood; penalized weighted residual sum of squares.
    unscaled_vcov : ndarray, shape (p, p)
        ``(R_X' R_X)^-1``.
    log_det_L2, log_det_RX2 : float
        ``log|L|^2`` and ``log|R_X|^2``.
    """

    beta: FloatArray
    u: tuple[FloatArray, ...]
    sigma: float
    objective: float
    pwrss: float
    unscaled_vcov: FloatArray
    log_det_L2: float
    log_det_RX2: float


def linear_problem(
    y: FloatArray,
    X: FloatArray,
    terms: Sequence[RandomTerm],
    weights: FloatArray | None = None,
    offset: FloatArray | None = None,
    *,
    eliminate: bool = True,
) -> LinearProblem:
    """Build everything that never changes during a fit.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Response.
    X : ndarray, shape (n, p)
        Fixed-effects matrix of full column rank.
    terms : sequence of RandomTerm
        Random-effects terms.
    weights, offset : ndarray, shape (n,), or None
        Prior weights (rows of weight zero contribute nothing) and offset.
    eliminate : bool
        False uses one dense matrix for all random effects: the plain algorithm, for comparison.

    Raises
    ------
    DataError
        If X is rank-deficient or no degrees of freedom are left for sigma.
    """
    terms = tuple(terms)
    root = None if weights is None else np.sqrt(weights)
    positive = np.ones(0) if weights is None else weights[weights > 0.0]
    n = len(y) if weights is None else len(positive)
    if n <= X.shape[1]:
        raise DataError(
            f"{n} rows with positive weight cannot estimate {X.shape[1]} fixed effects and sigma."
        )
    basis = orthonormalize(X, root)
    bases = tuple(column_basis(term.Z if root is None else term.Z * root[:, None]) for term in terms)
    inverses = tuple(np.asarray(np.linalg.inv(L), dtype=np.float64) for L in bases)
    pattern = build_pattern(amalgamate(_engine_terms(terms, inverses, root)), eliminate=eliminate)
    A = fill(pattern, basis.columns, basis.combination)
    pattern = pattern.without_rows()
    rhs, rss, projection = _enter_response(pattern, basis, y, root, offset)
    return LinearProblem(
        terms=terms,
        bases=bases,
        inverse_bases=inverses,
        equations=Equations(pattern, A, rhs, rss),
        solver=choose_solver(pattern, X.shape[1]),
        basis=basis,
        projection=projection,
        n=n,
        sum_log_weights=float(np.log(positive).sum()),
        root_weights=root,
        offset=offset,
        parts=tuple(zip(terms, theta_slices(terms), strict=True)),
        scales=np.concatenate([np.empty(0), *(t.structure.scales(column_scales(t)) for t in terms)]),
    )


def column_scales(term: RandomTerm) -> FloatArray:
    """Return the size of a unit-variance effect of each coefficient: 1 / RMS of its column, shape (S,)."""
    rms = np.sqrt(np.einsum("ij,ij->j", term.Z, term.Z) / len(term.Z))
    return np.where(rms > 0.0, 1.0 / np.where(rms > 0.0, rms, 1.0), 1.0)


def column_basis(Z: FloatArray) -> FloatArray:
    """Return lower triangular L with ``Z = Q L`` and the columns of Q orthogonal, of mean square 1.

    Random slopes on a predictor far from zero (a year) make the coefficients of one level almost collinear;
    on the columns of Q they are not. Dependent columns are left as they are.
    """
    S = Z.shape[1]
    if S == 1:
        # One column needs no other; keeping a column of ones as it is keeps its fast paths.
        rms = math.sqrt(float(Z[:, 0] @ Z[:, 0]) / len(Z))
        return np.full((1, 1), rms if rms > 0.0 else 1.0)
    G = Z.T @ Z / len(Z)
    scale = np.sqrt(np.diagonal(G))
    if not scale.all():
        return np.eye(S)
    flipped = (G / np.multiply.outer(scale, scale))[::-1, ::-1]
    C, info = dpotrf(flipped, lower=1, clean=1)
    if info != 0 or np.diagonal(C).min() < DEPENDENT_PIVOT:
        return np.diag(scale)
    return np.ascontiguousarray(C[::-1, ::-1].T * scale)


def _engine_terms(
    terms: tuple[RandomTerm, ...], inverses: tuple[FloatArray, ...], root: FloatArray | None
) -> tuple[RandomTerm, ...]:
    """Return the terms on the columns of Q, their rows multiplied by the square roots of the weights."""
    engine = []
    for term, inverse in zip(terms, inverses, strict=True):
        Z = term.Z if len(inverse) == 1 and inverse[0, 0] == 1.0 else term.Z @ inverse
        engine.append(replace(term, Z=Z if root is None else Z * root[:, None]))
    return tuple(engine)


def _engine_factors(problem: LinearProblem, theta: FloatArray) -> list[FloatArray]:
    """Return ``L T`` of every term."""
    return [L @ T for L, T in zip(problem.bases, term_factors(problem.terms, theta), strict=True)]


def _enter_response(
    pattern: Pattern,
    basis: OrthonormalBasis,
    y: FloatArray,
    root: FloatArray | None,
    offset: FloatArray | None,
) -> tuple[RightHandSide, float, FloatArray]:
    """Return the cross-products of the least-squares residual, its sum of squares and the projection."""
    e = y.copy() if offset is None else y - offset
    if root is not None:
        e *= root
    total = float(e.dot(e))
    projection = basis.project(e)
    e -= basis.expand(projection)
    # A second pass removes what rounding left of the fixed effects in the residual of a large mean.
    correction = basis.project(e)
    e -= basis.expand(correction)
    rss = float(e.dot(e))
    if rss <= EXACT_FIT * total:
        raise DataError("The fixed effects fit the response exactly: there is no variation left to model.")
    return right_hand_side(pattern, e, basis.project(e)), rss, projection + correction


def theta_slices(terms: Sequence[RandomTerm]) -> tuple[slice, ...]:
    """Return the part of theta that belongs to each term."""
    return _consecutive(tuple(term.structure.n_theta for term in terms))


@cache
def _consecutive(sizes: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True))


def term_factors(terms: Sequence[RandomTerm], theta: FloatArray) -> tuple[FloatArray, ...]:
    """Return the relative covariance factor T of each term."""
    return tuple(
        term.structure.factor(theta[part]) for term, part in zip(terms, theta_slices(terms), strict=True)
    )


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
    return evaluation(problem, _engine_factors(problem, theta), REML, sigma).objective


def evaluation(
    problem: LinearProblem, factors: Sequence[FloatArray], REML: bool, sigma: float | None = None
) -> Evaluation:
    """Evaluate the objective at the factors ``L T`` of every term, and keep the solved system."""
    df = problem.n - problem.p if REML else problem.n
    by_block = [block_factor(block, factors) for block in problem.equations.pattern.blocks]
    system = problem.solver(problem.equations, by_block, df, 0.0 if sigma is None else sigma**2, REML)
    sigma2 = system.sigma2
    objective = system.log_det_L2 - problem.sum_log_weights + df * (LOG_2PI + math.log(sigma2))
    objective += system.pwrss / sigma2
    if REML:
        objective += system.log_det_RX2 + problem.basis.log_det_R2
    return Evaluation(objective, system)


def objective_and_gradient(
    problem: LinearProblem, theta: FloatArray, REML: bool, sigma: float | None = None
) -> tuple[float, FloatArray]:
    """Return the objective and its exact gradient in theta, shape (n_theta,)."""
    at = evaluation(problem, _engine_factors(problem, theta), REML, sigma)
    return at.objective, _pull_back(problem, theta, [block.gradient for block in at.system.moments()])


def _pull_back(problem: LinearProblem, theta: FloatArray, by_block: Sequence[FloatArray]) -> FloatArray:
    """Return the gradient in theta from the derivatives in the factor of each block."""
    gradient = np.empty(problem.n_theta)
    slices = theta_slices(problem.terms)
    for block, dT in zip(problem.pattern.blocks, by_block, strict=True):
        for k, rows in term_slices(block):
            dT_term = problem.bases[k].T @ dT[rows, rows]
            gradient[slices[k]] = problem.terms[k].structure.pullback(theta[slices[k]], dT_term)
    return gradient


def solve(
    problem: LinearProblem, theta: FloatArray, REML: bool, sigma: float | None = None
) -> LinearSolution:
    """Return all estimates given theta, on the user's scale."""
    at = evaluation(problem, _engine_factors(problem, theta), REML, sigma)
    system, R_inverse = at.system, problem.basis.R_inverse
    root = lower_inverse(system.fixed_root).dot(R_inverse.T)
    return LinearSolution(
        beta=R_inverse.dot(problem.projection + system.gamma),
        u=spherical_by_term(problem, system.u),
        sigma=math.sqrt(system.sigma2),
        objective=at.objective,
        pwrss=system.pwrss,
        unscaled_vcov=root.T.dot(root),
        log_det_L2=system.log_det_L2,
        log_det_RX2=system.log_det_RX2 + problem.basis.log_det_R2,
    )


def spherical_by_term(problem: LinearProblem, u: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
    """Return random effects by term in design order, each (q, S), from those by block."""
    by_term: dict[int, FloatArray] = {}
    for block, values in zip(problem.pattern.blocks, u, strict=True):
        for k, rows in term_slices(block):
            by_term[k] = np.ascontiguousarray(values[rows].T)
    return tuple(by_term[k] for k in range(len(problem.terms)))


def conditional_covariances(problem: LinearProblem, theta: FloatArray) -> tuple[FloatArray, ...]:
    """Return ``Var(b_l | y, beta) / sigma^2`` of every level, one (q, S, S) array per term."""
    T = _engine_factors(problem, theta)
    pattern = problem.pattern
    factor = factorize(pattern, problem.equations.A, [block_factor(block, T) for block in pattern.blocks])
    inverse = invert_on_pattern(factor, fixed_effects=False, cross=False)
    by_term: dict[int, FloatArray] = {}
    for j, index in enumerate(pattern.chain):
        for k, rows in term_slices(pattern.blocks[index]):
            by_term[k] = inverse.chain[j].faces[rows, rows].transpose(2, 0, 1).copy()
    for r, index in enumerate(pattern.tail):
        covariances = inverse.tail.covariances(r)
        for k, rows in term_slices(pattern.blocks[index]):
            by_term[k] = covariances[:, rows, rows].copy()
    return tuple(M @ by_term[k] @ M.T for k, M in enumerate(problem.inverse_bases))
