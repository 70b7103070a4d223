"""Grouping values are compared as themselves, whatever their type, with missing ones and on new data."""

import datetime
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels import lmer, load_dataset
from mixedmodels.errors import DataError, DataWarning
from mixedmodels.formula import build_design
from mixedmodels.formula.design.new_data import group_labels, random_matrices

ID = 1234567890123456789
CODES = np.repeat(np.arange(6), 3)

# Six ids of each kind, in increasing order; float64 would merge the whole ones beyond 2**53.
KINDS = {
    "int64": lambda c: ID + c,
    "negative": lambda c: c - ID,
    "smallest": lambda c: np.iinfo(np.int64).min + c,
    "uint64": lambda c: np.uint64(2**63 + 5) + c.astype(np.uint64),
    "int8": lambda c: (c - 128).astype(np.int8),
    "nullable": lambda c: pd.array(ID + c, dtype="Int64"),
    "nullable unsigned": lambda c: pd.array(np.uint64(2**63) + c.astype(np.uint64), dtype="UInt64"),
    "Arrow integers": lambda c: pd.array(ID + c, dtype="int64[pyarrow]"),
    "objects": lambda c: np.array([ID + int(v) for v in c], dtype=object),
    "longer than 64 bits": lambda c: [2**70 + int(v) for v in c],
    "list of unsigned": lambda c: [2**63 + int(v) for v in c],
    "decimals": lambda c: [Decimal(ID + int(v)) / 1000 for v in c],
    "Arrow decimals": lambda c: pd.array(
        [Decimal(ID + int(v)) for v in c], dtype=pd.ArrowDtype(pa.decimal128(30, 2))
    ),
    "floats of 16 digits": lambda c: 1e15 + c,
    "fractions": lambda c: 0.1234567890123456 + c * 1e-16,
    "strings": lambda c: [str(ID + int(v)) for v in c],
    "bytes": lambda c: [b"id %d" % v for v in c],
    "UUIDs": lambda c: [uuid.UUID(int=int(v)) for v in c],
    "days": lambda c: [datetime.date(2024, 1, 1 + int(v)) for v in c],
    "nanoseconds": lambda c: pd.to_datetime(ID + c),
    "nanoseconds in a zone": lambda c: pd.to_datetime(ID + c, utc=True).tz_convert("Europe/Paris"),
    "spans": lambda c: pd.to_timedelta(ID + c),
    "periods": lambda c: pd.PeriodIndex(pd.period_range("2024-01", periods=6, freq="M")[c]),
    "categories of integers": lambda c: pd.Categorical(ID + c),
    "categories of floats": lambda c: pd.Categorical(1e15 + c),
    "categories of decimals": lambda c: pd.Categorical([Decimal(ID + int(v)) for v in c]),
    "categories of days": lambda c: pd.Categorical(pd.Timestamp("2024-01-01") + pd.to_timedelta(c, unit="D")),
}
Y = np.sin(np.arange(18.0))


def grouped(kind, missing):
    ids = pd.Series(KINDS[kind](CODES))
    if missing:
        dtype = ids.dtype
        ids = ids.astype(object if isinstance(dtype, np.dtype) and dtype.kind in "iu" else dtype)
        ids[3] = None
    return pd.DataFrame({"y": Y, "g": ids, "h": np.tile(["p", "q", "r"], 6)})


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_id_is_a_level(kind, missing):
    data = grouped(kind, missing)
    kept = np.delete(CODES, 3) if missing else CODES
    for text, n_levels in (("g", 6), ("factor(g)", 6), ("g:h", len(kept)), ("h:g", len(kept))):
        design = build_design(f"y ~ 1 + (1 | {text})", data)
        (term,) = design.random
        assert len(set(term.levels)) == term.n_levels == n_levels
        if n_levels == 6:
            np.testing.assert_array_equal(term.codes, kept)
        rows = data.iloc[[0, 17, 9]]
        ((_, codes),) = random_matrices(design, rows)
        found = [design.index.get_loc(row) for row in rows.index]
        np.testing.assert_array_equal(codes, term.codes[found])


def test_new_rows_with_a_missing_id_find_the_others():
    data = pd.DataFrame({"y": Y, "g": 100000 * (1 + CODES)})
    design = build_design("y ~ 1 + (1 | g) + (1 | g:factor(g))", data)
    assert design.random[0].levels[0] == "100000"
    new = pd.DataFrame({"g": [100000.0, np.nan, 600000.0]})  # what pandas makes of integers with a gap
    for _, codes in random_matrices(design, new):
        assert codes.tolist() == [0, -1, 5]
    floats = build_design("y ~ 1 + (1 | g)", data.astype({"g": float}))
    assert floats.random[0].levels[0] == "1e+05"
    ((_, codes),) = random_matrices(floats, pd.DataFrame({"g": [600000, 100000]}))
    assert codes.tolist() == [5, 0]
    texts = build_design("y ~ 1 + (1 | g)", data.astype({"g": str}))
    ((_, codes),) = random_matrices(texts, new)
    assert codes.tolist() == [0, -1, 5]


def test_an_id_that_was_not_there_is_new_and_named_by_all_its_digits():
    design = build_design("y ~ 1 + (1 | g)", {"y": Y, "g": ID + 2 * CODES})
    for new in (pd.DataFrame({"g": [ID + 1, ID]}), pl.DataFrame({"g": [ID + 1, ID]})):
        ((_, codes),) = random_matrices(design, new)
        assert codes.tolist() == [-1, 0]
        assert group_labels(design.recipe, design.recipe.random[0].group, new)[0] == str(ID + 1)


TABLES = {
    "dict": dict,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
    "pyarrow dictionary": lambda d: pa.table({**d, "g": pa.array(d["g"]).dictionary_encode()}),
}


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_other_tables_keep_every_digit(make):
    ids = [ID + int(c) for c in CODES]
    ids[3] = None
    design = build_design("y ~ 1 + (1 | g)", make({"y": Y.tolist(), "g": ids}))
    assert design.random[0].levels == tuple(str(ID + c) for c in range(6))


def test_lists_do_not_turn_ids_into_floats_nor_gaps_into_levels():
    data = {"y": Y, "g": [float("nan") if i == 3 else ID + int(c) for i, c in enumerate(CODES)]}
    assert build_design("y ~ 1 + (1 | g)", data).random[0].n_levels == 6
    data["g"] = [float("nan") if i == 3 else f"s{c}" for i, c in enumerate(CODES)]
    assert build_design("y ~ 1 + (1 | g)", data).random[0].levels == ("s0", "s1", "s2", "s3", "s4", "s5")
    data["g"] = ["a", 1] * 9
    with pytest.raises(DataError, match="mixture"):
        build_design("y ~ 1 + (1 | g)", data)


@pytest.mark.parametrize("missing", [False, True])
def test_the_fit_is_that_of_the_groups(missing):
    sleep = load_dataset("sleepstudy")
    ids = pd.array(ID + sleep["Subject"].cat.codes.to_numpy().astype(np.int64), dtype="Int64")
    rows = np.delete(np.arange(180), 3) if missing else np.arange(180)
    if missing:
        ids[3] = pd.NA
    m = lmer("Reaction ~ Days + (Days | ID)", sleep.assign(ID=ids))
    right = lmer("Reaction ~ Days + (Days | Subject)", sleep.iloc[rows])
    assert m.REMLcrit() == pytest.approx(right.REMLcrit(), abs=1e-8)
    assert m.ngrps() == {"ID": 18}


whole = st.integers(-(2**80), 2**80) | st.integers(2**63 - 3, 2**63 + 3) | st.integers(2**53 - 3, 2**53 + 3)
decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20)
floats = st.floats(-1e4, 1e4, width=16) | st.integers(10**15, 10**15 + 50).map(float)


@given(
    st.one_of(
        *(
            st.lists(kind, min_size=2, max_size=12, unique=True)
            for kind in (whole, decimals, floats, st.text())
        )
    ),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_codes_are_the_partition_by_equality(values, data):
    rows = data.draw(st.lists(st.sampled_from([*values, None]), min_size=3, max_size=20))
    known = [v for v in rows if v is not None]
    if len(set(known)) < 2:
        return
    design = build_design("y ~ 1 + (1 | g)", {"y": np.arange(float(len(rows))), "g": [*rows]})
    (term,) = design.random
    expected = np.unique([sorted(set(known)).index(v) for v in known], return_inverse=True)[1]
    np.testing.assert_array_equal(term.codes, expected)
    ((_, codes),) = random_matrices(design, {"g": [*known, None]})
    np.testing.assert_array_equal(codes, [*expected, -1])


def test_ids_in_conditions_and_arithmetic_are_exact():
    data = pd.DataFrame({"y": Y, "g": CODES, "id": ID + CODES})
    assert build_design("y ~ 1 + (1 | g)", data, subset=f"id != {ID + 1}").n_rows == 15
    assert build_design("y ~ 1 + (1 | g)", data, subset=f"id %in% c({ID + 1}, {ID + 2})").n_rows == 6
    assert build_design("y ~ 1 + (1 | g)", data, subset=f"id > {ID + 3}").n_rows == 6
    X = build_design(f"y ~ I(id - {ID}) + (1 | g)", data).X
    np.testing.assert_array_equal(X[:, 1], CODES)
    for text in ("I(id %% 6)", "as.numeric(id)", "as.integer(id)", "ifelse(id > 5, id, 0)"):
        assert build_design(f"y ~ 1 + (1 | {text})", data).random[0].n_levels == 6
    assert build_design("y ~ 1 + (1 | factor(id %/% 2))", data).random[0].n_levels == 4


def test_decimals_of_rounding_are_one_level_and_twins_are_told():
    pair = {"y": np.arange(4.0), "g": [0.1 + 0.2, 0.3, 0.5, 0.5]}
    assert build_design("y ~ 1 + (1 | g)", pair).random[0].levels == ("0.3", "0.5")
    pair["g"] = [1 / 3, 1 - 2 / 3, 0.5, 0.5]
    with pytest.warns(DataWarning, match="15th digit"):
        assert build_design("y ~ 1 + (1 | g)", pair).random[0].n_levels == 3


def test_combinations_of_one_name_are_refused():
    data = {"y": Y, "a": ["a:b", "a", "c"] * 6, "b": ["c", "b:c", "c"] * 6}
    with pytest.raises(DataError, match="'a:b:c'"):
        build_design("y ~ 1 + (1 | a:b)", data)
    assert build_design("y ~ 1 + (1 | a)", data).random[0].n_levels == 3


def test_numbers_beyond_every_float_are_refused():
    for value in (10**400, Decimal("1e400")):
        with pytest.raises(DataError, match=r"'g' cannot be read.*digits"):
            build_design("y ~ 1 + (1 | g)", {"y": Y, "g": [value, type(value)(1), type(value)(2)] * 6})
