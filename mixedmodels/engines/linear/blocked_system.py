"""The penalized least-squares system of a linear mixed model through the blocked factorization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.gradient import BlockMoments, block_moments, joined_moments
from mixedmodels.engines.linear.system import Equations
from mixedmodels.factorization.constant.blocked import Factor, Solution, factorize, solve_penalized
from mixedmodels.factorization.constant.cross_products import RightHandSide
from mixedmodels.factorization.dense import lower_inverse

if TYPE_CHECKING:
    from mixedmodels.factorization.heavy_levels import Split


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
