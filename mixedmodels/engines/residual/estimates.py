"""What a fit of a model with structured residuals stores: the estimates, once; everything else is derived."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.residual.model import Parameters
from mixedmodels.engines.residual.objective import Evaluation
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ResidualEstimates:
    """Estimates of a model with structured residuals.

    Attributes
    ----------
    free : ndarray, shape (k,)
        Covariance parameters in the optimiser's coordinates.
    parameters : Parameters
        The same on their natural scale: theta, rho, delta.
    beta : ndarray, shape (p,)
        Fixed effects.
    sigma : float
        Standard deviation where variance functions are 1.
    unscaled_vcov : ndarray, shape (p, p)
        ``(X'V^-1 X)^-1`` with V over sigma^2.
    objective, rss : float
        REML criterion or -2 log-likelihood; weighted residual sum of squares.
    log_det_V, log_det_S : float
        ``log|V|`` over sigma^2, prior weights left out, and ``log|X'V^-1 X|`` on the user's X.
    REML : bool
        Which criterion was minimised.
    optimization : OptimizationReport
        How the optimum was found.
    convergence : ConvergenceReport
        The verdict.
    """

    free: FloatArray
    parameters: Parameters
    beta: FloatArray
    sigma: float
    unscaled_vcov: FloatArray
    objective: float
    rss: float
    log_det_V: float
    log_det_S: float
    REML: bool
    optimization: OptimizationReport
    convergence: ConvergenceReport


def estimates_of(
    problem: ResidualProblem,
    found: Evaluation,
    REML: bool,
    optimization: OptimizationReport,
    convergence: ConvergenceReport,
) -> ResidualEstimates:
    """Return what is stored of an evaluation at the optimum."""
    R_inverse = problem.basis.R_inverse
    root = found.root @ R_inverse.T
    return ResidualEstimates(
        free=found.free,
        parameters=found.at,
        beta=R_inverse @ (problem.projection + found.gamma),
        sigma=float(np.sqrt(found.sigma2)),
        unscaled_vcov=root.T @ root,
        objective=found.objective,
        rss=found.rss,
        log_det_V=found.log_det_V,
        log_det_S=found.log_det_S + problem.basis.log_det_R2,
        REML=REML,
        optimization=optimization,
        convergence=convergence,
    )
