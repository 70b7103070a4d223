"""Compiled and NumPy versions of the Schur kernels against dense algebra."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.factorization.constant.sparse_rest import entry_places
from mixedmodels.factorization.pattern import Coupling
from mixedmodels.kernels import schur

# Sums of a few dozen products of numbers of size one.
ROUNDING = 1e-12
VERSIONS = {
    "chosen": (schur.subtract_schur, schur.add_sandwich),
    "numpy": (schur.subtract_schur_numpy, schur.add_sandwich_numpy),
}


@st.composite
def sparse_blocks(draw):
    """Draw E as a coupling, its values, and which levels to visit."""
    n_tail, q, S = draw(st.integers(1, 12)), draw(st.integers(1, 9)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    occurs = rng.random((q, n_tail)) < draw(st.sampled_from([0.1, 0.5, 1.0]))
    levels, rows = np.nonzero(occurs)
    coupling = Coupling(np.concatenate(([0], np.cumsum(occurs.sum(axis=1)))), rows.astype(np.int32), (), ())
    values = rng.normal(size=(S, len(rows)))
    dense = np.zeros((q, n_tail, S))
    dense[levels, rows] = values.T
    light = rng.random(q) < draw(st.sampled_from([0.5, 1.0]))
    return coupling, values, dense, light, rng


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=60)
@given(block=sparse_blocks())
def test_the_schur_complement_and_the_sandwich_equal_dense_ones(version, block):
    coupling, values, E, light, rng = block
    subtract_schur, add_sandwich = VERSIONS[version]
    q, n_tail, S = E.shape
    places = entry_places(coupling, light)
    half = rng.normal(size=(q, S, S))
    P = np.ascontiguousarray((half @ half.transpose(0, 2, 1)).transpose(1, 2, 0))
    # The tail is a block of a larger array: its rows are not adjacent.
    start = rng.normal(size=(n_tail + 2, n_tail + 2))
    tail = start.copy()
    for arrays in places.arrays():
        subtract_schur(tail[:n_tail, :n_tail], *arrays, values, P)
    expected = start[:n_tail, :n_tail] - np.einsum("lis,stl,ljt->ij", E[light], P[:, :, light], E[light])
    np.testing.assert_allclose(np.tril(tail[:n_tail, :n_tail]), np.tril(expected), atol=ROUNDING)
    np.testing.assert_array_equal(tail[n_tail:], start[n_tail:])

    V = start + start.T
    N = np.zeros((S, S, q))
    for arrays in places.arrays():
        add_sandwich(N, *arrays, values, np.tril(V)[:n_tail, :n_tail])
    expected = np.einsum("lis,ij,ljt->stl", E, V[:n_tail, :n_tail], E) * light
    np.testing.assert_allclose(N, expected, atol=ROUNDING)
