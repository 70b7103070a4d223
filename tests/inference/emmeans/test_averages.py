"""Marginal means against averages of predictions, cell by cell, on designs drawn at random."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.inference.emmeans.averaging import average
from mixedmodels.inference.emmeans.reference_grid import reference_grid


def _design(seed, n=60, empty=()):
    """Return unbalanced data of two factors and a covariate, without the cells in `empty`."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "a": rng.choice(["a1", "a2", "a3"], n),
            "b": rng.choice(["b1", "b2"], n),
            "c": rng.choice(["c1", "c2"], n),
            "x": rng.normal(size=n),
            "y": rng.normal(size=n),
        }
    )
    # One row of each cell, so that no level is missing by chance.
    cells = pd.DataFrame(product(["a1", "a2", "a3"], ["b1", "b2"], ["c1", "c2"]), columns=["a", "b", "c"])
    data = pd.concat([data, cells.assign(x=0.3, y=rng.normal(size=len(cells)))], ignore_index=True)
    gone = np.zeros(len(data), dtype=bool)
    for a, b in empty:
        gone |= (data["a"] == a) & (data["b"] == b)
    return data[~gone].reset_index(drop=True)


FORMULAS = (
    "y ~ a * b + c + x",
    "y ~ a + b * c",
    "y ~ a * b * c * x",
    "y ~ a / b + poly(x, 2)",
    "y ~ 0 + a:b",
)


@settings(max_examples=10, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(FORMULAS),
    st.sampled_from(["equal", "proportional", "outer", "cells"]),
)
def test_means_are_averages_of_predictions(seed, formula, weights):
    data = _design(seed)
    model = mm.lm(formula, data)
    names = [name for name in "abc" if name in formula]
    levels = {name: sorted(data[name].unique()) for name in names}
    grid = pd.DataFrame(product(*levels.values()), columns=names).assign(x=data["x"].mean())
    grid["mean"] = np.asarray(model.predict(grid))
    grid["equal"] = 1.0
    grid["cells"] = [float((data[names] == row).all(axis=1).sum()) for row in grid[names].to_numpy()]
    over = names[1:]
    by_cell = grid.groupby(over)["cells"].transform("sum")
    grid["proportional"] = by_cell
    grid["outer"] = np.prod([grid.groupby(name)["cells"].transform("sum") for name in over], axis=0)
    expected = grid.groupby("a").apply(
        lambda d: np.average(d["mean"], weights=d[weights]), include_groups=False
    )
    if "/" in formula and weights in ("proportional", "outer"):
        return  # of nested factors the frequencies within each nest count
    table = mm.emmeans(model, "a", weights=weights).to_frame()
    np.testing.assert_allclose(table["emmean"], expected, atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sets(st.tuples(st.sampled_from(["a1", "a2", "a3"]), st.sampled_from(["b1", "b2"])), max_size=2),
)
def test_what_is_estimable_is_what_lies_in_the_row_space(seed, empty):
    data = _design(seed, empty=empty)
    if data["a"].nunique() < 3:
        return
    with pytest.warns(mm.DataWarning) if empty else _nothing():
        model = mm.lm("y ~ a * b + x", data)
    cells = mm.emmeans(model, ["a", "b"])
    assert cells.to_frame()["emmean"].isna().sum() == len(empty)
    for means in (cells, mm.emmeans(model, "a"), cells.pairs(), mm.emmeans(model, "b").pairs()):
        L = means.functions.L
        X = reference_rows(data)
        rank = np.linalg.matrix_rank(X)
        estimable = np.array([np.linalg.matrix_rank(np.vstack([X, row]), tol=1e-8) == rank for row in L])
        table = means.summary()
        assert table[table.estimate].notna().to_numpy().tolist() == estimable.tolist()


def reference_rows(data):
    """Return the model matrix of ``a * b + x`` with all of its columns, made by hand."""
    a2, a3, b2 = (data["a"] == "a2"), (data["a"] == "a3"), (data["b"] == "b2")
    columns = [np.ones(len(data)), a2, a3, b2, data["x"], a2 & b2, a3 & b2]
    return np.column_stack([np.asarray(column, dtype=float) for column in columns])


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def test_a_contrast_may_be_estimable_where_its_means_are_not():
    # Nobody has a3 with b2, so a3 has no mean over b; within b1 it is compared all the same, and so is the
    # interaction of those cells that are there.
    data = _design(3, empty=[("a3", "b2")])
    with pytest.warns(mm.DataWarning):
        model = mm.lm("y ~ a * b", data)
    means = mm.emmeans(model, "a").to_frame()
    assert means["emmean"].isna().tolist() == [False, False, True]
    cells = data.groupby(["a", "b"])["y"].mean()
    table = mm.emmeans(model, "~ a | b").pairs().to_frame()
    first = table[(table["contrast"] == "a1 - a3") & (table["b"] == "b1")]
    np.testing.assert_allclose(first["estimate"], cells["a1", "b1"] - cells["a3", "b1"])
    assert table[table["b"] == "b2"]["estimate"].isna().tolist() == [False, True, True]
    assert "nonEst" in repr(mm.emmeans(model, "a"))


def test_an_additive_model_fills_its_empty_cells():
    data = _design(4, empty=[("a3", "b2")])
    model = mm.lm("y ~ a + b", data)
    assert mm.emmeans(model, ["a", "b"]).to_frame()["emmean"].notna().all()


def test_means_of_factors_nested_in_others_are_averages_within_their_nests():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"school": np.repeat(["s1", "s2"], [30, 20]), "class": np.repeat(list("uvwxy"), 10)})
    data["y"] = rng.normal(size=50)
    with pytest.warns(mm.DataWarning):
        model = mm.lm("y ~ school / class", data)
    cells = data.groupby(["school", "class"])["y"].mean()
    table = mm.emmeans(model, "school").to_frame()
    np.testing.assert_allclose(table["emmean"], cells.groupby("school").mean())
    inner = mm.emmeans(model, "class")
    assert inner.to_frame()[["class", "school"]].to_numpy().tolist() == [[c, s] for s, c in cells.index]
    assert len(inner.pairs(by="school")) == 3 + 1


def test_labels_used_again_in_each_nest_are_nested_by_the_formula():
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"g": np.repeat(["g1", "g2"], [30, 20]), "i": [*"123" * 10, *"12" * 10]})
    data["y"] = rng.normal(size=50)
    with pytest.warns(mm.DataWarning):
        model = mm.lm("y ~ g / i", data)
    cells = data.groupby(["g", "i"])["y"].mean()
    np.testing.assert_allclose(mm.emmeans(model, "g").to_frame()["emmean"], cells.groupby("g").mean())
    counts = data.groupby("g")["y"].mean()
    np.testing.assert_allclose(mm.emmeans(model, "g", weights="cells").to_frame()["emmean"], counts)
    np.testing.assert_allclose(mm.emmeans(model, "g", weights="proportional").to_frame()["emmean"], counts)


def test_averaging_in_two_steps_is_averaging_at_once():
    model = mm.lm("y ~ a * b * c", _design(8))
    grid = reference_grid(model)
    at_once = average(grid, ["a"]).L
    np.testing.assert_allclose(average(average(grid, ["a", "b"]), ["a"]).L, at_once, atol=1e-14)


def test_a_joint_test_of_a_main_effect_is_type_three():
    # In a saturated design the test compares unweighted means of cells.
    data = _design(9)
    model = mm.lm("y ~ a * b", data)
    cells = data.groupby(["a", "b"])["y"].agg(["mean", "count"])
    L = np.array([[-1, -1, 1, 1, 0, 0], [0, 0, -1, -1, 1, 1]]) / 2.0
    V = L @ np.diag(model.sigma() ** 2 / cells["count"].to_numpy()) @ L.T
    difference = L @ cells["mean"].to_numpy()
    expected = difference @ np.linalg.solve(V, difference) / 2.0
    table = mm.joint_tests(model).set_index("model term")
    assert table.loc["a", "F.ratio"] == pytest.approx(expected, rel=1e-9)
    joint = mm.emmeans(model, "a").pairs().test(joint=True)
    assert joint["F.ratio"].tolist() == pytest.approx([expected], rel=1e-9)
    assert joint["df1"].tolist() == [2]
    assert joint["note"].tolist() == ["d"]


def test_rows_left_out_and_tables_of_other_packages_give_the_same_means():
    pl = pytest.importorskip("polars")
    data = _design(10)
    holes = data.copy()
    holes.loc[5, "x"] = np.nan
    full = mm.emmeans(mm.lm("y ~ a * x + b", data.drop(5)), "a").to_frame()
    pd.testing.assert_frame_equal(mm.emmeans(mm.lm("y ~ a * x + b", holes), "a").to_frame(), full)
    subset = mm.lm("y ~ a * x + b", data.assign(keep=data.index != 5), subset="keep")
    pd.testing.assert_frame_equal(mm.emmeans(subset, "a").to_frame(), full)
    polars = mm.lm("y ~ a * x + b", pl.from_pandas(holes))
    pd.testing.assert_frame_equal(mm.emmeans(polars, "a").to_frame(), full)


def test_a_matrix_and_a_robust_covariance_take_the_place_of_the_models():
    model = mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy"))
    robust = model.vcov("CR2", cluster="Subject")
    at = {"Days": [0, 9]}
    table = mm.emmeans(model, "Days", at=at, vcov=robust).contrast("consec").to_frame()
    assert table["SE"].tolist() == pytest.approx([9.0 * np.sqrt(robust.loc["Days", "Days"])])
    assert table["df"].iloc[0] < 20
    doubled = mm.emmeans(model, "Days", at=at, vcov=4.0 * model.vcov()).to_frame()
    np.testing.assert_allclose(doubled["SE"], 2.0 * mm.emmeans(model, "Days", at=at).to_frame()["SE"])
