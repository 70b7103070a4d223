"""What follows from the equations of crossed random effects at the estimates: effects and variances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.linear.reml import LinearSolution
from mixedmodels.engines.residual.crossed import CrossedState, inverse_on_pattern, pattern_of
from mixedmodels.engines.residual.crossed_pattern import Steps
from mixedmodels.engines.residual.estimates import ResidualEstimates
from mixedmodels.engines.residual.objective import evaluation
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.formula.design.design import RandomTerm


def crossed_solution(problem: ResidualProblem, estimates: ResidualEstimates) -> LinearSolution:
    """Return fixed and random effects at the estimates."""
    found = evaluation(problem, estimates.free, estimates.REML)
    pattern, state = pattern_of(problem), _state(found.crossed)
    u = state.B @ np.append(-found.gamma, 1.0)
    return LinearSolution(
        beta=estimates.beta,
        u=tuple(u[pattern.part(k)].reshape(-1, size) for k, size in enumerate(pattern.sizes)),
        sigma=estimates.sigma,
        objective=estimates.objective,
        pwrss=found.rss,
        unscaled_vcov=estimates.unscaled_vcov,
        log_det_L2=state.log_det_C,
        log_det_RX2=estimates.log_det_S,
    )


def crossed_conditional_covariances(
    problem: ResidualProblem, free: FloatArray, factors: Sequence[FloatArray]
) -> tuple[FloatArray, ...]:
    """Return ``Var(b_l | y, beta) / sigma^2`` of every level by term, each (q, S, S).

    Parameters
    ----------
    problem : ResidualProblem
        The problem.
    free : ndarray, shape (k,)
        Covariance parameters in optimiser coordinates.
    factors : sequence of ndarray
        T of each term, on its columns as they were.
    """
    pattern, state = pattern_of(problem), _state(evaluation(problem, free, True).crossed)
    inverse, found = inverse_on_pattern(problem, state), []
    for k, T in enumerate(factors):
        own = next(m for m in pattern.meetings if m.is_own and m.terms[0] == k)
        blocks = inverse[own.part].reshape(-1, len(T), len(T))
        found.append(np.matmul(np.matmul(T, blocks), T.T))
    return tuple(found)


def precision_matrix(problem: ResidualProblem, free: FloatArray) -> csr_array:
    """Return P, the inverse of the residual covariance over sigma^2 of weighted rows, shape (n, n)."""
    values = _state(evaluation(problem, free, True).crossed).precision.values
    steps, n = pattern_of(problem).steps, problem.n
    places = _places_of_steps(n, steps) if steps is not None else _places_of_batches(problem)
    first, second, which = places
    return csr_array((values[which], (first, second)), shape=(n, n))


def _places_of_steps(n: int, steps: Steps) -> tuple[IntArray, IntArray, IntArray]:
    """Return rows, columns and numbers of the elements of P."""
    each, beside = np.arange(n), n + np.arange(len(steps.later))
    first = np.concatenate([each, steps.later, steps.earlier])
    second = np.concatenate([each, steps.earlier, steps.later])
    return first, second, np.concatenate([each, beside, beside])


def _places_of_batches(problem: ResidualProblem) -> tuple[IntArray, IntArray, IntArray]:
    """Return the same of the inverses of the units."""
    found, begin = [], 0
    for batch in problem.batches:
        T = batch.size
        s, t = (own.ravel() for own in np.indices((T, T)))
        first, second = batch.members[:, s], batch.members[:, t]
        which = begin + batch.unit_of[:, None] * T * T + np.arange(T * T)
        real = (first >= 0) & (second >= 0)
        found.append((first[real], second[real], which[real]))
        begin += batch.rows.size * T
    first, second, which = (np.concatenate(own) for own in zip(*found, strict=True))
    return first, second, which


def description(problem: ResidualProblem, terms: Sequence[RandomTerm]) -> str:
    """Return a table of the random effects and of how their equations are solved."""
    pattern = pattern_of(problem)
    lines = [f"{'block':<24}{'effects':>9}{'levels':>9}{'each':>6}  treatment"]
    for term in terms:
        effects = term.n_levels * term.size
        lines.append(f"{term.group:<24}{effects:>9}{term.n_levels:>9}{term.size:>6}  sparse")
    order, fronts = pattern.starts[-1], pattern.fronts
    fill = fronts.n_entries / (0.5 * order * (order + 1))
    lines.append(f"sparse, {order} x {order}, {len(fronts.rows)} fronts ({fill:.1%} of dense)")
    return "\n".join(lines)


def _state(state: CrossedState | None) -> CrossedState:
    """Return the equations of a problem that has them."""
    assert state is not None
    return state
