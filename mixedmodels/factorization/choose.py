"""The cost model: how the rows below an eliminated block are represented."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csc_array

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.factorization.banded import BandedLayout, banded_layout
from mixedmodels.factorization.pattern import Coupling, Pattern
from mixedmodels.factorization.rest import DenseRest, FixedRest, Rest
from mixedmodels.factorization.sparse_rest import dense_rows, entry_order, sparse_rest

#: Most doubles of E stored densely.
MAX_STORED_DENSE = 1.6e7
#: Seconds for the product of two entries of a level there and back, and for one multiplication in BLAS: their
#: order of magnitude on any present machine is all that matters.
PRODUCT_SECONDS, FLOP_SECONDS = 2e-9, 3e-11
#: A tail is tried as a band from this many rows on, if pairs fill at most this share of it, and kept so if
#: the band takes at most this share of the multiplications of the dense tail.
LEAST_BANDED, MOST_BANDED_DENSITY, BANDED_GAIN = 400, 0.2, 0.3
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


def choose_layout(pattern: Pattern) -> BandedLayout | None:
    """Return a block-tridiagonal layout of the tail if it makes evaluations much cheaper, else None."""
    scalar = all(pattern.blocks[t].size == 1 for t in pattern.tail)
    if len(pattern.chain) != 1 or not scalar or pattern.n_tail < LEAST_BANDED:
        return None
    coupling, n_tail = pattern.couplings[0], pattern.n_tail
    counts = np.diff(coupling.indptr).astype(np.float64)
    if counts @ counts > MOST_BANDED_DENSITY * n_tail**2:
        return None
    ones = np.ones(len(coupling.rows), dtype=np.int8)
    E = csc_array((ones, coupling.rows, coupling.indptr), shape=(n_tail, len(counts)))
    layout = banded_layout((E @ E.T).tocsr())
    return layout if layout.multiplications < BANDED_GAIN * float(n_tail) ** 3 else None
