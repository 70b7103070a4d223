"""Orders of elimination that keep Cholesky factors sparse: SuiteSparse's where installed, else SciPy's."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import numpy as np
from scipy.sparse import csc_array, csc_matrix

from mixedmodels.arrays import IntArray


def fill_reducing_order(adjacency: csc_array) -> IntArray:
    """Return the rows of a symmetric pattern in an order of elimination with little fill.

    Parameters
    ----------
    adjacency : csc_array, shape (n, n)
        Nonzero where two rows share an entry, the diagonal included.

    Returns
    -------
    ndarray, shape (n,)
        Approximate minimum degree or nested dissection, whichever CHOLMOD finds better (Chen et al. 2008,
        ACM TOMS 35(3)), where scikit-sparse is installed; else multiple minimum degree (Liu 1985).
    """
    n = adjacency.shape[0]
    # Orders depend on the pattern only; these values keep any factorization on the way trivial.
    values = np.full(adjacency.nnz, -1.0)
    pattern = csc_matrix((values, adjacency.indices, adjacency.indptr), shape=(n, n))
    pattern.setdiag(np.diff(adjacency.indptr) + 1.0)
    suitesparse = cholmod()
    order = _of_superlu(pattern) if suitesparse is None else _of_cholmod(suitesparse, pattern)
    return np.asarray(order, dtype=np.intp)


@cache
def cholmod() -> Any:
    """Return SuiteSparse's orders, None without scikit-sparse; models without a sparse tail never read it."""
    try:
        return importlib.import_module("sksparse.cholmod")
    except ImportError:
        return None


def _of_cholmod(module: Any, pattern: csc_matrix) -> IntArray:
    """Return the order by either interface: scikit-sparse 0.5 renamed its functions."""
    if hasattr(module, "analyze"):
        return np.asarray(module.analyze(pattern, ordering_method="default").P())
    return np.asarray(module.CholeskyFactor(csc_array(pattern), order="default").perm)


def _of_superlu(pattern: csc_matrix) -> IntArray:
    """Return the order SuperLU would use; an incomplete factorization that keeps nothing reveals it."""
    from scipy.sparse.linalg import spilu  # deferred: 50 ms that most fits need not pay

    options = {"SymmetricMode": True}
    factor = spilu(
        pattern,
        drop_tol=1.0,
        fill_factor=1.0,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options=options,
    )
    return np.argsort(factor.perm_c)
