"""Compiled and NumPy versions of the kernels for pairs of entries against dense algebra."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.kernels import pairs

# Sums of a few dozen products of numbers of size one.
ROUNDING = 1e-12
VERSIONS = {
    "chosen": (pairs.subtract_pairs, pairs.multiply_pairs),
    "numpy": (pairs.subtract_pairs_numpy, pairs.multiply_pairs_numpy),
}


@st.composite
def entries(draw):
    """Draw the entries of E, level by level, and number the pairs by their place in a full lower triangle."""
    n_tail, q, S = draw(st.integers(1, 12)), draw(st.integers(1, 9)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels, rows = np.nonzero(rng.random((q, n_tail)) < draw(st.sampled_from([0.1, 0.5, 1.0])))
    first, second = np.nonzero(np.tril(levels[:, None] == levels))
    starts = np.concatenate(([0], np.cumsum(np.bincount(first, minlength=len(rows)))))
    number = np.tril_indices(n_tail)
    table = np.zeros((n_tail, n_tail), dtype=np.int32)
    table[number] = np.arange(len(number[0]))
    arrays = (starts.astype(np.int32), second.astype(np.int32), table[rows[first], rows[second]])
    E = np.zeros((2, S, q, n_tail))
    E[:, :, levels, rows] = rng.normal(size=(2, S, len(rows)))
    return arrays, E, E[:, :, levels, rows], rng.normal(size=len(number[0])), levels, rows


@pytest.mark.parametrize("number_pairs", [pairs.number_pairs, pairs.number_pairs_numpy], ids=list(VERSIONS))
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.1, 0.5, 1.0]))
def test_pairs_find_the_elements_they_contribute_to(number_pairs, seed, share):
    rng = np.random.default_rng(seed)
    n_groups, q = rng.integers(1, 9), rng.integers(1, 7)
    sizes = rng.integers(1, 4, n_groups).astype(np.int32)
    group = np.repeat(np.arange(n_groups, dtype=np.int32), sizes)
    coefficient = (np.arange(len(group)) - (np.cumsum(sizes) - sizes)[group]).astype(np.int32)
    levels, rows = np.nonzero((rng.random((q, n_groups)) < share)[:, group])
    first_group, second_group = np.nonzero(np.tril(np.ones((n_groups, n_groups))))
    faces = (sizes[first_group] * sizes[second_group]).astype(np.int32)
    begins = (np.cumsum(faces) - faces).astype(np.int32)
    starts, second, numbers = number_pairs(
        np.concatenate(([0], np.cumsum(np.bincount(levels, minlength=q)))).astype(np.int32),
        rows.astype(np.int32),
        group,
        coefficient,
        sizes,
        np.concatenate(([0], np.cumsum(np.arange(1, n_groups + 1)))).astype(np.int32),
        second_group.astype(np.int32),
        begins,
        np.ones(len(faces), dtype=np.int32),
    )
    expected_first, expected_second = np.nonzero(np.tril(levels[:, None] == levels))
    np.testing.assert_array_equal(np.repeat(np.arange(len(rows)), np.diff(starts)), expected_first)
    np.testing.assert_array_equal(second, expected_second)
    a, b = rows[expected_first], rows[expected_second]
    pair = group[a] * (group[a] + 1) // 2 + group[b]
    expected = begins[pair] + coefficient[a] * sizes[group[b]] + coefficient[b]
    np.testing.assert_array_equal(numbers, expected)


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=60)
@given(drawn=entries())
def test_products_of_pairs_equal_dense_ones(version, drawn):
    arrays, E, values, kept, levels, rows = drawn
    subtract_pairs, multiply_pairs = VERSIONS[version]
    lower = np.tril_indices(E.shape[-1])
    expected = kept - np.einsum("sqi,sqj->ij", E[0], E[1])[lower]
    ours = kept.copy()
    subtract_pairs(ours, *arrays, np.ascontiguousarray(values[0]), np.ascontiguousarray(values[1]))
    np.testing.assert_allclose(ours, expected, atol=ROUNDING)
    V = np.zeros(E.shape[-1:] * 2)
    V[lower] = kept
    V = V + np.tril(V, -1).T
    product = multiply_pairs(*arrays, np.ascontiguousarray(values[0]), kept)
    np.testing.assert_allclose(product, (E[0] @ V)[:, levels, rows], atol=ROUNDING)
