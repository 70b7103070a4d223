"""Passes over rows, levels and entries that second derivatives of two crossed random intercepts take.

An entry is a pair of a level of the first factor, which is eliminated, and one of the second, the tail, that
occur together (or all pairs, where the coupling is dense). The compiled twins keep what the parameters have
in common at hand, and hold no more than a row or two of what NumPy holds for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray

__all__ = [
    "COMPILED",
    "Entries",
    "level_sums_of_columns",
    "level_sums_of_columns_numpy",
    "movement_products",
    "movement_products_numpy",
    "schur_movement",
    "schur_movement_numpy",
]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Entries:
    """Who occurs with whom.

    Attributes
    ----------
    first, second, entry : ndarray, shape (n,)
        Level of the first factor, that of the second, and the entry of both, of each row.
    starts : ndarray, shape (q + 1,)
        Where the entries of each level of the first factor begin.
    tail_rows : ndarray, shape (n_entries,)
        Level of the second factor of each entry.
    n_tail : int
        Levels of the second factor.
    is_dense : bool
        Whether all pairs are entries, in the order of ``(q, n_tail)``.
    """

    first: IntArray
    second: IntArray
    entry: IntArray
    starts: IntArray
    tail_rows: IntArray
    n_tail: int
    is_dense: bool


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
        np.column_stack([np.bincount(codes, column, len(effects)) for column in columns])
        for codes, effects in zip((first, second), u, strict=True)
    ]
    return found[0], found[1]


def movement_products_numpy(
    entries: Entries,
    Q: FloatArray,
    effects: tuple[FloatArray, FloatArray],
    weights: FloatArray,
    others: FloatArray,
    slope: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return products of the rows ``E = effects_1 + effects_2 + (0, 0, Q)``, of m columns.

    Parameters
    ----------
    entries : Entries
        The pattern.
    Q : ndarray, shape (n, p)
        Known part of the last p columns.
    effects : (ndarray, ndarray), shapes (q_1, m) and (q_2, m)
        What the levels add to the rows.
    weights : ndarray, shape (n,)
        Weights of the products of E with itself.
    others : ndarray, shape (2, n)
        Other rows.
    slope : ndarray, shape (n,)
        Weights of the sums by entry.

    Returns
    -------
    ndarray, shape (m, m)
        ``E' diag(weights) E``.
    ndarray, shape (2, m)
        ``others E``.
    ndarray, shape (m, n_entries)
        Sums of ``slope E`` by entry.
    """
    E = effects[0][entries.first] + effects[1][entries.second]
    E[:, 2:] += Q
    n_entries = len(entries.tail_rows)
    by_entry = np.array([np.bincount(entries.entry, column * slope, n_entries) for column in E.T])
    return (E.T * weights) @ E, others @ E, by_entry


def schur_movement_numpy(
    entries: Entries,
    V: FloatArray,
    of_rows: FloatArray,
    pivots: FloatArray,
    root: FloatArray,
    C: FloatArray,
    scales: tuple[float, float],
    G: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return what moves of the eliminated part of Omega, and of its Schur complement.

    Parameters
    ----------
    entries : Entries
        The pattern.
    V : ndarray, shape (m, n_entries)
        Derivatives of the weights along m parameters, summed by entry; the first two parameters are the
        deviations of the factors. Overwritten where compiled.
    of_rows : ndarray, shape (n_entries,)
        Weights summed by entry.
    pivots : ndarray, shape (m, q)
        Derivatives of the pivots.
    root : ndarray, shape (q,)
        One over the root of the pivots.
    C : ndarray, shape (n_entries,)
        The coupling, times `root`.
    scales : (float, float)
        The deviations.
    G : ndarray, shape (n_tail, n_tail)
        Inverse of the Schur complement.

    Returns
    -------
    ndarray, shape (m, m)
        ``r r' + 2 tr(N_a G N_b')`` of crossed_hessian.py.
    ndarray, shape (m, n_tail, n_tail)
        ``-C'M - M'C``.
    """
    (s, t), m, n_tail, q = scales, len(V), entries.n_tail, len(root)
    levels = np.repeat(np.arange(q), np.diff(entries.starts))
    along = s * t * V
    along[0] += t * of_rows
    along[1] += s * of_rows
    along *= root[levels]
    r = pivots * root**2
    lost = r[:, levels] * C
    tables = np.zeros((3, m, q, n_tail))
    for table, values in zip(tables, (along - lost, along - 0.5 * lost, [C] * m), strict=True):
        table[:, levels, entries.tail_rows] = values
    N, M, coupling = tables
    gram = np.einsum("aqi,ij,bqj->ab", N, G, N, optimize=True)
    half = coupling.transpose(0, 2, 1) @ M
    return r @ r.T + 2.0 * gram, -half - half.transpose(0, 2, 1)


level_sums_of_columns: Callable[
    [Entries, FloatArray, tuple[FloatArray, FloatArray], FloatArray, FloatArray],
    tuple[FloatArray, FloatArray],
]
movement_products: Callable[
    [Entries, FloatArray, tuple[FloatArray, FloatArray], FloatArray, FloatArray, FloatArray],
    tuple[FloatArray, FloatArray, FloatArray],
]
schur_movement: Callable[
    [
        Entries,
        FloatArray,
        FloatArray,
        FloatArray,
        FloatArray,
        FloatArray,
        tuple[float, float],
        FloatArray,
    ],
    tuple[FloatArray, FloatArray],
]
try:
    from mixedmodels.kernels._crossed_pairs import level_sums_of_columns, movement_products, schur_movement
except ImportError:
    COMPILED = False
    level_sums_of_columns, movement_products = level_sums_of_columns_numpy, movement_products_numpy
    schur_movement = schur_movement_numpy
else:
    COMPILED = True
