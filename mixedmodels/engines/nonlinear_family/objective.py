"""The objective of a search, with the mode of the random effects carried from point to point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.quadrature_grid import Grid
from mixedmodels.engines.nonlinear.coordinates import Coordinates
from mixedmodels.engines.nonlinear_family.laplace import Evaluation, Gradient, evaluate, gradient
from mixedmodels.engines.nonlinear_family.problem import FamilyProblem
from mixedmodels.engines.nonlinear_family.quadrature import quadrature, quadrature_gradient


@dataclass(slots=True, eq=False, repr=False)
class Objective:
    """The objective in coordinates of theta, of beta, and of the free parameters of the family.

    Attributes
    ----------
    problem : FamilyProblem
        The problem.
    coordinates : Coordinates
        What the first elements of x stand for.
    phi_scale : float
        A unit of the last ones, in free parameters of the family: some standard error.
    u : ndarray, shape (C, q)
        Mode at the best point so far.
    grid : Grid or None
        Nodes of quadrature.
    """

    problem: FamilyProblem
    coordinates: Coordinates
    phi_scale: float
    u: FloatArray
    grid: Grid | None = None
    n_evaluations: int = 0
    lowest: float = math.inf

    def at(self, theta: FloatArray, beta: FloatArray, phi: FloatArray) -> FloatArray:
        """Return the coordinates of parameters."""
        free = self.problem.family.phi_to_free(phi) / self.phi_scale
        return np.concatenate([self.coordinates.at(theta, beta), free])

    def phi(self, x: FloatArray) -> FloatArray:
        """Return the parameters of the family at coordinates."""
        known = self.coordinates.n_theta + len(self.coordinates.origin)
        return self.problem.family.phi_from_free(x[known:] * self.phi_scale)

    def parameters(self, x: FloatArray) -> FloatArray:
        """Return theta, beta and phi, one after the other."""
        return np.concatenate([self.coordinates.theta(x), self.coordinates.beta(x), self.phi(x)])

    def evaluation(self, x: FloatArray) -> Evaluation:
        """Evaluate Laplace's approximation, the mode searched for from that of the best point so far."""
        self.n_evaluations += 1
        theta, beta = self.coordinates.theta(x), self.coordinates.beta(x)
        at = evaluate(self.problem, theta, beta, self.phi(x), self.u)
        if at.objective < self.lowest:
            self.lowest, self.u = at.objective, at.mode.u
        return at

    def value(self, x: FloatArray) -> float:
        """Return the objective."""
        at = self.evaluation(x)
        return at.objective if self.grid is None else quadrature(self.problem, at, self.grid)

    def value_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Return the objective and its gradient."""
        at = self.evaluation(x)
        if self.grid is None:
            return at.objective, self._pulled_back(x, gradient(self.problem, at))
        value, slopes = quadrature_gradient(self.problem, at, self.grid)
        return value, self._pulled_back(x, slopes)

    def gradient(self, x: FloatArray) -> FloatArray:
        """Return the gradient."""
        return self.value_and_gradient(x)[1]

    def _pulled_back(self, x: FloatArray, slopes: Gradient) -> FloatArray:
        own = self.coordinates.pulled_back(x, slopes.theta, slopes.beta)
        return np.concatenate([own, slopes.phi * self.phi_scale])
