"""The cost model: a dense or a sparse tail, and the form of the rows below a block."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csc_array, eye_array

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.factorization.pattern import Coupling, Pattern
from mixedmodels.factorization.rest import DenseRest, FixedRest, Rest
from mixedmodels.factorization.sparse_order import fill_reducing_order
from mixedmodels.factorization.sparse_rest import dense_rows, entry_order, sparse_rest
from mixedmodels.factorization.sparse_symbolic import build_fronts
from mixedmodels.factorization.sparse_tail_matrix import SparseLayout, meeting_levels, sparse_layout

#: Most doubles of E stored densely.
MAX_STORED_DENSE = 1.6e7
#: Seconds for the product of two entries of a level there and back, and for one multiplication in BLAS: their
#: order of magnitude on any present machine is all that matters.
PRODUCT_SECONDS, FLOP_SECONDS = 2e-9, 3e-11
#: A sparse tail is tried from this many rows on, if pairs of levels fill at most this share of it.
LEAST_SPARSE, MOST_SPARSE_DENSITY = 200, 0.2
#: Pairs of entries looked at to estimate that share before all of them are formed.
PAIRS_LOOKED_AT = 1 << 14
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
        rows = dense_rows(coupling, values, n_tail + len(XZ), np.arange(q))
        rows[:, :, n_tail:] = XZ.transpose(2, 1, 0)
        return DenseRest(rows, coupling, n_tail)
    return sparse_rest(coupling, entry_order(coupling, light), values, XZ, n_tail)


def _light_levels(coupling: Coupling, S: int, n_tail: int) -> BoolArray:
    """Return the levels whose pairs of entries are cheaper multiplied one by one than as dense rows."""
    counts = np.diff(coupling.indptr).astype(np.float64)
    products = counts * (counts + 1.0) / 2.0 * S * (S + 1) / 2.0
    return np.asarray(products * PRODUCT_SECONDS < 3.0 * S * n_tail**2 * FLOP_SECONDS)


def choose_layout(pattern: Pattern, p: int) -> SparseLayout | None:
    """Return the layout of a sparse tail if that makes evaluations cheaper than a dense one, else None.

    Parameters
    ----------
    pattern : Pattern
        Order of elimination.
    p : int
        Number of fixed effects.
    """
    n_tail = pattern.n_tail
    if not pattern.chain or not pattern.tail or n_tail < LEAST_SPARSE:
        return None
    if _share_that_meets(pattern.couplings[-1], n_tail) > MOST_SPARSE_DENSITY:
        return None
    sizes, met = meeting_levels(pattern)
    adjacency = csc_array(met @ met.T + eye_array(len(sizes), dtype=met.dtype))
    adjacency.sort_indices()
    if adjacency.nnz > MOST_SPARSE_DENSITY * float(len(sizes)) ** 2:
        return None
    fronts = build_fronts(adjacency, fill_reducing_order(adjacency), sizes, p)
    if fronts.seconds > FLOP_SECONDS * float(n_tail + p) ** 3:
        return None
    return sparse_layout(pattern, adjacency, sizes, fronts, p)


def _share_that_meets(coupling: Coupling, n_tail: int) -> float:
    """Estimate, from below, the share of pairs of tail rows that meet in some level of a chain block.

    Pairs of entries are drawn at random; those that are drawn once and twice tell how many are never drawn
    (Chao 1984, Scand. J. Statist. 11(4)).
    """
    rng = np.random.default_rng(0)
    counts = np.diff(coupling.indptr).astype(np.float64)
    ends = np.cumsum(counts**2)
    level = np.searchsorted(ends, rng.random(PAIRS_LOOKED_AT) * ends[-1], side="right")
    first, second = (
        coupling.rows[coupling.indptr[level] + (rng.random(PAIRS_LOOKED_AT) * counts[level]).astype(np.intp)]
        for _ in range(2)
    )
    keys = (np.maximum(first, second) * n_tail + np.minimum(first, second))[first != second]
    times = np.unique(keys, return_counts=True)[1]
    once, twice = float((times == 1).sum()), float((times == 2).sum())
    distinct = len(times) + once * (once - 1.0) / (2.0 * (twice + 1.0))
    return 2.0 * distinct / float(n_tail) ** 2
