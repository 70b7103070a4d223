"""Symbolic Cholesky factorization: which columns share a structure, and what they pass on to one another.

Columns of equal structure form a *front*: a dense panel that LAPACK factors, whose update of later columns is
one dense matrix (Duff and Reid 1983, ACM TOMS 9(3)). Fronts that LAPACK would find too short are merged
at the price of explicit zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, csr_array

from mixedmodels.arrays import CodeArray, FloatArray, IntArray
from mixedmodels.kernels.elimination import column_structures

#: Seconds a front costs before any arithmetic and one multiplication within a large one; fronts of this many
#: columns reach half of that speed. Their order of magnitude on any present machine is all that matters.
FRONT_SECONDS, FLOP_SECONDS, HALF_SPEED = 4e-5, 4e-11, 100


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
    def typical(self) -> int:
        """Half the order of the fronts that take most of the time, which decides whether threads pay.

        The mean, weighted by arithmetic; half of it because many smaller fronts surround the large ones: at
        an order of 1100 two threads on a busy machine took twenty times as long as one.
        """
        heights = np.array([len(rows) for rows in self.rows])
        order = np.diff(self.starts) + heights
        work = np.diff(self.starts) * order.astype(np.float64) ** 2
        return int(0.5 * (work @ order) / max(float(work.sum()), 1.0))

    @property
    def n_entries(self) -> int:
        """Elements of the lower triangular factor, the border included."""
        widths = np.diff(self.starts).tolist()
        return sum(k * (k + 1) // 2 + k * len(rows) for k, rows in zip(widths, self.rows, strict=True))

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
    starts, rows = column_structures(*_permuted_lower(adjacency, order))
    columns, below = _merged(starts, rows, sizes[order], n_border)
    return _expanded(columns, below, order, sizes, n_border)


def _permuted_lower(adjacency: csc_array, order: IntArray) -> tuple[CodeArray, CodeArray]:
    """Return the strict lower triangle in the given order, compressed by rows."""
    q = len(order)
    position = np.empty(q, dtype=np.int32)
    position[order] = np.arange(q, dtype=np.int32)
    entries = adjacency.tocoo()
    row, column = position[entries.row], position[entries.col]
    below = row > column
    ones = np.ones(int(below.sum()), dtype=np.bool_)
    lower = csr_array((ones, (row[below], column[below])), shape=(q, q))
    return lower.indptr.astype(np.int32), lower.indices.astype(np.int32)


def _seconds(k: int, m: int) -> float:
    """Return the time of a front of k columns and m rows below."""
    return FRONT_SECONDS + FLOP_SECONDS * float((k + HALF_SPEED) * (k * k + 3 * k * m + 3 * m * m))


def _merged(
    starts: IntArray, rows: CodeArray, weights: IntArray, n_border: int
) -> tuple[list[list[int]], list[CodeArray]]:
    """Return the columns of each front, and the rows below it, children before parents.

    Columns that follow one another and share their structure go together at once; a front then joins its
    parent where that saves time.
    """
    first = _first_of_runs(starts, rows)
    last = np.append(first[1:], len(weights)) - 1
    below = [rows[starts[j] : starts[j + 1]] for j in last]
    owner = np.repeat(np.arange(len(first)), last + 1 - first)
    parents = [int(owner[some[0]]) if len(some) else -1 for some in below]
    reach = np.concatenate(([0], np.cumsum(weights[rows])))
    m = (reach[starts[last + 1]] - reach[starts[last]] + n_border).tolist()
    k = np.add.reduceat(weights, first).tolist()
    members = [list(range(a, b + 1)) for a, b in zip(first.tolist(), last.tolist(), strict=True)]
    children: list[list[int]] = [[] for _ in members]
    cost = [_seconds(*shape) for shape in zip(k, m, strict=True)]
    for s, parent in enumerate(parents):
        kept = []
        for c in sorted(children[s], key=lambda c: -m[c]):
            together = _seconds(k[s] + k[c], m[s])
            if together < cost[s] + cost[c]:
                k[s], cost[s] = k[s] + k[c], together
                members[s] = members[c] + members[s]
                kept += children[c]
            else:
                kept.append(c)
        children[s] = kept
        if parent >= 0:
            children[parent].append(s)
    final = _postorder([s for s, parent in enumerate(parents) if parent < 0], children)
    return [members[s] for s in final], [below[s] for s in final]


def _first_of_runs(starts: IntArray, rows: CodeArray) -> IntArray:
    """Return the first column of each run of columns that share their structure."""
    counts = np.diff(starts)
    columns = np.arange(1, len(counts))
    joins = counts[:-1] == counts[1:] + 1
    joins[joins] = rows[starts[:-2][joins]] == columns[joins]
    return np.concatenate(([0], columns[~joins]))


def _postorder(roots: list[int], children: list[list[int]]) -> list[int]:
    """Return the nodes of a forest, children before parents and each subtree together."""
    reverse, stack = [], list(roots)
    while stack:
        node = stack.pop()
        reverse.append(node)
        stack.extend(children[node])
    return reverse[::-1]


def _expanded(
    columns: list[list[int]], below: list[CodeArray], order: IntArray, sizes: IntArray, n_border: int
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
