"""What a fit of a nonlinear mixed model stores: the estimates, once; everything else is derived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mixedmodels.arrays import FloatArray
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport

Method = Literal["laplace", "lindstrom-bates"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NonlinearEstimates:
    """Estimates of a nonlinear mixed model.

    Attributes
    ----------
    theta : ndarray, shape (k,)
        Covariance parameters relative to sigma.
    beta : ndarray, shape (p,)
        Fixed effects.
    u : tuple of ndarray, each (levels, S)
        Spherical random effects at the conditional mode by term.
    sigma : float
        Residual standard deviation.
    objective : float
        -2 log-likelihood, or the REML criterion of the linearised model.
    method : {"laplace", "lindstrom-bates"}
        Laplace's approximation, or quadrature with `nAGQ` nodes; or the likelihood of the linearised model.
    nAGQ : int
        Nodes.
    REML : bool
        Which criterion was minimised.
    observed : bool
        Whether Laplace's approximation takes the exact curvature.
    unscaled_vcov : ndarray, shape (p, p)
        ``(R_X'R_X)^-1`` of the model linearised at the mode.
    covariance : ndarray, shape (k + p, k + p), or None
        Covariance of (theta, beta) from the Hessian of the objective; None where there is none. Zero at
        covariance parameters that are zero.
    optimization : OptimizationReport
        How the optimum was found.
    convergence : ConvergenceReport
        The verdict.
    """

    theta: FloatArray
    beta: FloatArray
    u: tuple[FloatArray, ...]
    sigma: float
    objective: float
    method: Method
    nAGQ: int
    REML: bool
    observed: bool
    unscaled_vcov: FloatArray
    covariance: FloatArray | None
    optimization: OptimizationReport
    convergence: ConvergenceReport
