"""What never changes while such a model is fitted: the rows of a nonlinear one, and a family."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.families.family import Derivatives, Family


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FamilyProblem:
    """A nonlinear mixed model ``g(E y) = f(phi, data)`` with random effects ``T u``, u standard normal.

    Attributes
    ----------
    rows : NonlinearProblem
        Response and prior weights as the family reads them, the curve, clusters.
    family : Family
        Distribution of the response about the inverse link of the curve.
    constant : ndarray, shape (n,)
        Terms of the log-likelihood without parameters.
    observed : bool
        Whether the curvature of Laplace's approximation is the exact one, or Gauss and Newton's with the
        expected information of the rows.
    """

    rows: NonlinearProblem
    family: Family
    constant: FloatArray
    observed: bool

    def with_response(self, y: FloatArray, weights: FloatArray, constant: FloatArray) -> FamilyProblem:
        """Return the same problem for another response."""
        return replace(self, rows=self.rows.with_weighted(y, weights), constant=constant)

    def evaluate(self, eta: FloatArray, phi: FloatArray, order: int = 2) -> Derivatives:
        """Return the log-likelihood terms at linear predictors; minus infinity where one is not finite."""
        rows, known = self.rows, np.isfinite(eta)
        at = self.family.evaluate(
            rows.y, np.where(known, eta, 0.0), rows.weights, phi, order, self.observed, self.constant
        )
        return at if known.all() else replace(at, loglik=np.where(known, at.loglik, -np.inf))
