"""The representations of the rows below an eliminated block give the same products."""

import numpy as np
import pytest

from mixedmodels.factorization.constant.dense_rest import DenseRest
from mixedmodels.factorization.constant.sparse_rest import entry_places, sparse_rest
from mixedmodels.factorization.pattern import Coupling

RNG = np.random.default_rng(8)
N_TAIL, P = 7, 2


def rests(columns, rows, S, q):
    """Return the same rows kept sparse and kept dense."""
    indptr = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=q))])
    coupling = Coupling(indptr, rows.astype(np.int32), pairs=(), merged=())
    values, XZ = RNG.standard_normal((S, len(rows))), RNG.standard_normal((P, S, q))
    full = np.zeros((q, S, N_TAIL + P))
    full[columns, :, rows] = values.T
    full[:, :, N_TAIL:] = XZ.transpose(2, 1, 0)
    places = entry_places(coupling, np.ones(q, dtype=bool))
    return sparse_rest(coupling, places, values, XZ, N_TAIL), DenseRest(full, coupling, N_TAIL)


@pytest.fixture
def nested():
    """Six inner levels in three outer ones, each pair in one row of the tail or two."""
    parent = np.array([0, 0, 1, 1, 2, 2])
    inner_columns, inner_rows = np.array([0, 0, 1, 2, 3, 4, 5, 5]), np.array([0, 3, 3, 1, 6, 2, 2, 5])
    outer = sorted({(parent[c], r) for c, r in zip(inner_columns, inner_rows, strict=True)})
    columns, rows = (np.array(part) for part in zip(*outer, strict=True))
    pairs = zip(parent[inner_columns], inner_rows, strict=True)
    lift = np.array([outer.index((c, r)) for c, r in pairs])
    return rests(columns, rows, 2, 3), rests(inner_columns, inner_rows, 3, 6), parent, lift


def test_eliminating_a_nested_block_leaves_the_same_rows(nested):
    (sparse, dense), (inner_sparse, inner_dense), parent, lift = nested
    link_P = RNG.standard_normal((2, 3, 6))
    left = sparse.lifted(inner_sparse, link_P, parent, lift)
    right = dense.lifted(inner_dense, link_P, parent, lift)
    assert np.allclose(left.entry_values(), right.entry_values())
    assert np.allclose(left.XZ, right.rows[:, :, N_TAIL:].transpose(2, 1, 0))


def test_products_along_the_pattern_agree(nested):
    sparse, dense = nested[0]
    at_entries, at_X = RNG.standard_normal((4, len(sparse.coupling.rows))), RNG.standard_normal((P, 4, 3))
    assert np.allclose(sparse.along(at_entries, at_X), dense.along(at_entries, at_X))
