"""Fit a model with structured residuals: start, score, search, judge."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.residual.coordinates import SearchCoordinates, search_coordinates
from mixedmodels.engines.residual.estimates import ResidualEstimates, estimates_of
from mixedmodels.engines.residual.identification import (
    Redundant,
    information,
    knows_information,
    redundant_parameters,
    without,
)
from mixedmodels.engines.residual.model import CovarianceModel, Parameters
from mixedmodels.engines.residual.objective import Evaluation, evaluation, gradient
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.engines.residual.start import curvature, first_parameters, search_hessian
from mixedmodels.engines.residual.verdict import judged
from mixedmodels.errors import ConvergenceError
from mixedmodels.optimization.canonical import canonical, with_exact_zeros
from mixedmodels.optimization.minimum import Minimum
from mixedmodels.optimization.quasi_newton import minimize
from mixedmodels.optimization.report import OptimizationReport

#: Decrease of the objective that ends the search: estimates are then closer than a millionth of a standard
#: error, which tests to six digits need.
TOLERANCE = 1e-12
#: The same relative to the size of the objective, where rounding rules.
RELATIVE_TOLERANCE = 1e-15
#: Largest change of a free coordinate by the step that is left where the search has ended.
LAST_STEP = 1e-3
#: Steps of Fisher scoring go on while each lowers the objective by this much.
MAX_SCORING_STEPS, SCORING_GAIN = 6, 3.0
#: Halvings of a scoring step that does not lower the objective.
MAX_HALVINGS = 6
#: Where a search ended at a bound, flat or not at all, others begin so far from its start, along so many
#: coordinates of the residuals; one counts if it comes lower by so much.
LOOK, MOST_LOOKED, LOOK_GAIN = 1.0, 4, 1e-7
#: Largest change of a free coordinate in one step: they are of order one.
MAX_STEP = 3.0
#: Evaluations of one search, and of all others after it: healthy ones take ten or twenty, and one more a
#: parameter. What takes more creeps along where the covariance is as good as singular.
MOST_EVALUATIONS, MORE_EVALUATIONS = 200, 10
#: A search is back where another ended if its objective and its coordinates are as near as that; coordinates
#: beyond `FAR_OUT` run on without end.
BACK, BACK_OBJECTIVE, FAR_OUT = 0.1, 0.01, 6.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Start:
    """A point that a search begins at, and the Hessian that it begins with, in free coordinates."""

    at: Evaluation
    hessian: FloatArray


@dataclass(slots=True, eq=False, repr=False)
class Search:
    """The objective of one problem, with a count of its evaluations."""

    problem: ResidualProblem
    REML: bool
    n_evaluations: int = 0
    hessian: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    redundant: Redundant | None = None

    @property
    def held(self) -> tuple[int, ...]:
        """Parameters that do not move."""
        return () if self.redundant is None else self.redundant.held

    def begin(self, free: FloatArray) -> Start:
        """Return what is known of a point that a search begins at."""
        at = self.at(free)
        return Start(at, search_hessian(self.problem, at, self.REML) if len(free) else np.zeros((0, 0)))

    def at(self, free: FloatArray) -> Evaluation:
        """Evaluate the objective."""
        self.n_evaluations += 1
        return evaluation(self.problem, free, self.REML)

    def objective_and_gradient(self, free: FloatArray) -> tuple[float, FloatArray]:
        """Return the objective and its gradient."""
        found = self.at(free)
        return found.objective, gradient(self.problem, found, self.REML)


def fit_residual(problem: ResidualProblem, REML: bool, start: Parameters | None = None) -> ResidualEstimates:
    """Fit by REML or maximum likelihood.

    Parameters
    ----------
    problem : ResidualProblem
        The problem.
    REML : bool
        Which criterion.
    start : Parameters, optional
        Where to begin; by default where the data say.

    Raises
    ------
    numpy.linalg.LinAlgError, ConvergenceError
        If the covariance at the start is singular or out of range.
    """
    began = time.perf_counter()
    search = Search(problem, REML)
    first = problem.model.free(first_parameters(problem.model) if start is None else start)
    begin = _without_redundant(search, search.begin(first))
    found = _minimum(search, begin)
    at = search.at(_with_exact_zeros(search, found))
    verdict = judged(problem, at, found, search.hessian, search.redundant)
    if start is None and verdict.verdict not in ("converged", "not identified"):
        found = _best_of_looks(search, begin.at.free, found)
        at = search.at(_with_exact_zeros(search, found))
        verdict = judged(problem, at, found, search.hessian, search.redundant)
    slope = found.gradient * np.sqrt(np.maximum(found.inverse_hessian.diagonal(), 0.0))
    report = OptimizationReport(
        "BFGS",
        search.n_evaluations,
        time.perf_counter() - began,
        float(np.abs(slope).max(initial=0.0)),
        found.path,
        partial(_stacked, problem.model),
        found.message,
    )
    return estimates_of(problem, at, REML, report, verdict)


def _without_redundant(search: Search, begin: Start) -> Start:
    """Return where to begin: where parameters that cannot be told from others are held, if there are any."""
    problem = search.problem
    if not len(begin.hessian) or not knows_information(problem):
        return begin
    H = begin.hessian if problem.crossed is None else information(problem, begin.at)
    search.redundant = redundant_parameters(problem, begin.at, H)
    if search.redundant is None:
        return begin
    return search.begin(without(problem.model, begin.at.free, search.redundant))


def _is_back(model: CovarianceModel, found: Minimum, x: FloatArray, objective: float) -> bool:
    """Tell whether a search is where another one ended, random effects of the other sign aside."""
    if objective > found.objective + BACK_OBJECTIVE or objective < found.objective - LOOK_GAIN:
        return False
    here, there = (np.clip(point, -FAR_OUT, FAR_OUT) for point in (x, found.x))
    distance = np.abs(here - there)
    theta = slice(0, model.n_theta)
    distance[theta] = np.minimum(distance[theta], np.abs(here + there)[theta])
    return bool(distance.max() < BACK)


def _best_of_looks(search: Search, first: FloatArray, found: Minimum) -> Minimum:
    """Return the lowest of where a search ended in doubt and where others do that begin beside its start."""
    model = search.problem.model
    last = search.n_evaluations + most_evaluations(model)
    residual = range(model.n_theta, min(model.n_parameters, model.n_theta + MOST_LOOKED))
    for k in sorted(set(residual) - set(search.held)):
        for shift in (-LOOK, LOOK):
            moved = first.copy()
            moved[k] += shift
            hessian, left = search.hessian, last - search.n_evaluations
            if left <= 0:
                return found
            try:
                other = _minimum(search, search.begin(moved), found, left)
            except (np.linalg.LinAlgError, ConvergenceError):
                continue
            if other.objective < found.objective - LOOK_GAIN:
                found = other
            else:
                search.hessian = hessian
    return found


def _with_exact_zeros(search: Search, found: Minimum) -> FloatArray:
    """Return the optimum with standard deviations of random effects that are as good as zero exactly zero."""
    model = search.problem.model
    at = model.natural(found.x)
    if not len(at.theta):
        return found.x

    def free_of(theta: FloatArray) -> FloatArray:
        return model.free(replace(at, theta=theta))

    def objective(theta: FloatArray) -> float:
        return search.at(free_of(theta)).objective

    theta = canonical(model.terms, at.theta)
    theta, _ = with_exact_zeros(objective, model.terms, theta, model.scales, found.objective)
    return free_of(theta)


def _stacked(model: CovarianceModel, free: FloatArray) -> FloatArray:
    """Return the natural parameters at optimiser coordinates, one after the other."""
    return model.natural(free).stacked


def most_evaluations(model: CovarianceModel) -> int:
    """Return how often the objective of a model is evaluated at most in one search."""
    return MOST_EVALUATIONS + MORE_EVALUATIONS * model.n_parameters


def _minimum(search: Search, begin: Start, known: Minimum | None = None, most: int | None = None) -> Minimum:
    """Return where scoring and search lead from a point, given up where that is the end of another search."""
    free, model = begin.at.free, search.problem.model
    if not len(free):
        nothing, objective = np.zeros((0, 0)), begin.at.objective
        return Minimum(free, objective, free, nothing, 0.0, 0, ((free, objective),), True, "closed form")
    coordinates = search_coordinates(search.problem)
    best, slope, H = _scoring(search, coordinates, begin)
    last = best.objective

    def objective_and_gradient(x: FloatArray) -> tuple[float, FloatArray]:
        nonlocal last
        free = coordinates.free(x)
        objective, own = search.objective_and_gradient(free)
        last = objective
        return objective, coordinates.jacobian(free).T @ own

    def is_back(x: FloatArray, _gradient: FloatArray, _decrement: float) -> bool:
        return known is not None and _is_back(model, known, coordinates.free(x), last)

    found = minimize(
        objective_and_gradient,
        coordinates.of(best.free),
        H,
        first=(best.objective, coordinates.jacobian(best.free).T @ slope),
        tolerance=TOLERANCE + RELATIVE_TOLERANCE * abs(best.objective),
        max_step=MAX_STEP,
        max_evaluations=most_evaluations(model) if most is None else most,
        is_lost=is_back,
    )
    return coordinates.back(_one_step_on(found), coordinates.jacobian(coordinates.free(found.x)))


def _scoring(
    search: Search, coordinates: SearchCoordinates, begin: Start
) -> tuple[Evaluation, FloatArray, FloatArray]:
    """Return where steps of Fisher scoring lead, the gradient there and the inverse Hessian of the last."""
    best, hessian = begin.at, begin.hessian
    slope = gradient(search.problem, best, search.REML)
    for step in range(MAX_SCORING_STEPS):
        if step:
            hessian = search_hessian(search.problem, best, search.REML)
        J = coordinates.jacobian(best.free)
        search.hessian = J.T @ hessian @ J
        H = curvature(search.hessian, search.held)
        new = _scored(search, coordinates, best, H @ (J.T @ slope))
        if new is None:
            break
        gain = best.objective - new.objective
        best, slope = new, gradient(search.problem, new, search.REML)
        if gain < SCORING_GAIN:
            break
    return best, slope, H


def _one_step_on(found: Minimum) -> Minimum:
    """Return an end of the search moved by the step that it has left, which costs no evaluation."""
    step = found.inverse_hessian @ found.gradient
    if not found.converged or np.abs(step).max() > LAST_STEP:
        return found
    return replace(found, x=found.x - step)


def _scored(
    search: Search, coordinates: SearchCoordinates, best: Evaluation, step: FloatArray
) -> Evaluation | None:
    """Return the objective after a step of Fisher scoring, halved until it falls; None if it does not."""
    length, x = min(1.0, MAX_STEP / float(np.abs(step).max())), coordinates.of(best.free)
    for _ in range(MAX_HALVINGS):
        try:
            new = search.at(coordinates.free(x - length * step))
        except (np.linalg.LinAlgError, ConvergenceError):
            new = None
        if new is not None and new.objective < best.objective:
            return new
        length /= 2.0
    return None
