"""Where the rows of each level begin: compiled, by NumPy, and by counting."""

import numpy as np
import pytest

from mixedmodels.kernels import level_starts as kernels

STARTS = {"chosen": kernels.level_starts, "numpy": kernels.level_starts_numpy}


@pytest.mark.parametrize("version", STARTS)
@pytest.mark.parametrize("codes", [[], [0, 0, 1, 3, 3], [2, 2], [0], [4]])
def test_levels_start_where_their_first_rows_are(version, codes):
    codes = np.array(codes, dtype=np.int32)
    starts = STARTS[version](codes, 5)
    assert starts.dtype == np.intp and starts[-1] == len(codes)
    np.testing.assert_array_equal(np.diff(starts), np.bincount(codes, minlength=5))
    assert STARTS[version](np.array([1, 1, 0], dtype=np.int32), 5) is None
