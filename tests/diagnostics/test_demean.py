"""The split of a predictor into within and between clusters."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


def test_parts_add_up_and_are_those_of_pandas():
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"x": rng.normal(size=50), "z": rng.integers(0, 5, 50), "g": rng.choice(list("abcde"), 50)}
    )
    data.index = data.index[::-1]
    parts = mm.demean(data, ["x", "z"], by="g")
    assert list(parts) == ["x_between", "x_within", "z_between", "z_within"]
    assert parts.index.equals(data.index)
    for name in "xz":
        means = data.groupby("g")[name].transform("mean")
        np.testing.assert_allclose(parts[f"{name}_between"], means)
        np.testing.assert_allclose(parts[f"{name}_within"], data[name] - means, atol=1e-14)


def test_missing_values():
    data = {"x": [1.0, np.nan, 3.0, 5.0, np.nan], "g": ["a", "a", "a", None, "b"]}
    parts = mm.demean(data, "x", by="g")
    np.testing.assert_array_equal(parts["x_between"], [2.0, 2.0, 2.0, np.nan, np.nan])
    np.testing.assert_array_equal(parts["x_within"], [-1.0, np.nan, 1.0, np.nan, np.nan])


def test_the_within_effect_is_that_of_fixed_effects_for_clusters():
    """Bell & Jones (2015): as with an indicator of every cluster."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"g": [f"g{k}" for k in np.repeat(np.arange(20), 6)]})
    level = np.repeat(rng.normal(size=20), 6)
    data["x"] = level + rng.normal(size=120)
    data["y"] = 2 * data.x - 5 * level + rng.normal(size=120)
    both = data.join(mm.demean(data, "x", by="g"))
    mixed = mm.lmer("y ~ x_within + x_between + (1 | g)", both).fixef()
    fixed = mm.lm("y ~ x + g", data).fixef()
    assert mixed["x_within"] == pytest.approx(fixed["x"], rel=1e-8)
    assert mixed["x_between"] < 0 < mixed["x_within"]


@pytest.mark.parametrize(
    ("x", "by", "error", "match"),
    [
        ("y", "g", mm.DataError, "not in the data"),
        ("g", "g", mm.DataError, "holds none"),
        (3, "g", mm.ControlError, "name of a column"),
        ([], "g", mm.ControlError, "name of a column"),
        ("x", None, mm.ControlError, "clusters"),
    ],
)
def test_wrong_arguments(x, by, error, match):
    with pytest.raises(error, match=match):
        mm.demean({"x": [1.0, 2.0], "g": ["a", "b"]}, x, by=by)
