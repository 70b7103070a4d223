"""Larger data keep the design: what new levels copy, what they are called, and that balance stays."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm

SLEEP = mm.load_dataset("sleepstudy")


def pilot(levels, order, rows=2):
    """Subjects of two treatments, in blocks or in turn, with an age of their own."""
    treatment = ["A", "B"] * levels if order == "turn" else ["A"] * levels + ["B"] * levels
    n = 2 * levels
    return pd.DataFrame(
        {
            "subject": np.repeat(np.arange(1, n + 1), rows),
            "treatment": np.repeat(treatment[:n], rows),
            "age": np.repeat(np.linspace(20.0, 60.0, n), rows),
            "time": np.tile(np.arange(rows), n),
            "y": np.arange(n * rows, dtype=float),
        }
    )


@given(st.integers(1, 6), st.sampled_from(["turn", "blocks"]), st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_every_number_of_levels_keeps_treatments_balanced(levels, order, n):
    data = pilot(levels, order)
    larger = mm.extend(data, subject=n)
    assert larger["subject"].nunique() == n
    assert len(larger) == 2 * n
    per = larger.drop_duplicates("subject")["treatment"].value_counts().reindex(["A", "B"], fill_value=0)
    assert abs(per["A"] - per["B"]) <= 1
    # Every level has the rows of an old one.
    old = {
        tuple(map(tuple, rows[["treatment", "age", "time"]].to_numpy()))
        for _, rows in data.groupby("subject")
    }
    for _, rows in larger.groupby("subject"):
        assert tuple(map(tuple, rows[["treatment", "age", "time"]].to_numpy())) in old
    # The old ones are there as they were, as far as they are there.
    kept = larger[larger["subject"] <= 2 * levels]
    assert kept["y"].tolist() == data[data["subject"].isin(kept["subject"])]["y"].tolist()
    assert larger["subject"].dtype == data["subject"].dtype


def test_names_of_new_levels():
    assert mm.extend(SLEEP, Subject=20)["Subject"].cat.categories[-2:].tolist() == ["373", "374"]
    assert mm.extend({"g": ["s08", "s09"]}, g=4)["g"].tolist() == ["s08", "s09", "s10", "s11"]
    assert mm.extend({"g": ["a", "b"]}, g=5)["g"].tolist() == ["a", "b", "a.2", "b.2", "a.3"]
    assert mm.extend({"d": [0.0, 0.1, 0.2]}, d=5)["d"].tolist() == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert mm.extend({"d": [1, 2, 4]}, d=[1, 2, 4, 8])["d"].tolist() == [1, 2, 4, 8]
    assert mm.extend({"my column": ["u", "v"]}, {"my column": 3})["my column"].nunique() == 3


def test_an_ordered_factor_stays_one():
    data = pd.DataFrame({"g": pd.Categorical(["lo", "hi"], ["lo", "hi"], ordered=True)})
    larger = mm.extend(data, g=3)["g"]
    assert larger.cat.ordered
    assert larger.cat.categories.tolist() == ["lo", "hi", "lo.2"]


def test_classes_within_schools_get_names_of_their_own():
    data = pd.DataFrame({"school": np.repeat(["s1", "s2"], 4), "cls": np.repeat(["c1", "c2", "c3", "c4"], 2)})
    assert mm.extend(data, school=5)["cls"].nunique() == 4
    larger = mm.extend(data, school=5, nested="cls")
    assert larger["cls"].nunique() == 10
    assert larger.drop_duplicates()["cls"].is_unique


@pytest.mark.parametrize("cell", ["Subject + Days", ("Subject", "Days"), "Subject:Days"])
def test_rows_within_cells(cell):
    larger = mm.extend(SLEEP, within={cell: 3})
    assert (larger.groupby(["Subject", "Days"], observed=True).size() == 3).all()
    assert (
        mm.extend(SLEEP, within={"Subject": 4}).groupby("Subject", observed=True)["Days"].max() == 3
    ).all()


def test_other_tables():
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"g": ["a", "b"], "x": [1, 2]})
    assert mm.extend(table, g=4)["x"].tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mm.extend(SLEEP, subject=40), mm.DataError, "no column 'subject'; the columns are Reaction"),
        (lambda: mm.extend(SLEEP, Subject=0), mm.ControlError, "number of levels of Subject must be a whole"),
        (lambda: mm.extend(SLEEP, Subject="many"), mm.ControlError, "must be a whole number"),
        (lambda: mm.extend(SLEEP, Subject=["a", "a"]), mm.ControlError, "different from each other"),
        (
            lambda: mm.extend({"d": [1, 2, 4]}, d=5),
            mm.DataError,
            r"1, 2, 4\) are not evenly spaced.*d=\[...\]",
        ),
        (lambda: mm.extend({"g": ["a", None]}, g=3), mm.DataError, "g has missing values"),
        (lambda: mm.extend(SLEEP, 40), mm.ControlError, "levels must be a dict"),
        (lambda: mm.extend(SLEEP, within=4), mm.ControlError, "within must be a dict"),
        (lambda: mm.extend(SLEEP, within={"Day": 4}), mm.DataError, "no column 'Day'"),
        (lambda: mm.extend(SLEEP, within={"Days": 0}), mm.ControlError, "rows within must be a whole"),
        (lambda: mm.extend("sleepstudy", Subject=3), mm.DataError, "table"),
    ],
)
def test_what_is_wrong_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
