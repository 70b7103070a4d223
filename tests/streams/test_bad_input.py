"""What is wrong with one part of a table is said once, with the name of the part."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import DataError
from mixedmodels.streams.open_source import is_stream, open_source
from tests.streams.tables import N, table

pa = pytest.importorskip("pyarrow")


def read(data: Any, columns: list[str]) -> int:
    return sum(len(batch.frame) for batch in open_source(data).batches(columns))


def two_files(folder: Path, second: pd.DataFrame) -> list[str]:
    paths = [str(folder / "a.parquet"), str(folder / "b.parquet")]
    table().to_parquet(paths[0])
    second.to_parquet(paths[1])
    return paths


def test_a_file_without_a_column(tmp_path: Path) -> None:
    paths = two_files(tmp_path, table().rename(columns={"count": "counts"}))
    with pytest.raises(
        DataError, match=r"b\.parquet, row group 1 of 1 has no column 'count' \(did you mean 'counts'"
    ):
        read(paths, ["y", "count"])
    assert read(paths, ["y", "group"]) == 2 * N


def test_a_frame_without_a_column() -> None:
    with pytest.raises(DataError, match=r"frame 2 has no column 'y'"):
        read([table(), table().drop(columns="y")], ["y"])


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("group", np.arange(N), "column 'group' is whole numbers, where the table began with text"),
        ("y", [f"{k}" for k in range(N)], "column 'y' is text, where the table began with numbers"),
        ("flag", np.arange(N) / 2, "column 'flag' is numbers, where the table began with truth values"),
        ("when", np.arange(N), "column 'when' is whole numbers, where the table began with dates"),
        (
            "count",
            np.arange(N) + 0.5,
            "column 'count' has the value 0.5, where the table began with whole numbers",
        ),
        ("y", np.full(N, 2**60 + 1), "column 'y' has whole numbers of more than 15 digits"),
        ("y", [[1.0]] * N, "column 'y' holds"),
    ],
)
def test_a_part_with_other_types(column: str, values: Any, said: str, tmp_path: Path) -> None:
    other = table()
    other[column] = list(values)
    with pytest.raises(DataError, match=rf"b\.parquet, row group 1 of 1: {said}"):
        read(two_files(tmp_path, other), [column])
    with pytest.raises(DataError, match=rf"frame 2: {said}"):
        read([table(), other], [column])


def test_a_damaged_page(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"x": np.random.default_rng(1).normal(size=4000)}).to_parquet(path, row_group_size=1000)
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle - 4000 : middle] = b"\xff" * 4000
    path.write_bytes(bytes(raw))
    with pytest.raises(DataError, match=r"rows\.parquet, row group \d of 4 cannot be read \(.*damaged"):
        read(path, ["x"])


def test_a_file_that_is_cut_short(tmp_path: Path) -> None:
    paths = two_files(tmp_path, table())
    raw = Path(paths[1]).read_bytes()
    for content in (raw[: len(raw) // 2], b""):
        Path(paths[1]).write_bytes(content)
        with pytest.raises(DataError, match=r"b\.parquet cannot be read .*write it again"):
            read(paths, ["y"])


def test_text_that_is_of_another_type_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixedmodels.streams.comma_separated.BLOCK_BYTES", 200)
    path = tmp_path / "rows.csv"
    path.write_text("x,y\n" + "1,2\n" * 200 + "1.5,2\n")
    with pytest.raises(DataError, match=r"rows\.csv, block \d+ cannot be read .*1\.5.*The first block"):
        read(path, ["x"])
    path.write_text("x,y\n" + "1,2\n" * 200 + "1\n")
    with pytest.raises(DataError, match=r"rows\.csv, block \d+ cannot be read .*Expected 2 columns"):
        read(path, ["x"])


def test_text_files_of_other_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    with pytest.raises(DataError, match=r"b\.csv.* has no column 'y'"):
        read(tmp_path, ["y"])


def test_empty_parts_count_for_nothing_and_an_empty_whole_is_an_error(tmp_path: Path) -> None:
    none = table().iloc[:0]
    assert read([none, table(), none, pd.DataFrame(), table()], ["y", "group"]) == 2 * N
    assert read(two_files(tmp_path, none), ["y", "group"]) == N
    none.to_parquet(tmp_path / "none.parquet")
    (tmp_path / "none.csv").write_text("x,y\n")
    empty = pa.Table.from_pandas(none, preserve_index=False)
    for data in ([none], [none, pd.DataFrame()], tmp_path / "none.parquet", empty, empty.to_reader(), none):
        with pytest.raises(DataError, match=r"ha(s|ve) no (rows|frame)"):
            read(data, ["y"])
    with pytest.raises(DataError, match="has no rows"):
        read(tmp_path / "none.csv", ["x"])


def test_files_that_are_not_there_or_of_several_kinds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file 'rows\.parquet'"):
        open_source("rows.parquet")
    with pytest.raises(DataError, match=r"^no file matches '.*\*\.parquet'"):
        open_source(str(tmp_path / "*.parquet"))
    with pytest.raises(DataError, match="has no data files"):
        open_source(tmp_path)
    with pytest.raises(DataError, match="formula comes first"):
        open_source("y ~ x")
    paths = two_files(tmp_path, table())
    with pytest.raises(DataError, match="given twice"):
        open_source([paths[0], *paths])
    (tmp_path / "c.csv").write_text("x\n1\n")
    with pytest.raises(DataError, match=r"several formats: .*a\.parquet is Parquet, .*c\.csv is text"):
        open_source(tmp_path)
    (tmp_path / "rows.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"rows\.xlsx' is read neither as Parquet nor as text"):
        open_source(tmp_path / "rows.xlsx")


@pytest.mark.parametrize("data", [None, 3, np.zeros((2, 2)), pd.Series([1.0]), [1, 2], [], object()])
def test_what_is_no_table(data: Any) -> None:
    assert not is_stream(data)
    with pytest.raises(DataError, match=r"data must be a path, .* not (None|a?n? ?\w+)"):
        open_source(data)


def test_tables_of_other_libraries_are_left_to_those_who_read_tables() -> None:
    class Table:
        columns = ("y",)

        def __iter__(self) -> Any:
            return iter(self.columns)

    assert not is_stream(Table())


def test_other_iterables_of_frames() -> None:
    frames = deque([table(), table()])
    assert is_stream(frames)
    assert read(frames, ["y"]) == 2 * N


def test_iterables_of_something_else() -> None:
    with pytest.raises(DataError, match="frame 1 of the iterable is an int, not a DataFrame"):
        read(iter([1, 2]), ["y"])
    with pytest.raises(DataError, match="must return an iterable of frames, not a DataFrame"):
        read(table, ["y"])


def test_engines_that_fail_while_they_read(tmp_path: Path) -> None:
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    relation = duckdb.sql("select cast(v as int) x from (values ('1'), ('one')) t(v)")
    with pytest.raises(DataError, match=r"the DuckDB relation.* cannot be read \(.*Conversion Error"):
        read(relation, ["x"])
    paths = two_files(tmp_path, table())
    lazy = polars.scan_parquet(paths[1])
    Path(paths[1]).unlink()
    with pytest.raises(DataError, match=r"the lazy frame.* cannot be read"):
        read(lazy, ["y"])
    lazy = polars.LazyFrame({"v": ["1", "one"]}).select(x=polars.col("v").cast(polars.Int64))
    with pytest.raises(DataError, match=r"the lazy frame, batch 1 cannot be read \(.*conversion"):
        read(lazy, ["x"])


def test_a_fragment_without_a_column_is_no_fragment_of_missing_values(tmp_path: Path) -> None:
    dataset = pytest.importorskip("pyarrow.dataset")
    two_files(tmp_path, table().rename(columns={"count": "counts"}))
    with pytest.raises(DataError, match=r"b\.parquet has no column 'count' \(did you mean 'counts'"):
        read(dataset.dataset(tmp_path), ["y", "count"])
    other = table()
    other["y"] = [f"{k}" + "t" for k in range(N)]
    two_files(tmp_path, other)
    with pytest.raises(DataError, match=r"b\.parquet cannot be read"):
        read(dataset.dataset(tmp_path), ["y"])


def test_the_batch_of_a_generalized_model_is_named() -> None:
    d = pd.DataFrame({"y": [0, 1] * 20, "x": np.arange(40.0), "g": [1, 2, 3, 4] * 10})
    with pytest.raises(DataError, match="frame 2: x is infinite"):
        mm.glmer("y ~ x + (1 | g)", [d, d.assign(x=np.inf)], "binomial")


def test_a_relation_of_several_chunks_is_read_twice(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"y": rng.normal(size=9000), "f": ["a", "b", "c"] * 3000, "g": np.arange(9000) % 7})
    d.to_parquet(tmp_path / "d.parquet")
    relation = duckdb.connect().read_parquet(str(tmp_path / "d.parquet"))
    assert mm.lmer("y ~ f + (1 | g)", relation).nobs() == 9000


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("rows.parquet", r"pd\.read_parquet\('rows\.parquet'\)"),
        ([table()], r"pd\.concat\(data\)"),
        (iter([table()]), r"pd\.concat\(data\)"),
        (lambda: [table()], r"pd\.concat\(data\(\)\)"),
        (pa.Table.from_pandas(table()).to_reader(), r"data\.read_all\(\)"),
    ],
)
def test_models_of_rows_say_how_to_make_a_table(data: Any, said: str) -> None:
    for fit in (
        lambda: mm.gls("y ~ count", data),
        lambda: mm.gee("y ~ count", data, groups="group"),
        lambda: mm.mmrm("y ~ count + us(count | group)", data),
        lambda: mm.nlmer("y ~ a * exp(b * count) ~ a | group", data, start={"a": 1.0, "b": 0.0}),
    ):
        with pytest.raises(DataError, match=said):
            fit()
