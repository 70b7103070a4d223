"""The same rows come through every engine: values, types, missing values, digits."""

from __future__ import annotations

import decimal
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.errors import DataError, NotAvailableError
from mixedmodels.streams import libraries
from mixedmodels.streams.kinds import KINDS
from mixedmodels.streams.open_source import is_stream, open_source
from tests.streams.tables import N, assert_same_rows, rows_of, table, values

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
ds = pytest.importorskip("pyarrow.dataset")

KIND_OF = {
    "y": "float", "gappy": "float", "count": "integer", "id": "integer", "key": "integer", "maybe": "integer",
    "flag": "boolean", "doubt": "boolean", "group": "string", "name": "string", "level": "categorical",
    "when": "datetime",
}  # fmt: skip


def cut(frame: pd.DataFrame, size: int = 4) -> list[pd.DataFrame]:
    return [frame.iloc[k : k + size] for k in range(0, len(frame), size)]


def parquet_path(frame: pd.DataFrame, folder: Path) -> Any:
    frame.to_parquet(folder / "rows.parquet", row_group_size=6)
    return str(folder / "rows.parquet")


def parquet_files(frame: pd.DataFrame, folder: Path) -> Any:
    paths = [folder / f"rows{k}.parquet" for k in range(3)]
    for path, rows in zip(paths, cut(frame, 8), strict=True):
        rows.to_parquet(path)
    return paths


def parquet_glob(frame: pd.DataFrame, folder: Path) -> Any:
    parquet_files(frame, folder)
    return str(folder / "rows*.parquet")


def parquet_folder(frame: pd.DataFrame, folder: Path) -> Any:
    parquet_files(frame, folder)
    (folder / "_SUCCESS").write_text("")
    return folder


def dataset(frame: pd.DataFrame, folder: Path) -> Any:
    return ds.dataset(parquet_path(frame, folder))


def reader(frame: pd.DataFrame, folder: Path) -> Any:
    return pa.Table.from_pandas(frame).to_reader(max_chunksize=7)


def arrow_table(frame: pd.DataFrame, folder: Path) -> Any:
    return pa.concat_tables([pa.Table.from_pandas(f, preserve_index=False) for f in cut(frame)])


def duckdb_relation(frame: pd.DataFrame, folder: Path) -> Any:
    return pytest.importorskip("duckdb").read_parquet(parquet_path(frame, folder))


def polars_lazy(frame: pd.DataFrame, folder: Path) -> Any:
    return pytest.importorskip("polars").scan_parquet(parquet_path(frame, folder))


def polars_frame(frame: pd.DataFrame, folder: Path) -> Any:
    return pytest.importorskip("polars").from_pandas(frame)


def frames(frame: pd.DataFrame, folder: Path) -> Any:
    return cut(frame)


def generator(frame: pd.DataFrame, folder: Path) -> Any:
    return (rows for rows in cut(frame))


def function(frame: pd.DataFrame, folder: Path) -> Any:
    return partial(cut, frame)


def arrow_batches(frame: pd.DataFrame, folder: Path) -> Any:
    return pa.Table.from_pandas(frame).to_batches(max_chunksize=7)


def mapping(frame: pd.DataFrame, folder: Path) -> Any:
    return {name: frame[name].array for name in frame}


def pandas_frame(frame: pd.DataFrame, folder: Path) -> Any:
    return frame


STREAMED = [
    parquet_path, parquet_files, parquet_glob, parquet_folder, dataset, reader, duckdb_relation, polars_lazy,
    frames, generator, function, arrow_batches,
]  # fmt: skip
IN_MEMORY = [arrow_table, polars_frame, mapping, pandas_frame]
ONCE = (reader, generator)
Maker = Callable[[pd.DataFrame, Path], Any]


@pytest.mark.parametrize("make", [*STREAMED, *IN_MEMORY], ids=lambda make: make.__name__)
def test_every_engine_gives_the_rows_as_they_are(make: Maker, tmp_path: Path) -> None:
    frame = table()
    data = make(frame, tmp_path)
    assert is_stream(data) == (make in STREAMED)
    source = open_source(data)
    kinds = source.columns()
    # DuckDB writes pandas' categories as text.
    assert {c: "string" if k == "categorical" else k for c, k in kinds.items()} == {
        c: "string" if k == "categorical" else k for c, k in KIND_OF.items()
    }
    assert set(kinds.values()) <= set(KINDS)
    assert_same_rows(source, frame)


@pytest.mark.parametrize("make", [*STREAMED, *IN_MEMORY], ids=lambda make: make.__name__)
def test_rows_come_again_unless_they_come_once(make: Maker, tmp_path: Path) -> None:
    frame = table()
    source = open_source(make(frame, tmp_path))
    assert source.once == (make in ONCE)
    assert_same_rows(source, frame, ["id", "group"])
    if source.once:
        with pytest.raises(DataError, match="only once"):
            list(source.batches(["id"]))
    else:
        assert_same_rows(source, frame, ["group", "y"])


@pytest.mark.parametrize("make", STREAMED, ids=lambda make: make.__name__)
def test_batches_are_small_and_named(make: Maker, tmp_path: Path) -> None:
    batches = list(open_source(make(table(), tmp_path)).batches(["y", "id"]))
    assert len(batches) >= 3
    assert all(batch.name for batch in batches)
    if make is not polars_lazy:  # sizes are a wish to Polars
        assert max(len(batch.frame) for batch in batches) <= 7


@pytest.mark.parametrize(
    "make", [parquet_path, parquet_files, polars_frame, frames], ids=lambda make: make.__name__
)
def test_integers_have_their_own_types(make: Maker, tmp_path: Path) -> None:
    for batch in open_source(make(table(), tmp_path)).batches(["count", "id", "key", "maybe"]):
        assert batch.frame["count"].dtype == np.int8
        assert batch.frame["id"].dtype == np.int64
        assert batch.frame["key"].dtype == np.uint64
        assert batch.frame["maybe"].dtype in (np.dtype(np.int64), pd.Int64Dtype())


def test_levels_of_a_category_keep_their_order_and_those_that_do_not_occur(tmp_path: Path) -> None:
    for make in (parquet_path, arrow_table, frames):
        for batch in open_source(make(table(), tmp_path)).batches(["level"]):
            assert list(batch.frame["level"].cat.categories) == ["z", "y", "x", "w"]


def test_parts_are_the_rows_once_each(tmp_path: Path) -> None:
    frame = table()
    for make in (parquet_path, parquet_files):
        source = open_source(make(frame, tmp_path))
        parts = source.parts()
        assert parts is not None
        assert len(parts) == len({part.name for part in parts}) >= 3
        found = [v for part in parts for b in part.batches(["key"]) for v in values(b.frame["key"])]
        assert found == values(frame["key"])
    assert parts[0].name.endswith("rows0.parquet, row group 1 of 1")


def test_names_of_directories_are_columns(tmp_path: Path) -> None:
    frame = table().assign(year=[2020 + k % 3 for k in range(N)], site=[f"s/{k % 2}" for k in range(N)])
    pq.write_to_dataset(pa.Table.from_pandas(frame), tmp_path, partition_cols=["year", "site"])
    source = open_source(tmp_path)
    assert {c: source.columns()[c] for c in ("year", "site")} == {"year": "integer", "site": "string"}
    assert_same_rows(source, frame, ["site", "id", "year", "name"])


def test_text_files_are_read_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ["y", "gappy", "id", "flag", "group", "name"]
    big = pd.concat([table()[columns]] * 30, ignore_index=True)
    monkeypatch.setattr("mixedmodels.streams.comma_separated.BLOCK_BYTES", 6000)
    for name, separator in (("rows.csv", ","), ("rows.tsv", "\t"), ("rows.csv.gz", ",")):
        big.to_csv(tmp_path / name, index=False, sep=separator)
        source = open_source(tmp_path / name)
        assert source.columns() == {c: KIND_OF[c] for c in columns}
        assert len(list(source.batches(columns))) > 3
        assert_same_rows(source, big)
    files = open_source([tmp_path / "rows.csv", tmp_path / "rows.csv.gz"])
    assert len(files.parts() or ()) == 2
    assert_same_rows(files, pd.concat([big, big]))


def test_a_dataset_keeps_its_filter(tmp_path: Path) -> None:
    frame = table()
    filtered = dataset(frame, tmp_path).filter(ds.field("count") == 1)
    assert_same_rows(open_source(filtered), frame[frame["count"] == 1])


def test_a_relation_hands_on_its_query(tmp_path: Path) -> None:
    relation = duckdb_relation(table(), tmp_path).filter("flag").project('y * 2 as "twice ""y""", "group"')
    frame = table()[table()["flag"]]
    wanted = pd.DataFrame({'twice "y"': frame["y"] * 2, "group": frame["group"]})
    assert_same_rows(open_source(relation), wanted)


def test_dictionaries_may_differ_from_batch_to_batch() -> None:
    kind = pa.dictionary(pa.int8(), pa.string())
    schema = pa.schema([("g", kind)])
    arrays = [
        pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), pa.array(["a", "b"])),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int8()), pa.array(["b", "c"])),
        # Twice the same level and a missing one among the levels: Arrow allows both.
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int8()), pa.array(["c", "c", None])),
    ]
    batches = [pa.RecordBatch.from_arrays([a], schema=schema) for a in arrays]
    source = open_source(pa.RecordBatchReader.from_batches(schema, batches))
    assert list(rows_of(source, ["g"])["g"]) == ["a", "b", None, "b", "c", "c", "c", "c", None]


def test_decimal_numbers_keep_their_digits() -> None:
    ids = [decimal.Decimal(2**63 - k) for k in (1, 2, 3)]
    long = [decimal.Decimal(10**30 + k) for k in range(3)]
    prices = [decimal.Decimal("0.1"), None, decimal.Decimal("2.5")]
    made = pa.table(
        {
            "id": pa.array(ids, pa.decimal128(38, 0)),
            "long": pa.array(long, pa.decimal128(38, 0)),
            "price": pa.array(prices, pa.decimal128(9, 1)),
        }
    )
    source = open_source(made)
    assert set(source.columns().values()) == {"decimal"}
    found = rows_of(source, ["id", "long", "price"])
    assert list(found["id"]) == [int(v) for v in ids]
    assert list(found["long"]) == long
    assert list(found["price"]) == prices


def test_whole_numbers_that_a_missing_value_made_floats_are_whole() -> None:
    parts = [pd.DataFrame({"g": [1, 2]}), pd.DataFrame({"g": [3, None]}), pd.DataFrame({"g": [None, None]})]
    found = [b.frame["g"] for b in open_source(parts).batches(["g"])]
    assert [str(column.dtype) for column in found] == ["int64", "Int64", "Int64"]
    assert [v for column in found for v in values(column)] == [1, 2, 3, None, None, None]


def test_a_column_without_values_fits_every_kind() -> None:
    none = pd.DataFrame({c: pd.Series([None, None], dtype=object) for c in KIND_OF})
    for parts in ([table(), none], [none, table()]):
        source = open_source(parts)
        assert sum(len(b.frame) for b in source.batches(list(KIND_OF))) == N + 2


def test_python_objects_become_types() -> None:
    frame = pd.DataFrame(
        {
            "s": pd.Series(["a", None, "b"], dtype=object),
            "i": pd.Series([2**62 + 1, None, 3], dtype=object),
            "b": pd.Series([True, None, False], dtype=object),
            "f": pd.Series([1.5, None, 2.5], dtype=object),
        }
    )
    source = open_source([frame])
    assert source.columns() == {"s": "string", "i": "integer", "b": "boolean", "f": "float"}
    assert_same_rows(source, frame)


def test_python_integers_beyond_64_bits_keep_their_digits() -> None:
    ids = pd.DataFrame({"id": pd.Series([2**70 + 1, None, 2**70 + 2], dtype=object)})
    (batch,) = open_source([ids]).batches(["id"])
    assert values(batch.frame["id"]) == [2**70 + 1, None, 2**70 + 2]


COLUMNS = {
    "Int8": st.integers(-128, 127),
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "UInt64": st.integers(0, 2**64 - 1),
    "Float64": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "str": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
}


@st.composite
def chunked(draw: Any) -> tuple[pd.DataFrame, list[int]]:
    """Return a table of random types and values, some missing, and where it is cut."""
    n = draw(st.integers(1, 17))
    dtypes = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4))
    made = {}
    for k, dtype in enumerate(dtypes):
        value = COLUMNS[dtype]
        cells = draw(st.lists(st.one_of(value, st.none()), min_size=n, max_size=n))
        made[f"c{k}"] = pd.Series(cells, dtype="object").astype(dtype)
    cuts = draw(st.lists(st.integers(0, n), max_size=4).map(sorted))
    return pd.DataFrame(made), [0, *cuts, n]


@settings(max_examples=25)
@given(chunked())
def test_any_types_in_any_chunks_come_through_every_engine(case: tuple[pd.DataFrame, list[int]]) -> None:
    frame, cuts = case
    pieces = [frame.iloc[a:b] for a, b in pairwise(cuts)]
    assert_same_rows(open_source(pieces), frame)
    tables = [pa.Table.from_pandas(piece, preserve_index=False) for piece in pieces]
    schema = pa.Table.from_pandas(frame, preserve_index=False).schema
    whole = pa.concat_tables([t.cast(schema) for t in tables])
    assert_same_rows(open_source(whole), frame)
    assert_same_rows(open_source(whole.to_reader(max_chunksize=3)), frame)
    polars = pytest.importorskip("polars")
    assert_same_rows(open_source(polars.from_arrow(whole).lazy()), frame)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/rows.parquet"
        with pq.ParquetWriter(path, schema) as writer:
            for made in whole.to_batches():
                writer.write_batch(made)
        assert_same_rows(open_source(path), frame)


@settings(max_examples=25)
@given(chunked())
def test_any_types_come_through_duckdb(case: tuple[pd.DataFrame, list[int]]) -> None:
    duckdb = pytest.importorskip("duckdb")
    assert_same_rows(open_source(duckdb.from_arrow(pa.Table.from_pandas(case[0]))), case[0])


def test_an_engine_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet_path(table(), tmp_path)

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(libraries.importlib, "import_module", absent)
    with pytest.raises(NotAvailableError, match=r"need pyarrow, .* pip install 'mixedmodels\[arrow\]'"):
        open_source(path)
