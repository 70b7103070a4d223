"""The conditional mode of the random effects: penalized Newton steps, Fisher scoring where Newton cannot go.

For given (theta, gamma, phi) the mode maximises ``sum_i log f(y_i | eta_i) - |u|^2 / 2`` (Bates et al. 2015
call the Fisher-scoring form PIRLS). Newton's steps on the observed information converge quadratically, which
is what makes the Laplace objective smooth enough for exact gradients: iterations stop when the squared length
of the next step, in the metric of the Hessian, is below :data:`DECREMENT`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.linalg import LinAlgError

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.problem import (
    GeneralizedProblem,
    Parameters,
)
from mixedmodels.engines.generalized.scalar_modes import scalar_search
from mixedmodels.engines.weighted_gram import COLUMNS, by_columns, level_products, weighted_gram
from mixedmodels.errors import ConvergenceError
from mixedmodels.factorization.weighted.penalized_factor import (
    Border,
    PenalizedFactor,
    border,
    factorize,
    inverse_of,
    scalar_factor,
    solve,
    solve_bordered,
)
from mixedmodels.factorization.weighted.penalized_system import (
    SphericalRows,
    rows_to_spherical,
    spherical_to_rows,
)
from mixedmodels.families.family import Derivatives
from mixedmodels.kernels.scalar_modes import MOST_FIXED

# Squared Newton step, relative to 1 + |u|^2, below which the mode is exact: log|L| then errs by 1e-11.
DECREMENT = 1e-22
# Below this, relative to 1 + |u|^2 and the penalized log-likelihood, a decrement that no longer shrinks is
# rounding error: information of 1e16 for a row leaves no step smaller.
ROUNDING = 1e-14
# Below this squared step the quadratic model is trusted without comparing objectives, which would only
# compare rounding errors.
TRUSTED = 1e-9
MAX_STEPS = 200
MAX_HALVINGS = 60
# Share of a step that is tried next where all of it leads beyond the end of the range of the mean.
BACK_FROM_END = 0.2
# Steps cut to less than a thousandth by the end of the range of the mean, one after the other, after which a
# mode lies on that end.
SHORT_STEP, MAX_SHORT_STEPS = 1e-3, 5


class EdgeError(ConvergenceError):
    """Conditional modes lie on the end of what the link allows a mean."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Mode:
    """The conditional mode and what was computed on the way.

    Attributes
    ----------
    parameters : Parameters
        Where the mode was computed.
    u : ndarray, shape (sum q S,)
        Spherical random effects: blocks one after the other, each (S, q) in C order.
    eta : ndarray, shape (n,)
        Linear predictor at the mode.
    rows : Derivatives
        Log-likelihood terms and their derivatives at the mode, up to the third.
    penalized : float
        ``|u|^2 - 2 sum log f``.
    factor : PenalizedFactor
        Factor of ``Lambda'Z'WZ Lambda + I`` with the information W of log|L|.
    hessian : PenalizedFactor
        The same with the observed information; identical to `factor` for canonical links.
    border : Border or None
        The fixed effects bordering `hessian`; only for the joint mode of (u, gamma).
    """

    parameters: Parameters
    u: FloatArray
    eta: FloatArray
    rows: Derivatives
    penalized: float
    factor: PenalizedFactor
    hessian: PenalizedFactor
    border: Border | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _State:
    """Where the iteration stands, and how many of the last steps the range of the mean has cut short."""

    u: FloatArray
    gamma: FloatArray
    eta: FloatArray
    rows: Derivatives
    penalized: float
    n_short: int = 0


def conditional_mode(
    problem: GeneralizedProblem, parameters: Parameters, start: FloatArray | None = None
) -> Mode:
    """Find the conditional mode of u.

    Parameters
    ----------
    problem : GeneralizedProblem
        The data.
    parameters : Parameters
        Where to find the mode.
    start : ndarray, shape (sum q S,), optional
        Where to start; zero otherwise. The result does not depend on it.

    Raises
    ------
    ConvergenceError
        If the likelihood is not finite at the start and at u = 0.
    """
    compiled = _compiled_mode(problem, parameters, start, DECREMENT, is_joint=False)
    if compiled is not None:
        return compiled
    state = _start(problem, parameters, start)
    previous = np.inf
    for _ in range(MAX_STEPS):
        # 1. Slope of the penalized log-likelihood: Lambda'Z'g - u.
        score = rows_to_spherical(problem.system, parameters.zeta, state.rows.d1) - state.u
        # 2. Its curvature Lambda'Z'HZ Lambda + I, the expected information where H is indefinite.
        hessian, is_observed = curvature(problem, parameters, state)
        # 3. The Newton step, and its squared length in that metric: the decrement.
        step = solve(hessian, score)
        squared = float(step @ score)
        if _is_last(squared, previous, state):
            break
        previous = squared
        # 4. As far along it as the penalized likelihood grows.
        moved = _search(problem, parameters, state, step, np.zeros_like(state.gamma), squared)
        if moved is None:
            break
        state = moved
        _refuse_edge(problem, state)
    # 5. L at the mode itself, with the information that the approximation uses.
    same = is_observed and problem.has_one_information
    factor = hessian if same else factorize(problem.system, parameters.zeta, state.rows.information)
    return Mode(parameters, state.u, state.eta, state.rows, state.penalized, factor, hessian, None)


def joint_mode(
    problem: GeneralizedProblem,
    parameters: Parameters,
    start: FloatArray | None = None,
    decrement: float = DECREMENT,
) -> Mode:
    """Find the joint mode of u and gamma: lme4's nAGQ = 0.

    Parameters
    ----------
    problem : GeneralizedProblem
        The data.
    parameters : Parameters
        theta and phi, and the gamma to start from.
    start : ndarray, shape (sum q S,), optional
        The u to start from; zero otherwise.
    decrement : float
        Squared Newton step at which to stop, relative to 1 + |u|^2.

    Returns
    -------
    Mode
        With the gamma found in its parameters.
    """
    compiled = _compiled_mode(problem, parameters, start, decrement, is_joint=True)
    if compiled is not None:
        return compiled
    state = _start(problem, parameters, start)
    previous = np.inf
    for _ in range(MAX_STEPS):
        score = rows_to_spherical(problem.system, parameters.zeta, state.rows.d1) - state.u
        score_fixed = problem.fixed_basis.T @ state.rows.d1
        hessian, edge, is_observed = _joint_curvature(problem, parameters, state)
        step, step_fixed = solve_bordered(hessian, edge, score, score_fixed)
        squared = float(step @ score + step_fixed @ score_fixed)
        if _is_last(squared, previous, state, decrement):
            break
        previous = squared
        moved = _search(problem, parameters, state, step, step_fixed, squared)
        if moved is None:
            break
        state = moved
        if state.n_short == MAX_SHORT_STEPS:
            # On the end of the range: good enough to start from, which is what this mode is for there.
            break
    same = is_observed and problem.has_one_information
    factor = hessian if same else factorize(problem.system, parameters.zeta, state.rows.information)
    found = replace(parameters, gamma=state.gamma)
    return Mode(found, state.u, state.eta, state.rows, state.penalized, factor, hessian, edge)


def _compiled_mode(
    problem: GeneralizedProblem,
    parameters: Parameters,
    start: FloatArray | None,
    decrement: float,
    *,
    is_joint: bool,
) -> Mode | None:
    """Return a mode by the compiled search, which takes the steps of these; None where they are asked."""
    search, scalar = scalar_search(problem), problem.system.scalar
    if search is None or scalar is None or (is_joint and not 0 < problem.n_fixed <= MOST_FIXED):
        return None
    near = np.zeros(problem.n_effects) if start is None else start
    scales, limits = scalar.scales(parameters.zeta), (MAX_STEPS, MAX_HALVINGS, ROUNDING, TRUSTED)
    found = search.search(scales, near, parameters.gamma, is_joint, decrement, limits)
    if found is None:
        return None
    u, gamma, eta, rows, penalized, values, tail, log_det, edge = found
    factor = scalar_factor(problem.system, scalar, parameters.zeta, values, tail, log_det)
    joint = None if edge is None else Border(edge[0], edge[1], inverse_of(edge[2]))
    at = replace(parameters, gamma=gamma) if is_joint else parameters
    return Mode(at, u, eta, Derivatives(*rows), penalized, factor, factor, joint)


def _is_last(squared: float, previous: float, state: _State, decrement: float = DECREMENT) -> bool:
    """Tell whether a step of this squared length, after one of length `previous`, is not worth taking."""
    size = 1.0 + float(state.u @ state.u)
    if squared <= decrement * size:
        return True
    return squared > 0.25 * previous and squared <= ROUNDING * (size + abs(state.penalized))


def curvature(
    problem: GeneralizedProblem, parameters: Parameters, state: _State
) -> tuple[PenalizedFactor, bool]:
    """Factorize the Hessian of the penalized log-likelihood, and tell whether it is the true one.

    Where the observed information is indefinite, which can happen far from the mode for links that are
    not canonical, the expected information takes its place (Fisher scoring).
    """
    observed = -state.rows.d2
    try:
        return factorize(problem.system, parameters.zeta, observed), True
    except LinAlgError:
        positive = _positive_weights(problem, parameters, state)
        return factorize(problem.system, parameters.zeta, positive), False


def _positive_weights(
    problem: GeneralizedProblem, parameters: Parameters, state: _State | Mode
) -> FloatArray:
    """Return weights for Fisher scoring: the expected information, or the absolute observed one."""
    family = problem.family
    if not family.has_expected_information:
        return np.abs(state.rows.d2)
    if not problem.observed:
        return state.rows.information
    data = (problem.y, state.eta, problem.weights, parameters.phi)
    return family.evaluate(*data, constant=problem.constant).information


def _joint_curvature(
    problem: GeneralizedProblem, parameters: Parameters, state: _State
) -> tuple[PenalizedFactor, Border, bool]:
    """Factorize the Hessian in (u, gamma); see :func:`curvature`."""
    observed = -state.rows.d2
    try:
        factor = factorize(problem.system, parameters.zeta, observed)
        return factor, fixed_border(problem, factor, observed), True
    except LinAlgError:
        positive = _positive_weights(problem, parameters, state)
        factor = factorize(problem.system, parameters.zeta, positive)
        return factor, fixed_border(problem, factor, positive), False


def is_sorted_block(problem: GeneralizedProblem) -> bool:
    """Tell whether there is one block of independent levels, each with rows beside one another."""
    blocks, first = problem.system.blocks, problem.first_rows
    is_filled = bool((np.diff(first, append=len(problem.y)) > 0).all())
    return len(blocks) == 1 and blocks[0].relationship is None and is_filled


def fixed_coupling(problem: GeneralizedProblem, zeta: SphericalRows, W: FloatArray) -> FloatArray:
    """Return ``X'WZ Lambda``, shape (p, sum q S), a stretch of the rows or columns of X at a time."""
    if problem.n_fixed > COLUMNS and is_sorted_block(problem):
        sums = [level_products(problem.fixed_basis, W * z, problem.first_rows) for z in zeta[0]]
        return np.concatenate(sums, axis=1)
    return by_columns(problem.fixed_basis, W, lambda rows: rows_to_spherical(problem.system, zeta, rows))


def fixed_border(
    problem: GeneralizedProblem, factor: PenalizedFactor, W: FloatArray, XWX: FloatArray | None = None
) -> Border:
    """Border a factor with the fixed effects at row weights W; `XWX` is ``X'WX`` where that is known."""
    coupling = fixed_coupling(problem, factor.zeta, W)
    return border(factor, coupling, weighted_gram(problem.fixed_basis, W) if XWX is None else XWX)


def fixed_information(problem: GeneralizedProblem, mode: Mode) -> FloatArray:
    """Return ``X'WX - B Omega^-1 B'`` at a mode, the inverse of the covariance of gamma, shape (p, p)."""
    W = mode.rows.information
    coupling = fixed_coupling(problem, mode.factor.zeta, W)
    return weighted_gram(problem.fixed_basis, W) - coupling @ solve(mode.factor, coupling).T


def fixed_inverse(problem: GeneralizedProblem, mode: Mode) -> FloatArray:
    """Return the covariance of gamma given theta at a mode, shape (p, p)."""
    search, scalar, values = scalar_search(problem), problem.system.scalar, mode.factor.values
    if search is not None and scalar is not None and values is not None and 0 < problem.n_fixed <= MOST_FIXED:
        scales = scalar.scales(mode.parameters.zeta)
        half = search.border(scales, values, mode.factor.tail, mode.rows.information)
        if half is not None:
            return inverse_of(half)
    return mode_border(problem, mode).inverse


def mode_border(problem: GeneralizedProblem, mode: Mode) -> Border:
    """Border the factor at a mode with the fixed effects.

    The observed information of a link that is not canonical may be positive in u alone, but not in u and
    gamma together; the expected one takes its place.
    """
    try:
        return fixed_border(problem, mode.factor, mode.rows.information)
    except LinAlgError:
        W = _positive_weights(problem, mode.parameters, mode)
        return fixed_border(problem, factorize(problem.system, mode.parameters.zeta, W), W)


def predicted_mode(
    problem: GeneralizedProblem, mode: Mode, parameters: Parameters, score: FloatArray | None = None
) -> FloatArray:
    """Return the mode at other parameters to first order, from the factor already at hand.

    The error is of second order in the change of the parameters, so that one or two Newton steps remain.
    `score` is d log f / d eta at the known mode for the other parameters of the family, which the prediction
    is of first order in only if it is given.
    """
    system, values, search = problem.system, mode.hessian.values, scalar_search(problem)
    change = parameters.gamma - mode.parameters.gamma
    if search is not None and system.scalar is not None and values is not None and score is None:
        scales, known = system.scalar.scales(parameters.zeta), system.scalar.scales(mode.parameters.zeta)
        if not change.any() and np.array_equal(scales, known):
            return mode.u
        rows = mode.rows.d1, mode.rows.information
        return search.predict(scales, scales - known, change, values, mode.hessian.tail, rows, mode.u)
    moved = problem.fixed_basis @ change
    if system.scalar is not None:
        changes = system.scalar.scales(parameters.zeta) - system.scalar.scales(mode.parameters.zeta)
        moved += system.scalar.loops.to_rows(mode.u, changes)
    else:
        moved += spherical_to_rows(system, parameters.zeta, mode.u)
        moved -= spherical_to_rows(system, mode.parameters.zeta, mode.u)
    d1 = (mode.rows.d1 if score is None else score) + mode.rows.d2 * moved
    return mode.u + solve(mode.hessian, rows_to_spherical(system, parameters.zeta, d1) - mode.u)


def mode_near(problem: GeneralizedProblem, parameters: Parameters, u: FloatArray) -> Mode:
    """Return everything that belongs to a mode at effects u, which are nearly it.

    Raises
    ------
    ConvergenceError
        If the likelihood is not finite there.
    numpy.linalg.LinAlgError
        If the penalized system is not positive definite there.
    """
    state = _evaluate(problem, parameters, u, parameters.gamma)
    if not np.isfinite(state.penalized):
        raise _not_finite(problem)
    factor = factorize(problem.system, parameters.zeta, state.rows.information)
    is_one = problem.has_one_information
    hessian = factor if is_one else factorize(problem.system, parameters.zeta, -state.rows.d2)
    return Mode(parameters, u, state.eta, state.rows, state.penalized, factor, hessian, None)


def _start(problem: GeneralizedProblem, parameters: Parameters, start: FloatArray | None) -> _State:
    """Return the state at `start`, or at u = 0 if there is none or the likelihood is not finite there."""
    if start is not None:
        state = _evaluate(problem, parameters, start, parameters.gamma)
        if np.isfinite(state.penalized):
            return state
    state = _evaluate(problem, parameters, np.zeros(problem.n_effects), parameters.gamma)
    if not np.isfinite(state.penalized):
        raise _not_finite(problem)
    return state


def _not_finite(problem: GeneralizedProblem) -> ConvergenceError:
    return ConvergenceError(
        f"Fitted means lie beyond what the {problem.family.link.name} link allows the "
        f"{problem.family.name} family, so that the likelihood is not finite."
    )


def linear_predictor(
    problem: GeneralizedProblem, parameters: Parameters, u: FloatArray, gamma: FloatArray
) -> FloatArray:
    """Return the linear predictor at (u, gamma), shape (n,)."""
    eta = problem.fixed_basis @ gamma + problem.offset
    eta += spherical_to_rows(problem.system, parameters.zeta, u)
    return eta


def _evaluate(
    problem: GeneralizedProblem, parameters: Parameters, u: FloatArray, gamma: FloatArray
) -> _State:
    """Return the state at (u, gamma)."""
    eta = linear_predictor(problem, parameters, u, gamma)
    rows = problem.evaluate(eta, parameters.phi, order=3)
    return _State(u, gamma, eta, rows, float(u @ u) - 2.0 * float(rows.loglik.sum()))


def _search(
    problem: GeneralizedProblem,
    parameters: Parameters,
    state: _State,
    step: FloatArray,
    step_fixed: FloatArray,
    squared: float,
) -> _State | None:
    """Move along a step, halving it until the penalized likelihood grows; None if it never does."""
    trusted = squared < TRUSTED * (1.0 + float(state.u @ state.u))
    length, is_cut = 1.0, False
    for _ in range(MAX_HALVINGS):
        moved = _evaluate(problem, parameters, state.u + length * step, state.gamma + length * step_fixed)
        if np.isfinite(moved.penalized) and (trusted or moved.penalized < state.penalized):
            is_short = is_cut and length < SHORT_STEP
            return replace(moved, n_short=state.n_short + 1) if is_short else moved
        is_beyond = not np.isfinite(moved.penalized)
        is_cut = is_cut or is_beyond
        length *= BACK_FROM_END if is_beyond else 0.5
    return None


def _refuse_edge(problem: GeneralizedProblem, state: _State) -> None:
    """Raise if the range of the mean has cut the last steps short: the mode lies on its end."""
    if state.n_short < MAX_SHORT_STEPS:
        return
    link = problem.family.link.name
    raise EdgeError(
        f"The most likely random effects put fitted means at the end of what the {link} link allows, where "
        "the likelihood of a mixed model has no regular approximation."
    )
