"""An approximate optimum for crossed factors that needs no large dense matrix, to start from.

A partially factorized mean-field approximation (Ghandwani, Ghosh, Hastie & Owen 2023, arXiv:2307.12378;
Goplerud, Papaspiliopoulos & Zanella 2023, arXiv:2312.13148): levels of the large factors are taken as
conditionally independent, here after the largest factor is eliminated exactly, and small factors are kept
whole (:mod:`mixedmodels.engines.linear.bordered_blocks`). Conditional variances come from that; random
effects and the residual sum of squares are those of the model itself, by conjugate gradients. Fisher scoring
with these moments settles within 0.01 units of the objective from the optimum where factors are well crossed,
and within 1.5 where they are confounded (a department and its teachers). Where one evaluation costs more than
some solves these tell what the variances leave out (:mod:`mixedmodels.engines.linear.sampled_variances`), and
scoring ends within a hundredth of a standard error: one evaluation there, with the curvature, is enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.bordered_blocks import Arrow, build_arrow
from mixedmodels.engines.linear.gradient import BlockMoments, joined_moments
from mixedmodels.engines.linear.mean_field import (
    ArrowFactor,
    conditional_variances,
    conjugate_gradients,
    factor_arrow,
    from_lead,
    to_lead,
)
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.sampled_variances import sampled_excess
from mixedmodels.engines.linear.start import Point
from mixedmodels.engines.linear.system import Equations
from mixedmodels.factorization.blocks import block_factor
from mixedmodels.factorization.constant.sparse_tail_matrix import SparseMatrix
from mixedmodels.factorization.heavy_levels import Split
from mixedmodels.formula.design.theta import boundaries
from mixedmodels.kernels import faces

#: Seconds of one core that the approximation takes, and for each entry of the coupling besides.
CALL_SECONDS, ENTRY_SECONDS = 0.01, 2.5e-7
#: Seconds of one evaluation for each row of a dense tail, cubed; and how many evaluations are saved at least.
DENSE_SECONDS, SAVED = 5e-11, 3.0
#: Seconds that sampling what the variances leave out takes for each entry of the coupling.
SAMPLED_SECONDS = 2e-6
#: Scoring ends when a step promises less than this, with sampled variances than that, or after so many steps.
SETTLED, SAMPLED_SETTLED, MAX_STEPS = 0.01, 1e-6, 12
#: Size, in units of its scale, that a standard deviation keeps: at zero the gradient says nothing.
LEAST_SIZE = 0.01
#: Squared error of the random effects, in residual variances, that ends the conjugate gradients.
SOLVED, SAMPLED_SOLVED = 1e-6, 1e-10


def is_expensive(problem: LinearProblem) -> bool:
    """Tell whether the evaluations that the approximation saves cost more than it does: a large tail."""
    pattern = problem.pattern
    if not pattern.chain or not pattern.tail or any(b.precision is not None for b in pattern.blocks):
        return False
    return SAVED * _evaluation_seconds(problem) > CALL_SECONDS + ENTRY_SECONDS * _entries(problem)


def _is_worth_sampling(problem: LinearProblem) -> bool:
    """Tell whether the evaluation that closer variances save costs more than they do."""
    return _evaluation_seconds(problem) > SAMPLED_SECONDS * _entries(problem)


def _entries(problem: LinearProblem) -> int:
    """Return the entries of the tail against the blocks eliminated before it."""
    pattern = problem.pattern
    return sum(
        pattern.blocks[c].size * len(coupling.rows)
        for c, coupling in zip(pattern.chain, pattern.couplings, strict=True)
    )


def _evaluation_seconds(problem: LinearProblem) -> float:
    """Return the order of magnitude of the time of one evaluation."""
    tail = problem.equations.A.tail
    if isinstance(tail, SparseMatrix):
        return tail.layout.fronts.seconds
    return DENSE_SECONDS * float(problem.pattern.n_tail) ** 3


def approximate_theta(problem: LinearProblem, REML: bool, sigma: float | None) -> FloatArray:
    """Return theta near the optimum.

    Parameters
    ----------
    problem : LinearProblem
        A problem whose evaluations are expensive.
    REML : bool
        Which criterion; it decides the divisor of the residual variance only.
    sigma : float or None
        Fixed residual standard deviation.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the approximation breaks down.
    """
    equations = problem.equations
    arrow = build_arrow(equations.pattern, equations.A)
    df = problem.n - problem.p if REML else problem.n
    state = Settling(starting.first_theta(problem), np.zeros(arrow.middle.n_effects + len(arrow.core_core)))
    state = _settled(problem, arrow, df, sigma, state)
    if _is_worth_sampling(problem):
        excess = sampled_excess(_factored(problem, arrow, starting.free_of(problem, state.theta)), REML)
        state = _settled(problem, arrow, df, sigma, replace(state, excess=excess))
    least, theta = LEAST_SIZE * problem.scales, state.theta
    return np.where(boundaries(problem.terms) & (np.abs(theta) < least), least, theta)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Settling:
    """Where scoring stands.

    Attributes
    ----------
    theta : ndarray, shape (n_theta,)
        Covariance parameters.
    x : ndarray, shape (n_middle + c,)
        Effects of middle, core and fixed effects, from which the next are solved for.
    excess : tuple of ndarray, each (S, S)
        What the sums of conditional variances of each block exceed the approximation by; empty if that is
        not known.
    """

    theta: FloatArray
    x: FloatArray
    excess: tuple[FloatArray, ...] = ()


def _settled(problem: LinearProblem, arrow: Arrow, df: int, sigma: float | None, state: Settling) -> Settling:
    """Return where Fisher scoring settles."""
    equations = problem.equations
    settled, solved = (SAMPLED_SETTLED, SAMPLED_SOLVED) if state.excess else (SETTLED, SOLVED)
    for _ in range(MAX_STEPS):
        free = starting.free_of(problem, state.theta)
        factor = _factored(problem, arrow, free)
        at = effects(factor, equations, df, sigma, state.x, solved)
        moments = approximate_moments(factor, at, state.excess, equations.split)
        point = Point(free, math.nan, starting.free_gradient(problem, free, moments), moments, math.nan)
        state = replace(state, theta=starting.scored_theta(problem, point), x=at.x)
        if abs(float(point.gradient @ (starting.free_of(problem, state.theta) - free))) < 2.0 * settled:
            break
    return state


def _factored(problem: LinearProblem, arrow: Arrow, free: FloatArray) -> ArrowFactor:
    """Return the approximation factored at free coordinates."""
    T = starting.factors_of(problem, free)
    return factor_arrow(arrow, [block_factor(block, T) for block in problem.equations.pattern.blocks])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Effects:
    """Solution of the model's own equations.

    Attributes
    ----------
    x : ndarray, shape (n_middle + c,)
        Spherical effects of the middle and the core, then fixed effects.
    lead : ndarray, shape (S, q)
        Spherical effects of the leading block.
    sigma2 : float
        Residual variance.
    """

    x: FloatArray
    lead: FloatArray
    sigma2: float


def effects(
    factor: ArrowFactor,
    equations: Equations,
    df: int,
    sigma: float | None,
    x: FloatArray,
    solved: float = SOLVED,
) -> Effects:
    """Solve for the effects, from x on, and the residual variance."""
    arrow, rhs = factor.arrow, equations.rhs
    lead = rhs.Z[arrow.lead]
    half = faces.apply(factor.lead.P, lead)
    raw = [rhs.Z[b].T.ravel() for b in (*arrow.middle.blocks, *arrow.core.blocks)]
    border = factor.scaled(np.concatenate([*raw, rhs.X]) - from_lead(arrow, half), transposed=True)
    variance = equations.rss / df if sigma is None else sigma**2
    x, left = conjugate_gradients(factor, border, x, solved * variance)
    pwrss = equations.rss - float(np.vdot(lead, half)) - float(x @ (border + left))
    b = factor.scaled(x, transposed=False)
    u = faces.apply(faces.transposed(factor.lead.W), lead - to_lead(arrow, b))
    return Effects(x, u, pwrss / df if sigma is None else sigma**2)


def approximate_moments(
    factor: ArrowFactor, at: Effects, excess: Sequence[FloatArray], split: Split | None = None
) -> tuple[BlockMoments, ...]:
    """Return the moments of every block, split ones as a whole: approximate variances, exact effects.

    What the sums of variances exceed the approximation by is shared by the levels of a block.
    """
    arrow = factor.arrow
    u, n = {arrow.lead: at.lead}, arrow.middle.n_effects
    T = {arrow.lead: factor.lead.T}
    for (b, where), face in zip(arrow.middle, factor.middle, strict=True):
        u[b], T[b] = at.x[where].reshape(-1, len(face.T)).T, face.T
    for b, where in arrow.core:
        S, _ = arrow.sizes[b]
        u[b] = at.x[n:][where].reshape(-1, S).T
        T[b] = factor.T_core[where, where][:S, :S]
    variances = conditional_variances(factor)
    for b, more in enumerate(excess):
        variances[b] += more[:, :, None] / arrow.sizes[b][1]
    moments = tuple(_moments(T[b], variances[b], u[b], at.sigma2) for b in range(len(arrow.sizes)))
    return moments if split is None else joined_moments(split, moments)


def _moments(T: FloatArray, V: FloatArray, u: FloatArray, sigma2: float) -> BlockMoments:
    S, q = u.shape
    second = u @ u.T / sigma2
    return BlockMoments(np.linalg.solve(T.T, 2.0 * (q * np.eye(S) - V.sum(axis=2) - second)), V, second)
