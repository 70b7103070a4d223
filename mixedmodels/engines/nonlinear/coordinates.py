"""The coordinates of a search: covariance parameters and fixed effects in units of what is known of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.nonlinear.laplace import Evaluation, fixed_information
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.formula.design.theta import theta_slices

#: Information, relative to the largest, that a direction of the fixed effects has at least: of less the
#: start knows nothing, and a step in proportion would be of any length.
LEAST_INFORMATION = 1e-8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Coordinates:
    """Coordinates x = (free theta over its scales, gamma, others) with ``beta = origin + B gamma``.

    Attributes
    ----------
    problem : NonlinearProblem
        Whose parameters they are.
    scales : ndarray, shape (n_theta,)
        Size of every free covariance parameter for an effect of the size of the residual.
    origin : ndarray, shape (p,)
        Fixed effects at gamma = 0.
    B : ndarray, shape (p, p)
        One standard error along each direction.
    """

    problem: NonlinearProblem
    scales: FloatArray
    origin: FloatArray
    B: FloatArray

    @property
    def n_theta(self) -> int:
        """Number of covariance parameters."""
        return len(self.scales)

    def theta(self, x: FloatArray) -> FloatArray:
        """Return theta at coordinates."""
        free = x[: self.n_theta] * self.scales
        terms = self.problem.terms
        parts = [
            t.structure.from_free(free[part]) for t, part in zip(terms, theta_slices(terms), strict=True)
        ]
        return np.concatenate([np.empty(0), *parts])

    def beta(self, x: FloatArray) -> FloatArray:
        """Return beta at coordinates."""
        return self.origin + self.B @ x[self.n_theta : self.n_theta + len(self.origin)]

    def at(self, theta: FloatArray, beta: FloatArray) -> FloatArray:
        """Return the coordinates of theta and beta."""
        terms = self.problem.terms
        parts = [t.structure.to_free(theta[part]) for t, part in zip(terms, theta_slices(terms), strict=True)]
        free = np.concatenate([np.empty(0), *parts])
        return np.concatenate([free / self.scales, np.linalg.solve(self.B, beta - self.origin)])

    def pulled_back(self, x: FloatArray, d_theta: FloatArray, d_beta: FloatArray) -> FloatArray:
        """Return the gradient in the coordinates from that in theta and beta."""
        free = x[: self.n_theta] * self.scales
        terms = self.problem.terms
        parts = [
            t.structure.free_pullback(free[part], d_theta[part])
            for t, part in zip(terms, theta_slices(terms), strict=True)
        ]
        return np.concatenate([np.concatenate([np.empty(0), *parts]) * self.scales, self.B.T @ d_beta])

    def parameters(self, x: FloatArray) -> FloatArray:
        """Return theta and beta, one after the other, and other coordinates as they are."""
        return np.concatenate([self.theta(x), self.beta(x), x[self.n_theta + len(self.origin) :]])


def theta_scales(problem: NonlinearProblem, Zeta: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the size of every free covariance parameter for an effect of the size of the residual.

    Parameters
    ----------
    problem : NonlinearProblem
        The problem.
    Zeta : ndarray, shape (n, S)
        Derivatives of the mean in the random effects.
    weights : ndarray, shape (n,)
        Prior weights, or the information of each row.
    """
    rms = np.sqrt(np.mean(weights[:, None] * Zeta * Zeta, axis=0))
    size = 1.0 / np.where(rms > 0.0, rms, 1.0)
    parts = [t.structure.scales(size[own]) for t, own in zip(problem.terms, problem.columns, strict=True)]
    return np.concatenate([np.empty(0), *parts])


def directions(information: FloatArray) -> FloatArray:
    """Return B, one standard error along each direction of an information (p, p)."""
    size = np.sqrt(np.maximum(information.diagonal(), np.finfo(np.float64).tiny))
    values, vectors = np.linalg.eigh(information / size / size[:, None])
    known = np.maximum(values, LEAST_INFORMATION * values[-1])
    return np.asarray((vectors / np.sqrt(known)) / size[:, None])


def coordinates_around(problem: NonlinearProblem, at: Evaluation) -> Coordinates:
    """Return coordinates in units of what is known at an evaluation."""
    information = fixed_information(problem, at) * (problem.n / at.pwrss)
    scales = theta_scales(problem, at.mode.rows.Zeta, problem.weights)
    return Coordinates(problem, scales, at.beta, directions(information))
