"""Symbolic Cholesky factorization: which columns share a structure, and what they pass on to one another.

Columns of equal structure form a *front*: a dense panel that LAPACK factors, whose update of later columns is
one dense matrix (Duff and Reid 1983, ACM TOMS 9(3)). Fronts that LAPACK would find too short are merged
at the price of explicit zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array

from mixedmodels.arrays import FloatArray, IntArray

#: Seconds a front costs before any arithmetic and one multiplication within a large one; fronts of this many
#: columns reach half of that speed. Their order of magnitude on any present machine is all that matters.
FRONT_SECONDS, FLOP_SECONDS, HALF_SPEED = 4e-5, 4e-11, 100


@dataclass(frozen=True, slots=True)
class Fronts:
    """Fronts of a sparse Cholesky factor, children before parents.

    Attributes
    ----------
    position : ndarray, shape (n,)
        Place of each row in the order of elimination.
    starts : ndarray, shape (k + 1,)
        First position of each front.
    rows : tuple of ndarray
        Positions of the rows below each front, ascending.
    parents : tuple of int
        The front that takes up the update of each one; -1 for none.
    places : tuple of ndarray
        Where the rows below each front lie in its parent: its columns first, then its own rows below.
    begins : ndarray, shape (k + 1,)
        Where each panel, (columns and rows below) by columns, begins in one flat buffer.
    """

    position: IntArray
    starts: IntArray
    rows: tuple[IntArray, ...]
    parents: tuple[int, ...]
    places: tuple[IntArray, ...]
    begins: IntArray

    @property
    def size(self) -> int:
        """Length of the buffer that holds all panels."""
        return int(self.begins[-1])

    def panel(self, buffer: FloatArray, s: int) -> FloatArray:
        """Return the panel of one front, a view of shape (k + m, k)."""
        k = int(self.starts[s + 1] - self.starts[s])
        return buffer[self.begins[s] : self.begins[s + 1]].reshape(-1, k)

    @property
    def seconds(self) -> float:
        """Order of magnitude of the time of one factorization and inversion."""
        heights = [len(rows) for rows in self.rows]
        return sum(_seconds(k, m) for k, m in zip(np.diff(self.starts).tolist(), heights, strict=True))

    def slots(self, first: IntArray, second: IntArray) -> IntArray:
        """Return where in the buffer pairs of rows are kept, whichever of the two comes first."""
        a, b = self.position[first], self.position[second]
        row, column = np.maximum(a, b), np.minimum(a, b)
        front = np.searchsorted(self.starts, column, side="right") - 1
        width, n = np.diff(self.starts), len(self.position)
        below = np.array([len(rows) for rows in self.rows])
        keys = np.repeat(np.arange(len(below)) * n, below) + np.concatenate(self.rows)
        place = np.searchsorted(keys, front * n + row) - (np.cumsum(below) - below)[front] + width[front]
        inside = row < self.starts[front + 1]
        place[inside] = (row - self.starts[front])[inside]
        return np.asarray(self.begins[front] + place * width[front] + column - self.starts[front])


def build_fronts(adjacency: csc_array, order: IntArray, sizes: IntArray, n_border: int) -> Fronts:
    """Analyse a symmetric pattern with a dense border that is eliminated last.

    Parameters
    ----------
    adjacency : csc_array, shape (q, q)
        Nonzero where two levels meet.
    order : ndarray, shape (q,)
        Levels in order of elimination.
    sizes : ndarray, shape (q,)
        Rows of each level, consecutive.
    n_border : int
        Rows of the border, after those of all levels.
    """
    structures = _column_structures(*_permuted_lower(adjacency, order))
    weights = sizes[order]
    columns, below = _merged(structures, weights, n_border)
    return _expanded(columns, below, order, sizes, n_border)


def _permuted_lower(adjacency: csc_array, order: IntArray) -> tuple[IntArray, IntArray]:
    """Return the strict lower triangle in the given order, compressed by columns, rows ascending."""
    q = len(order)
    position = np.empty(q, dtype=np.intp)
    position[order] = np.arange(q)
    entries = adjacency.tocoo()
    row, column = position[entries.row], position[entries.col]
    keys = np.sort((column * q + row)[row > column])
    indptr = np.concatenate(([0], np.cumsum(np.bincount(keys // q, minlength=q))))
    return indptr, keys % q


def _column_structures(indptr: IntArray, indices: IntArray) -> list[IntArray]:
    """Return the rows below the diagonal of each column of the factor, ascending.

    A column takes over the rows of its own entries and those of its children: the columns whose first row
    below the diagonal it is (Gilbert, Ng and Peyton 1994, SIAM J. Matrix Anal. Appl. 15(4)).
    """
    q = len(indptr) - 1
    ends = indptr.tolist()
    pending: list[list[IntArray]] = [[] for _ in range(q)]
    structures = []
    for j in range(q):
        parts = pending[j]
        pending[j] = []
        if ends[j] < ends[j + 1]:
            parts.append(indices[ends[j] : ends[j + 1]])
        structure = _union(parts)
        structures.append(structure)
        if len(structure) > 1:
            pending[int(structure[0])].append(structure[1:])
    return structures


def _union(parts: list[IntArray]) -> IntArray:
    """Return the distinct elements of ascending arrays, ascending; one of the arrays if it holds them all."""
    if not parts:
        return np.zeros(0, dtype=np.intp)
    if len(parts) == 1:
        return parts[0]
    merged = np.concatenate(parts)
    merged.sort()
    keep = np.empty(len(merged), dtype=bool)
    keep[0] = True
    np.not_equal(merged[1:], merged[:-1], out=keep[1:])
    merged = merged[keep]
    return next((part for part in parts if len(part) == len(merged)), merged)


def _seconds(k: int, m: int) -> float:
    """Return the time of a front of k columns and m rows below."""
    return FRONT_SECONDS + FLOP_SECONDS * float((k + HALF_SPEED) * (k * k + 3 * k * m + 3 * m * m))


def _merged(
    structures: list[IntArray], weights: IntArray, n_border: int
) -> tuple[list[list[int]], list[IntArray]]:
    """Return the columns of each front, and the rows below it, children before parents.

    Columns that follow one another and share their structure go together at once; a front then joins its
    parent where that saves time.
    """
    leaders, members = _runs(structures)
    below = [structures[run[-1]] for run in members]
    owner = np.repeat(np.arange(len(leaders)), [len(run) for run in members])
    parents = [int(owner[rows[0]]) if len(rows) else -1 for rows in below]
    k = np.add.reduceat(weights, leaders).tolist() if leaders else []
    m = [int(weights[rows].sum()) + n_border for rows in below]
    children: list[list[int]] = [[] for _ in leaders]
    alone = [True] * len(leaders)
    cost = [_seconds(*shape) for shape in zip(k, m, strict=True)]
    for s in range(len(leaders)):
        kept = []
        for c in sorted(children[s], key=lambda c: -m[c]):
            together = _seconds(k[s] + k[c], m[s])
            if together < cost[s] + cost[c]:
                k[s], cost[s] = k[s] + k[c], together
                members[s] = members[c] + members[s]
                kept += children[c]
                alone[c] = False
            else:
                kept.append(c)
        children[s] = kept
        if parents[s] >= 0:
            children[parents[s]].append(s)
    roots = [s for s in range(len(leaders)) if parents[s] < 0]
    final = _postorder(roots, children)
    return [members[s] for s in final], [below[s] for s in final]


def _runs(structures: list[IntArray]) -> tuple[list[int], list[list[int]]]:
    """Return the first column of each run of equal structure, and the columns of each run."""
    leaders: list[int] = []
    members: list[list[int]] = []
    for j, structure in enumerate(structures):
        before = structures[j - 1] if j else structure
        if j and len(before) == len(structure) + 1 and before[0] == j:
            members[-1].append(j)
        else:
            leaders.append(j)
            members.append([j])
    return leaders, members


def _postorder(roots: list[int], children: list[list[int]]) -> list[int]:
    """Return the nodes of a forest, children before parents and each subtree together."""
    reverse, stack = [], list(roots)
    while stack:
        node = stack.pop()
        reverse.append(node)
        stack.extend(children[node])
    return reverse[::-1]


def _expanded(
    columns: list[list[int]], below: list[IntArray], order: IntArray, sizes: IntArray, n_border: int
) -> Fronts:
    """Return the fronts on rows instead of levels, the border as the last front."""
    sequence = np.array([j for run in columns for j in run], dtype=np.intp)
    levels = order[sequence]
    first = np.concatenate(([0], np.cumsum(sizes[levels])))
    place = np.empty(len(sequence), dtype=np.intp)
    place[sequence] = np.arange(len(sequence))
    n_random = int(first[-1])
    border = np.arange(n_random, n_random + n_border)
    ends = np.cumsum([len(run) for run in columns])
    starts = [0, *first[ends].tolist()]
    rows = []
    for structure in below:
        new = np.sort(place[structure])
        rows.append(np.concatenate((_ranges(first[new], first[new + 1]), border)))
    if n_border:
        starts.append(n_random + n_border)
        rows.append(np.zeros(0, dtype=np.intp))
    row_starts = np.cumsum(sizes) - sizes
    position = np.empty(n_random + n_border, dtype=np.intp)
    position[_ranges(row_starts[levels], row_starts[levels] + sizes[levels])] = np.arange(n_random)
    position[n_random:] = border
    return _linked(position, np.array(starts, dtype=np.intp), rows)


def _ranges(begins: IntArray, ends: IntArray) -> IntArray:
    """Return the integers of several ranges, one after the other."""
    lengths = ends - begins
    before = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(int(lengths.sum())) + np.repeat(begins - before, lengths))


def _linked(position: IntArray, starts: IntArray, rows: list[IntArray]) -> Fronts:
    """Return the fronts with their parents and their places in them."""
    width = np.diff(starts)
    parents, places = [], []
    for below in rows:
        if not len(below):
            parents.append(-1)
            places.append(below)
            continue
        parent = int(np.searchsorted(starts, below[0], side="right")) - 1
        place = np.searchsorted(rows[parent], below) + width[parent]
        inside = below < starts[parent + 1]
        place[inside] = below[inside] - starts[parent]
        parents.append(parent)
        places.append(place)
    sizes = width * (width + np.array([len(below) for below in rows]))
    begins = np.concatenate(([0], np.cumsum(sizes)))
    return Fronts(position, starts, tuple(rows), tuple(parents), tuple(places), begins)
