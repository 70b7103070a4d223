"""A fit that solves the equations of a linear mixed model: that model itself, or a working one."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import LinearSolution, conditional_covariances
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.reports.printed import Printed

with on_first_use():
    from mixedmodels.fits import joint_covariance as joint

if TYPE_CHECKING:
    from mixedmodels.fits.joint_covariance import JointCovariance


class LinearEquationsFit(MixedFit):
    """A mixed model whose theta is relative to sigma, with the cross-products it was solved from."""

    @property
    def problem(self) -> LinearProblem:
        """The engine's form of the design."""
        raise NotImplementedError

    @property
    def solution(self) -> LinearSolution:
        """What follows from theta."""
        raise NotImplementedError

    @property
    def unscaled_vcov(self) -> FloatArray:
        """``(R_X' R_X)^-1``, shape (p, p)."""
        return self.solution.unscaled_vcov

    @property
    def residual_sd(self) -> float | None:
        """Sigma."""
        return self.sigma()

    @property
    def factorization(self) -> Printed:
        """The blocks of the factorization and how each is handled, as a table."""
        return Printed(self.problem.description())

    @cached_property
    def joint_covariance(self) -> JointCovariance | None:
        """The joint covariance of (b, beta) over sigma^2, entry by entry."""
        return joint.covariance_of_problem(self.problem, self.theta_values)

    def sigma(self) -> float:
        """Return the residual standard deviation, or the square root of the dispersion."""
        return self.solution.sigma

    def _fixed_covariance(self) -> FloatArray:
        return self.sigma() ** 2 * self.unscaled_vcov

    def _conditional_covariances(self) -> tuple[FloatArray, ...]:
        relative = conditional_covariances(self.problem, self.theta_values)
        return tuple(self.sigma() ** 2 * V for V in relative)
