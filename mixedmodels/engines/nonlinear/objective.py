"""The objective of a search, with the mode of the random effects carried from point to point."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.differences import jacobian
from mixedmodels.engines.generalized.quadrature_grid import Grid
from mixedmodels.engines.nonlinear.coordinates import Coordinates
from mixedmodels.engines.nonlinear.laplace import Evaluation, evaluate, gradient, predicted_mode
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.engines.nonlinear.quadrature import quadrature, quadrature_gradient

#: Steps of differences of the objective, in units of standard errors: the fourth root of its rounding.
DIFFERENCE = 1e-3


@dataclass(slots=True, eq=False, repr=False)
class Objective:
    """The objective in the coordinates of a search, with a count of its evaluations.

    Attributes
    ----------
    problem : NonlinearProblem
        The problem.
    coordinates : Coordinates
        What x stands for.
    observed : bool
        Whether Laplace's approximation takes the exact curvature.
    grid : Grid or None
        Nodes of quadrature; the last coordinate is then log sigma.
    """

    problem: NonlinearProblem
    coordinates: Coordinates
    observed: bool = False
    grid: Grid | None = None
    n_evaluations: int = 0
    best: Evaluation | None = None
    u: FloatArray = field(default_factory=lambda: np.empty(0))

    def evaluation(self, theta: FloatArray, beta: FloatArray) -> Evaluation:
        """Evaluate Laplace's approximation, the mode searched for where the best point so far points to."""
        self.n_evaluations += 1
        best = self.best
        start = self.u if best is None else predicted_mode(self.problem, best, theta, beta)
        at = evaluate(self.problem, theta, beta, start, self.observed)
        if best is None or at.objective < best.objective:
            self.best = at
        return at

    def value(self, x: FloatArray) -> float:
        """Return the objective."""
        at = self.evaluation(self.coordinates.theta(x), self.coordinates.beta(x))
        if self.grid is None:
            return at.objective
        return quadrature(self.problem, at, float(x[-1]), self.grid)

    def value_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Return the objective and its gradient: exact, but for the exact curvature by differences."""
        if self.observed:
            return self.value(x), self._differences(x)
        coordinates = self.coordinates
        at = self.evaluation(coordinates.theta(x), coordinates.beta(x))
        if self.grid is None:
            return at.objective, coordinates.pulled_back(x, *gradient(self.problem, at))
        value, d_theta, d_beta, d_sigma = quadrature_gradient(self.problem, at, float(x[-1]), self.grid)
        return value, np.append(coordinates.pulled_back(x, d_theta, d_beta), d_sigma)

    def gradient(self, x: FloatArray) -> FloatArray:
        """Return the gradient."""
        return self.value_and_gradient(x)[1]

    def _differences(self, x: FloatArray) -> FloatArray:
        """Return the gradient by differences of fourth order."""

        def slopes(step: float) -> FloatArray:
            values = jacobian(lambda x: np.array([self.value(x)]), x, np.full(len(x), step))
            return np.asarray(values[0])

        return (4.0 * slopes(DIFFERENCE) - slopes(2.0 * DIFFERENCE)) / 3.0
