"""Fit a model with structured residuals: start, score, search, judge."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.residual.coordinates import SearchCoordinates, search_coordinates
from mixedmodels.engines.residual.estimates import ResidualEstimates, estimates_of
from mixedmodels.engines.residual.model import CovarianceModel, Parameters
from mixedmodels.engines.residual.objective import Evaluation, evaluation, gradient
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.engines.residual.sample import full_hessian
from mixedmodels.engines.residual.start import curvature, first_parameters, sampled_hessian, search_hessian
from mixedmodels.engines.residual.verdict import judged, tells_apart
from mixedmodels.errors import ConvergenceError
from mixedmodels.optimization.canonical import canonical, with_exact_zeros
from mixedmodels.optimization.quasi_newton import Minimum, minimize
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
#: Distance of the nearer points of differences of the gradient, whose error is of its fourth power.
DIFFERENCE = 1e-3
#: Largest change of a free coordinate in one step: they are of order one.
MAX_STEP = 3.0


@dataclass(slots=True)
class Search:
    """The objective of one problem, with a count of its evaluations."""

    problem: ResidualProblem
    REML: bool
    n_evaluations: int = 0
    hessian: FloatArray = field(default_factory=lambda: np.empty((0, 0)))

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
    found = _minimum(search, first)
    at = search.at(_with_exact_zeros(search, found))
    if problem.crossed is not None:
        search.hessian = _telling_hessian(search, at)
    if start is None and judged(problem, at.at, found, search.hessian).verdict != "converged":
        found = _best_of_looks(search, first, found)
        at = search.at(_with_exact_zeros(search, found))
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
    return estimates_of(problem, at, REML, report, judged(problem, at.at, found, search.hessian))


def _telling_hessian(search: Search, at: Evaluation) -> FloatArray:
    """Return a Hessian that shows which parameters crossed data tell apart, of all rows if need be."""
    J = search_coordinates(search.problem).jacobian(at.free)
    H = J.T @ sampled_hessian(search.problem, at) @ J
    if tells_apart(H):
        return np.asarray(H)
    H = J.T @ full_hessian(search.problem, at.free, search.REML, DIFFERENCE) @ J
    return 0.5 * (H + H.T)


def _best_of_looks(search: Search, first: FloatArray, found: Minimum) -> Minimum:
    """Return the lowest of where a search ended in doubt and where others do that begin beside its start."""
    model = search.problem.model
    residual = range(model.n_theta, min(model.n_parameters, model.n_theta + MOST_LOOKED))
    for k in residual:
        for shift in (-LOOK, LOOK):
            moved = first.copy()
            moved[k] += shift
            hessian = search.hessian
            try:
                other = _minimum(search, moved)
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


def _minimum(search: Search, free: FloatArray) -> Minimum:
    """Return where scoring and search lead from a point."""
    best = search.at(free)
    if not len(free):
        nothing = np.zeros((0, 0))
        return Minimum(
            free, best.objective, free, nothing, 0.0, 0, ((free, best.objective),), True, "closed form"
        )
    coordinates = search_coordinates(search.problem)
    slope = gradient(search.problem, best, search.REML)
    for _ in range(MAX_SCORING_STEPS):
        search.hessian = search_hessian(search.problem, best, search.REML)
        J = coordinates.jacobian(best.free)
        search.hessian = J.T @ search.hessian @ J
        H = curvature(search.hessian)
        new = _scored(search, coordinates, best, H @ (J.T @ slope))
        if new is None:
            break
        gain = best.objective - new.objective
        best, slope = new, gradient(search.problem, new, search.REML)
        if gain < SCORING_GAIN:
            break

    def objective_and_gradient(x: FloatArray) -> tuple[float, FloatArray]:
        free = coordinates.free(x)
        objective, own = search.objective_and_gradient(free)
        return objective, coordinates.jacobian(free).T @ own

    tolerance = TOLERANCE + RELATIVE_TOLERANCE * abs(best.objective)
    first = (best.objective, coordinates.jacobian(best.free).T @ slope)
    x = coordinates.of(best.free)
    found = minimize(objective_and_gradient, x, H, first=first, tolerance=tolerance, max_step=MAX_STEP)
    return coordinates.back(_one_step_on(found), coordinates.jacobian(coordinates.free(found.x)))


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
