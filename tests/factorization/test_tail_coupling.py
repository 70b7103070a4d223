"""Numbering the entries of a coupling."""

import numpy as np
import pytest

from mixedmodels.factorization import tail_coupling


@pytest.mark.parametrize("n_cells", [1, 40, 5000])
def test_cells_have_the_same_numbers_by_table_and_by_sorting(monkeypatch, n_cells):
    rng = np.random.default_rng(n_cells)
    cells = [rng.integers(0, n_cells, 60) for _ in range(3)]
    found = []
    for limit in (0, n_cells):
        monkeypatch.setattr(tail_coupling, "TABLE_CELLS_PER_ROW", limit)
        found.append(tail_coupling.number_cells(cells, n_cells))
    np.testing.assert_array_equal(found[0][0], np.unique(np.concatenate(cells)))
    for (occupied, numbers), expected in zip(found, (found[0], found[0]), strict=True):
        np.testing.assert_array_equal(occupied, expected[0])
        for cell, number in zip(cells, numbers, strict=True):
            np.testing.assert_array_equal(occupied[number], cell)
