"""The objective of a linear mixed model as its searches ask for it, and the search that is compiled."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.engines.linear.compiled_search import CompiledEnd, compiled_search, is_usual
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import Evaluation, LinearSolution, evaluate, evaluation_at, solution_of
from mixedmodels.engines.linear.vanishing import ResidualVanishes, is_small
from mixedmodels.optimization.minimum import Minimum

with on_first_use():
    from mixedmodels.engines.linear import start as starting

if TYPE_CHECKING:
    from mixedmodels.engines.linear.start import Point

#: Points without residual that a search tries before it is given up.
MAX_BEYOND = 10
#: Decrease of the objective that ends the search, beside its rounding: half of the decrement that passes as
#: converged. The step that would bring it is taken too, and more where it leaves more than a millionth of a
#: standard error (:mod:`mixedmodels.optimization.polish`).
TOLERANCE = 5e-9
#: Steps of Fisher scoring go on while each lowers the objective by this much.
MAX_SCORING_STEPS, SCORING_GAIN = 5, 3.0
#: Evaluations after which a search ends.
MOST_EVALUATIONS = 1000


class NoResidualLeft(Exception):
    """The search runs on to where the residual variance vanishes."""


@dataclass(slots=True, eq=False, repr=False)
class Search:
    """The objective of one problem, with a count of its evaluations.

    Attributes
    ----------
    problem : LinearProblem
        The problem.
    REML : bool
        Which criterion.
    sigma : float or None
        Fixed residual standard deviation.
    looks : bool
        Whether a suspicious optimum is compared with what further starts lead to.
    has_rows : bool
        Whether rows can be asked where cross-products lose the residual variance.
    n_evaluations : int
        Evaluations so far, with or without gradient.
    rounding : float
        Of the objective at the last point with a gradient.
    ceiling : float
        Rounding above which a point counts as having no residual.
    n_beyond : int
        Points beyond it that the current search tried.
    n_small : int
        Points with a small residual variance that the current search tried.
    most_small : float
        Number of them after which it is given up: where it goes the rows themselves have been asked.
    most_evaluations : int
        Evaluations after which a search ends.
    has_looked : bool
        Whether further looks were taken.
    far : list of float
        Objective at points far off, if it is known.
    paused : list of ndarray
        Thetas at which looks have paused for the first time.
    ahead : (ndarray, Evaluation) or None
        Theta where the last step leads, and the system solved there, if its objective was asked.
    end : CompiledEnd or None
        Where the last compiled search ended.
    """

    problem: LinearProblem
    REML: bool
    sigma: float | None
    looks: bool = True
    has_rows: bool = False
    n_evaluations: int = 0
    rounding: float = 0.0
    ceiling: float = math.inf
    n_beyond: int = 0
    n_small: int = 0
    most_small: float = math.inf
    most_evaluations: int = MOST_EVALUATIONS
    has_looked: bool = False
    far: list[float] = field(default_factory=list)
    paused: list[FloatArray] = field(default_factory=list)
    ahead: tuple[FloatArray, Evaluation] | None = None
    end: CompiledEnd | None = None

    def objective(self, theta: FloatArray) -> float:
        """Return the objective at theta."""
        self.n_evaluations += 1
        return evaluate(self.problem, theta, self.REML, self.sigma)

    def is_ahead(self, theta: FloatArray) -> bool:
        """Tell whether the system was solved at theta ahead of the last step."""
        return self.ahead is not None and np.array_equal(self.ahead[0], theta)

    def solve(self, theta: FloatArray) -> LinearSolution:
        """Return the estimates at theta."""
        if self.end is not None and self.end.last is not None and self.end.last.theta is theta:
            return self.end.last.solution
        if self.ahead is not None and self.is_ahead(theta):
            return solution_of(self.problem, self.ahead[1])
        return solution_of(self.problem, evaluation_at(self.problem, theta, self.REML, self.sigma))

    def at(self, free: FloatArray) -> Point:
        """Return the objective, its gradient and the moments at free coordinates.

        Raises
        ------
        ResidualVanishes
            Where the residual variance is too small for cross-products, if rows may be asked.
        """
        self.n_evaluations += 1
        point = starting.point_at(self.problem, free, self.REML, self.sigma)
        if self.has_rows and is_small(self.problem, point.sigma2):
            raise ResidualVanishes(free, math.sqrt(point.sigma2))
        return point

    def end_at(self, found: Minimum) -> CompiledEnd | None:
        """Return what a compiled search tells of the optimum that it ended in; None of any other."""
        return self.end if self.end is not None and self.end.found is found else None

    def in_free(self, free: FloatArray) -> tuple[float, FloatArray]:
        """Return the objective and its gradient in free coordinates."""
        point = self.at(free)
        if point.rounding > self.ceiling:
            self.n_beyond += 1
            if self.n_beyond > MAX_BEYOND:
                raise NoResidualLeft
            raise np.linalg.LinAlgError("the residual variance vanishes")
        if math.isfinite(self.most_small) and is_small(self.problem, point.sigma2):
            self.n_small += 1
            if self.n_small > self.most_small:
                raise NoResidualLeft
        self.rounding = point.rounding
        return point.objective, point.gradient


def compiled(search: Search, scored: bool, start: FloatArray | None = None) -> Minimum | None:
    """Return where a compiled search leads from free coordinates, or the data; None where there is none."""
    if not is_usual(search.problem) or search.sigma is not None or not math.isinf(search.ceiling):
        return None
    scoring = (MAX_SCORING_STEPS if scored else 0, SCORING_GAIN)
    end = compiled_search(search.problem, search.REML, scoring, TOLERANCE, start)
    if end is None:
        return None
    search.n_evaluations, search.rounding = search.n_evaluations + end.n_evaluations, end.rounding
    search.end = end
    search.far = end.far if start is None else search.far
    return end.found
