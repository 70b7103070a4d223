"""What never changes of random effects that are not tied to residual groups, but crossed.

Their rows do not fall into clusters whose covariances could be formed. With P the inverse of the residual
covariance over sigma^2, known group by group, everything about such a model follows from ``A = Z'PZ``, which
is sparse: two levels meet where a residual group has rows of both, and of processes of the first order where
two rows of them are neighbours. A is linear in the elements of P, which the sparse matrix K holds, and the
order of elimination of ``Lambda'A Lambda + I`` is found once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, csr_array

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.residual.structure import FirstOrder, Positions
from mixedmodels.engines.residual.batches import Batch, row_order
from mixedmodels.engines.residual.model import ResidualRows
from mixedmodels.errors import NotAvailableError
from mixedmodels.factorization.sparse.order import fill_reducing_order
from mixedmodels.factorization.sparse.symbolic import Fronts, build_fronts
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.model_terms import random_effects_matrix

#: Elements of K that are held: half a gigabyte.
MOST_PRODUCTS = 4e7


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Steps:
    """Neighbouring rows of the residual groups of a process of the first order.

    Attributes
    ----------
    earlier, later : ndarray of int, shape (N,)
        Their rows.
    positions : ndarray, shape (N, 2) or (N, 2, d)
        Their positions.
    by_arm : tuple of (arm, ndarray of int)
        The pairs of each arm.
    """

    earlier: IntArray
    later: IntArray
    positions: Positions
    by_arm: tuple[tuple[int, IntArray], ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Meetings:
    """Pairs of levels of two terms that meet: one stack of blocks of A.

    Attributes
    ----------
    terms : (int, int)
        Numbers of the terms of the rows and of the columns of each block.
    part : slice
        Where the elements of the blocks, (N, S_rows, S_columns), stand among all that are stored.
    rows, columns : ndarray of int, shape (N,)
        The levels.
    is_own : bool
        Whether the two are one level, which meets itself: such blocks are stored once and whole.
    """

    terms: tuple[int, int]
    part: slice
    rows: IntArray
    columns: IntArray
    is_own: bool


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CrossedPattern:
    """The sparsity of a model whose random effects are not tied to residual groups.

    Attributes
    ----------
    Z : csr_array, shape (n, Q)
        All random effects, on orthogonal columns and with prior weights.
    sizes : tuple of int
        Coefficients per level of each term.
    starts : tuple of int
        Where the coefficients of each term begin among the Q, and Q.
    steps : Steps or None
        Neighbouring rows of a process of the first order; None where P is that of the batches.
    K : csr_array
        Blocks of A, as they are stored, from the elements of P.
    meetings : tuple of Meetings
        The blocks.
    fronts : Fronts
        Symbolic factorization of ``Lambda'A Lambda + I``.
    slots, diagonal : ndarray of int
        Where the elements of the blocks and of the diagonal are in its panels.
    """

    Z: csr_array
    sizes: tuple[int, ...]
    starts: tuple[int, ...]
    steps: Steps | None
    K: csr_array
    meetings: tuple[Meetings, ...]
    fronts: Fronts
    slots: IntArray
    diagonal: IntArray

    def part(self, k: int) -> slice:
        """Return where the coefficients of term k are among the Q."""
        return slice(self.starts[k], self.starts[k + 1])


def steps_of(rows: ResidualRows) -> Steps | None:
    """Return the neighbouring rows of residual groups, None where more than one row before tells of a row."""
    if rows.structure is None or not isinstance(rows.structure.structure, FirstOrder):
        return None
    order = row_order(rows, rows.codes)
    codes = rows.codes[order]
    together = np.flatnonzero(codes[1:] == codes[:-1])
    earlier, later = order[together], order[together + 1]
    arms = rows.arms[later]
    by_arm = tuple((arm, np.flatnonzero(arms == arm)) for arm in np.unique(arms).tolist())
    positions = np.stack([rows.positions[earlier], rows.positions[later]], axis=1)
    return Steps(earlier, later, positions, by_arm)


def crossed_pattern(
    rows: ResidualRows, terms: Sequence[RandomTerm], batches: Sequence[Batch]
) -> CrossedPattern:
    """Return the pattern.

    Parameters
    ----------
    rows : ResidualRows
        Residual groups.
    terms : sequence of RandomTerm
        Random effects, weighted.
    batches : sequence of Batch
        The residual groups, those of one size side by side.

    Raises
    ------
    NotAvailableError
        Where residual groups are so long that the products of their rows fill the memory.
    """
    n = len(rows.codes)
    Z = csr_array(random_effects_matrix(tuple(terms), n))
    Z.eliminate_zeros()
    steps = steps_of(rows)
    _refuse_too_many(rows, Z, steps)
    first, second, value = _pairs_of_steps(n, steps) if steps is not None else _pairs_of_batches(batches)
    n_values = n + len(steps.later) if steps is not None else sum(b.rows.size * b.size for b in batches)
    u, v, product, of = _products(Z, first, second, value)
    sizes = [term.size for term in terms]
    counts = [term.n_levels for term in terms]
    meetings, at, kept = _stored(u, v, sizes, counts, first[of] == second[of])
    n_stored = meetings[-1].part.stop
    which = np.concatenate([value[of[own]] for own in kept])
    products = np.concatenate([product[own] for own in kept])
    K = csr_array((products, (np.concatenate(at), which)), shape=(n_stored, n_values))
    return _analysed(Z, steps, K, meetings, sizes, counts)


def _refuse_too_many(rows: ResidualRows, Z: csr_array, steps: Steps | None) -> None:
    """Raise where products of rows are too many."""
    if steps is not None:
        return
    sizes = np.bincount(rows.codes).astype(np.float64)
    per_row = Z.nnz / max(1, Z.shape[0])
    products = 0.5 * float(np.sum(sizes**2)) * per_row**2
    if products > MOST_PRODUCTS:
        raise NotAvailableError(
            f"residual groups of up to {int(sizes.max()):,} rows crossed with random effects have "
            f"{products:.2g} products of rows (limit {MOST_PRODUCTS:.0e}). ar1, car1 and exp of one "
            "coordinate go from row to row and have no such limit."
        )


def _pairs_of_steps(n: int, steps: Steps) -> tuple[IntArray, IntArray, IntArray]:
    """Return two rows for each element of P on and below its diagonal, and its number among them."""
    each = np.arange(n)
    first, second = np.concatenate([each, steps.later]), np.concatenate([each, steps.earlier])
    return first, second, np.arange(len(first))


def _pairs_of_batches(batches: Sequence[Batch]) -> tuple[IntArray, IntArray, IntArray]:
    """Return the same of the inverses of the units, (U, T, T) by batch, one after the other."""
    pairs: list[list[IntArray]] = [[], [], []]
    begin = 0
    for batch in batches:
        T = batch.size
        s, t = np.tril_indices(T)
        first, second = batch.members[:, s], batch.members[:, t]
        value = begin + batch.unit_of[:, None] * T * T + (s * T + t)
        real = (first >= 0) & (second >= 0)
        for kept, own in zip(pairs, (first, second, value), strict=True):
            kept.append(own[real])
        begin += batch.rows.size * T
    first, second, value = (np.concatenate(own) for own in pairs)
    return first, second, value


def _products(
    Z: csr_array, first: IntArray, second: IntArray, value: IntArray
) -> tuple[IntArray, IntArray, FloatArray, IntArray]:
    """Return the products of elements of one row of Z and of another: both places, value, number of pair."""
    counts = np.diff(Z.indptr)
    widths = counts[second]
    total = counts[first] * widths
    of = np.repeat(np.arange(len(first)), total)
    number = np.arange(len(of)) - np.repeat(np.cumsum(total) - total, total)
    place, other = np.divmod(number, widths[of])
    at, beside = Z.indptr[first[of]] + place, Z.indptr[second[of]] + other
    places = Z.indices.astype(np.intp)
    return places[at], places[beside], np.asarray(Z.data[at] * Z.data[beside]), of


def _stored(
    u: IntArray, v: IntArray, sizes: list[int], counts: list[int], is_diagonal: IntArray
) -> tuple[tuple[Meetings, ...], list[IntArray], list[IntArray]]:
    """Return the blocks of A, and where products belong among their elements.

    The element of two rows stands for both orders of them: of two levels it enters the block once, of one
    level with itself at both places. That of a row with itself comes in both orders by itself.
    """
    starts = np.concatenate([[0], np.cumsum(np.multiply(sizes, counts))])
    term_u, term_v = (np.searchsorted(starts, own, side="right") - 1 for own in (u, v))
    width, first_level = np.array(sizes), np.concatenate([[0], np.cumsum(counts)])
    level_u, of_u = np.divmod(u - starts[term_u], width[term_u])
    level_v, of_v = np.divmod(v - starts[term_v], width[term_v])
    node_u, node_v = first_level[term_u] + level_u, first_level[term_v] + level_v
    swapped = node_u < node_v
    doubled = is_diagonal & swapped  # the other order of these is there already
    high, low = np.where(swapped, node_v, node_u), np.where(swapped, node_u, node_v)
    of_high, of_low = np.where(swapped, of_v, of_u), np.where(swapped, of_u, of_v)
    q, number_of = int(first_level[-1]), np.repeat(np.arange(len(sizes)), counts)
    # Every level meets itself, whether rows say so or not.
    keys = np.unique(np.concatenate([high * q + low, np.arange(q) * (q + 1)]))
    rows, columns = np.divmod(keys, q)
    kind = (number_of[rows] * len(sizes) + number_of[columns]) * 2 + (rows == columns)
    begins, meetings, begin = np.empty(len(keys), dtype=np.intp), [], 0
    for own in np.unique(kind).tolist():
        (a, b), members = divmod(own // 2, len(sizes)), np.flatnonzero(kind == own)
        size = sizes[a] * sizes[b]
        begins[members] = begin + np.arange(len(members)) * size
        part = slice(begin, begin + len(members) * size)
        levels = rows[members] - first_level[a], columns[members] - first_level[b]
        meetings.append(Meetings((a, b), part, *levels, own % 2 == 1))
        begin = part.stop
    block = begins[np.searchsorted(keys, high * q + low)]
    wide = width[number_of[low]]
    own_level = (node_u == node_v) & ~is_diagonal
    kept = [np.flatnonzero(~doubled), np.flatnonzero(own_level)]
    at = [(block + of_high * wide + of_low)[kept[0]], (block + of_low * wide + of_high)[kept[1]]]
    return tuple(meetings), at, kept


def _analysed(
    Z: csr_array,
    steps: Steps | None,
    K: csr_array,
    meetings: tuple[Meetings, ...],
    sizes: list[int],
    counts: list[int],
) -> CrossedPattern:
    """Return the pattern with its order of elimination."""
    first_level = np.concatenate([[0], np.cumsum(counts)])
    starts = np.concatenate([[0], np.cumsum(np.multiply(sizes, counts))])
    q, Q = int(first_level[-1]), int(starts[-1])
    rows = np.concatenate([first_level[m.terms[0]] + m.rows for m in meetings])
    columns = np.concatenate([first_level[m.terms[1]] + m.columns for m in meetings])
    both = np.concatenate([rows, columns]), np.concatenate([columns, rows])
    adjacency = csc_array((np.ones(len(both[0])), both), shape=(q, q))
    level_sizes = np.repeat(sizes, counts)
    fronts = build_fronts(adjacency, fill_reducing_order(adjacency), level_sizes, 0)
    slots = np.empty(K.shape[0], dtype=np.intp)
    for m in meetings:
        a, b = m.terms
        i = starts[a] + m.rows[:, None, None] * sizes[a] + np.arange(sizes[a])[:, None]
        j = starts[b] + m.columns[:, None, None] * sizes[b] + np.arange(sizes[b])
        i, j = np.broadcast_arrays(i, j)
        slots[m.part] = fronts.slots(i.ravel(), j.ravel())
    each = np.arange(Q)
    return CrossedPattern(
        Z, tuple(sizes), tuple(starts.tolist()), steps, K, meetings, fronts, slots, fronts.slots(each, each)
    )
