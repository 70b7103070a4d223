"""What a fit by estimating equations stores."""

from __future__ import annotations

from dataclasses import dataclass

from mixedmodels.arrays import FloatArray
from mixedmodels.optimization.report import ConvergenceReport


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GeeSolution:
    """A solution of the estimating equations.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Coefficients.
    alpha : ndarray, shape (q,)
        Parameters of the working correlation.
    phi : float
        Scale.
    n_iterations : int
        Steps taken.
    convergence : ConvergenceReport
        The verdict.
    """

    beta: FloatArray
    alpha: FloatArray
    phi: float
    n_iterations: int
    convergence: ConvergenceReport


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GeeEstimates:
    """Estimates of a marginal model.

    Attributes
    ----------
    solution : GeeSolution
        Coefficients, working correlation and scale.
    eta, mu : ndarray, shape (n,)
        Linear predictor, offset included, and mean of the rows in the order of the design.
    vcov : ndarray, shape (p, p)
        Covariance of beta of the kind that was asked for.
    """

    solution: GeeSolution
    eta: FloatArray
    mu: FloatArray
    vcov: FloatArray
