"""The same design from every kind of table, and clear words about what cannot be used."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mixedmodels.errors import DataError
from mixedmodels.formula import build_design

FORMULA = "y ~ x * f + b + s + k + (x | g) + (1 | k)"


def plain(mixed):
    """Return the columns with the types every kind of table has: strings for factors."""
    return mixed.assign(f=mixed["f"].astype(str), g=mixed["g"].astype(str), s=mixed["s"].astype(str)).drop(
        columns=["o", "h"]
    )


TABLES = {
    "dict of arrays": lambda d: {name: d[name].to_numpy() for name in d},
    "dict of lists": lambda d: {name: d[name].tolist() for name in d},
    "dict of series": lambda d: {name: d[name] for name in d},
    "pandas object": lambda d: d.astype({"f": object, "g": object, "s": object}),
    "pandas string": lambda d: d.astype({"f": "string", "g": "string", "s": "string"}),
    "pandas nullable": lambda d: d.convert_dtypes(),
    "pandas Arrow": lambda d: d.convert_dtypes(dtype_backend="pyarrow"),
    "pandas category": lambda d: d.astype({"f": "category", "g": "category", "k": "category"}).astype(
        {"k": int}
    ),
    "pandas float32 group": lambda d: d.astype({"k": "float32"}),
    "polars": lambda d: pl.DataFrame({name: d[name].to_numpy() for name in d}),
    "polars categorical": lambda d: pl.DataFrame({name: d[name].tolist() for name in d}).with_columns(
        pl.col("f").cast(pl.Enum(["a", "b", "c"])), pl.col("s").cast(pl.Categorical)
    ),
    "pyarrow": lambda d: pa.table({name: d[name].tolist() for name in d}),
    "pyarrow dictionary": lambda d: pa.table(
        {
            name: pa.array(d[name].tolist()).dictionary_encode() if name in "fg" else d[name].tolist()
            for name in d
        }
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_table_gives_the_same_design(mixed, kind):
    data = plain(mixed)
    expected = build_design(FORMULA, data)
    design = build_design(FORMULA, TABLES[kind](data))
    assert design.x_names == expected.x_names
    np.testing.assert_array_equal(design.X, expected.X)
    np.testing.assert_array_equal(design.response.values, expected.response.values)
    for term, other in zip(design.random, expected.random, strict=True):
        assert (term.label, term.levels, term.columns) == (other.label, other.levels, other.columns)
        np.testing.assert_array_equal(term.codes, other.codes)
        assert term.codes.dtype == np.int32
        np.testing.assert_array_equal(term.Z, other.Z)


MISSING_TABLES = {
    "dict": lambda d: {name: [None if pd.isna(v) else v for v in d[name]] for name in d},
    "pandas nullable": lambda d: d.convert_dtypes(),
    "pandas Arrow": lambda d: d.convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda d: pl.DataFrame({name: [None if pd.isna(v) else v for v in d[name]] for name in d}),
    "pyarrow": lambda d: pa.table({name: [None if pd.isna(v) else v for v in d[name]] for name in d}),
}


@pytest.mark.parametrize("kind", MISSING_TABLES)
def test_missing_values_of_every_kind_drop_the_row(mixed, kind):
    data = plain(mixed).astype({"f": object, "g": object, "s": object, "b": object, "k": object})
    for row, name in enumerate(["y", "x", "f", "g", "b", "s", "k"]):
        data.loc[row, name] = None
    design = build_design(FORMULA, MISSING_TABLES[kind](data))
    assert design.missing.kept.tolist() == list(range(7, 48))
    np.testing.assert_array_equal(design.X, build_design(FORMULA, plain(mixed).iloc[7:]).X)


def test_categories_keep_their_order_and_lose_unused_levels(mixed):
    f = pd.Categorical(mixed["f"], categories=["c", "unused", "a", "b"])
    design = build_design("y ~ f + (1 | g)", mixed.assign(f=f))
    assert design.x_names == ("(Intercept)", "fa", "fb")
    table = pl.DataFrame(
        {"y": mixed["y"].to_numpy(), "g": list(mixed["g"]), "f": list(mixed["f"])}
    ).with_columns(pl.col("f").cast(pl.Enum(["c", "unused", "a", "b"])))
    assert build_design("y ~ f + (1 | g)", table).x_names == ("(Intercept)", "fa", "fb")


def test_level_names_of_numbers_are_those_of_R():
    data = {"y": np.arange(6.0), "g": [1e5, 1e5, 0.1, 0.1, 2.0, 2.0], "i": [100000, 100000, 2, 2, 3, 3]}
    design = build_design("y ~ 1 + (1 | g) + (1 | i)", data)
    assert design.random[0].levels == ("0.1", "2", "1e+05")
    assert design.random[1].levels == ("2", "3", "100000")


def test_large_and_negative_integers_group_alike():
    rng = np.random.default_rng(3)
    raw = rng.integers(-5, 5, 200)
    for scale in (1, 10**12):
        design = build_design("y ~ 1 + (1 | g)", {"y": rng.normal(size=200), "g": raw * scale})
        assert design.random[0].levels == tuple(str(v * scale) for v in np.unique(raw))
        np.testing.assert_array_equal(design.random[0].codes, np.unique(raw, return_inverse=True)[1])


@pytest.mark.parametrize(
    "column",
    [
        pd.date_range("2024-01-01", periods=4),
        pd.timedelta_range("1 day", periods=4),
        pd.date_range("2024-01-01", periods=4, tz="UTC"),
        pd.period_range("2024-01", periods=4, freq="M"),
        np.array(["2024-01-01"] * 4, dtype="datetime64[D]"),
    ],
)
def test_dates_are_refused_with_advice(column):
    with pytest.raises(DataError, match="'x' holds dates or times"):
        build_design("y ~ x + (1 | g)", {"y": [1.0, 2, 3, 4], "x": column, "g": [1, 1, 2, 2]})


def test_dates_of_other_tables_are_refused_too():
    import datetime

    days = [datetime.date(2024, 1, d) for d in (1, 2, 3, 4)]
    for make in (pl.DataFrame, pa.table, pd.DataFrame):
        with pytest.raises(DataError, match="'x' holds dates or times"):
            build_design("y ~ x + (1 | g)", make({"y": [1.0, 2, 3, 4], "x": days, "g": [1, 1, 2, 2]}))


@pytest.mark.parametrize(
    ("x", "match"),
    [
        ([1, "a", 2.5, None], "mixture"),
        ([1j, 2j, 3j, 4j], "complex"),
        ([[1], [2], [3], [4, 5]], "mixture|inhomogeneous|mixed"),
        (np.ones((4, 2, 2)), "one-dimensional"),
    ],
)
def test_odd_columns_are_named(x, match):
    if isinstance(x, list) and isinstance(x[0], list):
        x = np.array(x, dtype=object)
    with pytest.raises(DataError, match=match) as caught:
        build_design("y ~ x + (1 | g)", {"y": [1.0, 2, 3, 4], "x": x, "g": [1, 1, 2, 2]})
    assert "'x'" in str(caught.value)


@pytest.mark.parametrize("data", [None, 3, "sleepstudy", [1, 2], np.ones((3, 2)), object()])
def test_what_is_no_table_is_refused(data):
    with pytest.raises(DataError, match="table"):
        build_design("y ~ x + (1 | g)", data)


def test_columns_of_a_dict_must_agree_in_length():
    with pytest.raises(DataError, match=r"differ in length \(y: 3, g: 2\)"):
        build_design("y ~ 1 + (1 | g)", {"y": [1.0, 2, 3], "g": [1, 2]})
    with pytest.raises(DataError, match="'y' is not an array"):
        build_design("y ~ 1 + (1 | g)", {"y": 1.0, "g": [1, 2]})


def test_a_matrix_in_a_dict_is_a_matrix_of_predictors():
    data = {"y": [1.0, 2, 3, 5], "M": np.arange(8.0).reshape(4, 2) ** 2, "g": [1, 1, 2, 2]}
    assert build_design("y ~ M + (1 | g)", data).x_names == ("(Intercept)", "M1", "M2")
    with pytest.raises(DataError, match="matrix-valued"):
        build_design("M ~ y + (1 | g)", data)
    with pytest.raises(DataError, match="grouping factor M is a matrix"):
        build_design("y ~ 1 + (1 | M)", data)


def test_names_from_env(mixed):
    env = {"cutoff": 0.5, "v": np.arange(48.0), "name": "a", "double": lambda x: 2 * x}
    design = build_design("y ~ I(x > cutoff) + v + I(f == name) + double(x) + (1 | g)", mixed, env=env)
    assert design.x_names == ("(Intercept)", "I(x > cutoff)TRUE", "v", "I(f == name)TRUE", "double(x)")
    np.testing.assert_allclose(design.X[:, 4], 2 * mixed["x"])
    with pytest.raises(DataError, match="has length 3"):
        build_design("y ~ v + (1 | g)", mixed, env={"v": [1.0, 2.0, 3.0]})


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.uint64])
def test_integers_of_every_width_group_alike(dtype):
    information = np.iinfo(dtype)
    low, high = max(information.min, -(2**40)), min(information.max, 2**62)
    raw = np.array([high, low, 3, high, low, 3], dtype=dtype)
    design = build_design("y ~ 1 + (1 | g)", {"y": np.arange(6.0), "g": raw})
    assert design.random[0].levels == tuple(str(v) for v in sorted({low, 3, high}))
    assert design.random[0].codes.tolist() == np.unique(raw, return_inverse=True)[1].tolist()


def test_categories_with_one_text_are_refused():
    g = pd.Categorical([1, "1", 2, 1], categories=[1, "1", 2])
    with pytest.raises(DataError, match="'g' have the same text"):
        build_design("y ~ 1 + (1 | g)", {"y": np.arange(4.0), "g": g})


def test_arrow_dictionaries_keep_their_order(mixed):
    codes = pa.array(mixed["f"].astype(str).tolist()).dictionary_encode()
    reordered = pa.DictionaryArray.from_arrays(
        pa.array([2 - i for i in codes.indices.to_pylist()]), pa.array(codes.dictionary.to_pylist()[::-1])
    )
    data = mixed.assign(f=pd.Series(pd.arrays.ArrowExtensionArray(reordered)))
    assert build_design("y ~ f + (1 | g)", data).x_names == ("(Intercept)", "fb", "fa")


def test_categories_of_any_type_are_named_as_in_R():
    data = {"y": np.arange(4.0), "g": [1, 1, 2, 2]}
    for values, names in (
        ([True, False, True, False], ("gFALSE", "gTRUE")),
        ([0.5, 1e5, 0.5, 1e5], ("g0.5", "g1e+05")),
    ):
        assert (
            build_design(
                "y ~ 0 + g + (1 | h)", {**data, "g": pd.Categorical(values), "h": [1, 1, 2, 2]}
            ).x_names
            == names
        )


def test_other_types_of_polars():
    from decimal import Decimal

    table = pl.DataFrame(
        {"y": [1.0, 2, 3, 5], "x": [Decimal("1.5"), Decimal("2"), None, Decimal("4")], "g": [1, 1, 2, 2]}
    )
    assert build_design("y ~ x + (1 | g)", table).X[:, 1].tolist() == [1.5, 2.0, 4.0]
    with pytest.raises(DataError, match="'x'"):
        build_design("y ~ x + (1 | g)", table.with_columns(x=pl.Series([[1], [2], [3], [4]])))


def test_a_factor_of_floats_beyond_fifteen_digits_merges_levels():
    g = np.array([0.1 + 0.2, 0.3, 0.1 + 0.2, 0.5])
    assert build_design("y ~ 1 + (1 | g)", {"y": np.arange(4.0), "g": g}).random[0].levels == ("0.3", "0.5")


def test_missing_parts_of_an_interaction():
    data = {"y": np.arange(6.0), "a": ["p", None, "q", "p", "q", "p"], "b": [1.0, 1, 2, np.nan, 2, 2]}
    design = build_design("y ~ 1 + (1 | a:b)", data)
    assert design.missing.kept.tolist() == [0, 2, 4, 5]
    assert design.random[0].levels == ("p:1", "p:2", "q:2")


def test_masked_arrays_are_missing_where_masked():
    mask = [False, True, False, False]
    for values in ([1.0, 9.0, 2.0, 4.0], [1, 9, 2, 4]):
        data = {"y": [1.0, 2, 3, 5], "x": np.ma.array(values, mask=mask), "g": [1, 1, 2, 2]}
        assert build_design("y ~ x + (1 | g)", data).X[:, 1].tolist() == [1.0, 2.0, 4.0]


def test_a_design_does_not_follow_later_changes_of_the_data():
    data = {"y": np.arange(4.0), "w": np.ones(4), "x": np.arange(4.0) ** 2, "g": np.array([1, 1, 2, 2])}
    design = build_design("y ~ x + (0 + x | g)", data, weights="w", offset="x")
    for column in data.values():
        column[:] = 7
    assert design.response.values.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert design.weights.tolist() == [1.0] * 4
    assert design.offset.tolist() == [0.0, 1.0, 4.0, 9.0]
    assert design.X[:, 1].tolist() == [0.0, 1.0, 4.0, 9.0]
    assert design.random[0].Z[:, 0].tolist() == [0.0, 1.0, 4.0, 9.0]
    assert design.random[0].codes.tolist() == [0, 0, 1, 1]
