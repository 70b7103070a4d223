"""The generator of large data, at a small size: what it writes, and what reading it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from benchmarks import big_data
from benchmarks.big_data import BigData, in_child, read, write

pytest.importorskip("pyarrow")
#: Memory of an interpreter with NumPy, pandas and pyarrow in it, and of a few batches.
MOST_MB = 400.0


def test_the_rows_are_those_of_the_model() -> None:
    (columns,) = big_data.row_groups(BigData(40_000, 800, crossed=20))
    frame = pd.DataFrame(columns)
    assert (frame["g"].nunique(), frame["h"].nunique()) == (800, 20)
    m = mm.lmer("y ~ x + z + (1 + x | g) + (1 | h)", frame)
    # Four standard errors of each estimate at this size.
    estimates = m.fixef()
    assert np.allclose(estimates.to_numpy()[1:], big_data.BETA[1:], atol=0.04)
    assert m.sigma() == pytest.approx(big_data.SD_RESIDUAL, abs=0.02)


def test_rows_do_not_depend_on_the_groups_before() -> None:
    one = list(big_data.row_groups(BigData(300, 10, bernoulli=True), 100))
    again = list(big_data.row_groups(BigData(200, 10, bernoulli=True), 100))
    assert len(one) == 3
    assert all((one[1][c] == again[1][c]).all() for c in one[1])
    assert set(np.unique(one[0]["y"])) == {0, 1}


def test_a_child_reads_in_little_memory(tmp_path: Path) -> None:
    path = str(tmp_path / "rows.parquet")
    write(path, BigData(400_000, 1_000), rows_of_group=100_000)
    cost = in_child("benchmarks.big_data:read", path)
    assert cost.value == read(path)
    assert cost.value["rows"] == 400_000
    assert cost.processor_seconds > 0
    assert 0 < cost.peak_mb < MOST_MB


def test_a_child_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"there is no file 'nothing\.parquet'"):
        in_child("benchmarks.big_data:read", "nothing.parquet")
