"""Newton and Fisher scoring steps for (beta, phi) of a generalized linear model, with a line search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.differences import hessian
from mixedmodels.families.family import Derivatives, Family
from mixedmodels.optimization.report import ConvergenceReport

# Newton decrement at which the estimates are within about 1e-8 standard errors of the optimum.
DECREMENT_TOLERANCE = 1e-16
# Decrement from which on the observed information replaces the expected one.
NEWTON_FROM = 1e-2
# A log-likelihood is a sum with relative rounding error of this order: smaller changes are noise.
ROUNDING = 1e-13
# The same for a parameter that has no finite estimate.
LIMIT_TOLERANCE = 1e-9
# Share of the sum of squares of y, each in units of its variance, at which residuals are rounding error.
EXACT_FIT = 1e-15
# A stalled line search with a decrement below this is an optimum up to rounding.
STALLED_TOLERANCE = 1e-7
MAX_ITERATIONS = 200
MAX_HALVINGS = 40
# Bound on one step of log(phi): the quadratic model of a dispersion says nothing about factors of 20.
LARGEST_PHI_STEP = 3.0
# Step of central differences of an exact gradient in logarithms and logits, which have no units.
_PHI_STEP = 1e-4


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GlmPoint:
    """A point of the likelihood surface.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Coefficients in the basis in use.
    phi : ndarray, shape (n_phi,)
        Family parameters on their natural scale.
    eta : ndarray, shape (n,)
        Linear predictor, offset included.
    rows : Derivatives
        Log-likelihood terms and derivatives of the rows, with the family's own choice of information.
    loglik : float
        Log-likelihood (quasi-log-likelihood for quasi families).
    """

    beta: FloatArray
    phi: FloatArray
    eta: FloatArray
    rows: Derivatives
    loglik: float


def climb(
    y: FloatArray,
    weights: FloatArray,
    X: FloatArray,
    offset: FloatArray,
    family: Family,
    constant: FloatArray,
    point: GlmPoint,
) -> tuple[GlmPoint, int, ConvergenceReport]:
    """Return the maximum reached from `point`, the number of steps and the verdict."""
    decrement, iteration = np.inf, 0
    while iteration < MAX_ITERATIONS:
        iteration += 1
        step, decrement = newton_step(y, weights, X, family, point, decrement < NEWTON_FROM)
        # A parameter on its way to infinity is followed until the likelihood is flat, not further.
        enough = LIMIT_TOLERANCE if family.phi_limits(point.phi) else DECREMENT_TOLERANCE
        if decrement <= enough:
            break
        following = line_search(y, weights, X, offset, family, constant, point, step)
        if following is None:
            break
        point = following
    return point, iteration, verdict(y, weights, family, point, decrement, iteration)


def verdict(
    y: FloatArray, weights: FloatArray, family: Family, point: GlmPoint, decrement: float, iterations: int
) -> ConvergenceReport:
    """Return whether `point` is a maximum, one at the end of a parameter's range, or none."""
    if family.has_dispersion and len(point.phi) and _fits_exactly(y, weights, family, point):
        reason = "The model fits the response exactly: the dispersion is zero, the likelihood unbounded."
        return ConvergenceReport("not converged", decrement, (reason,))
    if decrement <= STALLED_TOLERANCE * (1.0 + abs(point.loglik)):
        limits = family.phi_limits(point.phi)
        return ConvergenceReport("boundary" if limits else "converged", decrement, limits)
    reason = (
        f"The likelihood still rises after {iterations} steps (Newton decrement {decrement:.2g}): a "
        "coefficient may have no finite estimate, or fitted means have reached the end of the range that "
        f"the {family.link.name} link leaves them."
    )
    return ConvergenceReport("not converged", decrement, (reason,))


def _fits_exactly(y: FloatArray, weights: FloatArray, family: Family, point: GlmPoint) -> bool:
    """Tell whether the residuals are rounding error.

    The dispersion itself does not tell: how far down it is followed before a step breaks down, since it does
    not curve the likelihood any more, is a matter of rounding.
    """
    mu = family.link.inverse(point.eta)
    with np.errstate(over="ignore"):
        precision = weights / np.maximum(family.variance(mu, np.ones(1)), np.finfo(np.float64).tiny)
        left, total = float(precision @ (y - mu) ** 2), float(precision @ y**2)
    return left <= EXACT_FIT * total < np.inf


def newton_step(
    y: FloatArray, weights: FloatArray, X: FloatArray, family: Family, point: GlmPoint, observed: bool
) -> tuple[FloatArray, float]:
    """Return the step in (beta, free phi) and the Newton decrement g' H^-1 g / 2.

    The block of beta holds the observed information on request, else the expected one where there is
    one: Fisher scoring is the safer far from the optimum, Newton the faster close to it.
    """
    gradient = score(y, weights, X, family, point)
    H = negative_hessian(y, weights, X, family, point, -point.rows.d2 if observed else point.rows.information)
    step = solve_positive(H, gradient)
    return step, 0.5 * float(gradient @ step)


def score(y: FloatArray, weights: FloatArray, X: FloatArray, family: Family, point: GlmPoint) -> FloatArray:
    """Return the gradient of the log-likelihood in (beta, free phi)."""
    gradient = X.T @ point.rows.d1
    if not len(point.phi):
        return np.asarray(gradient)
    in_phi = family.phi_derivatives(y, point.eta, weights, point.phi)
    return np.concatenate([gradient, in_phi.loglik.sum(axis=1)])


def negative_hessian(
    y: FloatArray,
    weights: FloatArray,
    X: FloatArray,
    family: Family,
    point: GlmPoint,
    information: FloatArray,
) -> FloatArray:
    """Return minus the Hessian of the log-likelihood in (beta, free phi), shape (p + n_phi, p + n_phi).

    `information`, expected or observed, is that of the rows in eta.
    """
    in_beta = X.T @ (X * information[:, None])
    if not len(point.phi):
        return np.asarray(in_beta)
    mixed = -X.T @ family.phi_derivatives(y, point.eta, weights, point.phi).d1.T
    in_phi = -phi_hessian(y, weights, family, point)
    return np.block([[in_beta, mixed], [mixed.T, in_phi]])


def phi_hessian(y: FloatArray, weights: FloatArray, family: Family, point: GlmPoint) -> FloatArray:
    """Return the Hessian in the free phi at fixed eta, by central differences of the exact gradient."""

    def gradient(free: FloatArray) -> FloatArray:
        phi = family.phi_from_free(free)
        return np.asarray(family.phi_derivatives(y, point.eta, weights, phi).loglik.sum(axis=1))

    free = family.phi_to_free(point.phi)
    return hessian(gradient, free, np.full(len(free), _PHI_STEP))


def solve_positive(H: FloatArray, gradient: FloatArray) -> FloatArray:
    """Return H^-1 g; where H is not positive definite, |H|^-1 g with its eigenvalues made positive."""
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(H)), np.finfo(np.float64).tiny))
    scaled = H / np.outer(scale, scale)
    g = gradient / scale
    try:
        L = np.linalg.cholesky(scaled)
        return np.asarray(np.linalg.solve(L.T, np.linalg.solve(L, g)) / scale)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(scaled)
        floor = 1e-12 * max(1.0, float(np.abs(values).max(initial=0.0)))
        return np.asarray(vectors @ ((vectors.T @ g) / np.maximum(np.abs(values), floor)) / scale)


def line_search(
    y: FloatArray,
    weights: FloatArray,
    X: FloatArray,
    offset: FloatArray,
    family: Family,
    constant: FloatArray,
    point: GlmPoint,
    step: FloatArray,
) -> GlmPoint | None:
    """Return the first of the points at 1, 1/2, 1/4, ... of the step that is not worse, or None."""
    p = X.shape[1]
    free = family.phi_to_free(point.phi) if len(point.phi) else point.phi
    step_phi = np.clip(step[p:], -LARGEST_PHI_STEP, LARGEST_PHI_STEP)
    slack = ROUNDING * (1.0 + abs(point.loglik))
    fraction = 1.0
    for _ in range(MAX_HALVINGS):
        beta = point.beta + fraction * step[:p]
        phi = family.phi_from_free(free + fraction * step_phi) if len(free) else point.phi
        trial = evaluate_point(y, weights, X, offset, family, constant, beta, phi)
        if trial.loglik >= point.loglik - slack:
            return trial
        fraction *= 0.5
    return None


def evaluate_point(
    y: FloatArray,
    weights: FloatArray,
    X: FloatArray,
    offset: FloatArray,
    family: Family,
    constant: FloatArray,
    beta: FloatArray,
    phi: FloatArray,
) -> GlmPoint:
    """Return the point with these parameters."""
    eta = X @ beta + offset
    rows = family.evaluate(y, eta, weights, phi, constant=constant)
    return GlmPoint(beta, phi, eta, rows, float(rows.loglik.sum()))


def starting_point(
    y: FloatArray,
    weights: FloatArray,
    Q: FloatArray,
    offset: FloatArray,
    family: Family,
    constant: FloatArray,
) -> GlmPoint | None:
    """Return the best of three starts with a finite likelihood, or None.

    The first is R's: one weighted least-squares step from fitted values close to y. The others project
    those fitted values, and the mean of y, on the columns of Q; they help where the first leaves the
    range of an identity or inverse link.
    """
    mu = family.start_mu(y, weights)
    phi = family.start_phi(y, mu, weights)
    eta = family.link.link(mu)
    mean = np.average(y, weights=weights) if np.any(weights > 0.0) else np.mean(y)
    flat = family.link.link(family.start_mu(np.full(len(y), mean), weights))
    best: GlmPoint | None = None
    for beta in (
        _working_step(y, weights, Q, offset, family, constant, eta, phi),
        Q.T @ (eta - offset),
        Q.T @ (flat - offset),
    ):
        if not np.all(np.isfinite(beta)):
            continue
        trial = evaluate_point(y, weights, Q, offset, family, constant, beta, phi)
        if np.isfinite(trial.loglik) and (best is None or trial.loglik > best.loglik):
            best = trial
    return best if best is None else _with_moment_phi(y, weights, family, constant, best)


def _working_step(
    y: FloatArray,
    weights: FloatArray,
    Q: FloatArray,
    offset: FloatArray,
    family: Family,
    constant: FloatArray,
    eta: FloatArray,
    phi: FloatArray,
) -> FloatArray:
    """Return beta of one weighted least-squares fit to the working response at eta."""
    rows = family.evaluate(y, eta, weights, phi, constant=constant)
    w = np.maximum(rows.information, 0.0)
    H = Q.T @ (Q * w[:, None])
    return solve_positive(H, Q.T @ (w * (eta - offset) + rows.d1))


def _with_moment_phi(
    y: FloatArray, weights: FloatArray, family: Family, constant: FloatArray, point: GlmPoint
) -> GlmPoint:
    """Replace phi by its moment estimate at the fitted means, if that is better."""
    if not len(point.phi):
        return point
    phi = family.start_phi(y, family.link.inverse(point.eta), weights)
    rows = family.evaluate(y, point.eta, weights, phi, constant=constant)
    loglik = float(rows.loglik.sum())
    return GlmPoint(point.beta, phi, point.eta, rows, loglik) if loglik > point.loglik else point
