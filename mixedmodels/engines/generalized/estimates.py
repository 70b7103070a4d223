"""What a fit of a generalized linear mixed model stores: the estimates, once; everything else is derived."""

from __future__ import annotations

from dataclasses import dataclass

from mixedmodels.arrays import FloatArray
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class QuadratureStep:
    """One fit in the search for enough quadrature nodes.

    Attributes
    ----------
    nAGQ : int
        Nodes per dimension.
    objective : float
        -2 log-likelihood.
    largest_move : float
        Largest change of an estimate from the fit before, in standard errors; NaN for the first.
    """

    nAGQ: int
    objective: float
    largest_move: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GeneralizedEstimates:
    """Estimates of a generalized linear mixed model.

    The covariance of (theta, beta, phi) from the Hessian of the objective may cost a third of the fit and is
    computed when asked for: :func:`mixedmodels.engines.generalized.problem_from_data.vcov_hessian`.

    Attributes
    ----------
    theta : ndarray, shape (k,)
        Covariance parameters on the scale of the linear predictor, terms in the order of
        ``design.random``.
    beta : ndarray, shape (p,)
        Fixed effects.
    phi : ndarray, shape (n_phi,)
        Parameters of the family (dispersion, shape, zero-inflation) on their natural scale; empty for
        binomial and Poisson.
    u : tuple of ndarray, each (q, S)
        Spherical random effects at the conditional mode, one array per term.
    eta : ndarray, shape (n,)
        Linear predictor at the mode, offset included.
    objective : float
        -2 log-likelihood with its full normalising constant.
    nAGQ : int
        Nodes per dimension: 0, 1 (Laplace) or more.
    vcov_rx : ndarray, shape (p, p)
        Covariance of beta from the penalized least-squares factor.
    inverse_hessian : ndarray, shape (m, m)
        Quasi-Newton estimate of the inverse Hessian of the objective in the optimiser's coordinates: what
        the fit to a like response starts from. Not for standard errors.
    optimization : OptimizationReport
        How the optimum was found.
    convergence : ConvergenceReport
        The verdict.
    quadrature_sequence : tuple of QuadratureStep
        Fits with more and more nodes, for nAGQ = "auto"; empty otherwise.
    hessian : ndarray, shape (m, m), or None
        Hessian of the objective in the optimiser's coordinates where it was found on the way.
    """

    theta: FloatArray
    beta: FloatArray
    phi: FloatArray
    u: tuple[FloatArray, ...]
    eta: FloatArray
    objective: float
    nAGQ: int
    vcov_rx: FloatArray
    inverse_hessian: FloatArray
    optimization: OptimizationReport
    convergence: ConvergenceReport
    quadrature_sequence: tuple[QuadratureStep, ...] = ()
    hessian: FloatArray | None = None
