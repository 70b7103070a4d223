"""What a fit stores: the estimates, once. Everything else is derived from them on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mixedmodels.arrays import FloatArray

Verdict = Literal["converged", "boundary", "not converged"]


@dataclass(frozen=True, slots=True)
class OptimizationReport:
    """Trace of an optimisation.

    Attributes
    ----------
    method : str
        Name of the algorithm.
    n_evaluations : int
        Evaluations of the objective, each with its gradient where the method uses one.
    seconds : float
        Wall-clock time.
    gradient_norm : float
        Largest absolute element of the scaled gradient at the end.
    points : tuple of (coordinates, objective)
        Every accepted point in the coordinates of the search.
    parameters_at : callable
        Maps such coordinates to parameters.
    message : str
        Why the optimiser stopped, in plain words.
    """

    method: str
    n_evaluations: int
    seconds: float
    gradient_norm: float
    points: tuple[tuple[FloatArray, float], ...]
    parameters_at: Callable[[FloatArray], FloatArray]
    message: str

    @property
    def path(self) -> tuple[tuple[FloatArray, float], ...]:
        """Every accepted point: parameters and objective."""
        return tuple((self.parameters_at(x), value) for x, value in self.points)

    def __repr__(self) -> str:
        return (
            f"{self.method}: {self.n_evaluations} evaluations in {self.seconds:.3g} s, "
            f"gradient norm {self.gradient_norm:.1e}; {self.message}"
        )


@dataclass(frozen=True, slots=True)
class ConvergenceReport:
    """The verdict on a fit, with its reasons in plain words.

    Attributes
    ----------
    verdict : {"converged", "boundary", "not converged"}
        ``boundary`` is an optimum at which a variance or a direction is exactly zero, or at which a
        parameter of the family has run to the end of its range.
    decrement : float
        Newton decrement ``g' H^-1 g / 2``: how far the objective still is from its minimum, by a
        quadratic model.
    reasons : tuple of str
        One sentence each: which variance is zero, which simpler family is the limit, which parameter
        still moves, what to do.
    """

    verdict: Verdict
    decrement: float
    reasons: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join([self.verdict, *self.reasons, f"Newton decrement {self.decrement:.1e}"])

    @property
    def is_optimum(self) -> bool:
        """Whether the optimum was reached, on the boundary or inside."""
        return self.verdict != "not converged"


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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class GeneralizedEstimates:
    """Estimates of a generalized linear mixed model.

    The covariance of (theta, beta, phi) from the Hessian of the objective costs as much as the fit and is
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
