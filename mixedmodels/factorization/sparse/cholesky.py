"""Multifrontal Cholesky factorization, and the inverse on the pattern of the factor, front by front.

The panels of all fronts lie in one flat buffer: ``[L_11; L_21]`` of each front, k columns by rows. A front
passes ``L_21 L_21'`` on to its parent (Liu 1992, SIAM Review 34(1)). The inverse runs the other way
(Takahashi's recursion by blocks): with ``H = L_21 L_11^-1`` and V_22 taken from the parent,

    V_21 = -V_22 H,    V_11 = (L_11 L_11')^-1 + H' V_22 H.

All arithmetic is LAPACK's and BLAS's; of symmetric matrices only lower triangles count.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg.blas import dsymm, dsyrk, dtrsm, dtrsv
from scipy.linalg.lapack import dpotri

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.factorization import dense
from mixedmodels.factorization.sparse.symbolic import Fronts

#: Rows of a triangle that are moved together: their indices stay in the processor's cache.
TILE = 64


def factor_fronts(fronts: Fronts, buffer: FloatArray) -> None:
    """Overwrite the panels of a symmetric positive definite matrix with those of its Cholesky factor.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix is not positive definite.
    """
    arriving: list[list[tuple[FloatArray, IntArray]]] = [[] for _ in fronts.parents]
    for s, (parent, place) in enumerate(zip(fronts.parents, fronts.places, strict=True)):
        panel = fronts.panel(buffer, s)
        k = panel.shape[1]
        update = _assemble(panel, arriving[s])
        arriving[s] = []
        dense.cholesky(panel[:k])
        if parent < 0:
            continue
        below = panel[k:]
        dtrsm(1.0, panel[:k].T, below.T, side=0, lower=0, trans_a=1, overwrite_b=1)
        arriving[parent].append((_square(below, update), place))


def _assemble(panel: FloatArray, arriving: list[tuple[FloatArray, IntArray]]) -> FloatArray | None:
    """Subtract what children pass on from the panel; return what falls on the rows below it."""
    if not arriving:
        return None
    k, m = panel.shape[1], len(panel) - panel.shape[1]
    update = np.zeros((m, m))
    for passed, place in arriving:
        inside = int(np.searchsorted(place, k))
        flat = panel.reshape(-1)
        for rows, columns in _lower(len(place)):
            own = slice(0, min(columns.stop, inside))
            flat[place[rows, None] * k + place[own]] -= passed[rows, own]
        below, flat = place[inside:] - k, update.reshape(-1)
        for rows, columns in _lower(len(below)):
            flat[below[rows, None] * m + below[columns]] += passed[inside:, inside:][rows, columns]
    return update


def _lower(n: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of rectangles that cover the lower triangle of a matrix of order n."""
    for first in range(0, n, TILE):
        last = min(first + TILE, n)
        yield slice(first, last), slice(0, last)


def _square(below: FloatArray, update: FloatArray | None) -> FloatArray:
    """Return ``below below'``, added to an update in its place, of which only the lower triangle counts."""
    if update is None:
        return np.asarray(dsyrk(1.0, below.T, trans=1, lower=0).T)
    return np.asarray(dsyrk(1.0, below.T, beta=1.0, c=update.T, trans=1, lower=0, overwrite_c=1).T)


def _taken(whole: FloatArray, place: IntArray) -> FloatArray:
    """Return some rows and columns of a matrix, of which only the lower triangle counts."""
    found, flat, n = np.empty((len(place), len(place))), whole.reshape(-1), whole.shape[1]
    for rows, columns in _lower(len(place)):
        found[rows, columns] = flat.take(place[rows, None] * n + place[columns])
    return found


def solve_fronts(fronts: Fronts, buffer: FloatArray, z: FloatArray) -> FloatArray:
    """Return ``(L L')^-1 z`` by position."""
    x = z.copy()
    starts = fronts.starts.tolist()
    for s, rows in enumerate(fronts.rows):
        here, panel = x[starts[s] : starts[s + 1]], fronts.panel(buffer, s)
        k = len(here)
        here[:] = dtrsv(panel[:k].T, here, lower=0, trans=1)
        if len(rows):
            x[rows] -= panel[k:] @ here
    for s in reversed(range(len(fronts.rows))):
        here, panel, rows = x[starts[s] : starts[s + 1]], fronts.panel(buffer, s), fronts.rows[s]
        k = len(here)
        if len(rows):
            here -= x[rows] @ panel[k:]
        here[:] = dtrsv(panel[:k].T, here, lower=0)
    return x


def solve_fronts_columns(fronts: Fronts, buffer: FloatArray, z: FloatArray) -> FloatArray:
    """Return ``(L L')^-1 Z`` by position, shape (n, m); fronts that no column reaches are passed over."""
    x = z.copy()
    starts = fronts.starts.tolist()
    for s, rows in enumerate(fronts.rows):
        here, panel = x[starts[s] : starts[s + 1]], fronts.panel(buffer, s)
        k = len(here)
        if not here.any():
            continue
        here[:] = dtrsm(1.0, panel[:k].T, here.T, side=1, lower=0).T
        if len(rows):
            x[rows] -= panel[k:] @ here
    for s in reversed(range(len(fronts.rows))):
        here, panel, rows = x[starts[s] : starts[s + 1]], fronts.panel(buffer, s), fronts.rows[s]
        k = len(here)
        if len(rows):
            here -= panel[k:].T @ x[rows]
        here[:] = dtrsm(1.0, panel[:k].T, here.T, side=1, lower=0, trans_a=1).T
    return x


def invert_fronts(fronts: Fronts, buffer: FloatArray, fixed: FloatArray | None = None) -> FloatArray:
    """Return the panels of the inverse on the pattern of the factor.

    Parameters
    ----------
    fronts : Fronts
        Symbolic factorization.
    buffer : ndarray, shape (fronts.size,)
        Panels of the Cholesky factor.
    fixed : ndarray, shape (p, p), optional
        What to use for the inverse of the last front instead of its own.
    """
    out = buffer.copy()
    n_fronts = len(fronts.parents)
    waiting = np.bincount(np.array(fronts.parents) + 1, minlength=n_fronts + 1)[1:].tolist()
    whole: dict[int, FloatArray] = {}
    for s in reversed(range(n_fronts)):
        panel, result, parent = fronts.panel(buffer, s), fronts.panel(out, s), fronts.parents[s]
        k = panel.shape[1]
        if fixed is not None and s == n_fronts - 1:
            result[:k] = fixed
        else:
            dpotri(result[:k].T, lower=0, overwrite_c=1)
        V22 = None
        if parent >= 0:
            place = fronts.places[s]
            V22 = _taken(whole[parent], place)
            waiting[parent] -= 1
            if not waiting[parent]:
                del whole[parent]
            H = dtrsm(1.0, panel[:k].T, panel[k:].T, side=0, lower=0)
            VH = dsymm(1.0, V22.T, H, side=1, lower=0)
            result[:k] += H @ VH.T
            np.negative(VH.T, out=result[k:])
        if waiting[s]:
            whole[s] = _joined(result, V22)
    return out


def _joined(panel: FloatArray, V22: FloatArray | None) -> FloatArray:
    """Return the lower triangle of the matrix of a front from its panel and its rows below."""
    if V22 is None:
        return panel
    n, k = panel.shape
    whole = np.empty((n, n))
    whole[:, :k] = panel
    whole[k:, k:] = V22
    return whole
