"""The coordinates of a search: deviations of random effects over the typical residual deviation.

theta is relative to sigma, the residual deviation where variance functions are 1: a power of a covariate of
some hundreds puts that far below any residual, and theta then moves with the power by factors of hundreds. A
search therefore has ``theta / exp(m)``, m the mean over the rows of the logarithms of the variance functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.optimization.minimum import Minimum

#: Mean logarithms beyond this belong to trial points far from any data.
MOST = 300.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SearchCoordinates:
    """The way between the free coordinates of a model and those of a search.

    Attributes
    ----------
    problem : ResidualProblem
        The problem.
    scaled : ndarray of bool, shape (k,)
        Which coordinates are standard deviations of random effects.
    """

    problem: ResidualProblem
    scaled: BoolArray

    @property
    def is_free(self) -> bool:
        """Whether the two are the same."""
        return not self.scaled.any()

    def of(self, free: FloatArray) -> FloatArray:
        """Return search coordinates of free ones."""
        return free if self.is_free else self._times(free, -self._mean_log_sd(free)[0])

    def free(self, x: FloatArray) -> FloatArray:
        """Return free coordinates of search ones; those of the residuals are the same."""
        return x if self.is_free else self._times(x, self._mean_log_sd(x)[0])

    def jacobian(self, free: FloatArray) -> FloatArray:
        """Return how free coordinates move with search coordinates, shape (k, k)."""
        if self.is_free:
            return np.eye(len(free))
        m, slope = self._mean_log_sd(free)
        J = np.diag(self._times(np.ones(len(free)), m))
        J[self.scaled] += np.multiply.outer(free[self.scaled], slope)
        return J

    def back(self, found: Minimum, J: FloatArray) -> Minimum:
        """Return where a search ended in free coordinates; J is the Jacobian there."""
        if self.is_free:
            return found
        return replace(
            found,
            x=self.free(found.x),
            gradient=np.asarray(np.linalg.solve(J.T, found.gradient), dtype=np.float64),
            inverse_hessian=J @ found.inverse_hessian @ J.T,
            path=tuple((self.free(x), objective) for x, objective in found.path),
        )

    def _times(self, values: FloatArray, log_factor: float) -> FloatArray:
        """Return coordinates with the scaled ones multiplied."""
        return np.where(self.scaled, values * np.exp(np.clip(log_factor, -MOST, MOST)), values)

    def _mean_log_sd(self, free: FloatArray) -> tuple[float, FloatArray]:
        """Return the mean logarithm of the variance functions and its derivatives in free coordinates."""
        model = self.problem.model
        mean, slope = 0.0, np.zeros(len(free))
        for f, part, columns in zip(
            model.variances, model.delta_parts, self.problem.rows.columns, strict=True
        ):
            own = free[part]
            delta = f.from_free(own)
            logs = f.log_sd(delta, columns)
            mean += float(logs.mean())
            slope[part] = f.free_pullback(
                own, f.pullback(delta, columns, np.full(len(logs), 1.0 / len(logs)))
            )
        return mean, slope


def search_coordinates(problem: ResidualProblem) -> SearchCoordinates:
    """Return the coordinates of a search, of a model without random effects those it has."""
    scaled = np.zeros(problem.model.n_parameters, dtype=np.bool_)
    if problem.model.variances:
        for term, part in zip(problem.model.terms, problem.model.theta_parts, strict=True):
            structure = term.structure
            scaled[part] = True if structure.is_unstructured else structure.is_lower_bound()
    return SearchCoordinates(problem, scaled)
