"""The conditional mode of the random effects of such a model, all clusters at once.

The mode u of a cluster minimises ``u'u - 2 sum_i log f(y_i | eta_i(u))``, by Newton steps on the exact
Hessian where it is positive definite and on Gauss and Newton's where it is not, halved until the sum falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.nonlinear.mode import (
    DECREASE,
    LAST_STEP,
    LAST_STEPS,
    LEAST_CURVATURE,
    MAX_HALVINGS,
    MAX_STEPS,
    NO_STEP,
    ROUNDING,
)
from mixedmodels.engines.nonlinear.row_sums import bent, gauss_newton
from mixedmodels.engines.nonlinear_family.problem import FamilyProblem
from mixedmodels.errors import ConvergenceError
from mixedmodels.families.family import Derivatives


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Place:
    """The parameters that a mode belongs to.

    Attributes
    ----------
    T : ndarray, shape (S, S)
        Factors of all terms.
    beta : ndarray, shape (p,)
        Fixed effects.
    fixed : ndarray, shape (K, n)
        What they give to each parameter of the curve.
    phi : ndarray, shape (n_phi,)
        Parameters of the family.
    """

    T: FloatArray
    beta: FloatArray
    fixed: FloatArray
    phi: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Mode:
    """The curve, its derivatives and the log-likelihood at random effects u.

    Attributes
    ----------
    u : ndarray, shape (C, q)
        Spherical random effects by cluster.
    curve_parameters : ndarray, shape (K, n)
        Parameters of the curve.
    eta : ndarray, shape (n,)
        The curve.
    terms : Derivatives
        Log-likelihood terms and their derivatives in eta.
    G, H : ndarray, shape (K, n) and (K, K, n)
        First and second derivatives of the curve in its parameters.
    Zeta, zeta : ndarray, shape (n, S)
        Derivatives of the curve in the random effects b of each row, and in u.
    penalized : ndarray, shape (C,)
        ``u'u - 2 log f`` of each cluster.
    rounding : ndarray, shape (C,)
        Decrease that it is too coarse to show.
    """

    u: FloatArray
    curve_parameters: FloatArray
    eta: FloatArray
    terms: Derivatives
    G: FloatArray
    H: FloatArray
    Zeta: FloatArray
    zeta: FloatArray
    penalized: FloatArray
    rounding: FloatArray


def at_effects(problem: FamilyProblem, place: Place, u: FloatArray) -> Mode:
    """Return everything at u (C, q); a cluster with an impossible mean is infinitely bad."""
    rows = problem.rows
    parameters = rows.with_effects(place.fixed, rows.at_rows(u) @ place.T.T)
    with np.errstate(all="ignore"):
        eta, G, H = rows.mean.hessian(parameters)
        terms = problem.evaluate(eta, place.phi)
        penalty = np.einsum("cq,cq->c", u, u)
        penalized = penalty - 2.0 * rows.summed(terms.loglik)
        rounding = ROUNDING * (1.0 + penalty + 2.0 * rows.summed(np.abs(terms.loglik)))
        Zeta = rows.Z * G[rows.parameter].T
        zeta = Zeta @ place.T
    penalized = np.where(np.isfinite(penalized), penalized, np.inf)
    return Mode(u, parameters, eta, terms, G, H, Zeta, zeta, penalized, rounding)


def exact_hessian(problem: FamilyProblem, T: FloatArray, at: Mode) -> FloatArray:
    """Return half the Hessian of the penalized sum of each cluster, shape (C, q, q)."""
    return gauss_newton(problem.rows, at.zeta, -at.terms.d2) - bent(problem.rows, T, at.H, at.terms.d1)


def curvature(problem: FamilyProblem, T: FloatArray, at: Mode) -> FloatArray:
    """Return the curvature of Laplace's approximation, shape (C, q, q)."""
    if problem.observed:
        return exact_hessian(problem, T, at)
    return gauss_newton(problem.rows, at.zeta, at.terms.information)


def find_mode(problem: FamilyProblem, place: Place, start: FloatArray) -> Mode:
    """Return the conditional mode, from a start (C, q).

    Raises
    ------
    ConvergenceError
        If the mean is impossible where the search begins, or the search does not end.
    """
    at = at_effects(problem, place, start)
    if not np.isfinite(at.penalized).all():
        at = at_effects(problem, place, np.where(np.isfinite(at.penalized)[:, None], start, 0.0))
        if not np.isfinite(at.penalized).all():
            raise ConvergenceError("the mean of some rows is not finite, or none that the family can have.")
    settled = 0
    for _ in range(MAX_STEPS):
        step, decrement, is_exact = _newton_step(problem, place.T, at)
        settled += int((decrement <= at.rounding).all())
        size = float((np.abs(step) / (1.0 + np.abs(at.u))).max(initial=0.0))
        if settled > LAST_STEPS or size <= NO_STEP:
            return at
        new = _stepped(problem, place, at, step, decrement)
        if new is None:
            return at
        at = new
        if is_exact and size <= LAST_STEP:
            return at
    raise ConvergenceError("the conditional mode of the random effects was not found.")


def _newton_step(problem: FamilyProblem, T: FloatArray, at: Mode) -> tuple[FloatArray, FloatArray, bool]:
    """Return the step (C, q), its decrement (C,), and whether it is Newton's in every cluster."""
    slope = at.u - problem.rows.vectors(at.terms.d1[:, None] * at.zeta)
    K, is_exact = exact_hessian(problem, T, at), True
    try:
        np.linalg.cholesky(K)
    except np.linalg.LinAlgError:
        is_exact = False
        bad = np.linalg.eigvalsh(K)[:, :1] < LEAST_CURVATURE
        Omega = gauss_newton(problem.rows, at.zeta, np.maximum(at.terms.information, 0.0))
        K = np.where(bad[:, :, None], Omega, K)
    step = np.asarray(-np.linalg.solve(K, slope[:, :, None])[:, :, 0], dtype=np.float64)
    return step, -np.einsum("cq,cq->c", step, slope), is_exact


def _stepped(
    problem: FamilyProblem, place: Place, at: Mode, step: FloatArray, decrement: FloatArray
) -> Mode | None:
    """Return the point after the step, halved where a cluster's sum does not fall; None if one never does."""
    length = np.ones(len(step))
    for _ in range(MAX_HALVINGS):
        new = at_effects(problem, place, at.u + length[:, None] * step)
        worse = (new.penalized > at.penalized - DECREASE * length * decrement) & (decrement > at.rounding)
        worse |= ~np.isfinite(new.penalized)
        if not worse.any():
            return new
        length = np.where(worse, length / 2.0, length)
    return None
