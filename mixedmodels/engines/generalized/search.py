"""One search for an optimum of a generalized model: from a start to the optimum that it leads to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.laplace import laplace
from mixedmodels.engines.generalized.newton_start import newton_start
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.optimum import Layout, Optimum
from mixedmodels.engines.generalized.pirls import DECREMENT, Mode, fixed_border
from mixedmodels.engines.generalized.problem import GeneralizedProblem, pack, unpack_factors
from mixedmodels.engines.generalized.start import (
    Start,
    curvature_at,
    reproducing_effects,
    starting_values,
)
from mixedmodels.engines.generalized.unbounded import held_beyond, unbounded_direction
from mixedmodels.engines.generalized.verdict import left_to_rows, vanished_dispersion
from mixedmodels.errors import ConvergenceError
from mixedmodels.factorization.weighted.penalized_factor import factorize
from mixedmodels.factorization.weighted.penalized_system import spherical_rows
from mixedmodels.optimization.minimum import Minimum, Objective
from mixedmodels.optimization.quasi_newton import minimize

# Decrease of -2 log-likelihood that a further step promises when it stops: 1e-5 of a standard error.
TOLERANCE = 5e-11
# The same where one more evaluation costs next to nothing, and for each row, by the rounding of a sum.
FINE_TOLERANCE, ROW_TOLERANCE = 1e-12, 1e-14
# The nAGQ = 0 fit need only lead to where the joint one starts.
ROUGH_TOLERANCE = 0.5
# The same where a start has one mode to lead to, from wherever it is.
ROUGH_DECREMENT, ROUGHER_DECREMENT = 1e-8, 1e-6
# Relative change of theta beyond which the curvature in the fixed effects is computed afresh.
MOVED = 0.5
# Decrement, for each row, below which a dispersion that vanishes is followed no further: a millionth of the
# variation is left to it, and the objective begins to lose digits.
FLAT_PER_ROW = 1e-7
# The share of the variation left to rows at which it is followed no further either. A row's value is then a
# difference of terms as many times larger, and the slope along the dispersion, about as large as the share,
# soon drowns in its rounding: from a fifth of this a search may run anywhere, and the optimum is missed.
LEAST_SHARE = 4e-6
# Evaluations of a search.
MAX_EVALUATIONS = 1000
# Curvature along the gradient, relative to the information of all rows, that only a pole of the approximation
# has; and the gradient, in units of a parameter's size, below which it is not looked at.
POLE, LEAST_STEEPNESS = 100.0, 100.0
# Shares of the usual start that a search begins with where the usual one puts means beyond their range.
SHRINKAGES = (1.0, 0.3, 0.1)
# Largest change of a free parameter in one step, in units of its typical size.
LARGEST_STEP = 5.0


def from_start(
    evaluator: Evaluator,
    layout: Layout,
    start: FloatArray | None,
    tolerance: float | None = None,
    most: int = MAX_EVALUATIONS,
) -> Optimum:
    """Optimise the nAGQ = 0 objective first, then the one asked for.

    From `start`, an optimiser's vector, or by default from starting values; to a decrement of `tolerance`, or
    by default to the optimum; by `most` evaluations of each objective at most.
    Where the joint objective costs less than the nAGQ = 0 one, or Newton's steps lead to its optimum, the
    detour is not worth it.
    """
    if evaluator.problem.by_level is not None and evaluator.nAGQ > 0:
        return _direct_fit(evaluator, layout, start, tolerance, most)
    if evaluator.nAGQ == 0:
        return profile_fit(evaluator, layout, start, TOLERANCE if tolerance is None else tolerance, most)
    try:
        near = newton_start(evaluator) if start is None else None
        if near is None or unbounded_direction(evaluator.problem, evaluator.mode) is not None:
            return _by_profile(evaluator, layout, start, tolerance, most)
        H, n = near.inverse_hessian, near.n_evaluations
        return joint_fit(evaluator, layout, near.psi, H, n, tolerance, near.first, most)
    except ConvergenceError as error:
        return _inside_range(evaluator, layout, tolerance, error)


def _by_profile(
    evaluator: Evaluator, layout: Layout, start: FloatArray | None, tolerance: float | None, most: int
) -> Optimum:
    """Optimise the nAGQ = 0 objective roughly, then the one asked for from there."""
    rough = profile_fit(evaluator, layout, start, ROUGH_TOLERANCE, most)
    psi, H, mode = rough.psi, rough.inverse_hessian, evaluator.mode
    unbounded = unbounded_direction(evaluator.problem, mode)
    if unbounded is not None:
        psi, H = held_beyond(evaluator.problem, mode, psi, H, unbounded)
    return joint_fit(evaluator, layout, psi, H, rough.n_evaluations, tolerance, most=most)


def _inside_range(
    evaluator: Evaluator, layout: Layout, tolerance: float | None, error: ConvergenceError
) -> Optimum:
    """Optimise from the fixed effects of the model without random ones and small deviations.

    Fixed effects found with the random ones may put means at the end of what the link allows, where the
    search cannot start; with small deviations all means lie where those of the smaller model do.
    """
    problem, values = evaluator.problem, starting_values(evaluator.problem)
    for shrinkage in SHRINKAGES:
        thetas = tuple(shrinkage * theta for theta in values.thetas)
        evaluator.forget()
        try:
            return _direct_fit(evaluator, layout, pack(problem, thetas, values.gamma, values.phi), tolerance)
        except ConvergenceError:
            continue
    raise error


def profile_fit(
    evaluator: Evaluator,
    layout: Layout,
    start: FloatArray | None,
    tolerance: float,
    most: int = MAX_EVALUATIONS,
) -> Optimum:
    """Minimise the nAGQ = 0 objective over theta and phi by `most` evaluations at most."""
    problem, outer, fixed = evaluator.problem, layout.outer, layout.fixed
    values = starting_values(problem)
    psi = pack(problem, values.thetas, values.gamma, values.phi)
    if start is not None:
        psi = start.copy()
    scale, rough = layout.scale[outer], ROUGHER_DECREMENT if problem.has_one_mode else ROUGH_DECREMENT
    decrement = DECREMENT if evaluator.nAGQ == 0 else rough
    # Short steps stay in the basin of a start; but with a dispersion only that would move far.
    is_own = start is not None and problem.n_phi > 0
    by_theta = curvature_at(problem, layout.scale, psi, values) if is_own else values.curvature
    curvature = np.concatenate([by_theta, np.full(problem.n_phi, float(len(problem.y)))])

    def function(x: FloatArray) -> tuple[float, FloatArray]:
        full = psi.copy()
        full[outer] = x * scale
        value, gradient = evaluator.profiled(full, decrement)
        return value, gradient[outer] * scale

    first = function(psi[outer] / scale)
    inverse = np.diag(1.0 / (curvature * scale**2))
    found = minimize(
        function, psi[outer] / scale, inverse,
        first=first, tolerance=tolerance, max_step=LARGEST_STEP, max_evaluations=most,
    )  # fmt: skip
    psi[outer] = found.x * scale
    mode = evaluator.mode if found.n_evaluations == 0 else evaluator.joint_mode_at(psi, decrement)
    if laplace(mode) > found.objective + 1.0:
        # The last trial led to another mode than the point kept: links such as the inverse have several.
        evaluator.forget()
        mode = evaluator.joint_mode_at(psi, decrement)
    psi[fixed] = mode.parameters.gamma
    H = np.zeros((len(psi), len(psi)))
    H[np.ix_(outer, outer)] = found.inverse_hessian * np.multiply.outer(scale, scale)
    if mode.border is not None:
        H[fixed, fixed] = 0.5 * mode.border.inverse
    return Optimum(psi, found.objective, H, found, 1 + found.n_evaluations)


def _direct_fit(
    evaluator: Evaluator,
    layout: Layout,
    start: FloatArray | None,
    tolerance: float | None = None,
    most: int = MAX_EVALUATIONS,
) -> Optimum:
    """Minimise the objective over all parameters from starting values, the Laplace one roughly first."""
    problem, known = evaluator.problem, None
    values = starting_values(problem)
    psi = pack(problem, values.thetas, values.gamma, values.phi)
    if start is not None:
        psi = start
    by_laplace = evaluator if evaluator.nAGQ == 1 else Evaluator(problem, 1)
    # The first value leaves the modes at which the next line begins.
    first = by_laplace(psi)
    is_known = start is None and values.scoring is not None
    by_gamma = _fixed_at_start(problem, values) if is_known else by_laplace.fixed_inverse(psi)
    H = start_inverse(layout, np.diag(1.0 / values.curvature), by_gamma)
    rough = joint_fit(by_laplace, layout, psi, H, 1, ROUGH_TOLERANCE, first, most)
    H = rough.inverse_hessian
    if _has_moved(psi[: problem.n_theta], rough.psi[: problem.n_theta]):
        by_theta = H[: problem.n_theta, : problem.n_theta]
        H = start_inverse(layout, by_theta, by_laplace.fixed_inverse(rough.psi))
    if by_laplace is evaluator:
        known = (rough.objective, rough.found.gradient / layout.scale)
    return joint_fit(evaluator, layout, rough.psi, H, rough.n_evaluations, tolerance, known, most)


def _fixed_at_start(problem: GeneralizedProblem, values: Start) -> FloatArray:
    """Return the covariance of gamma at starting values, by the information of the scoring steps there.

    That of the conditional modes, which is a little less, would take another product of all columns.
    """
    scoring = values.scoring
    assert scoring is not None
    _, factors = unpack_factors(problem, pack(problem, values.thetas, values.gamma, values.phi))
    factor = factorize(problem.system, spherical_rows(problem.system, factors), scoring.W)
    return fixed_border(problem, factor, scoring.W, scoring.information).inverse


def start_inverse(layout: Layout, by_theta: FloatArray, by_gamma: FloatArray) -> FloatArray:
    """Return an inverse Hessian: `by_theta` as it is, and of gamma half its covariance."""
    H = np.zeros((len(layout.scale), len(layout.scale)))
    H[: len(by_theta), : len(by_theta)] = by_theta
    H[layout.fixed, layout.fixed] = 0.5 * by_gamma
    return H


def first_inverse(evaluator: Evaluator, layout: Layout, psi: FloatArray) -> FloatArray:
    """Return an inverse Hessian to start with, parameters of the family included."""
    problem = evaluator.problem
    by_theta = np.diag(1.0 / starting_values(problem).curvature)
    H = start_inverse(layout, by_theta, evaluator.fixed_inverse(psi))
    of_family = range(problem.n_theta + problem.n_fixed, len(psi))
    H[of_family, of_family] = 1.0 / len(problem.y)
    return H


def _has_moved(start: FloatArray, theta: FloatArray) -> bool:
    """Tell whether curvatures at the start say little about those at theta."""
    return bool(np.abs(theta - start).max() > MOVED * np.abs(start).max())


def joint_fit(
    evaluator: Evaluator,
    layout: Layout,
    psi: FloatArray,
    inverse_hessian: FloatArray,
    n_before: int,
    tolerance: float | None = None,
    first: tuple[float, FloatArray] | None = None,
    most: int = MAX_EVALUATIONS,
    is_known: Callable[[FloatArray], bool] | None = None,
) -> Optimum:
    """Minimise the objective over all parameters by `most` evaluations at most.

    `first` is objective and gradient at `psi`, if known. The search ends where `is_known` says that its psi
    leads to what is known already, on the way to a pole, and where effects have left rows next to nothing.
    """
    scale = layout.scale
    if tolerance is None:
        tolerance = search_tolerance(evaluator.problem)
    square = np.multiply.outer(scale, scale)

    def function(x: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = evaluator(x * scale)
        return value, gradient * scale

    def is_lost(x: FloatArray, gradient: FloatArray, decrement: float) -> bool:
        if is_known is not None and is_known(x * scale):
            return True
        if flat > 0.0 and left_to_rows(evaluator.mode_at(x * scale)) <= LEAST_SHARE:
            return True
        return _is_at_pole(evaluator, gradient, decrement)

    at_start = None if first is None else (first[0], first[1] * scale)
    flat = 0.0 if reproducing_effects(evaluator.problem) is None else FLAT_PER_ROW * len(evaluator.problem.y)
    x, H, found = psi / scale, inverse_hessian / square, None
    if at_start is not None and is_known is None and most >= MAX_EVALUATIONS:
        found = evaluator.searched(scale, (x, *at_start, H), tolerance, LARGEST_STEP)
    if found is None:
        found = minimize(
            function, x, H, first=at_start, tolerance=max(tolerance, flat), max_step=LARGEST_STEP,
            max_evaluations=most, is_lost=is_lost,
        )  # fmt: skip
    if not np.isfinite(found.objective):
        raise ConvergenceError("The likelihood is not finite where the search starts.")
    if tolerance < flat:
        mode = evaluator.mode_at(found.x * scale)
        found = _finished(function, found, evaluator.problem, mode, tolerance, flat)
    n_evaluations = n_before + found.n_evaluations
    return Optimum(found.x * scale, found.objective, found.inverse_hessian * square, found, n_evaluations)


def _is_at_pole(evaluator: Evaluator, gradient: FloatArray, decrement: float) -> bool:
    """Tell whether the curvature along the gradient is beyond what the rows can give: a mode is vanishing.

    Where log f is not concave two modes may meet and be gone: log|L| has a pole there, a narrow valley leads
    down to it, and the likelihood has nothing of the kind.
    """
    if evaluator.problem.has_one_mode or evaluator.nAGQ == 0 or evaluator.problem.by_level is not None:
        return False
    square = float(gradient @ gradient)
    if square <= LEAST_STEEPNESS**2:
        return False
    mode = evaluator.mode
    of_rows = (1.0 + float(mode.u @ mode.u)) * (len(mode.eta) + float(np.abs(mode.rows.information).sum()))
    return square > 2.0 * POLE * of_rows * max(decrement, 0.0)


def search_tolerance(problem: GeneralizedProblem) -> float:
    """Return the decrement at which a search stops."""
    if problem.by_level is None:
        return TOLERANCE
    return min(TOLERANCE, max(FINE_TOLERANCE, ROW_TOLERANCE * len(problem.y)))


def _finished(
    function: Objective,
    found: Minimum,
    problem: GeneralizedProblem,
    mode: Mode,
    tolerance: float,
    noise: float,
) -> Minimum:
    """Go on to the tolerance, holding a parameter of the family that row effects have left nothing to.

    Values have lost digits there: up to `noise` the slopes decide, or a search picks the luckiest of values.
    """
    H = found.inverse_hessian.copy()
    if vanished_dispersion(problem, mode):
        H[-problem.n_phi :] = H[:, -problem.n_phi :] = 0.0
    again = minimize(
        function, found.x, H,
        first=(found.objective, found.gradient), tolerance=tolerance, max_step=LARGEST_STEP,
        noise=lambda: noise,
    )  # fmt: skip
    path = found.path + again.path[1:]
    return replace(again, n_evaluations=found.n_evaluations + again.n_evaluations, path=path)
