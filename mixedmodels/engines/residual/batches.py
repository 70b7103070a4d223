"""Independent clusters of rows, those of one size side by side, equal ones once.

A cluster is what random effects and residual correlation tie together. Clusters whose rows have the same
positions, variances and random-effects rows have the same covariance: they are one unit, and where many share
it their cross-products are formed once,

    G[s, t] = sum_i M_is M_it',    M = [X y],

so that an evaluation costs by unit and not by cluster. Few clusters of odd sizes are filled up to a common
size by rows that are not there: zero in M, of variance one and uncorrelated in V, so that no sum and no
determinant knows of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mixedmodels.arrays import BoolArray, CodeArray, FloatArray, IntArray
from mixedmodels.covariance.residual.structure import Positions
from mixedmodels.engines.residual.model import ResidualRows
from mixedmodels.errors import NotAvailableError
from mixedmodels.formula.design.design import RandomTerm

#: Clusters of one pattern, in multiples of T m / (T + m), from which its cross-products are the shorter way:
#: there they take fewer operations, and read more of memory for each of them.
WORTH = 8.0
#: Numbers that cross-products of all patterns of one size may take up whatever their operations: they stay in
#: the processor's cache.
IN_CACHE = 200_000
#: Operations that one batch more costs in overhead: sizes are filled up to a larger one for less.
OVERHEAD = 2e5
#: Elements of all matrices of clusters of more than so many rows that are held at once: a quarter of a
#: gigabyte, and a handful of such stacks in an evaluation.
MOST_ELEMENTS, SMALL = 3e7, 50
#: Levels of time up to which correlations are looked up in one matrix of all levels.
MOST_LEVELS = 64


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Groups:
    """The residual groups of one size among the units of a batch.

    Attributes
    ----------
    unit : ndarray of int, shape (G,)
        Unit that each group lies in.
    places : ndarray of int, shape (G, t)
        Its rows there.
    positions : ndarray, shape (G, t) or (G, t, d)
        Positions of these rows.
    by_arm : tuple of (arm, ndarray of int)
        Groups of each arm.
    entries : ndarray of int, shape (G, t, t), or None
        Where the correlations of each group stand among those of all levels, (arms, m, m), a zero and a one
        after them; None where positions are coordinates, or levels are many.
    is_whole : bool
        Whether each unit is one group, in the same order of rows.
    """

    unit: IntArray
    places: IntArray
    positions: Positions
    by_arm: tuple[tuple[int, IntArray], ...]
    entries: IntArray | None
    is_whole: bool


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Batch:
    """Clusters of one size T, equal ones as one unit.

    Attributes
    ----------
    members : ndarray of int, shape (K, T)
        Rows of each cluster, in order of residual group and position; -1 fills them up.
    unit_of : ndarray of int, shape (K,)
        Unit of each cluster, in ``range(U)``.
    rows : ndarray of int, shape (U, T)
        Rows of one cluster of each unit.
    counts : ndarray, shape (U,)
        Clusters of each unit.
    real : ndarray of bool, shape (U, T), or None
        Which rows are there; None where all are.
    groups : tuple of Groups
        Residual groups, by size; empty where residuals are independent.
    same_level : tuple of ndarray, each (U, T, T), or None
        For each random-effects term, which rows share a level; None where all do.
    products : ndarray, shape (U * T * T, m * m), or None
        G of every unit; None where a unit is one cluster and `M` serves.
    M : ndarray, shape (U, T, m), or None
        Rows of the clusters.
    """

    members: IntArray
    unit_of: IntArray
    rows: IntArray
    counts: FloatArray
    real: BoolArray | None
    groups: tuple[Groups, ...]
    same_level: tuple[FloatArray | None, ...]
    products: FloatArray | None
    M: FloatArray | None

    @property
    def size(self) -> int:
        """Rows of a cluster, T."""
        return int(self.rows.shape[1])

    def at_rows(self, values: FloatArray) -> FloatArray:
        """Return values (n, k) at the rows of the units, shape (U, T, k), zero at rows that are not there."""
        found = values[self.rows]
        return found if self.real is None else np.asarray(found * self.real[:, :, None])

    def weighted(self, A: FloatArray) -> FloatArray:
        """Return ``sum_i M_i' A_i M_i``, A (U, T, T) symmetric, shape (m, m)."""
        if self.M is not None:
            flat = self.M.reshape(-1, self.M.shape[2])
            return np.asarray(flat.T @ np.matmul(A, self.M).reshape(flat.shape))
        assert self.products is not None
        total = A.reshape(-1) @ self.products
        m = round(np.sqrt(len(total)))
        return np.asarray(total.reshape(m, m))

    def contracted(self, Omega: FloatArray) -> FloatArray:
        """Return ``sum_i M_i Omega M_i'`` over the clusters of each unit, shape (U, T, T)."""
        if self.M is not None:
            return np.asarray(np.matmul(np.matmul(self.M, Omega), self.M.transpose(0, 2, 1)))
        assert self.products is not None
        U, T = self.rows.shape
        return np.asarray((self.products @ Omega.reshape(-1)).reshape(U, T, T))


def clusters_of_rows(codes: IntArray, terms: Sequence[RandomTerm]) -> IntArray:
    """Return the cluster of each row: what residual groups and random effects tie together, shape (n,)."""
    found = codes
    for term in terms:
        levels = term.codes.astype(np.intp)
        if term.relationship is not None:
            return np.zeros(len(codes), dtype=np.intp)
        a, b = int(found.max()) + 1, int(levels.max()) + 1
        if _is_within(found, a, levels):
            found = levels
            continue
        if _is_within(levels, b, found):
            continue
        links = coo_array((np.ones(len(codes)), (found, a + levels)), shape=(a + b, a + b))
        found = np.asarray(connected_components(links, directed=False)[1], dtype=np.intp)[found]
    return np.unique(found, return_inverse=True)[1].astype(np.intp)


def _is_within(fine: IntArray, n: int, coarse: IntArray) -> bool:
    """Tell whether every group of one partition of the rows, of n groups, is within one of another."""
    group_of = np.zeros(n, dtype=np.intp)
    group_of[fine] = coarse
    return bool((group_of[fine] == coarse).all())


def batches(
    M: FloatArray, rows: ResidualRows, terms: Sequence[RandomTerm], cluster: IntArray, kept: IntArray
) -> tuple[Batch, ...]:
    """Return the batches of all clusters, by size.

    Parameters
    ----------
    M : ndarray, shape (n, m)
        Fixed effects and response.
    rows : ResidualRows
        Positions and variance columns.
    terms : sequence of RandomTerm
        Random-effects terms.
    cluster : ndarray of int, shape (n,)
        Cluster of each row.
    kept : ndarray of int
        The clusters to be batched.
    """
    if not len(kept):
        return ()
    order = row_order(rows, cluster)
    sizes = np.bincount(cluster)
    first = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    keys = _keys(rows, terms)
    _refuse_too_large(sizes[kept])
    found: list[Batch] = []
    for size, places_of in _classes(sizes[kept]):
        own = kept[places_of]
        places = np.arange(size)
        at = np.minimum(first[own][:, None] + places, len(order) - 1)
        members = np.where(places < sizes[own][:, None], order[at], -1)
        found += _of_size(M, rows, terms, keys, members)
    return tuple(found)


def _refuse_too_large(sizes: IntArray) -> None:
    """Raise NotAvailableError where clusters are so large that their matrices fill the memory."""
    elements = float(np.sum(sizes[sizes > SMALL].astype(np.float64) ** 2))
    if elements > MOST_ELEMENTS:
        raise NotAvailableError(
            f"residual correlation and random effects tie up to {int(sizes.max()):,} rows together, and all "
            f"covariance matrices have {elements:.2g} elements (limit {MOST_ELEMENTS:.0e}). Without random "
            "effects ar1, arma, car1 and exp form no matrices; weights= takes known variances."
        )


def _classes(sizes: IntArray) -> list[tuple[int, IntArray]]:
    """Return the sizes of batches and the clusters of each, smaller ones filled up where that is cheap."""
    distinct, counts = np.unique(sizes, return_counts=True)
    classes: list[tuple[int, list[int]]] = []
    for size, count in zip(distinct.tolist()[::-1], counts.tolist()[::-1], strict=True):
        largest = classes[-1][0] if classes else size
        if classes and count * float(largest**3 - size**3) <= OVERHEAD:
            classes[-1][1].append(size)
        else:
            classes.append((size, [size]))
    return [(size, np.flatnonzero(np.isin(sizes, own))) for size, own in classes]


def row_order(rows: ResidualRows, cluster: IntArray) -> IntArray:
    """Return the rows by cluster, residual group and position."""
    positions = rows.positions.reshape(len(cluster), -1)
    keys = [positions[:, k] for k in reversed(range(positions.shape[1]))]
    return np.lexsort((*keys, rows.codes, rows.arms, cluster))


def _keys(rows: ResidualRows, terms: Sequence[RandomTerm]) -> FloatArray:
    """Return what the covariance of a row depends on, groups and levels aside, shape (n, k)."""
    n = len(rows.codes)
    columns: list[FloatArray | IntArray] = [term.Z for term in terms]
    if rows.structure is not None:
        columns += [rows.positions.reshape(n, -1), rows.arms[:, None]]
    for column in rows.columns:
        columns += [column.values.reshape(n, -1), column.strata[:, None]]
    keys = np.column_stack([np.empty((n, 0)), *columns]).astype(np.float64)
    return np.vstack([keys, np.full(keys.shape[1], -np.inf)])  # the last one is that of no row


def _of_size(
    M: FloatArray, rows: ResidualRows, terms: Sequence[RandomTerm], keys: FloatArray, members: IntArray
) -> list[Batch]:
    """Return the batches of clusters of one size: those with cross-products, and the others."""
    K, T = members.shape
    labels = [_within(np.where(members < 0, -1, codes[members])) for codes in _labels(rows, terms)]
    missing = (members < 0).astype(np.float64) if (members < 0).any() else np.empty((K, 0))
    pattern = np.column_stack([missing, keys[members].reshape(K, -1), *labels])
    first, unit_of, counts = _equal_rows(pattern)
    m = M.shape[1]
    shared = counts >= WORTH * T * m / (T + m)
    if len(counts) * (T * m) ** 2 <= IN_CACHE:
        shared[:] = True
    found = []
    chosen = np.flatnonzero(shared[unit_of])
    if len(chosen):
        renumbered = np.cumsum(shared) - 1
        own = (members[chosen], renumbered[unit_of[chosen]], members[first[shared]])
        found.append(_batch(M, rows, terms, *own, counts[shared], True))
    alone = np.flatnonzero(~shared[unit_of])
    if len(alone):
        own = (members[alone], np.arange(len(alone)), members[alone])
        found.append(_batch(M, rows, terms, *own, np.ones(len(alone)), False))
    return found


def _labels(rows: ResidualRows, terms: Sequence[RandomTerm]) -> list[IntArray | CodeArray]:
    """Return the factors that tie rows of a cluster together."""
    own: list[IntArray | CodeArray] = [] if rows.structure is None else [rows.codes]
    return own + [term.codes for term in terms]


def _within(codes: IntArray | CodeArray) -> IntArray:
    """Return codes (K, T) numbered within each cluster by where each first occurs."""
    if (codes == codes[:, :1]).all():
        return np.empty((len(codes), 0), dtype=np.intp)
    return np.asarray(np.argmax(codes[:, :, None] == codes[:, None, :], axis=2), dtype=np.intp)


def _equal_rows(pattern: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Return the first of equal rows, the number of each row's kind, and how many are of each."""
    contiguous = np.ascontiguousarray(pattern + 0.0)
    if contiguous.shape[1] == 0:
        return np.zeros(1, dtype=np.intp), np.zeros(len(pattern), np.intp), np.array([float(len(pattern))])
    as_bytes = contiguous.view(np.dtype((np.void, contiguous.dtype.itemsize * contiguous.shape[1])))
    _, first, inverse, counts = np.unique(
        as_bytes.ravel(), return_index=True, return_inverse=True, return_counts=True
    )
    return first, inverse.ravel(), counts.astype(np.float64)


def _batch(
    M: FloatArray,
    rows: ResidualRows,
    terms: Sequence[RandomTerm],
    members: IntArray,
    unit_of: IntArray,
    representatives: IntArray,
    counts: FloatArray,
    shared: bool,
) -> Batch:
    """Return one batch."""
    real = representatives >= 0
    padded = np.vstack([M, np.zeros(M.shape[1])])  # the last row is that of no row
    return Batch(
        members=members,
        unit_of=unit_of,
        rows=representatives,
        counts=counts,
        real=None if real.all() else real,
        groups=_groups(rows, representatives),
        same_level=tuple(_same_level(term, representatives) for term in terms),
        products=_products(padded, members, unit_of, len(counts)) if shared else None,
        M=None if shared else padded[representatives],
    )


def _products(M: FloatArray, members: IntArray, unit_of: IntArray, U: int) -> FloatArray:
    """Return G of every unit, shape (U * T * T, m * m)."""
    T, m = members.shape[1], M.shape[1]
    G = np.empty((U, T, T, m, m))
    order = np.argsort(unit_of, kind="stable")
    ends = np.cumsum(np.bincount(unit_of, minlength=U))
    for unit, clusters in enumerate(np.split(order, ends[:-1])):
        own = M[members[clusters]].reshape(len(clusters), T * m)
        G[unit] = (own.T @ own).reshape(T, m, T, m).transpose(0, 2, 1, 3)
    return G.reshape(U * T * T, m * m)


def _same_level(term: RandomTerm, members: IntArray) -> FloatArray | None:
    codes = term.codes[members]
    if term.relationship is not None:
        L = term.relationship[codes]
        return np.asarray(L @ L.transpose(0, 2, 1))
    same = codes[:, :, None] == codes[:, None, :]
    return None if same[_together(members)].all() else same.astype(np.float64)


def _together(members: IntArray) -> BoolArray:
    """Return which pairs of rows of each cluster are there, shape (K, T, T)."""
    real = members >= 0
    return np.asarray(real[:, :, None] & real[:, None, :])


def _groups(rows: ResidualRows, members: IntArray) -> tuple[Groups, ...]:
    """Return the residual groups of the units, by size."""
    if rows.structure is None:
        return ()
    U, T = members.shape
    codes = rows.codes[members]
    if (codes == codes[:, :1])[members >= 0].all():
        return (_whole(rows, members),)
    # Rows of a group stand one after the other, so groups begin where the code changes.
    codes = np.where(members < 0, -1, codes).ravel()
    unit = np.repeat(np.arange(U), T)
    begins = np.flatnonzero(np.concatenate([[True], (codes[1:] != codes[:-1]) | (unit[1:] != unit[:-1])]))
    sizes = np.diff(np.append(begins, U * T))
    begins, sizes = begins[codes[begins] >= 0], sizes[codes[begins] >= 0]
    found = []
    for size in np.unique(sizes).tolist():
        at = begins[sizes == size][:, None] + np.arange(size)
        own = members.ravel()[at]
        positions, arms = rows.positions[own], rows.arms[own[:, 0]]
        entries = _entries(rows, positions, arms, own >= 0)
        found.append(Groups(unit[at[:, 0]], at % T, positions, _by_arm(arms), entries, False))
    return tuple(found)


def _whole(rows: ResidualRows, members: IntArray) -> Groups:
    """Return the residual groups of units each of which is one."""
    U, T = members.shape
    real = members >= 0
    # What fills a unit up stands where its first row is: any place will do.
    own = np.where(real, members, members[:, :1])
    positions, arms = rows.positions[own], rows.arms[own[:, 0]]
    places = np.broadcast_to(np.arange(T), (U, T))
    return Groups(np.arange(U), places, positions, _by_arm(arms), _entries(rows, positions, arms, real), True)


def _by_arm(arms: IntArray) -> tuple[tuple[int, IntArray], ...]:
    return tuple((arm, np.flatnonzero(arms == arm)) for arm in np.unique(arms).tolist())


def _entries(rows: ResidualRows, positions: Positions, arms: IntArray, real: BoolArray) -> IntArray | None:
    """Return where the correlations of groups stand among those of all levels."""
    levels = n_levels(rows)
    if not levels:
        return None
    assert rows.structure is not None
    first = (arms * levels)[:, None, None] + positions[:, :, None]
    entries = first * levels + positions[:, None, :]
    zero = len(rows.structure.arms) * levels**2
    absent = ~(real[:, :, None] & real[:, None, :])
    return np.where(absent, zero + np.eye(positions.shape[1], dtype=np.intp), entries)


def n_levels(rows: ResidualRows) -> int:
    """Return the number of levels of time, 0 where they are coordinates or too many for one matrix."""
    if rows.structure is None or rows.structure.structure.uses_coordinates:
        return 0
    levels = int(rows.positions.max()) + 1
    return levels if levels <= MOST_LEVELS and rows.positions.min() >= 0 else 0
