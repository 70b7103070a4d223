"""Dask for real: partitions in this process and on a cluster of two processes, one of which dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mixedmodels.errors import DataError
from mixedmodels.streams.map_parts import map_parts
from mixedmodels.streams.open_source import is_stream, open_source
from mixedmodels.streams.source import Batch
from tests.streams.tables import N, assert_same_rows, table
from tests.streams.test_map_parts import ALL, add, total

dd = pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")


def numbered() -> pd.DataFrame:
    return table().assign(n=[2**k for k in range(N)])


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit="1GB", dashboard_address=None, host="127.0.0.1",
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as connected,
    ):  # fmt: skip
        yield connected


def test_rows_and_parts_in_this_process() -> None:
    data = dd.from_pandas(numbered(), npartitions=5)
    source = open_source(data)
    assert is_stream(data)
    assert_same_rows(source, numbered())
    assert map_parts(source, ["n"], total, add).complete() == ALL


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_rows_and_parts_on_a_cluster(client: Any) -> None:
    source = open_source(dd.from_pandas(numbered(), npartitions=5))
    assert_same_rows(source, numbered(), ["id", "group", "maybe", "level"])
    mapped = map_parts(source, ["n"], total, add)
    assert mapped.complete() == ALL
    assert sorted(mapped.finished) == [f"Dask partition {k} of 5" for k in range(1, 6)]
    rest = map_parts(source, ["n"], total, add, done=mapped.finished[:3])
    assert len(rest.finished) == 5
    assert rest.value < ALL


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_worker_that_is_killed_counts_once(client: Any, tmp_path: Path) -> None:
    mark = str(tmp_path / "killed")

    def fatal(batches: Iterator[Batch]) -> int:
        result = total(batches)
        if result >= 2**12 and not os.path.exists(mark):
            open(mark, "w").close()
            os._exit(1)
        time.sleep(0.05)
        return result

    source = open_source(dd.from_pandas(numbered(), npartitions=6))
    mapped = map_parts(source, ["n"], fatal, add)
    assert os.path.exists(mark)
    assert mapped.complete() == ALL
    assert sorted(mapped.finished) == [f"Dask partition {k} of 6" for k in range(1, 7)]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_partition_that_fails_is_named(client: Any) -> None:
    frame = numbered()
    data = dd.from_pandas(frame, npartitions=4, sort=False)

    def other_types(part: pd.DataFrame) -> pd.DataFrame:
        return part.assign(y="text") if part["n"].min() >= 2**12 else part

    changed = data.map_partitions(other_types, meta=frame.iloc[:0])
    said = r"Dask partition \d of 4: column 'y' is text, where the table began with numbers"
    with pytest.raises(DataError, match=said):
        list(open_source(changed).batches(["y"]))
    mapped = map_parts(open_source(changed), ["y", "n"], total, add, retries=0)
    with pytest.raises(DataError, match=said):
        mapped.complete()

    def broken(part: pd.DataFrame) -> pd.DataFrame:
        raise OSError("disk gone")

    failing = data.map_partitions(broken, meta=frame.iloc[:0])
    mapped = map_parts(open_source(failing), ["n"], total, add, retries=0)
    with pytest.raises(DataError, match=r"Dask partition \d of 4 cannot be read \(disk gone\)"):
        mapped.complete()
    assert mapped.finished == ()
