"""The cost model: a dense or a sparse tail, and the form of the rows below a block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csc_array

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.factorization.constant.dense_rest import DenseRest
from mixedmodels.factorization.constant.rest import FixedRest, Rest
from mixedmodels.factorization.pattern import Coupling, Pattern

with on_first_use():
    from mixedmodels.factorization.constant import penalty, sparse_rest, sparse_tail_matrix
    from mixedmodels.factorization.sparse import order, symbolic

if TYPE_CHECKING:
    from mixedmodels.factorization.constant.sparse_tail_matrix import SparseLayout

#: Most doubles of E stored densely.
MAX_STORED_DENSE = 1.6e7
#: Seconds for the product of two entries of a level there and back, and for one multiplication in BLAS: their
#: order of magnitude on any present machine is all that matters.
PRODUCT_SECONDS, FLOP_SECONDS = 2e-9, 3e-11
#: Seconds a dense tail spends on each of its elements, there and back.
ELEMENT_SECONDS = 2e-8
#: A sparse tail is tried from this many rows on.
LEAST_SPARSE = 250
#: Seconds for two entries of a level that may make a pair of levels meet, and for a pair that does, while the
#: tail is analysed; an analysis serves about this many evaluations.
MEETING_SECONDS, ANALYSIS_SECONDS, EVALUATIONS = 1e-8, 2e-7, 5
#: Share of the pairs of levels that meet above which a tail is as good as dense once it is factored, and the
#: size from which that is not worth the analysis that would tell.
MOST_MEETINGS, LARGE_TAIL = 0.5, 1000
#: Levels of the tail that tell the share of pairs that meet, and the share of theirs above which that of all
#: is not below `MOST_MEETINGS`.
SAMPLED_LEVELS, SURELY_DENSE = 64, 0.65
#: Share of light levels below which a second representation is not worth it.
LEAST_LIGHT_SHARE = 0.2


def choose_rest(
    coupling: Coupling, values: FloatArray, XZ: FloatArray, n_tail: int, *, liftable: bool
) -> Rest:
    """Return the cheapest representation.

    Parameters
    ----------
    coupling : Coupling
        Pattern of the tail's random effects against the levels.
    values : ndarray, shape (S, nnz)
        Entries.
    XZ : ndarray, shape (p, S, q)
        Fixed effects against the levels.
    n_tail : int
        Random effects in the tail.
    liftable : bool
        Whether other blocks are eliminated too, which needs the sparse pattern.
    """
    if not n_tail:
        return FixedRest(XZ)
    S, q = len(values), len(coupling.indptr) - 1
    light = _light_levels(coupling, S, n_tail)
    dense_size = float(S * q * (n_tail + len(XZ)))
    if not liftable and light.mean() < LEAST_LIGHT_SHARE and dense_size <= MAX_STORED_DENSE:
        rows = sparse_rest.dense_rows(coupling, values, n_tail + len(XZ), np.arange(q))
        rows[:, :, n_tail:] = XZ.transpose(2, 1, 0)
        return DenseRest(rows, coupling.without_rows(), n_tail)
    return sparse_rest.sparse_rest(
        coupling.without_rows(), sparse_rest.entry_places(coupling, light), values, XZ, n_tail
    )


def _light_levels(coupling: Coupling, S: int, n_tail: int) -> BoolArray:
    """Return the levels whose pairs of entries are cheaper multiplied one by one than as dense rows."""
    return np.asarray(_pair_seconds(coupling, S) < _dense_row_seconds(S, n_tail))


def _pair_seconds(coupling: Coupling, S: int) -> FloatArray:
    """Return the time each level takes if its entries are multiplied pair by pair, shape (q,)."""
    counts = np.diff(coupling.indptr).astype(np.float64)
    return np.asarray(PRODUCT_SECONDS * counts * (counts + 1.0) / 2.0 * S * (S + 1) / 2.0)


def _dense_row_seconds(S: int, n_tail: int) -> float:
    """Return the time a level takes as dense rows."""
    return 3.0 * S * n_tail**2 * FLOP_SECONDS


def _share_of_meetings(met: csc_array) -> float:
    """Return the share of the pairs of levels that meet, from some of the levels."""
    n_levels = met.shape[0]
    some = met.tocsr()[:: max(1, n_levels // SAMPLED_LEVELS)]
    return float((some @ met.T).nnz / (some.shape[0] * n_levels))


def _met_together(pattern: Pattern) -> float:
    """Return how many pairs of levels of the tail the levels of the outermost chain block bring together."""
    width = pattern.blocks[pattern.chain[-1]].n_levels
    met = sum(np.bincount(pairs.first, minlength=width) for pairs in pattern.couplings[-1].pairs)
    counts = np.asarray(met, dtype=np.float64)
    beside = 0
    if any(pattern.blocks[t].present is not None for t in pattern.tail):
        beside = sum(len(pairs.first) for pairs in pattern.tail_pairs.values())
    return float(counts @ counts) + 4.0 * beside


def choose_layout(pattern: Pattern, p: int) -> SparseLayout | None:
    """Return the layout of a sparse tail if that makes evaluations cheaper than a dense one, else None.

    Related levels whose precision is sparse always have one.

    Parameters
    ----------
    pattern : Pattern
        Order of elimination.
    p : int
        Number of fixed effects.
    """
    n_tail, related = pattern.n_tail, penalty.related_levels(pattern)
    if related is not None:
        sizes, met = sparse_tail_matrix.meeting_levels(pattern)
        adjacency = csc_array(sparse_tail_matrix.meetings_of(met) + related)
        adjacency.sort_indices()
        fronts = symbolic.build_fronts(adjacency, order.fill_reducing_order(adjacency), sizes, p)
        return sparse_tail_matrix.sparse_layout(pattern, adjacency, sizes, fronts, p)
    if not pattern.chain or not pattern.tail or n_tail < LEAST_SPARSE:
        return None
    dense_seconds = FLOP_SECONDS * float(n_tail + p) ** 3 + ELEMENT_SECONDS * float(n_tail + p) ** 2
    # A sparse tail takes every pair of entries one by one, a dense one takes the heavy levels as dense rows.
    for c, coupling in zip(pattern.chain, pattern.couplings, strict=True):
        S = pattern.blocks[c].size
        pairs, rows = _pair_seconds(coupling, S), _dense_row_seconds(S, n_tail)
        dense_seconds -= float((pairs - np.minimum(pairs, rows)).sum())
    if dense_seconds <= 0.0:
        return None
    if MEETING_SECONDS * _met_together(pattern) > dense_seconds:
        return None
    sizes, met = sparse_tail_matrix.meeting_levels(pattern)
    if n_tail > LARGE_TAIL and _share_of_meetings(met) > SURELY_DENSE:
        return None
    adjacency = sparse_tail_matrix.meetings_of(met)
    if n_tail > LARGE_TAIL and adjacency.nnz > MOST_MEETINGS * float(adjacency.shape[0]) ** 2:
        return None
    budget = EVALUATIONS * dense_seconds - ANALYSIS_SECONDS * adjacency.nnz
    if budget <= 0.0:
        return None
    fronts = symbolic.build_fronts(adjacency, order.fill_reducing_order(adjacency), sizes, p)
    if EVALUATIONS * fronts.seconds > budget:
        return None
    return sparse_tail_matrix.sparse_layout(pattern, adjacency, sizes, fronts, p)
