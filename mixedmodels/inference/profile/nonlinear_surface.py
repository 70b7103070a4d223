"""The likelihoods of nonlinear mixed models as functions of absolute factors and what else they have.

What follows the terms in x is gamma, fixed effects in units of standard errors, ``beta = B gamma``; then the
logarithm of sigma, or the free parameters of the family.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.triangle import lower_triangle
from mixedmodels.covariance.unstructured import Unstructured
from mixedmodels.engines.generalized.quadrature_grid import Grid
from mixedmodels.engines.nonlinear import laplace, quadrature
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.engines.nonlinear_family import laplace as family_laplace
from mixedmodels.engines.nonlinear_family import quadrature as family_quadrature
from mixedmodels.engines.nonlinear_family.problem import FamilyProblem
from mixedmodels.errors import ConvergenceError
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.inference.profile.surfaces import Value


@dataclass(slots=True)
class CurveSurface:
    """A nonlinear mixed model with normal residuals.

    Attributes
    ----------
    problem : NonlinearProblem
        The model, the factor of every term any lower triangle.
    terms : tuple of RandomTerm
        The terms with the structures they have.
    B : ndarray, shape (p, p)
        Fixed effects of gamma.
    grid : Grid or None
        Nodes of quadrature; None for Laplace's approximation.
    u : ndarray, shape (C, q)
        Mode at the optimum.
    last : Evaluation or None
        The evaluation before, from which the next mode is predicted.
    """

    problem: NonlinearProblem
    terms: tuple[RandomTerm, ...]
    B: FloatArray
    grid: Grid | None
    u: FloatArray
    last: laplace.Evaluation | None = None

    def evaluate(self, factors: Sequence[FloatArray], tail: FloatArray) -> Value:
        """Return the objective and its derivatives at absolute factors, gamma and log sigma."""
        problem, p, log_sigma = self.problem, len(self.B), float(tail[-1])
        sigma = math.exp(log_sigma)
        theta, beta = _triangles(factors) / sigma, self.B @ tail[:p]
        at = self._evaluation(theta, beta)
        if self.grid is None:
            value, d_theta, d_beta, d_sigma = laplace.at_sigma(problem, at, log_sigma)
        else:
            value, d_theta, d_beta, d_sigma = quadrature.quadrature_gradient(
                problem, at, log_sigma, self.grid
            )
        # Absolute factors that stay as they are get smaller relative to a sigma that grows.
        d_tail = np.append(self.B.T @ d_beta, d_sigma - float(d_theta @ theta))
        return value, _squares(factors, d_theta / sigma), d_tail

    def _evaluation(self, theta: FloatArray, beta: FloatArray) -> laplace.Evaluation:
        """Return Laplace's approximation, the mode searched for where the last evaluation points to."""
        if self.last is not None:
            try:
                start = laplace.predicted_mode(self.problem, self.last, theta, beta)
                self.last = laplace.evaluate(self.problem, theta, beta, start)
                return self.last
            except (ConvergenceError, np.linalg.LinAlgError):
                pass
        self.last = laplace.evaluate(self.problem, theta, beta, self.u)
        return self.last


@dataclass(slots=True)
class FamilyCurveSurface:
    """A nonlinear mixed model whose response has a family; attributes as for :class:`CurveSurface`."""

    problem: FamilyProblem
    terms: tuple[RandomTerm, ...]
    B: FloatArray
    grid: Grid | None
    u: FloatArray

    def evaluate(self, factors: Sequence[FloatArray], tail: FloatArray) -> Value:
        """Return the objective and its derivatives at absolute factors, gamma and free phi."""
        problem, p = self.problem, len(self.B)
        phi = problem.family.phi_from_free(tail[p:])
        at = family_laplace.evaluate(problem, _triangles(factors), self.B @ tail[:p], phi, self.u)
        if self.grid is None:
            value, slopes = at.objective, family_laplace.gradient(problem, at)
        else:
            value, slopes = family_quadrature.quadrature_gradient(problem, at, self.grid)
        return value, _squares(factors, slopes.theta), np.append(self.B.T @ slopes.beta, slopes.phi)


def with_any_triangle(problem: NonlinearProblem) -> NonlinearProblem:
    """Return a problem whose theta is the lower triangle of every term, whatever its structure."""
    terms = tuple(replace(term, structure=Unstructured(term.size)) for term in problem.terms)
    return replace(problem, terms=terms)


def _triangles(factors: Sequence[FloatArray]) -> FloatArray:
    """Return the lower triangles of all factors, one after the other."""
    return np.concatenate([np.empty(0), *(T[lower_triangle(len(T))] for T in factors)])


def _squares(factors: Sequence[FloatArray], triangles: FloatArray) -> list[FloatArray]:
    """Return derivatives by factor, each (S, S), from those in all triangles."""
    found, start = [], 0
    for T in factors:
        places = lower_triangle(len(T))
        d = np.zeros_like(T)
        d[places] = triangles[start : start + len(places[0])]
        found.append(d)
        start += len(places[0])
    return found
