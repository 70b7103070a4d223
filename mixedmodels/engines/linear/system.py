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
from mixedmodels.engines.linear.term_moments import LEAST_SHARE, OneFactorMoments
from mixedmodels.factorization.blocks import Block
from mixedmodels.factorization.constant.cross_products import CrossProducts, RightHandSide
from mixedmodels.factorization.dense import lower_inverse
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.kernels.one_factor import one_factor

if TYPE_CHECKING:
    from mixedmodels.engines.linear.gradient import Moments
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
    """The solved system; :class:`~mixedmodels.engines.linear.blocked_system.BlockedSystem` documents it."""

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
