"""The Hessian of the Laplace objective of two crossed random intercepts in all parameters, from derivatives.

Along a parameter the predictor changes by x at fixed u: by a column of Q, or by the effects ``Z_k u_k`` for
the deviation s_k of a factor. With g and W = H the first and minus the second derivatives of the rows, and e
zero, or the sums ``Z_k'g`` in the place of factor k, the mode and the predictor move by

    u' = Omega^-1 (e - Lambda'Z'W x),   E = x + Z Lambda u',

and two parameters a and b have the second derivative ``2 (E_a'W E_b + u_a'u_b - e_a'u_b - e_b'u_a)`` of
``|u|^2 - 2 sum log f``. That of log|Omega| is ``tr(Omega^-1 Omega_ab) - tr(Omega^-1 Omega_a Omega^-1
Omega_b)``. The second movement of the mode, in the first trace, comes by the adjoint solve of the gradient.
In the second trace the Schur complement ``S = T - C'C`` of the pivots d gives, with ``r = d'/d`` and C on the
scale of the root of the pivots,

    r_a'r_b + 2 tr(N_a S^-1 N_b') + tr(S^-1 S_a S^-1 S_b),
    N = C' - r C,   S' = T' - C'M - M'C,   M = C' - r C / 2,

where C' is what becomes of C for the old pivots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.fixed_hessian import known_second_derivative
from mixedmodels.engines.generalized.pirls import Mode
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.engines.generalized.scalar_modes import scalar_search
from mixedmodels.factorization.weighted.row_inverse import PatternInverse, pattern_inverse
from mixedmodels.factorization.weighted.scalar_system import ScalarSystem
from mixedmodels.kernels.crossed_pairs import (
    Entries,
    level_sums_of_columns,
    movement_products,
)

if TYPE_CHECKING:
    from mixedmodels.kernels._scalar_modes import ScalarModes

# Who occurs with whom in the problems there are.
_KNOWN: WeakKeyDictionary[GeneralizedProblem, Entries] = WeakKeyDictionary()

# Numbers in the derivatives of the Schur complement beyond which they take too much room.
MOST_NUMBERS = 10_000_000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Crossed:
    """A mode of a model with two crossed random intercepts, the factor that is eliminated first.

    Attributes
    ----------
    problem, scalar, search, mode
        The model, its loops, those that know its rows, the mode.
    entries : Entries
        Who occurs with whom.
    places : (slice, slice)
        Where the effects of each factor are.
    scales : ndarray, shape (2,)
        Their deviations.
    inverse : PatternInverse
        Omega^-1 on the pattern.
    """

    problem: GeneralizedProblem
    scalar: ScalarSystem
    search: ScalarModes
    mode: Mode
    entries: Entries
    places: tuple[slice, slice]
    scales: FloatArray
    inverse: PatternInverse


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Movement:
    """How modes and predictor follow the parameters: the deviations of the factors, then the fixed effects.

    Attributes
    ----------
    u : ndarray, shape (N, m)
        Derivatives of the mode.
    effects : (ndarray, ndarray), shapes (q_1, m) and (q_2, m)
        What of the predictor's derivatives comes from the levels.
    weights, scores : (ndarray, ndarray)
        Sums of W and of g by level.
    """

    u: FloatArray
    effects: tuple[FloatArray, FloatArray]
    weights: tuple[FloatArray, FloatArray]
    scores: tuple[FloatArray, FloatArray]


def is_crossed(problem: GeneralizedProblem) -> bool:
    """Tell whether a problem has two crossed random intercepts and a family whose derivatives are known."""
    scalar, pattern = problem.system.scalar, problem.system.pattern
    if scalar is None or len(pattern.chain) != 1 or len(pattern.tail) != 1 or not problem.has_one_information:
        return False
    size = pattern.n_tail**2 * (problem.n_theta + problem.n_fixed)
    is_plain = all(term.structure.is_unstructured for term in problem.terms) and not problem.n_phi
    return is_plain and problem.family.is_canonical and size <= MOST_NUMBERS


def crossed_hessian(problem: GeneralizedProblem, mode: Mode) -> FloatArray | None:
    """Return the second derivatives in the optimiser's vector, shape (m, m); None where they are not known.

    Parameters
    ----------
    problem : GeneralizedProblem
        The data, of which :func:`is_crossed` is true.
    mode : Mode
        The conditional mode of u.
    """
    curving, scalar = known_second_derivative(problem, mode.rows), problem.system.scalar
    search = scalar_search(problem)
    if curving is None or scalar is None or search is None:
        return None
    first, second = (problem.system.slices[block] for block in scalar.order)
    scales = scalar.scales(mode.parameters.zeta)
    entries, inverse = _entries(problem, scalar), pattern_inverse(mode.factor)
    at = _Crossed(problem, scalar, search, mode, entries, (first, second), scales, inverse)
    moved = _movement(at)
    H = _products(at, moved, curving)
    # From the factors in the order of elimination to the terms.
    order = np.arange(len(H))
    for k, block in enumerate(scalar.order):
        order[problem.system.blocks[block].terms[0]] = k
    return H[np.ix_(order, order)]


def _entries(problem: GeneralizedProblem, scalar: ScalarSystem) -> Entries:
    """Return who occurs with whom, found once for each problem."""
    known = _KNOWN.get(problem)
    if known is not None:
        return known
    system = problem.system
    first, second = (system.sums[block].index for block in scalar.order)
    coupling = system.couplings[0]
    levels = np.arange(coupling.n_levels + 1)
    is_sorted = bool((first[1:] >= first[:-1]).all())
    order = np.arange(len(first)) if is_sorted else np.argsort(first, kind="stable")
    row_starts = np.searchsorted(first if is_sorted else first[order], levels)
    starts = np.searchsorted(coupling.columns, levels)
    found = _KNOWN[problem] = Entries(
        first, second, coupling.places[0][0].index, order, row_starts, starts, coupling.rows,
        coupling.n_tail, coupling.is_dense, int(np.diff(starts).max()),
    )  # fmt: skip
    return found


def _movement(at: _Crossed) -> _Movement:
    """Return how the modes and the predictor follow the parameters."""
    mode, (first, second) = at.mode, at.places
    own = mode.u[first], mode.u[second]
    sums = level_sums_of_columns(at.entries, at.problem.fixed_basis, own, mode.rows.information, mode.rows.d1)
    rhs = np.empty((at.problem.n_effects, 2 + at.problem.n_fixed))
    for k, place in enumerate(at.places):
        rhs[place] = -at.scales[k] * sums[k][:, :-2]
        rhs[place, k] += sums[k][:, -1]
    u = _solved(at, rhs)
    effects = at.scales[0] * u[first], at.scales[1] * u[second]
    for k in range(2):
        effects[k][:, k] += own[k]
    return _Movement(u, effects, (sums[0][:, -2], sums[1][:, -2]), (sums[0][:, -1], sums[1][:, -1]))


def _products(at: _Crossed, moved: _Movement, curving: FloatArray) -> FloatArray:
    """Return the Hessian in the order of elimination, from the movements and the curvature of the weights."""
    mode, entries, loops = at.mode, at.entries, at.scalar.loops
    W, slope, values = mode.rows.information, mode.rows.d_information, at.inverse.values
    assert values is not None
    first, second = at.places
    leverage, effects = loops.gather(values, at.inverse.tail, at.scales)
    # 1. The adjoint solve, by which the second movement of the mode counts.
    c = leverage * slope
    adjoint = _solved(at, loops.sums(c[:, None], at.scales))[:, 0]
    v = loops.to_rows(adjoint, at.scales)
    # 2. Products of first movements.
    faces, _, (C,) = at.scalar.split(_values(mode))[0]
    rows = W, slope, curving, leverage, v, effects
    G, scales = np.ascontiguousarray(at.inverse.tail), (float(at.scales[0]), float(at.scales[1]))
    H, cross, through, S, together = movement_products(
        entries, at.problem.fixed_basis, moved.effects, rows, (adjoint[first], adjoint[second]),
        faces.ravel(), C, scales, (at.inverse.entries[0][0], G),
    )  # fmt: skip
    H += 2.0 * moved.u.T @ moved.u
    # 3. What moves the deviation of a factor, with every parameter.
    c -= W * v
    pull = loops.sums(c[:, None], np.ones(2))[:, 0]
    for k, place in enumerate(at.places):
        both = cross[k] + (pull[place] - 2.0 * moved.scores[k]) @ moved.u[place]
        H[k] += both
        H[:, k] += both
    # 4. Deviations with one another, in Omega itself.
    H[0, 0] += 2.0 * (moved.weights[0] @ at.inverse.faces[0, 0].ravel())
    H[1, 1] += 2.0 * (moved.weights[1] @ np.diagonal(at.inverse.tail))
    H[0, 1] += 2.0 * together
    H[1, 0] += 2.0 * together
    # 5. What is lost through the inverse of Omega.
    GS = G @ S
    SG = GS.transpose(0, 2, 1).reshape(len(S), -1)
    return np.asarray(H - through - GS.reshape(len(S), -1) @ SG.T)


def _solved(at: _Crossed, rhs: FloatArray) -> FloatArray:
    """Return ``Omega^-1 rhs``, in the place of the right-hand sides, shape (N, ...)."""
    at.search.solve_for(_values(at.mode), at.mode.hessian.tail, rhs)
    return rhs


def _values(mode: Mode) -> FloatArray:
    values = mode.factor.values
    assert values is not None
    return values


def _sums_by_level(entries: Entries, by_entry: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return sums by level of the first factor, shape (m, q), and of the second, shape (m, n_tail)."""
    if entries.is_dense:
        cells = by_entry.reshape(len(by_entry), -1, entries.n_tail)
        return cells.sum(axis=2), cells.sum(axis=1)
    first = np.add.reduceat(by_entry, entries.starts[:-1], axis=1)
    return first, np.array([np.bincount(entries.tail_rows, row, entries.n_tail) for row in by_entry])
