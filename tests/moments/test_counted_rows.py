"""Equal rows of a stream are counted exactly, whatever its columns hold and however it is cut."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.formula.design import counted_rows
from mixedmodels.formula.design.counted_rows import CountedRows, distinct_codes
from mixedmodels.streams.kinds import kind_of_dtype

KINDS = {
    "i": "integer", "f": "float", "b": "boolean", "t": "string", "c": "categorical", "o": "ordered",
    "n": "integer", "d": "datetime",
}  # fmt: skip


def a_table(rng, n):
    """Return a table with columns of every kind, values missing in most."""
    missing = rng.random((4, n)) < 0.1
    return pd.DataFrame(
        {
            "i": rng.integers(-3, 3, n),
            "f": np.where(missing[0], np.nan, rng.integers(0, 3, n) / 4),
            "b": rng.random(n) < 0.5,
            "t": pd.Categorical(np.where(missing[1], None, rng.choice(["x", "y", "z"], n))),
            "c": pd.Categorical(rng.choice(["lo", "hi"], n), ["lo", "mid", "hi"]),
            "o": pd.Categorical(rng.choice(["s", "l"], n), ["s", "l"], ordered=True),
            "n": pd.arrays.IntegerArray(rng.integers(0, 2, n), missing[2]),
            "d": pd.to_datetime(rng.choice(["2020-01-01", "2021-02-03"], n)).where(~missing[3]),
        }
    )


def counted(pieces):
    rows = CountedRows(KINDS)
    for piece in pieces:
        rows.add(piece)
    return rows


def as_counts(table, counts):
    """Return the rows of a table as text, with how often each occurs."""
    keys = ["|".join("NA" if pd.isna(v) else str(v) for v in row) for row in table.astype(object).to_numpy()]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, counts.tolist(), strict=True))


def right_counts(table):
    keys = ["|".join("NA" if pd.isna(v) else str(v) for v in row) for row in table.astype(object).to_numpy()]
    return pd.Series(keys).value_counts().to_dict()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.lists(st.integers(0, 60), max_size=4), st.booleans())
def test_any_partition_gives_the_counts_of_the_whole(seed, n, cuts, is_absorbed):
    table = a_table(np.random.default_rng(seed), n)
    ends = [0, *sorted(min(c, n) for c in cuts), n]
    pieces = [table.iloc[a:b].reset_index(drop=True) for a, b in itertools.pairwise(ends)]
    if is_absorbed:
        rows = CountedRows(KINDS)
        for piece in pieces:
            rows.absorb(counted([piece]))
    else:
        rows = counted(pieces)
    found, counts = rows.table()
    assert rows.n_rows == n
    assert as_counts(found, counts) == right_counts(table)
    assert {name: kind_of_dtype(found[name].dtype) for name in "ibcod"} == {k: KINDS[k] for k in "ibcod"}
    assert list(found["c"].cat.categories) == ["lo", "mid", "hi"]


def test_sums_are_the_same_by_table_by_sorting_and_by_many_keys(monkeypatch):
    rng = np.random.default_rng(3)
    columns = [rng.integers(0, size, 500) for size in (4, 3, 5)]
    counts = rng.integers(1, 9, 500)
    right = pd.DataFrame(dict(enumerate(columns))).assign(n=counts).groupby([0, 1, 2])["n"].sum()
    for name, value in (("CELLS_PER_ROW", 8), ("CELLS_PER_ROW", 0), ("MOST_COMBINATIONS", 0)):
        monkeypatch.setattr(counted_rows, name, value)
        rows, times = distinct_codes(columns, [4, 3, 5], counts)
        assert times.tolist() == right.tolist()
        assert list(zip(*(row.tolist() for row in rows), strict=True)) == list(right.index)
        ones = distinct_codes([c.copy() for c in columns], [4, 3, 5], None)[1]
        assert ones.sum() == 500
        assert len(ones) == len(right)


def test_rows_that_wait_are_merged_and_memory_stays_that_of_different_rows(monkeypatch):
    monkeypatch.setattr(counted_rows, "ROWS_THAT_WAIT", 50)
    monkeypatch.setattr(counted_rows, "MOST_CELLS", 0)
    rng = np.random.default_rng(1)
    rows = CountedRows({"x": "integer", "g": "integer"})
    for _ in range(40):
        rows.add(pd.DataFrame({"x": rng.integers(0, 3, 30), "g": rng.integers(0, 5, 30)}))
        assert len(rows) <= 15 + 80
    table, counts = rows.table()
    assert (len(table), counts.sum()) == (15, 1200)


def test_numbers_that_differ_in_every_row_are_held_as_they_are(monkeypatch):
    monkeypatch.setattr(counted_rows, "MOST_NUMBERS", 10)
    x = np.random.default_rng(2).standard_normal(100)
    x[7] = np.nan
    rows, others = CountedRows({"x": "float", "g": "integer"}), CountedRows({"x": "float", "g": "integer"})
    frame = pd.DataFrame({"x": x, "g": np.arange(100) % 3})
    rows.add(frame[:4])
    rows.add(frame[4:60])
    others.add(frame[60:63])
    rows.absorb(others)
    rows.add(frame[63:])
    table, counts = rows.table()
    both = table.sort_values(["x", "g"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(both, frame.sort_values(["x", "g"]).reset_index(drop=True))
    assert (counts == 1).all()


def test_more_rows_than_memory_should_hold_are_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(counted_rows, "MOST_BYTES", 1000)
    d = pd.DataFrame(
        {"y": [0, 1] * 200, "x": np.linspace(0, 1, 400), "g": np.arange(400) % 20, "h": np.arange(400) % 7}
    )
    with pytest.raises(mm.errors.DataError, match=r"frame 1: 400 rows have 400 different.*Round"):
        mm.glmer("y ~ x + (1 | g) + (1 | h)", [d], "binomial")
