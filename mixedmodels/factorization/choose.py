"""The cost model: how the rows below an eliminated block are represented."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.factorization.pattern import Coupling
from mixedmodels.factorization.rest import DenseRest, FixedRest, Rest
from mixedmodels.factorization.sparse_rest import dense_rows, pair_products, sparse_rest

#: Most stored products of pairs of entries: 12 bytes each.
MAX_STORED_PRODUCTS = 3e7
#: Most doubles of E stored densely.
MAX_STORED_DENSE = 1.6e7
#: Seconds for one stored product there and back, and for one multiplication in BLAS: their order of
#: magnitude on any present machine is all that matters.
PRODUCT_SECONDS, FLOP_SECONDS = 4e-9, 3e-11
#: Seconds for one entry of E that has to be spread into a dense chunk first.
SPREAD_SECONDS = 2e-9


def choose_rest(
    coupling: Coupling, values: FloatArray, XZ: FloatArray, n_tail: int, *, liftable: bool, reused: bool
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
    reused : bool
        Whether many factorizations will use these entries, so that storing products pays.
    """
    if not n_tail:
        return FixedRest(XZ)
    S, q = len(values), len(coupling.indptr) - 1
    counts = np.diff(coupling.indptr).astype(np.float64)
    n_products = float(counts @ (counts + 1.0)) / 2.0 * S * (S + 1) / 2.0
    dense_size = float(S * q * (n_tail + len(XZ)))
    dense_seconds = 3.0 * dense_size * n_tail * FLOP_SECONDS
    columns = coupling.columns
    if reused and n_products <= MAX_STORED_PRODUCTS and n_products * PRODUCT_SECONDS < dense_seconds:
        products = pair_products(coupling, values, n_tail)
        return sparse_rest(coupling, columns, values, XZ, n_tail, products)
    if not liftable and dense_size <= MAX_STORED_DENSE:
        rows = dense_rows(coupling, columns, values, n_tail + len(XZ), slice(0, q))
        rows[:, :, n_tail:] = XZ.transpose(2, 1, 0)
        return DenseRest(rows, coupling, n_tail)
    return sparse_rest(coupling, columns, values, XZ, n_tail)
