"""Passes over rows, levels and entries that second derivatives of two crossed random intercepts take.

An entry is a pair of a level of the first factor, which is eliminated, and one of the second, the tail, that
occur together (or all pairs, where the coupling is dense). The compiled twins keep what the parameters have
in common at hand, and hold no more than a row or two of what NumPy holds for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray

__all__ = [
    "COMPILED",
    "Entries",
    "Products",
    "Rows",
    "level_sums_of_columns",
    "level_sums_of_columns_numpy",
    "movement_products",
    "movement_products_numpy",
]


Rows: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]
"""What ``movement_products`` takes of the rows."""

Products: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray, float]
"""What ``movement_products`` returns."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Entries:
    """Who occurs with whom.

    Attributes
    ----------
    first, second, entry : ndarray, shape (n,)
        Level of the first factor, that of the second, and the entry of both, of each row.
    order : ndarray, shape (n,)
        Rows sorted by level of the first factor.
    row_starts, starts : ndarray, shape (q + 1,)
        Where the rows of each of its levels begin in that order, and where the entries.
    tail_rows : ndarray, shape (n_entries,)
        Level of the second factor of each entry.
    n_tail : int
        Levels of the second factor.
    is_dense : bool
        Whether all pairs are entries, in the order of ``(q, n_tail)``.
    most_entries : int
        Most entries of a level.
    """

    first: IntArray
    second: IntArray
    entry: IntArray
    order: IntArray
    row_starts: IntArray
    starts: IntArray
    tail_rows: IntArray
    n_tail: int
    is_dense: bool
    most_entries: int


def level_sums_of_columns_numpy(
    entries: Entries, Q: FloatArray, u: tuple[FloatArray, FloatArray], W: FloatArray, g: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return sums by level of ``W u_1, W u_2, W Q, W, g``, shapes (q_1, p + 4) and (q_2, p + 4).

    Parameters
    ----------
    entries : Entries
        The pattern.
    Q : ndarray, shape (n, p)
        Columns.
    u : (ndarray, ndarray)
        Effects of the levels.
    W, g : ndarray, shape (n,)
        Weights, scores.
    """
    first, second = entries.first, entries.second
    columns = [W * u[0][first], W * u[1][second], *(W * column for column in Q.T), W, g]
    found = [
        np.column_stack([np.bincount(codes, column, len(effects)) for column in columns]).astype(np.float64)
        for codes, effects in zip((first, second), u, strict=True)
    ]
    return found[0], found[1]


def movement_products_numpy(
    entries: Entries,
    Q: FloatArray,
    effects: tuple[FloatArray, FloatArray],
    rows: Rows,
    adjoint: tuple[FloatArray, FloatArray],
    root: FloatArray,
    C: FloatArray,
    scales: tuple[float, float],
    inverse: tuple[FloatArray, FloatArray],
) -> Products:
    """Return products of the rows ``E = effects_1 + effects_2 + (0, 0, Q)`` along m parameters.

    The first two parameters are the deviations of the factors.

    Parameters
    ----------
    entries : Entries
        The pattern.
    Q : ndarray, shape (n, p)
        Known part of the last p columns.
    effects : (ndarray, ndarray), shapes (q_1, m) and (q_2, m)
        What the levels add to the rows.
    rows : tuple of ndarray, five of shape (n,) and one of shape (2, n)
        Weights W and their first and second derivatives in the predictor, leverages h, the adjoint solution v
        at the rows, Omega^-1 Lambda'z of each factor.
    adjoint : (ndarray, ndarray)
        The adjoint solution by level.
    root : ndarray, shape (q_1,)
        One over the root of the pivots.
    C : ndarray, shape (n_entries,)
        The coupling, times `root`.
    scales : (float, float)
        The deviations.
    inverse : (ndarray, ndarray), shapes (n_entries,) and (q_2, q_2)
        Entries of Omega^-1 between the factors, and those of the second.

    Returns
    -------
    ndarray, shape (m, m)
        ``E' diag(2 W + h W'' - v W') E``.
    ndarray, shape (2, m)
        ``2 W' Omega^-1 Lambda'z`` less W times the adjoint solution, of each factor, times E.
    ndarray, shape (m, m)
        ``r_a'r_b + 2 tr(N_a G N_b')`` of crossed_hessian.py.
    ndarray, shape (m, q_2, q_2)
        The Schur complement's derivatives S'.
    float
        Sum of W times the entries between the factors.
    """
    W, slope, curving, leverage, v, own = rows
    weights, G = 2.0 * W + leverage * curving - v * slope, inverse[1]
    codes = entries.first, entries.second
    others = np.array([2.0 * slope * own[k] - W * adjoint[k][code] for k, code in enumerate(codes)])
    (s, t), n_tail, q = scales, entries.n_tail, len(root)
    E = effects[0][entries.first] + effects[1][entries.second]
    E[:, 2:] += Q
    shape, cell = (q, n_tail), entries.first * n_tail + entries.second
    moved = np.array([np.bincount(cell, column, q * n_tail).reshape(shape) for column in (E.T * slope)])
    together = np.bincount(cell, W, q * n_tail).reshape(shape)
    coupling = np.zeros(shape)
    coupling[np.repeat(np.arange(q), np.diff(entries.starts)), entries.tail_rows] = C
    # Omega along each parameter: pivots, tail and what couples them.
    pivots, tail, along = s * s * moved.sum(axis=2), t * t * moved.sum(axis=1), s * t * moved
    pivots[0] += 2.0 * s * together.sum(axis=1)
    tail[1] += 2.0 * t * together.sum(axis=0)
    along[0] += t * together
    along[1] += s * together
    along *= root[:, None]
    # On the scale of the root of the pivots.
    r = pivots * root**2
    lost = r[:, :, None] * coupling
    N, M = along - lost, along - 0.5 * lost
    through = r @ r.T + 2.0 * np.einsum("aqi,ij,bqj->ab", N, G, N, optimize=True)
    half = coupling.T @ M
    S = -half - half.transpose(0, 2, 1)
    S[:, range(n_tail), range(n_tail)] += tail
    between = float(W @ inverse[0][entries.entry])
    return (E.T * weights) @ E, others @ E, through, S, between


level_sums_of_columns: Callable[
    [Entries, FloatArray, tuple[FloatArray, FloatArray], FloatArray, FloatArray],
    tuple[FloatArray, FloatArray],
]
movement_products: Callable[
    [
        Entries,
        FloatArray,
        tuple[FloatArray, FloatArray],
        Rows,
        tuple[FloatArray, FloatArray],
        FloatArray,
        FloatArray,
        tuple[float, float],
        tuple[FloatArray, FloatArray],
    ],
    Products,
]
try:
    from mixedmodels.kernels._crossed_pairs import level_sums_of_columns, movement_products
except ImportError:
    COMPILED = False
    level_sums_of_columns, movement_products = level_sums_of_columns_numpy, movement_products_numpy
else:
    COMPILED = True
