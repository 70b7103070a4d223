"""What a fit of a linear mixed model stores: the estimates, once; everything else is derived."""

from __future__ import annotations

from dataclasses import dataclass

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.reml import LinearSolution
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LinearEstimates:
    """Estimates of a linear mixed model.

    Attributes
    ----------
    theta : ndarray, shape (k,)
        Covariance parameters relative to sigma, terms in the order of ``design.random``.
    solution : LinearSolution
        Everything that follows from theta: beta, u, sigma, objective, covariance, on the user's scale.
    REML : bool
        Which criterion was minimised.
    inverse_hessian : ndarray, shape (k, k)
        Quasi-Newton estimate of the inverse Hessian of the objective in the optimiser's coordinates: what
        the fit to a like response starts from. Not for standard errors.
    optimization : OptimizationReport
        How the optimum was found.
    convergence : ConvergenceReport
        The verdict.
    """

    theta: FloatArray
    solution: LinearSolution
    REML: bool
    inverse_hessian: FloatArray
    optimization: OptimizationReport
    convergence: ConvergenceReport

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self.solution.beta

    @property
    def u(self) -> tuple[FloatArray, ...]:
        """Spherical random effects by term, each (q, S)."""
        return self.solution.u
