"""Every part of a table counts exactly once, however the work is divided and wherever it stops."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mixedmodels.errors import ControlError, DataError
from mixedmodels.streams.map_parts import ALL_ROWS, Unbroken, map_parts
from mixedmodels.streams.open_source import open_source
from mixedmodels.streams.source import Batch
from tests.streams.tables import N, table

pytest.importorskip("pyarrow")


def total(batches: Iterator[Batch]) -> int:
    """Return the sum of a column; workers import it by name."""
    return sum(int(batch.frame["n"].sum()) for batch in batches)


def add(a: int, b: int) -> int:
    return a + b


@pytest.fixture
def path(tmp_path: Path) -> str:
    frame = table().assign(n=[2**k for k in range(N)])  # every set of rows has a sum of its own
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=1)
    return str(tmp_path / "rows.parquet")


ALL = 2**N - 1


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_parts_count_once(path: str, n_jobs: int) -> None:
    mapped = map_parts(open_source(path), ["n"], total, add, n_jobs=n_jobs)
    assert mapped.complete() == ALL
    assert mapped.finished == tuple(p.name for p in open_source(path).parts() or ())
    assert len(mapped.finished) == N


def test_a_table_without_parts_is_one(path: str) -> None:
    source = open_source([pd.read_parquet(path)])
    assert map_parts(source, ["n"], total, add).finished == (ALL_ROWS,)
    assert map_parts(source, ["n"], total, add).value == ALL
    assert map_parts(source, ["n"], total, add, done=[ALL_ROWS]).value is None


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_part_that_fails_stops_the_map_and_loses_nothing(path: str, n_jobs: int) -> None:
    def failing(batches: Iterator[Batch]) -> int:
        result = 0
        for batch in batches:
            result += int(batch.frame["n"].sum())
            if result >= 2**15:
                raise DataError(f"{batch.name}: no more")
        return result

    mapped = map_parts(open_source(path), ["n"], failing, add, n_jobs=n_jobs)
    assert 0 < len(mapped.finished) < N
    assert mapped.value == 2 ** len(mapped.finished) - 1
    with pytest.raises(DataError, match=r"row group 16 of 23: no more"):
        mapped.complete()
    rest = map_parts(open_source(path), ["n"], total, add, n_jobs=n_jobs, done=mapped.finished)
    assert mapped.value + rest.complete() == ALL
    assert sorted(rest.finished) == sorted(p.name for p in open_source(path).parts() or ())


def test_ctrl_c_while_adding_waits_until_the_part_is_in(path: str) -> None:
    def interrupted(a: int, b: int) -> int:
        if a > 2**10:
            os.kill(os.getpid(), signal.SIGINT)
        return a + b

    mapped = map_parts(open_source(path), ["n"], total, interrupted)
    assert isinstance(mapped.stopped_by, KeyboardInterrupt)
    assert mapped.value == 2 ** len(mapped.finished) - 1 < ALL
    rest = map_parts(open_source(path), ["n"], total, add, done=mapped.finished)
    assert mapped.value + rest.value == ALL


def test_ctrl_c_is_held_back_only_inside() -> None:
    before = signal.getsignal(signal.SIGINT)
    steps: list[int] = []
    with pytest.raises(KeyboardInterrupt), Unbroken():
        os.kill(os.getpid(), signal.SIGINT)
        steps.append(1)
    assert steps == [1]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_column_that_is_not_there(path: str) -> None:
    with pytest.raises(DataError, match=r"the data have no column 'm'"):
        map_parts(open_source(path), ["n", "m"], total, add)


@pytest.mark.parametrize(("name", "value"), [("n_jobs", 0), ("n_jobs", 1.5), ("progress", "yes")])
def test_wrong_options(path: str, name: str, value: Any) -> None:
    with pytest.raises(ControlError, match=name):
        map_parts(open_source(path), ["n"], total, add, **{name: value})
