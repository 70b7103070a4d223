"""Compiled and NumPy versions of the symbolic factorization against dense elimination."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mixedmodels.kernels import elimination

VERSIONS = {"chosen": elimination.column_structures, "numpy": elimination.column_structures_numpy}


@st.composite
def patterns(draw):
    """Draw a symmetric pattern."""
    n = draw(st.integers(1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return np.tril(rng.random((n, n)) < draw(st.sampled_from([0.0, 0.05, 0.2, 1.0])), -1)


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=60)
@given(lower=patterns())
def test_columns_hold_what_elimination_fills(version, lower):
    occurs = lower | lower.T
    for j in range(len(occurs)):
        after = np.flatnonzero(occurs[j])
        after = after[after > j]
        occurs[np.ix_(after, after)] = True
    filled = np.tril(occurs, -1)
    sparse = csr_array(lower)
    starts, rows = VERSIONS[version](sparse.indptr.astype(np.int32), sparse.indices.astype(np.int32))
    columns, expected = np.nonzero(filled.T)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(np.diff(starts), np.bincount(columns, minlength=len(lower)))
