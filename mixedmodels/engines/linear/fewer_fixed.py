"""More fixed effects than random ones: after a rotation only as many columns meet the random effects.

With orthonormal columns Q of X, ``Q'Z = V C`` where V has as many columns as Z at most. The columns ``Q V``
meet the random effects; those of its complement are orthogonal to them and to each other, so that their
coefficients are products with the response and neither determinants nor random effects know of them. An
evaluation then grows with the random effects alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg.lapack import dlauum

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.gradient import Moments
from mixedmodels.engines.linear.system import Equations, Solver, System
from mixedmodels.factorization.constant.cross_products import CrossProducts, RightHandSide
from mixedmodels.factorization.pattern import Pattern


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RotatedSystem:
    """The system of a model in which few columns of the fixed effects meet the random ones.

    Attributes
    ----------
    inner : System
        The system of those columns.
    V : ndarray, shape (p, m)
        What makes them of the orthonormal columns.
    gamma : ndarray, shape (p,)
        Fixed effects.
    """

    inner: System
    V: FloatArray
    gamma: FloatArray

    @property
    def pwrss(self) -> float:
        """Penalized weighted residual sum of squares."""
        return self.inner.pwrss

    @property
    def sigma2(self) -> float:
        """Residual variance, estimated or fixed."""
        return self.inner.sigma2

    @property
    def log_det_L2(self) -> float:
        """``log|L|^2``."""
        return self.inner.log_det_L2

    @property
    def log_det_RX2(self) -> float:
        """``log|R_X|^2``: the complement adds nothing."""
        return self.inner.log_det_RX2

    @property
    def fixed_root(self) -> FloatArray:
        """Lower triangular ``R_X'``, shape (p, p)."""
        root = self.inner.fixed_root
        change = root @ root.T - np.eye(len(root))
        return np.asarray(
            np.linalg.cholesky(np.eye(len(self.V)) + self.V @ change @ self.V.T), dtype=np.float64
        )

    def fixed_covariance(self, R_inverse: FloatArray) -> FloatArray:
        """Return ``R^-1 (R_X'R_X)^-1 R^-T``: that of least squares, and what the random effects add to it.

        ``R^-1`` is upper triangular.
        """
        across = R_inverse @ self.V
        covariance = self.inner.fixed_covariance(across)
        covariance -= across @ across.T
        # LAPACK leaves the zeros below the diagonal as they are.
        upper = dlauum(R_inverse, lower=0)[0]
        np.einsum("ii->i", upper)[:] *= 0.5
        covariance += upper
        covariance += upper.T
        return covariance

    @property
    def u(self) -> tuple[FloatArray, ...]:
        """Spherical random effects by block, each (S, q)."""
        return self.inner.u

    def moments(self) -> tuple[Moments, ...]:
        """Return the derivative of the objective in T, and what it comes from, by block."""
        return self.inner.moments()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RotatedSolver:
    """Solves with the columns that meet the random effects.

    Attributes
    ----------
    V : ndarray, shape (p, m)
        What makes them of the orthonormal columns.
    A : CrossProducts
        Cross-products with them.
    solver : Solver
        Solves for them.
    """

    V: FloatArray
    A: CrossProducts
    solver: Solver

    def __call__(
        self, equations: Equations, factors: Sequence[FloatArray], df: int, sigma2: float, REML: bool
    ) -> RotatedSystem:
        """Solve the system; see :data:`mixedmodels.engines.linear.system.Solver`.

        Raises
        ------
        numpy.linalg.LinAlgError
            If it is not positive definite, or no residual is left.
        """
        at, rhs = self.V.T @ equations.rhs.X, equations.rhs
        beyond = rhs.X - self.V @ at
        rotated = replace(
            equations,
            A=self.A,
            rhs=RightHandSide(rhs.Z, at),
            rss=equations.rss - float(beyond @ beyond),
        )
        inner = self.solver(rotated, factors, df, sigma2, REML)
        return RotatedSystem(inner, self.V, self.V @ inner.gamma + beyond)


def rotated(pattern: Pattern, A: CrossProducts, V: FloatArray) -> CrossProducts:
    """Return cross-products with rotated fixed effects."""
    XZ = tuple(np.tensordot(V, own, axes=(0, 0)) for own in A.XZ)
    rests = tuple(rest.with_fixed(XZ[c]) for rest, c in zip(A.rests, pattern.chain, strict=True))
    return replace(A, rests=rests, XZ=XZ, XX=np.eye(V.shape[1]))
