"""Spark for real, in a session of two threads: rows, partitions mapped where they are, what fails."""

from __future__ import annotations

import decimal
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import DataError
from mixedmodels.streams.map_parts import map_parts
from mixedmodels.streams.open_source import is_stream, open_source
from mixedmodels.streams.source import Batch
from tests.sql.test_moments_sql import assert_same_sums
from tests.sql.test_moments_sql import table as table_of_trials
from tests.streams.tables import N, assert_same_rows, table
from tests.streams.test_map_parts import ALL, add, total

sql = pytest.importorskip("pyspark.sql")
if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
    pytest.skip("Spark needs a Java runtime", allow_module_level=True)
if not os.environ.get("MIXEDMODELS_TEST_SPARK"):
    pytest.skip("a session takes a minute: make test-engines", allow_module_level=True)
# PySpark warns of pandas' newest versions and leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore")

COLUMNS = ["y", "count", "id", "flag", "group", "name", "when"]


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    # Workers of Spark import the package, and these tests, from where they are here.
    root = str(Path(__file__).resolve().parents[2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])))
        builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        settings = {"driver.memory": "1g", "driver.host": "127.0.0.1", "sql.session.timeZone": "UTC"}
        for name, value in settings.items():
            builder = builder.config(f"spark.{name}", value)
        made = builder.getOrCreate()
        made.sparkContext.setLogLevel("OFF")
        yield made
        made.stop()


@pytest.fixture(scope="module")
def data(session: Any) -> Any:
    frame = table()[COLUMNS].assign(n=[2**k for k in range(N)])
    return session.createDataFrame(frame).repartition(3)


def test_rows(data: Any) -> None:
    assert is_stream(data)
    source = open_source(data)
    assert source.columns()["id"] == "integer"
    assert source.columns()["group"] == "string"
    assert_same_rows(source, table(), [c for c in COLUMNS if c != "when"])
    # Spark's timestamps are moments in the time zone of the session.
    for batch in source.batches(["when"]):
        assert set(batch.frame["when"].dt.tz_localize(None)) <= set(table()["when"])


def test_types_of_spark(session: Any) -> None:
    made = session.sql(
        "select cast(12345678901234567890123456789 as decimal(38, 0)) d, cast('2024-02-29' as date) t, "
        "`a.b` from values (1L), (null) as v(`a.b`)"
    )
    source = open_source(made)
    assert source.columns() == {"d": "decimal", "t": "datetime", "a.b": "integer"}
    frame = pd.concat([b.frame for b in source.batches(["d", "t", "a.b"])], ignore_index=True)
    assert list(frame["d"]) == [decimal.Decimal("12345678901234567890123456789")] * 2
    assert str(frame["t"][0].date()) == "2024-02-29"
    assert frame["a.b"].isna().sum() == 1


def test_partitions_are_mapped_once(data: Any) -> None:
    source = open_source(data)
    mapped = map_parts(source, ["n"], total, add)
    assert mapped.complete() == ALL
    assert mapped.finished == ("Spark partition 1", "Spark partition 2", "Spark partition 3")
    rest = map_parts(source, ["n"], total, add, done=mapped.finished[1:])
    first = map_parts(source, ["n"], total, add, done=mapped.finished[:1])
    assert rest.value + first.value == ALL


def wrong(batches: Iterator[Batch]) -> int:
    for batch in batches:
        raise DataError(f"{batch.name}: no")
    return 0


def broken(batches: Iterator[Batch]) -> int:
    return len(list(batches)) // 0


def test_what_fails_is_said_in_one_line(data: Any, session: Any) -> None:
    with pytest.raises(DataError, match=r"^Spark partition \d: no$"):
        map_parts(open_source(data), ["n"], wrong, add).complete()
    with pytest.raises(DataError, match=r"cannot be read \(ZeroDivisionError: .*zero\)"):
        map_parts(open_source(data), ["n"], broken, add).complete()
    with pytest.raises(DataError, match="have no column 'm'"):
        map_parts(open_source(data), ["m"], total, add)
    with pytest.raises(DataError, match=r"cannot be read \(.*CAST_INVALID_INPUT"):
        list(
            open_source(session.sql("select cast(v as int) x from values ('1'), ('one') as t(v)")).batches(
                ["x"]
            )
        )


def test_the_queries_of_sums(session: Any) -> None:
    data = table_of_trials().astype({"year": int, "h": int})
    session.createDataFrame(data).createOrReplaceTempView("trials")
    formula, levels = "log(y) ~ I(x^2) + f + (x | g) + (1 | h)", {"f": ["a", "b", "c"]}
    options = {"weights": "w", "subset": "(x > 3.5 | b) & f != 'c'", "levels": levels}
    queries = mm.moments_sql(formula, "trials", dialect="spark", **options)
    assert_same_sums(mm.Moments.from_sql(queries, session.sql), mm.moments(formula, data, **options))
