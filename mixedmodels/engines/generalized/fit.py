"""Fit a generalized linear mixed model: start, nAGQ = 0, joint optimum, verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.engines.column_basis import ColumnBasis, moved_theta
from mixedmodels.engines.generalized.doubts import rejected, with_doubts
from mixedmodels.engines.generalized.equal_rows import EqualRows
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates
from mixedmodels.engines.generalized.exactness import Exactness, exactness, nodes_to_search_with, with_search
from mixedmodels.engines.generalized.hessian import natural_parameters
from mixedmodels.engines.generalized.laplace import laplace
from mixedmodels.engines.generalized.objective import Evaluator, LedToEdge
from mixedmodels.engines.generalized.optimum import Layout, Optimum, parameter_layout
from mixedmodels.engines.generalized.pirls import DECREMENT, EdgeError, Mode, mode_border
from mixedmodels.engines.generalized.problem import GeneralizedProblem, natural_to_psi, pack
from mixedmodels.engines.generalized.quadrature import check_quadrature
from mixedmodels.engines.generalized.quadrature_grid import check_grid
from mixedmodels.engines.generalized.second_starts import is_same_basin, other_starts
from mixedmodels.engines.generalized.start import (
    curvature_at,
    nested_objective,
    row_effects,
    start_from_row_effects,
    starting_values,
    zero_thetas,
)
from mixedmodels.engines.generalized.unbounded import has_edge, held_beyond, unbounded_direction
from mixedmodels.engines.generalized.verdict import (
    has_stopped_moving,
    is_regular,
    is_steep,
    judge_generalized,
    off_saddle,
    optimum_with_zeros,
    polished,
    rotated_starts,
    vanished_dispersion,
)
from mixedmodels.errors import ControlError, ConvergenceError
from mixedmodels.factorization.blocks import term_slices
from mixedmodels.factorization.threads import threads_for
from mixedmodels.formula.design.theta import boundaries
from mixedmodels.optimization.quasi_newton import Minimum, Objective, minimize
from mixedmodels.optimization.report import OptimizationReport

# Decrease of -2 log-likelihood that a further step promises when it stops: 1e-5 of a standard error.
TOLERANCE = 5e-11
# The same where one more evaluation costs next to nothing, and for each row, by the rounding of a sum.
FINE_TOLERANCE, ROW_TOLERANCE = 1e-12, 1e-14
# The nAGQ = 0 fit need only lead to where the joint one starts.
ROUGH_TOLERANCE = 0.5
ROUGH_DECREMENT = 1e-8
# How much worse than a singular optimum a point beside it may be to be worth optimising from.
WORTH_A_TRY = 0.1
# Gain, relative to the objective, that is no rounding error.
RELATIVE_GAIN = 1e-11
# Relative change of theta beyond which the curvature in the fixed effects is computed afresh.
MOVED = 0.5
# Decrement, for each row, below which a dispersion that vanishes is followed no further: a millionth of the
# variation is left to it, and the objective begins to lose digits.
FLAT_PER_ROW = 1e-7
# Decrement at which a look from another start ends, unless it has come lower.
LOOK_TOLERANCE = 0.05
# How far above the optimum a look elsewhere may end roughly and still be followed to its own.
WITHIN_REACH = 50.0
# Times that other starts are asked for.
MOST_ROUNDS = 3
# Evaluations of a search; of one from another start, which leads nowhere if it takes more.
MAX_EVALUATIONS, LOOK_EVALUATIONS = 1000, 100
# Gain of a second start worth leaving the first optimum for.
SMALLEST_GAIN = 1e-5
# Decrement below which earlier estimates are a better start than the data give: ten standard errors. The
# response of a bootstrap is one to four away, and takes half the time from there.
NEAR = 50.0
# Shares of the usual start that a search begins with where the usual one puts means beyond their range.
SHRINKAGES = (1.0, 0.3, 0.1)
# Largest change of a free parameter in one step, in units of its typical size.
LARGEST_STEP = 5.0


def fit_generalized(
    problem: GeneralizedProblem,
    nAGQ: int = 1,
    start: FloatArray | None = None,
    near: GeneralizedEstimates | None = None,
) -> GeneralizedEstimates:
    """Fit by maximum likelihood.

    Parameters
    ----------
    problem : GeneralizedProblem
        From :func:`~mixedmodels.engines.generalized.problem_from_data.generalized_problem`.
    nAGQ : int
        0 (beta found with u, only theta optimised), 1 (Laplace) or the nodes of adaptive quadrature per
        dimension; see :func:`~mixedmodels.engines.generalized.stable_quadrature.fit_until_stable` for "auto".
    start : ndarray, shape (m,), optional
        (theta, beta, phi) to start from; by default found from the data.
    near : GeneralizedEstimates, optional
        Estimates of the same model by another approximation or for a like response, to start from if they
        turn out to be within some standard errors; starting values from the data are better beyond.

    Raises
    ------
    ControlError
        If the random effects do not allow nAGQ > 1, or `start` has the wrong length.
    ConvergenceError
        If no starting value has a finite likelihood, or the random effects have no regular mode; an EdgeError
        where the expected information may have one.
    """
    check_nodes(problem, nAGQ)
    began = time.perf_counter()
    evaluator, layout = Evaluator(problem, nAGQ), parameter_layout(problem)
    try:
        with threads_for(problem.system.pattern.n_tail):
            optimum = _optimize(evaluator, layout, start, near)
            optimum = _canonical_optimum(evaluator, layout, optimum)
            return _held_against_nested(evaluator, layout, optimum, began)
    except LedToEdge as error:
        raise EdgeError(
            "With the observed information the approximation is best where fitted means reach the end of "
            f"what the {problem.family.link.name} link allows, which is no optimum of the likelihood. "
            "Give hessian='expected', which keeps them inside."
        ) from error
    except np.linalg.LinAlgError as error:
        family = problem.family
        raise ConvergenceError(
            f"The random effects have no regular conditional mode under the {family.name} family with link "
            f"{family.link.name!r}: {error}. A link that keeps every mean in its range may fit."
        ) from error


def _optimize(
    evaluator: Evaluator, layout: Layout, start: FloatArray | None, near: GeneralizedEstimates | None
) -> Optimum:
    """Return the optimum, from earlier estimates where they are near, else from starting values."""
    if near is not None and evaluator.nAGQ > 0:
        optimum = _from_estimates(evaluator, layout, near)
        if optimum is not None:
            return optimum
    if start is not None:
        optimum = _from_start(evaluator, layout, _given_start(evaluator.problem, start))
        return _no_worse_than_default(evaluator, layout, optimum)
    optimum = _from_start(evaluator, layout, None)
    if row_effects(evaluator.problem) is not None:
        by_rows = start_from_row_effects(evaluator.problem, evaluator.mode_at(optimum.psi))
        optimum = _better(evaluator, layout, optimum, by_rows)
    return _after_looks(evaluator, layout, optimum)


def _after_looks(evaluator: Evaluator, layout: Layout, optimum: Optimum) -> Optimum:
    """Return the lowest optimum that other starts lead to; a new one may suggest further starts."""
    if is_steep(optimum) and has_edge(evaluator.problem):
        # The fixed effects themselves lead there, and will from everywhere.
        return optimum
    tried: list[FloatArray] = []
    for _ in range(MOST_ROUNDS):
        starts = other_starts(evaluator.problem, optimum.psi, layout.scale, _is_optimum(evaluator, optimum))
        new = [start for start in starts if not any(np.array_equal(start, other) for other in tried)]
        if not new:
            break
        for start in new:
            optimum = _better(evaluator, layout, optimum, start)
        tried += new
    return optimum


def _better(evaluator: Evaluator, layout: Layout, optimum: Optimum, start: FloatArray) -> Optimum:
    """Return the optimum, or the lower one that another start leads to, found exactly only if it is lower."""
    evaluator.forget()
    gain, was_optimum = (
        RELATIVE_GAIN * abs(optimum.objective) + SMALLEST_GAIN,
        _is_optimum(evaluator, optimum),
    )
    try:
        again = _from_start(evaluator, layout, start, LOOK_TOLERANCE)
        if again.found.converged and (not was_optimum or _is_promising(evaluator, layout, optimum, again)):
            again = _finished_look(evaluator, layout, again)
        is_optimum = _is_optimum(evaluator, again)
    except (np.linalg.LinAlgError, ConvergenceError):
        return optimum
    is_lower = again.objective < optimum.objective - gain
    is_better = is_lower if is_optimum == was_optimum else is_optimum
    n_evaluations = optimum.n_evaluations + again.n_evaluations
    return replace(again if is_better else optimum, n_evaluations=n_evaluations)


def _is_promising(evaluator: Evaluator, layout: Layout, optimum: Optimum, look: Optimum) -> bool:
    """Tell whether a rough look may end lower than an optimum: it has ended elsewhere, and not far above.

    The decrement of a look in a valley promises little.
    """
    if look.objective < optimum.objective - SMALLEST_GAIN:
        return True
    is_low = look.objective < optimum.objective + WITHIN_REACH
    return is_low and not is_same_basin(evaluator.problem, layout.scale, optimum.psi, look.psi)


def _is_optimum(evaluator: Evaluator, optimum: Optimum) -> bool:
    """Tell whether a search has ended, and not where the Laplace approximation runs to minus infinity."""
    if not (optimum.found.converged or has_stopped_moving(optimum)):
        return False
    return evaluator.problem.has_one_mode or is_regular(evaluator.mode_at(optimum.psi))


def _finished_look(evaluator: Evaluator, layout: Layout, look: Optimum) -> Optimum:
    """Go on from where a rough search ended to the optimum."""
    if evaluator.nAGQ == 0:
        return _profile_fit(evaluator, layout, look.psi, TOLERANCE)
    first = look.objective, look.found.gradient / layout.scale
    H, n = look.inverse_hessian, look.n_evaluations
    return _joint_fit(evaluator, layout, look.psi, H, n, first=first, most=LOOK_EVALUATIONS)


def check_nodes(problem: GeneralizedProblem, nAGQ: object) -> None:
    """Raise ControlError if nAGQ is not a number of nodes that the model allows."""
    if isinstance(nAGQ, bool) or not isinstance(nAGQ, int | np.integer) or nAGQ < 0:
        raise ControlError(f"nAGQ must be 0, 1, a larger whole number or 'auto', not {nAGQ!r}.")
    if nAGQ > 1:
        check_quadrature(problem)
        check_grid(int(nAGQ), max(block.size for block in problem.system.blocks))


def _from_start(
    evaluator: Evaluator, layout: Layout, start: FloatArray | None, tolerance: float | None = None
) -> Optimum:
    """Optimise the nAGQ = 0 objective first, then the one asked for.

    From `start`, an optimiser's vector, or by default from starting values; to a decrement of `tolerance`, or
    by default to the optimum.
    Where the joint objective costs less than the nAGQ = 0 one the detour is not worth it.
    """
    if evaluator.problem.by_level is not None and evaluator.nAGQ > 0:
        return _direct_fit(evaluator, layout, start, tolerance)
    if evaluator.nAGQ == 0:
        return _profile_fit(evaluator, layout, start, TOLERANCE if tolerance is None else tolerance)
    try:
        return _by_profile(evaluator, layout, start, tolerance)
    except ConvergenceError as error:
        return _inside_range(evaluator, layout, tolerance, error)


def _by_profile(
    evaluator: Evaluator, layout: Layout, start: FloatArray | None, tolerance: float | None
) -> Optimum:
    """Optimise the nAGQ = 0 objective roughly, then the one asked for from there."""
    rough = _profile_fit(evaluator, layout, start, ROUGH_TOLERANCE)
    psi, H, mode = rough.psi, rough.inverse_hessian, evaluator.mode
    unbounded = unbounded_direction(evaluator.problem, mode)
    if unbounded is not None:
        psi, H = held_beyond(evaluator.problem, mode, psi, H, unbounded)
    return _joint_fit(evaluator, layout, psi, H, rough.n_evaluations, tolerance)


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


def _no_worse_than_default(evaluator: Evaluator, layout: Layout, optimum: Optimum) -> Optimum:
    """Return the optimum, or that from the default start if already the start itself is better."""
    problem, values = evaluator.problem, starting_values(evaluator.problem)
    psi = pack(problem, values.thetas, values.gamma, values.phi)
    default = Evaluator(problem, evaluator.nAGQ)(psi)[0]
    if optimum.found.converged and optimum.objective <= default:
        return optimum
    again = _from_start(evaluator, layout, None)
    return again if again.objective < optimum.objective else optimum


def _from_estimates(evaluator: Evaluator, layout: Layout, near: GeneralizedEstimates) -> Optimum | None:
    """Optimise from the estimates of a like problem; None if they are not near the optimum.

    At a zero variance the objective is flat, whatever the response: such estimates are no start.
    """
    at_zero = boundaries(evaluator.problem.terms) & (near.theta == 0.0)
    if at_zero.any() or not np.diagonal(near.inverse_hessian).all():
        return None
    psi = natural_to_psi(evaluator.problem, natural_parameters(near))
    try:
        value, gradient = evaluator(psi)
    except (np.linalg.LinAlgError, ConvergenceError):
        return None
    decrement = 0.5 * float(gradient @ near.inverse_hessian @ gradient)
    if not np.isfinite(value) or not decrement < NEAR:
        return None
    optimum = _joint_fit(evaluator, layout, psi, near.inverse_hessian, 1, first=(value, gradient))
    return optimum if optimum.found.converged else None


def _profile_fit(evaluator: Evaluator, layout: Layout, start: FloatArray | None, tolerance: float) -> Optimum:
    """Minimise the nAGQ = 0 objective over theta and phi."""
    problem, outer, fixed = evaluator.problem, layout.outer, layout.fixed
    values = starting_values(problem)
    psi = pack(problem, values.thetas, values.gamma, values.phi)
    if start is not None:
        psi = start.copy()
    scale, decrement = layout.scale[outer], DECREMENT if evaluator.nAGQ == 0 else ROUGH_DECREMENT
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
        function, psi[outer] / scale, inverse, first=first, tolerance=tolerance, max_step=LARGEST_STEP
    )
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
    evaluator: Evaluator, layout: Layout, start: FloatArray | None, tolerance: float | None = None
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
    H = _start_inverse(by_laplace, layout, psi, np.diag(1.0 / values.curvature))
    rough = _joint_fit(by_laplace, layout, psi, H, 1, ROUGH_TOLERANCE, first)
    H = rough.inverse_hessian
    if _has_moved(psi[: problem.n_theta], rough.psi[: problem.n_theta]):
        H = _start_inverse(by_laplace, layout, rough.psi, H[: problem.n_theta, : problem.n_theta])
    if by_laplace is evaluator:
        known = (rough.objective, rough.found.gradient / layout.scale)
    return _joint_fit(evaluator, layout, rough.psi, H, rough.n_evaluations, tolerance, known)


def _start_inverse(evaluator: Evaluator, layout: Layout, psi: FloatArray, by_theta: FloatArray) -> FloatArray:
    """Return an inverse Hessian: that of gamma from the bordered system, and `by_theta`."""
    mode = evaluator.mode_at(psi)
    edge = mode_border(evaluator.problem, mode)
    H = np.zeros((len(psi), len(psi)))
    H[: len(by_theta), : len(by_theta)] = by_theta
    H[layout.fixed, layout.fixed] = 0.5 * edge.inverse
    return H


def _has_moved(start: FloatArray, theta: FloatArray) -> bool:
    """Tell whether curvatures at the start say little about those at theta."""
    return bool(np.abs(theta - start).max() > MOVED * np.abs(start).max())


def _joint_fit(
    evaluator: Evaluator,
    layout: Layout,
    psi: FloatArray,
    inverse_hessian: FloatArray,
    n_before: int,
    tolerance: float | None = None,
    first: tuple[float, FloatArray] | None = None,
    most: int = MAX_EVALUATIONS,
) -> Optimum:
    """Minimise the objective over all parameters by `most` evaluations at most.

    `first` is objective and gradient at `psi`, if known.
    """
    scale = layout.scale
    if tolerance is None:
        tolerance = _tolerance(evaluator.problem)
    square = np.multiply.outer(scale, scale)

    def function(x: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = evaluator(x * scale)
        return value, gradient * scale

    at_start = None if first is None else (first[0], first[1] * scale)
    flat = 0.0 if row_effects(evaluator.problem) is None else FLAT_PER_ROW * len(evaluator.problem.y)
    found = minimize(
        function, psi / scale, inverse_hessian / square,
        first=at_start, tolerance=max(tolerance, flat), max_step=LARGEST_STEP,
        max_evaluations=min(most, LOOK_EVALUATIONS) if tolerance >= LOOK_TOLERANCE else most,
    )  # fmt: skip
    if not np.isfinite(found.objective):
        raise ConvergenceError("The likelihood is not finite where the search starts.")
    if tolerance < flat:
        mode = evaluator.mode_at(found.x * scale)
        found = _finished(function, found, evaluator.problem, mode, tolerance)
    n_evaluations = n_before + found.n_evaluations
    return Optimum(found.x * scale, found.objective, found.inverse_hessian * square, found, n_evaluations)


def _tolerance(problem: GeneralizedProblem) -> float:
    """Return the decrement at which a search stops."""
    if problem.by_level is None:
        return TOLERANCE
    return min(TOLERANCE, max(FINE_TOLERANCE, ROW_TOLERANCE * len(problem.y)))


def _finished(
    function: Objective, found: Minimum, problem: GeneralizedProblem, mode: Mode, tolerance: float
) -> Minimum:
    """Go on to the tolerance, holding a parameter of the family that row effects have left nothing to."""
    H = found.inverse_hessian.copy()
    if vanished_dispersion(problem, mode):
        H[-problem.n_phi :] = H[:, -problem.n_phi :] = 0.0
    again = minimize(
        function, found.x, H,
        first=(found.objective, found.gradient), tolerance=tolerance, max_step=LARGEST_STEP,
    )  # fmt: skip
    path = found.path + again.path[1:]
    return replace(again, n_evaluations=found.n_evaluations + again.n_evaluations, path=path)


def _canonical_optimum(evaluator: Evaluator, layout: Layout, optimum: Optimum) -> Optimum:
    """Set vanished variances to zero; from a zero that turns out to be a saddle, optimise again."""
    optimum = optimum_with_zeros(evaluator, layout.scale, polished(evaluator, layout, optimum))
    beside = off_saddle(evaluator, layout.scale, optimum.psi)
    candidates = [] if beside is None else [beside]
    for psi in rotated_starts(evaluator.problem, layout.scale, optimum.psi):
        try:
            if evaluator(psi)[0] < optimum.objective + WORTH_A_TRY:
                candidates.append(psi)
        except (np.linalg.LinAlgError, ConvergenceError):
            continue
    for psi in candidates:
        again = _joint_fit(evaluator, layout, psi, optimum.inverse_hessian, optimum.n_evaluations)
        if again.objective < optimum.objective - RELATIVE_GAIN * (1.0 + abs(optimum.objective)):
            optimum = optimum_with_zeros(evaluator, layout.scale, again)
    return optimum


def _held_against_nested(
    evaluator: Evaluator, layout: Layout, optimum: Optimum, began: float
) -> GeneralizedEstimates:
    """Return the estimates, those without random effects where the likelihood there is higher.

    What counts is the likelihood by more nodes than the optimum was found with: an approximation may fall
    without end along a variance where the likelihood itself does not.
    """
    problem, nAGQ = evaluator.problem, evaluator.nAGQ
    notes: tuple[str, ...] = ()
    if nAGQ == 0:
        return _estimates(evaluator, optimum, began)
    nested = nested_objective(problem)
    found = exactness(evaluator, optimum, nested)
    value = optimum.objective if found is None else found.objective
    other = None
    if value > nested + RELATIVE_GAIN * abs(nested) + SMALLEST_GAIN:
        other = _from_nested(evaluator, layout)
    if other is not None:
        again = exactness(evaluator, other, nested)
        if (other.objective if again is None else again.objective) < value - SMALLEST_GAIN:
            notes = (rejected(nAGQ, optimum, found),)
            optimum, found = other, again
    if found is not None and found.is_doubtful and found.is_close(nested):
        found = _searched(evaluator, layout, optimum, found)
    estimates = _estimates(evaluator, optimum, began)
    report = with_doubts(estimates.convergence, problem, nAGQ, optimum, found, nested)
    return replace(estimates, convergence=replace(report, reasons=(*report.reasons, *notes)))


def _searched(evaluator: Evaluator, layout: Layout, optimum: Optimum, found: Exactness) -> Exactness:
    """Return how far from an optimum a search by more nodes ends."""
    nodes = nodes_to_search_with(evaluator.problem, evaluator.nAGQ, found)
    if nodes is None:
        return found
    try:
        many = evaluator.with_nodes(nodes)
        better = _joint_fit(many, layout, optimum.psi, optimum.inverse_hessian, 0)
    except (np.linalg.LinAlgError, ConvergenceError):
        return found
    return with_search(found, optimum, better)


def _from_nested(evaluator: Evaluator, layout: Layout) -> Optimum | None:
    """Return the optimum found from the model without random effects, which may be it; None if none is."""
    problem = evaluator.problem
    values = starting_values(problem)
    psi = pack(problem, zero_thetas(problem), values.gamma, values.phi)
    k = problem.n_theta + problem.n_fixed
    try:
        H = _start_inverse(evaluator, layout, psi, np.diag(1.0 / values.curvature))
        H[range(k, len(psi)), range(k, len(psi))] = 1.0 / len(problem.y)
        return _canonical_optimum(evaluator, layout, _joint_fit(evaluator, layout, psi, H, 0))
    except (np.linalg.LinAlgError, ConvergenceError):
        return None


def _given_start(problem: GeneralizedProblem, start: FloatArray) -> FloatArray:
    """Return the optimiser's vector of (theta, beta, phi)."""
    k, p = problem.n_theta, problem.n_fixed
    if len(start) != k + p + problem.n_phi:
        raise ControlError(
            f"start must hold {k} covariance parameters, {p} fixed effects and {problem.n_phi} family "
            f"parameters, {k + p + problem.n_phi} numbers in all, not {len(start)}."
        )
    return natural_to_psi(problem, np.asarray(start, dtype=np.float64))


def _estimates(evaluator: Evaluator, optimum: Optimum, began: float) -> GeneralizedEstimates:
    """Put the optimum on the user's scale."""
    problem, found = evaluator.problem, optimum.found
    equal = problem.row_origin.equal
    mode = evaluator.mode_at(optimum.psi)
    parameters = mode.parameters
    edge = mode_border(problem, mode)
    outer = [
        _outer_theta(term.structure, basis, theta)
        for term, basis, theta in zip(problem.terms, problem.column_bases, parameters.thetas, strict=True)
    ]
    report = OptimizationReport(
        method="BFGS with the exact gradient",
        n_evaluations=optimum.n_evaluations,
        seconds=time.perf_counter() - began,
        gradient_norm=float(np.abs(found.gradient).max(initial=0.0)),
        points=found.path,
        parameters_at=np.copy,
        message=found.message if equal is None else f"{found.message}; {_collapse_message(equal)}",
    )
    return GeneralizedEstimates(
        theta=np.concatenate([theta for theta, _ in outer]),
        beta=problem.unscale @ parameters.gamma,
        phi=parameters.phi,
        u=_effects(problem, mode, [signs for _, signs in outer]),
        eta=problem.as_given(mode.eta),
        objective=optimum.objective,
        nAGQ=evaluator.nAGQ,
        vcov_rx=problem.unscale @ edge.inverse @ problem.unscale.T,
        inverse_hessian=_canonical_inverse(problem, optimum),
        optimization=report,
        convergence=judge_generalized(problem, optimum, [theta for theta, _ in outer], mode),
    )


def _outer_theta(
    structure: CovarianceStructure, basis: ColumnBasis | None, theta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return canonical theta on the user's columns, and the signs of u that go with it, shape (S,)."""
    own = theta if basis is None else moved_theta(structure, basis.inverse, theta)
    canonical = structure.canonical(own)
    flipped = np.diagonal(structure.factor(own)) * np.diagonal(structure.factor(canonical)) < 0.0
    return canonical, np.where(flipped, -1.0, 1.0)


def _collapse_message(equal: EqualRows) -> str:
    """Say that equal rows were fitted once."""
    return f"the {len(equal.index)} rows are {len(equal.first)} distinct ones, which were fitted with weights"


def _effects(problem: GeneralizedProblem, mode: Mode, signs: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
    """Return the spherical effects of each term, (q, S), with the signs that match the user's theta."""
    by_term: dict[int, FloatArray] = {}
    for block, where in zip(problem.system.blocks, problem.system.slices, strict=True):
        u = mode.u[where].reshape(block.size, -1)
        for k, place in term_slices(block):
            by_term[k] = np.ascontiguousarray(u[place].T * signs[k])
    return tuple(by_term[k] for k in range(len(problem.terms)))


def _canonical_inverse(problem: GeneralizedProblem, optimum: Optimum) -> FloatArray:
    """Return the inverse Hessian at the canonical theta, some of whose signs differ from those found."""
    signs, start = np.ones(len(optimum.psi)), 0
    for term in problem.terms:
        end = start + term.structure.n_theta
        theta = term.structure.from_free(optimum.psi[start:end])
        signs[start:end] = np.where(term.structure.canonical(theta) * theta < 0.0, -1.0, 1.0)
        start = end
    return optimum.inverse_hessian * np.multiply.outer(signs, signs)
