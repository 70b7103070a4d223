"""Gradient of the profiled objective in the relative covariance factors T, exact for singular T too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.linear.term_moments import LEAST_SHARE, OneFactorMoments
from mixedmodels.factorization.constant.blocked import Factor, Solution
from mixedmodels.kernels import faces

with on_first_use():
    from mixedmodels.factorization.constant import inverse as on_pattern

if TYPE_CHECKING:
    from mixedmodels.factorization.constant.inverse import Inverse
    from mixedmodels.factorization.heavy_levels import Split

#: Product of the extreme singular values of T, on the scale of the data, below which T counts as singular.
#: Both formulas are exact; the direct one costs more in the tail, so rounding may be a million times worse.
SINGULAR = 1e-6


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LevelMoments:
    """What the levels say about the covariance of one term of many coefficients, the levels kept apart.

    Units and shares are those of :class:`~mixedmodels.engines.linear.term_moments.TermMoments`.

    Attributes
    ----------
    shares : ndarray, shape (S, S, q)
        ``B_l``.
    shrinkage_gap : ndarray, shape (S, S)
        ``sum_l (I - S_ll)``.
    """

    shares: FloatArray
    shrinkage_gap: FloatArray

    @property
    def information(self) -> FloatArray:
        """``sum_l B_l (x) B_l``, shape (S^2, S^2): much where S is large."""
        S, _, q = self.shares.shape
        flat = self.shares.reshape(S * S, q)
        products = (flat @ flat.T).reshape(S, S, S, S)
        return products.transpose(0, 2, 1, 3).reshape(S * S, S * S)

    def along(self, changes: FloatArray) -> FloatArray:
        """Return ``sum_l tr(B_l C_i B_l C_j)`` for symmetric changes C, shape (k, S^2)."""
        k, S = len(changes), len(self.shares)
        if k >= S:
            return np.asarray(changes.dot(self.information).dot(changes.T))
        half = np.matmul(self.shares.transpose(2, 0, 1)[:, None], changes.reshape(k, S, S))
        turned = np.ascontiguousarray(half.transpose(0, 1, 3, 2))
        return np.asarray(
            np.einsum("lix,ljx->ij", half.reshape(*half.shape[:2], -1), turned.reshape(*half.shape[:2], -1))
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BlockMoments:
    """What the levels of one block say about its covariance factor, in units of the current T.

    Attributes
    ----------
    gradient : ndarray, shape (S, S)
        Derivative of the objective in T.
    variances : ndarray, shape (S, S, q)
        ``Var(u_l | y) / sigma^2``: I where the data say nothing, 0 where they say all.
    second : ndarray, shape (S, S)
        ``sum_l u_l u_l' / sigma^2``.
    """

    gradient: FloatArray
    variances: FloatArray
    second: FloatArray

    def of_term(self, rows: slice) -> LevelMoments:
        """Return the moments of one term of the block."""
        variances = self.variances[rows, rows]
        S, _, q = variances.shape
        flat = variances.reshape(S * S, q)
        shrinkage_gap = q * np.eye(S) - flat.sum(axis=1).reshape(S, S) - self.second[rows, rows]
        B = flat * (LEAST_SHARE - 1.0)
        B[:: S + 1] += 1.0
        return LevelMoments(B.reshape(S, S, q), shrinkage_gap)


Moments: TypeAlias = BlockMoments | OneFactorMoments


def block_moments(
    factor: Factor, solution: Solution, sigma2: float, *, REML: bool
) -> tuple[BlockMoments, ...]:
    """Return the derivative of the objective in T and the moments it comes from, for each block.

    For a nonsingular T the derivative is ``2 T^-T (q I - sum_l S_ll)`` with
    ``S_ll = Var(u_l | y) / sigma^2 + u_l u_l' / sigma^2`` (Fisher's identity); for a singular one
    ``2 sum_l [A Lambda Omega^-1]_ll`` less the same for the fitted values.
    """
    inverse = on_pattern.invert_on_pattern(factor, fixed_effects=REML, cross=False)
    moments: dict[int, BlockMoments] = {}
    for j, block in enumerate(factor.pattern.chain):
        moments[block] = _chain_moments(factor, inverse, j, solution, sigma2)
    for r, block in enumerate(factor.pattern.tail):
        moments[block] = _tail_moments(factor, inverse, r, solution, sigma2)
    return tuple(moments[block] for block in range(len(moments)))


def joined_moments(split: Split, by_block: Sequence[BlockMoments]) -> tuple[BlockMoments, ...]:
    """Return the moments of whole blocks from those of light and heavy levels, whose factor is one."""
    variances = split.joined([moments.variances for moments in by_block])
    light, *others, heavy = by_block
    both = BlockMoments(light.gradient + heavy.gradient, variances[0], light.second + heavy.second)
    return (both, *others)


def is_singular(T: FloatArray, information: FloatArray) -> bool:
    """Tell whether T is too close to singular for Fisher's identity, which divides by it.

    Rows of T are put on the scale of the data, ``information`` being the mean diagonal of Z'WZ. Dividing by
    T magnifies rounding by the inverse of its least singular value, the direct formula by the largest.
    """
    scaled = T * np.sqrt(information)[:, None]
    if len(T) <= 2:
        return abs(float(scaled[0, 0] * scaled[-1, -1])) < SINGULAR
    values = np.linalg.svd(scaled, compute_uv=False)
    return float(values[0] * values[-1]) < SINGULAR


def _chain_moments(
    factor: Factor, inverse: Inverse, j: int, solution: Solution, sigma2: float
) -> BlockMoments:
    step, block = factor.steps[j], factor.pattern.chain[j]
    N, score, u = inverse.chain[j].N, solution.score[block], solution.u[block]
    second = u @ u.T / sigma2
    V = step.D_inverse + faces.product(faces.transposed(step.W), faces.product(N, step.W))
    if not is_singular(step.T, np.einsum("iil->i", step.A) / step.A.shape[2]):
        return _moments(step.T, V, second)
    NW = faces.product(N + score[:, None] * (score / sigma2)[None], step.W)
    direct = faces.product(step.A, step.W + faces.product(step.P, NW)) - NW
    return _moments(step.T, V, second, 2.0 * direct.sum(axis=2))


def _tail_moments(
    factor: Factor, inverse: Inverse, r: int, solution: Solution, sigma2: float
) -> BlockMoments:
    block = factor.pattern.tail[r]
    T, u = factor.factors[block], solution.u[block]
    second = factor.tail.penalized(r, u) @ u.T / sigma2
    gradient = None
    if is_singular(T, np.maximum(factor.tail.information(r), 0.0)):
        fitted = solution.score[block] @ u.T / sigma2
        gradient = 2.0 * (inverse.tail.singular_trace(r) - fitted)
    return _moments(T, inverse.tail.spherical[r], second, gradient)


def _moments(
    T: FloatArray, V: FloatArray, second: FloatArray, gradient: FloatArray | None = None
) -> BlockMoments:
    """Gather the moments from conditional variances V, shape (S, S, q), and products of effects, (S, S)."""
    S, _, q = V.shape
    if gradient is None:
        # Not LAPACK's trtrs: OpenBLAS starts threads for its transposed form whatever the size, which on a
        # busy machine costs milliseconds.
        gradient = np.linalg.solve(T.T, 2.0 * (q * np.eye(S) - V.sum(axis=2) - second))
    return BlockMoments(gradient, V, second)
