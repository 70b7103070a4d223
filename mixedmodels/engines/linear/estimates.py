"""What a fit of a linear mixed model stores: the estimates, once; everything else is derived."""

from __future__ import annotations

from dataclasses import dataclass

from mixedmodels.arrays import FloatArray
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport


@dataclass(frozen=True, slots=True)
class LinearEstimates:
    """Estimates of a linear mixed model.

    Attributes
    ----------
    theta : ndarray, shape (k,)
        Covariance parameters relative to sigma, terms in the order of ``design.random``.
    beta : ndarray, shape (p,)
        Fixed effects on the user's scale.
    sigma : float
        Residual standard deviation.
    u : tuple of ndarray, each (q, S)
        Spherical random effects at the conditional mode, one array per term, ``b = u @ T.T``.
    objective : float
        REML criterion or -2 log-likelihood.
    REML : bool
        Which of the two was minimised.
    unscaled_vcov : ndarray, shape (p, p)
        ``(R_X' R_X)^-1``; the covariance of beta is sigma^2 times this.
    log_det_L2, log_det_RX2 : float
        log|L|^2 and log|R_X|^2 on the scale of the user's X (Bates et al. 2015, eq. 42).
    pwrss : float
        Penalized weighted residual sum of squares.
    inverse_hessian : ndarray, shape (k, k)
        Quasi-Newton estimate of the inverse Hessian of the objective in the optimiser's coordinates: what
        the fit to a like response starts from. Not for standard errors.
    optimization : OptimizationReport
        How the optimum was found.
    convergence : ConvergenceReport
        The verdict.
    """

    theta: FloatArray
    beta: FloatArray
    sigma: float
    u: tuple[FloatArray, ...]
    objective: float
    REML: bool
    unscaled_vcov: FloatArray
    log_det_L2: float
    log_det_RX2: float
    pwrss: float
    inverse_hessian: FloatArray
    optimization: OptimizationReport
    convergence: ConvergenceReport
