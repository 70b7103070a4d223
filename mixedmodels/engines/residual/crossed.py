"""Random effects that are not tied to residual groups: the sparse way to the same objective and gradient.

With P the inverse of the residual covariance R, C = Lambda'Z'PZ Lambda + I and ``B = C^-1 Lambda'Z'PM``,

    log|V| = log|R| + log|C|,    M'V^-1 M = M'PM - (Lambda'Z'PM)'B,

and with ``E = M - Z Lambda B``, Omega as in :mod:`mixedmodels.engines.residual.objective` it moves

    with P      as  Z Lambda C^-1 Lambda'Z' + E Omega E' - R,
    with Lambda as  2 (Z'PZ Lambda C^-1 - Z'PE Omega E'PZ Lambda),

of which elements of P that are zero, and levels that do not meet, need not be known: C^-1 is wanted on its
pattern alone (Takahashi's recursion).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.residual.batches import Batch
from mixedmodels.engines.residual.covariance import LARGEST_LOG_SD, UnitCovariances, pulled_back
from mixedmodels.engines.residual.crossed_pattern import CrossedPattern, Meetings, Steps
from mixedmodels.engines.residual.model import Parameters, Slopes
from mixedmodels.engines.residual.problem import ResidualProblem
from mixedmodels.errors import ConvergenceError
from mixedmodels.factorization.sparse.cholesky import factor_fronts, invert_fronts, solve_fronts_columns


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Precision:
    """P, the inverse of the residual covariance over sigma^2, prior weights left out.

    Attributes
    ----------
    values : ndarray
        Its elements: of processes of the first order the diagonal and what stands beside it, else the
        inverses of the units, (U, T, T) by batch, one after the other.
    log_det : float
        ``log|R|``.
    a, v : ndarray, shape (N,)
        Correlation of the two rows of each step, and ``1 - a^2``; empty without steps, as is the next.
    sd : ndarray, shape (n,)
        Relative standard deviation of each row.
    """

    values: FloatArray
    log_det: float
    a: FloatArray
    v: FloatArray
    sd: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CrossedState:
    """The equations of the random effects at one point.

    Attributes
    ----------
    precision : Precision
        P.
    A : ndarray
        Blocks of ``Z'PZ`` as they are stored.
    panels : ndarray
        Cholesky factor of C.
    PM : ndarray, shape (n, p + 1)
        ``P M``.
    B : ndarray, shape (Q, p + 1)
        ``C^-1 Lambda'Z'PM``.
    S : ndarray, shape (p + 1, p + 1)
        ``M'V^-1 M``.
    log_det_C : float
        ``log|C|``.
    """

    precision: Precision
    A: FloatArray
    panels: FloatArray
    PM: FloatArray
    B: FloatArray
    S: FloatArray
    log_det_C: float

    @property
    def log_det_V(self) -> float:
        """``log|V|``."""
        return self.precision.log_det + self.log_det_C


def crossed_state(
    problem: ResidualProblem, at: Parameters, inverses: list[FloatArray], log_det: float
) -> CrossedState:
    """Return the equations at natural parameters.

    Parameters
    ----------
    problem : ResidualProblem
        The problem.
    at : Parameters
        Where.
    inverses : list of ndarray, each (U, T, T)
        Inverse residual covariances of the units, by batch; none where rows go step by step.
    log_det : float
        ``log|R|`` of all clusters of them.

    Raises
    ------
    numpy.linalg.LinAlgError, ConvergenceError
        Where a matrix is not positive definite, or out of range.
    """
    pattern = pattern_of(problem)
    if pattern.steps is not None:
        precision = _step_precision(problem, pattern.steps, at)
    else:
        stacked = np.concatenate([inverse.ravel() for inverse in inverses])
        precision = Precision(stacked, log_det, np.empty(0), np.empty(0), np.empty(0))
    factors = problem.model.factors(at.theta)
    A = pattern.K @ precision.values
    panels = np.zeros(pattern.fronts.size)
    for m in pattern.meetings:
        T, own = factors[m.terms[0]], _times_right(pattern, m, A, factors[m.terms[1]])
        panels[pattern.slots[m.part]] = np.matmul(T.T, own).ravel()
    panels[pattern.diagonal] += 1.0
    factor_fronts(pattern.fronts, panels)
    PM = times_precision(problem, precision, problem.M)
    rhs = by_level(pattern, pattern.Z.T @ PM, factors, transposed=True)
    B = _solved(pattern, panels, rhs)
    S = problem.M.T @ PM - rhs.T @ B
    log_det_C = 2.0 * float(np.log(panels[pattern.diagonal]).sum())
    return CrossedState(precision, A, panels, PM, B, 0.5 * (S + S.T), log_det_C)


def goes_by_steps(problem: ResidualProblem) -> bool:
    """Tell whether P is known row by row, without the matrices of the residual groups."""
    return problem.crossed is not None and problem.crossed.steps is not None


def pattern_of(problem: ResidualProblem) -> CrossedPattern:
    """Return the pattern of a problem that has one."""
    assert problem.crossed is not None
    return problem.crossed


def _block(pattern: CrossedPattern, m: Meetings, values: FloatArray) -> FloatArray:
    """Return the blocks of one kind of meetings, (N, S_rows, S_columns)."""
    return values[m.part].reshape(len(m.rows), *(pattern.sizes[k] for k in m.terms))


def _times_right(pattern: CrossedPattern, m: Meetings, values: FloatArray, T: FloatArray) -> FloatArray:
    """Return the blocks times T, (N, S_rows, S_columns)."""
    own = _block(pattern, m, values)
    return np.asarray((own.reshape(-1, len(T)) @ T).reshape(own.shape))


def by_level(
    pattern: CrossedPattern, x: FloatArray, factors: list[FloatArray], transposed: bool = False
) -> FloatArray:
    """Return ``Lambda x``, or ``Lambda' x``, of x (Q, m)."""
    found = np.empty_like(x)
    for k, T in enumerate(factors):
        own = x[pattern.part(k)].reshape(-1, len(T), x.shape[1])
        found[pattern.part(k)] = np.matmul(T.T if transposed else T, own).reshape(-1, x.shape[1])
    return found


def _solved(pattern: CrossedPattern, panels: FloatArray, rhs: FloatArray) -> FloatArray:
    """Return ``C^-1 rhs``."""
    position = pattern.fronts.position
    x = np.empty_like(rhs)
    x[position] = rhs
    return np.asarray(solve_fronts_columns(pattern.fronts, panels, x)[position])


def _step_precision(problem: ResidualProblem, steps: Steps, at: Parameters) -> Precision:
    """Return P of processes of the first order: ``1 + sum (w - 1)`` on the diagonal, ``-a w`` beside it.

    w is ``1 / (1 - a^2)`` of the steps to and from a row.
    """
    structure = problem.model.structure
    assert structure is not None
    a, v = np.empty(len(steps.later)), np.empty(len(steps.later))
    for arm, members in steps.by_arm:
        first_order, rho = structure.structure, at.rho[structure.of_arm(arm)]
        own_a, own_v = first_order.steps(rho, steps.positions[members])  # type: ignore[attr-defined]
        a[members], v[members] = own_a[:, 0], own_v[:, 0]
    if not (v > 0.0).all():
        raise np.linalg.LinAlgError("a residual correlation is one")
    log_sd = np.zeros(problem.n)
    for f, delta, columns in zip(problem.model.variances, at.delta, problem.rows.columns, strict=True):
        log_sd += f.log_sd(delta, columns)
    if not np.abs(log_sd).max(initial=0.0) < LARGEST_LOG_SD:
        raise ConvergenceError("relative standard deviations run out of range")
    sd, diagonal = np.exp(log_sd), np.ones(problem.n)
    # Each row is the later one of one step at most, and the earlier one of one.
    diagonal[steps.later] += a**2 / v
    diagonal[steps.earlier] += a**2 / v
    beside = -a / v / (sd[steps.later] * sd[steps.earlier])
    log_det = float(np.log(v).sum() + 2.0 * log_sd.sum())
    return Precision(np.concatenate([diagonal / sd**2, beside]), log_det, a, v, sd)


def times_precision(problem: ResidualProblem, precision: Precision, rows: FloatArray) -> FloatArray:
    """Return ``P rows``, shape (n, m)."""
    steps, values, n = pattern_of(problem).steps, precision.values, problem.n
    if steps is not None:
        found = values[:n, None] * rows
        found[steps.later] += values[n:, None] * rows[steps.earlier]
        found[steps.earlier] += values[n:, None] * rows[steps.later]
        return np.asarray(found)
    padded = np.vstack([rows, np.zeros(rows.shape[1])])  # the last row is that of no row
    out = np.empty_like(padded)
    for batch, inverse in zip(problem.batches, _by_batch(problem, values), strict=True):
        out[batch.members] = np.matmul(inverse[batch.unit_of], padded[batch.members])
    return out[:-1]


def _by_batch(problem: ResidualProblem, values: FloatArray) -> list[FloatArray]:
    """Return elements of P as (U, T, T) by batch."""
    found, begin = [], 0
    for batch in problem.batches:
        U, T = batch.rows.shape
        found.append(values[begin : begin + U * T * T].reshape(U, T, T))
        begin += U * T * T
    return found


def inverse_on_pattern(problem: ResidualProblem, state: CrossedState) -> FloatArray:
    """Return the elements of C^-1 where those of A are stored."""
    pattern = pattern_of(problem)
    return np.asarray(invert_fronts(pattern.fronts, state.panels)[pattern.slots])


def crossed_slopes(
    problem: ResidualProblem,
    at: Parameters,
    state: CrossedState,
    units: list[UnitCovariances],
    Omega: FloatArray,
) -> Slopes:
    """Return the derivatives of the objective in factors and natural parameters.

    Parameters
    ----------
    problem, at, state
        The problem and its equations somewhere.
    units : list of UnitCovariances
        Residual covariances of the units there; none where rows go step by step.
    Omega : ndarray, shape (p + 1, p + 1)
        Derivative of the objective in S.
    """
    pattern, factors = pattern_of(problem), problem.model.factors(at.theta)
    inverse = inverse_on_pattern(problem, state)
    E = problem.M - pattern.Z @ by_level(pattern, state.B, factors)
    F = pattern.Z.T @ times_precision(problem, state.precision, E)
    by_factor = _factor_slopes(pattern, factors, state.A, inverse)
    for k, T in enumerate(factors):
        own = F[pattern.part(k)].reshape(-1, len(T), F.shape[1])
        by_factor[k] -= np.tensordot(own @ Omega, own, axes=([0, 2], [0, 2])) @ T
    by_value = pattern.K.T @ _weights_of_blocks(pattern, factors, inverse)
    if pattern.steps is None:
        residual = _unit_slopes(problem, at, units, state.precision, by_value, E, Omega)
    else:
        residual = _step_slopes(problem, pattern.steps, at, state.precision, by_value, E, Omega)
    return Slopes(tuple(2.0 * own for own in by_factor), residual.rho, residual.delta)


def _factor_slopes(
    pattern: CrossedPattern, factors: list[FloatArray], A: FloatArray, inverse: FloatArray
) -> list[FloatArray]:
    """Return half the derivative of ``log|C|`` in T of every term, from ``A Lambda C^-1``."""
    found = [np.zeros_like(T) for T in factors]
    for m in pattern.meetings:
        a, b = m.terms
        block, own = _block(pattern, m, A), _block(pattern, m, inverse)
        right = _times_right(pattern, m, A, factors[b])
        found[a] += np.tensordot(right, own, axes=([0, 2], [0, 2]))
        if not m.is_own:
            left = np.matmul(block.transpose(0, 2, 1), factors[a])
            found[b] += np.tensordot(left, own, axes=([0, 2], [0, 1]))
    return found


def _weights_of_blocks(pattern: CrossedPattern, factors: list[FloatArray], inverse: FloatArray) -> FloatArray:
    """Return the derivative of ``log|C|`` in the stored elements of A, each for both its places."""
    found = np.empty_like(inverse)
    for m in pattern.meetings:
        a, b = m.terms
        right = _times_right(pattern, m, inverse, factors[b].T)
        found[m.part] = (1.0 if m.is_own else 2.0) * np.matmul(factors[a], right).ravel()
    return found


def _unit_slopes(
    problem: ResidualProblem,
    at: Parameters,
    units: list[UnitCovariances],
    precision: Precision,
    by_value: FloatArray,
    E: FloatArray,
    Omega: FloatArray,
) -> Slopes:
    """Return the derivatives in the residual parameters through the matrices of the units."""
    padded = np.vstack([E, np.zeros(E.shape[1])])
    dR = []
    pairs = zip(_by_batch(problem, precision.values), _by_batch(problem, by_value), strict=True)
    for batch, (P, lower) in zip(problem.batches, pairs, strict=True):
        G = 0.5 * (lower + lower.transpose(0, 2, 1)) + _summed_squares(batch, padded, Omega)
        dR.append(batch.counts[:, None, None] * P - np.matmul(np.matmul(P, G), P))
    return pulled_back(problem, at, units, dR)


def _summed_squares(batch: Batch, rows: FloatArray, Omega: FloatArray) -> FloatArray:
    """Return ``sum E_i Omega E_i'`` over the clusters of each unit, shape (U, T, T)."""
    own = rows[batch.members]
    U, T = batch.rows.shape
    if len(batch.members) == U and batch.M is not None:
        return np.asarray(np.matmul(own @ Omega, own.transpose(0, 2, 1)))
    found = np.empty((U, T, T))
    order = np.argsort(batch.unit_of, kind="stable")
    ends = np.cumsum(np.bincount(batch.unit_of, minlength=U))
    for unit, members in enumerate(np.split(order, ends[:-1])):
        beside = own[members].transpose(1, 0, 2)
        found[unit] = (beside @ Omega).reshape(T, -1) @ beside.reshape(T, -1).T
    return found


def _step_slopes(
    problem: ResidualProblem,
    steps: Steps,
    at: Parameters,
    precision: Precision,
    by_value: FloatArray,
    E: FloatArray,
    Omega: FloatArray,
) -> Slopes:
    """Return the derivatives in the residual parameters through the elements of P beside its diagonal."""
    model, n, values = problem.model, problem.n, precision.values
    structure = model.structure
    assert structure is not None
    EO = E @ Omega
    on = by_value[:n] + np.einsum("ij,ij->i", EO, E)
    beside = by_value[n:] + 2.0 * np.einsum("ij,ij->i", EO[steps.later], E[steps.earlier])
    # Of the correlations alone: P without the standard deviations.
    a, sd = precision.a, precision.sd
    scaled = on / sd**2
    w = 1.0 / precision.v
    around = scaled[steps.later] + scaled[steps.earlier]
    across = beside / (sd[steps.later] * sd[steps.earlier])
    da = 2.0 * a * w**2 * around - across * w * (1.0 + 2.0 * a**2 * w) - 2.0 * a * w
    rho = np.zeros(model.n_rho)
    for arm, members in steps.by_arm:
        part = structure.of_arm(arm)
        own = structure.structure.steps_pullback(  # type: ignore[attr-defined]
            at.rho[part], steps.positions[members], da[members, None]
        )
        rho[part] += own
    dlog_sd = 2.0 - 2.0 * on * values[:n]
    moved = beside * values[n:]
    dlog_sd[steps.later] -= moved
    dlog_sd[steps.earlier] -= moved
    triples = zip(model.variances, at.delta, problem.rows.columns, strict=True)
    delta = tuple(f.pullback(own, columns, dlog_sd) for f, own, columns in triples)
    return Slopes((), rho, delta)
