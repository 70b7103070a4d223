"""What a fit of such a model stores: the estimates, once; everything else is derived."""

from __future__ import annotations

from dataclasses import dataclass

from mixedmodels.arrays import FloatArray
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NonlinearFamilyEstimates:
    """Estimates of a nonlinear mixed model whose response has a family.

    Attributes
    ----------
    theta : ndarray, shape (k,)
        Covariance parameters, on the scale of the parameters of the curve.
    beta : ndarray, shape (p,)
        Fixed effects.
    phi : ndarray, shape (n_phi,)
        Parameters of the family on their natural scale.
    u : tuple of ndarray, each (levels, S)
        Spherical random effects at the conditional mode by term.
    eta : ndarray, shape (n,)
        The curve at the mode, to which the inverse link is applied.
    objective : float
        -2 log-likelihood with its full normalising constant.
    nAGQ : int
        Nodes: 1 is Laplace's approximation.
    observed : bool
        Whether the curvature of the approximation is the exact one.
    vcov_rx : ndarray, shape (p, p)
        Covariance of beta of the model linear around the mode, theta and phi as known.
    covariance : ndarray, shape (k + p + n_phi,) * 2, or None
        Covariance of (theta, beta, phi) from the Hessian of the objective; None where there is none. Zero at
        covariance parameters that are zero.
    optimization : OptimizationReport
        How the optimum was found.
    convergence : ConvergenceReport
        The verdict.
    """

    theta: FloatArray
    beta: FloatArray
    phi: FloatArray
    u: tuple[FloatArray, ...]
    eta: FloatArray
    objective: float
    nAGQ: int
    observed: bool
    vcov_rx: FloatArray
    covariance: FloatArray | None
    optimization: OptimizationReport
    convergence: ConvergenceReport
