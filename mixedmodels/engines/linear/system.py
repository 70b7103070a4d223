"""The penalized least-squares system of a linear mixed model at one T, solved for one response.

A model with one grouping factor goes through one kernel, which does everything in two passes over its levels;
all others through the blocked factorization. What follows reads the same numbers from both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.gradient import (
    LEAST_SHARE,
    BlockMoments,
    Moments,
    OneFactorMoments,
    block_moments,
    joined_moments,
)
from mixedmodels.factorization.blocks import Block
from mixedmodels.factorization.constant.blocked import Factor, Solution, factorize, solve_penalized
from mixedmodels.factorization.constant.cross_products import CrossProducts, RightHandSide
from mixedmodels.factorization.dense import lower_inverse
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.kernels.one_factor import MAX_COEFFICIENTS, MAX_FIXED, one_factor

if TYPE_CHECKING:
    from mixedmodels.factorization.heavy_levels import Split


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Equations:
    """The system without T: cross-products of the random effects, the fixed effects and the response.

    Attributes
    ----------
    pattern : Pattern
        Blocks and the order of their elimination.
    A : CrossProducts
        Of random and fixed effects.
    rhs : RightHandSide
        Of those with the response.
    rss : float
        Of the response with itself.
    split : Split or None
        How heavy levels of the leading block were set apart, if they were.
    """

    pattern: Pattern
    A: CrossProducts
    rhs: RightHandSide
    rss: float
    split: Split | None = None

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks before any were split."""
        return self.pattern.blocks if self.split is None else self.split.whole


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BlockedSystem:
    """The system through the blocked factorization.

    Attributes
    ----------
    pwrss, sigma2 : float
        Penalized weighted residual sum of squares; residual variance, estimated or fixed.
    factor : Factor
        Factorization.
    solution : Solution
        Random and fixed effects.
    REML : bool
        Whether conditional variances include the uncertainty of the fixed effects.
    split : Split or None
        Of the equations.
    """

    pwrss: float
    sigma2: float
    factor: Factor
    solution: Solution
    REML: bool
    split: Split | None = None

    @property
    def log_det_L2(self) -> float:
        """``log|L|^2``."""
        return self.factor.log_det_L2

    @property
    def log_det_RX2(self) -> float:
        """``log|R_X|^2``."""
        return self.factor.log_det_RX2

    @property
    def fixed_root(self) -> FloatArray:
        """Lower triangular ``R_X'``, shape (p, p)."""
        return self.factor.tail.fixed_root()

    def fixed_covariance(self, R_inverse: FloatArray) -> FloatArray:
        """Return ``R^-1 (R_X'R_X)^-1 R^-T``, for any rows in place of those of ``R^-1``."""
        root = lower_inverse(self.fixed_root).dot(R_inverse.T)
        return np.asarray(root.T.dot(root))

    @property
    def gamma(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self.solution.gamma

    @property
    def u(self) -> tuple[FloatArray, ...]:
        """Spherical random effects by block, each (S, q)."""
        return self.solution.u if self.split is None else self.split.joined(self.solution.u)

    def moments(self) -> tuple[BlockMoments, ...]:
        """Return the derivative of the objective in T, and what it comes from, by block."""
        moments = block_moments(self.factor, self.solution, self.sigma2, REML=self.REML)
        return moments if self.split is None else joined_moments(self.split, moments)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OneFactorSystem:
    """The system of a model with one grouping factor.

    Attributes
    ----------
    sigma2 : float
        Residual variance, estimated or fixed.
    log_det_L2, log_det_RX2 : float
        ``log|L|^2`` and ``log|R_X|^2``.
    root : ndarray, shape (p + 1, p + 1)
        Cholesky factor of the border of fixed effects and response, the last pivot squared.
    effects : ndarray, shape (S, q)
        Spherical random effects.
    derivatives : OneFactorMoments
        Of the block.
    """

    sigma2: float
    log_det_L2: float
    log_det_RX2: float
    root: FloatArray
    effects: FloatArray
    derivatives: OneFactorMoments

    @property
    def pwrss(self) -> float:
        """Penalized weighted residual sum of squares."""
        return float(self.root[-1, -1])

    @property
    def fixed_root(self) -> FloatArray:
        """Lower triangular ``R_X'``, shape (p, p)."""
        return self.root[:-1, :-1]

    def fixed_covariance(self, R_inverse: FloatArray) -> FloatArray:
        """Return ``R^-1 (R_X'R_X)^-1 R^-T``, for any rows in place of those of ``R^-1``."""
        root = lower_inverse(self.fixed_root).dot(R_inverse.T)
        return np.asarray(root.T.dot(root))

    @property
    def gamma(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return np.asarray(lower_inverse(self.fixed_root).T.dot(self.root[-1, :-1]))

    @property
    def u(self) -> tuple[FloatArray, ...]:
        """Spherical random effects of the block, shape (S, q)."""
        return (self.effects,)

    def moments(self) -> tuple[OneFactorMoments, ...]:
        """Return the derivative of the objective in T, and what it comes from, of the block."""
        return (self.derivatives,)


class System(Protocol):
    """The system, solved; what :class:`BlockedSystem` documents."""

    @property
    def pwrss(self) -> float: ...  # noqa: D102
    @property
    def sigma2(self) -> float: ...  # noqa: D102
    @property
    def log_det_L2(self) -> float: ...  # noqa: D102
    @property
    def log_det_RX2(self) -> float: ...  # noqa: D102
    @property
    def fixed_root(self) -> FloatArray: ...  # noqa: D102
    @property
    def gamma(self) -> FloatArray: ...  # noqa: D102
    @property
    def u(self) -> tuple[FloatArray, ...]: ...  # noqa: D102
    def fixed_covariance(self, R_inverse: FloatArray) -> FloatArray: ...  # noqa: D102
    def moments(self) -> tuple[Moments, ...]: ...  # noqa: D102


#: Solves the system: (equations, T of each block, divisor of pwrss, fixed residual variance or 0, REML).
Solver: TypeAlias = Callable[[Equations, Sequence[FloatArray], int, float, bool], System]


def choose_solver(pattern: Pattern, p: int) -> Solver:
    """Return the way through the system that is cheapest for its blocks and number of fixed effects."""
    one = len(pattern.blocks) == len(pattern.chain) == 1
    fits = one and pattern.blocks[0].size <= MAX_COEFFICIENTS and p <= MAX_FIXED
    return solve_one_factor if fits else solve_blocked


def solve_blocked(
    equations: Equations, factors: Sequence[FloatArray], df: int, sigma2: float, REML: bool
) -> BlockedSystem:
    """Solve through the blocked factorization.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the system is not positive definite, or no residual is left.
    """
    # 1. Eliminate the chain, factor the tail bordered with the fixed effects (Bates et al. 2015, eq. 18).
    factor = factorize(equations.pattern, equations.A, factors)
    # 2. Solve for b and gamma (eq. 17).
    solution = solve_penalized(factor, equations.rhs)
    # 3. What the solution leaves of the sum of squares is the penalized one (eq. 19 at its minimum).
    pwrss = equations.rss - _explained(equations.rhs, solution)
    if not pwrss > 0.0:
        raise np.linalg.LinAlgError("the residual sum of squares vanishes")
    return BlockedSystem(pwrss, sigma2 or pwrss / df, factor, solution, REML, equations.split)


def _explained(rhs: RightHandSide, solution: Solution) -> float:
    return float(rhs.X @ solution.gamma) + sum(
        float(np.vdot(r, b)) for r, b in zip(rhs.Z, solution.b, strict=True)
    )


def solve_one_factor(
    equations: Equations, factors: Sequence[FloatArray], df: int, sigma2: float, REML: bool
) -> OneFactorSystem:
    """Solve a model with one grouping factor.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the system is not positive definite, or no residual is left.
    """
    A, rhs = equations.A, equations.rhs
    log_det, log_det_fixed, sigma2, root, u, gradient, gap, pairs = one_factor(
        A.faces[0],
        A.XZ[0],
        rhs.Z[0],
        A.XX,
        rhs.X,
        equations.rss,
        factors[0],
        df,
        sigma2,
        REML,
        LEAST_SHARE,
    )
    return OneFactorSystem(sigma2, log_det, log_det_fixed, root, u, OneFactorMoments(gradient, gap, pairs))
