"""Pictures of residuals: the smooth line is R's, the tables are those of residuals()."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import mixedmodels as mm
from mixedmodels.plots.binned_residuals import binned
from mixedmodels.plots.lowess import MOST_POINTS, PLACES, lowess

# R's cars, and lowess(cars) at its distinct speeds.
SPEED = np.repeat(
    [4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25],
    [2, 2, 1, 1, 3, 2, 4, 4, 4, 3, 2, 3, 4, 3, 5, 1, 1, 4, 1],
).astype(float)
DIST = np.array(
    [2, 10, 4, 22, 16, 10, 18, 26, 34, 17, 28, 14, 20, 24, 28, 26, 34, 34, 46, 26, 36, 60, 80, 20, 26, 54,
     32, 40, 32, 40, 50, 42, 56, 76, 84, 36, 46, 68, 32, 48, 52, 56, 64, 66, 54, 70, 92, 93, 120, 85],
    dtype=float,
)  # fmt: skip
R_LOWESS = [
    4.965459, 13.124495, 15.858633, 18.579691, 21.280313, 24.129277, 27.119549, 30.027276, 32.962506,
    36.757728, 40.435075, 43.463492, 46.885479, 50.793152, 56.491224, 67.585824, 73.079695, 78.643164,
    84.328698,
]  # fmt: skip


def test_lowess_is_rs():
    at, line = lowess(SPEED, DIST)
    np.testing.assert_array_equal(at, np.unique(SPEED))
    np.testing.assert_allclose(line, R_LOWESS, atol=1e-6)


@settings(max_examples=30)
@given(
    st.integers(2, 300), st.floats(-5, 5), st.floats(0.05, 1.0), st.integers(0, 10_000), st.floats(-1e6, 1e6)
)
def test_lowess_of_a_straight_line_is_the_line(n, slope, span, seed, place):
    x = place + np.random.default_rng(seed).normal(size=n)
    at, line = lowess(x, 3.0 + slope * x, span)
    assert len(at) <= PLACES
    np.testing.assert_allclose(line, 3.0 + slope * at, atol=1e-5 * (1.0 + abs(slope * place)))


def test_lowess_of_ties_outliers_and_many_rows():
    at, line = lowess(np.zeros(5), np.arange(5.0))
    assert (at.tolist(), line.tolist()) == ([0.0], [2.0])
    rng = np.random.default_rng(1)
    two = lowess(np.repeat([0.0, 1.0], 50), np.repeat([1.0, 3.0], 50), 0.3)
    np.testing.assert_allclose(two, [[0.0, 1.0], [1.0, 3.0]])
    x = rng.uniform(size=3 * MOST_POINTS)
    at, line = lowess(x, np.sin(6.0 * x) + 0.1 * rng.normal(size=len(x)), 0.1)
    np.testing.assert_allclose(line, np.sin(6.0 * at), atol=0.05)
    y = 2.0 * SPEED
    y[10] = 1e4
    assert np.abs(lowess(SPEED, y)[1] - 2.0 * np.unique(SPEED)).max() < 1e-6


@pytest.mark.parametrize("name", ["sleepstudy", "cbpp_agq9", "grouseticks"])
def test_residuals_are_those_of_the_accessor(name, fitted):
    model = fitted(name)
    for type in ("pearson", "deviance", "studentized"):
        data = mm.plot_residuals(model, type=type).data
        expected = model.residuals(type, scaled=type != "studentized")
        pd.testing.assert_series_equal(data["residual"], expected, check_names=False)
    np.testing.assert_allclose(data.iloc[:, 0], model.linear_predictor)
    root = mm.plot_scale_location(model).data["root"]
    np.testing.assert_allclose(root**2, model.residuals("pearson", scaled=True).abs())


def test_residuals_along_a_covariate_and_a_factor(fitted, data):
    model = fitted("sleepstudy")
    along = mm.plot_residuals(model, "Days")
    assert along.get_xlabel() == "Days"
    np.testing.assert_array_equal(along.data["Days"], data("sleepstudy")["Days"])
    boxes = mm.plot_residuals(model, "Subject")
    assert [t.get_text() for t in boxes.get_xticklabels()] == [
        str(s) for s in data("sleepstudy")["Subject"].unique()
    ]
    with pytest.raises(mm.ControlError, match="no variable 'Dys'; it has Reaction, Days, Subject"):
        mm.plot_residuals(model, "Dys")
    with pytest.raises(mm.ControlError, match="span must lie between 0 and 1"):
        mm.plot_residuals(model, span=3)
    with pytest.raises(mm.ControlError, match="type"):
        mm.plot_qq(model, type="person")


def test_rows_that_were_dropped_are_not_drawn(data):
    frame = data("sleepstudy")
    frame.loc[frame.index[[3, 70]], "Reaction"] = np.nan
    for action in ("omit", "exclude"):
        model = mm.lmer("Reaction ~ Days + (Days | Subject)", frame, na_action=action, subset="Days > 0")
        for x in (None, "Days", "Subject"):
            assert len(mm.plot_residuals(model, x).data) == model.nobs()
    frame.index = np.zeros(len(frame), dtype=int)
    model = mm.lmer("Reaction ~ Days + (Days | Subject)", frame)
    np.testing.assert_array_equal(
        mm.plot_residuals(model, "Days").data["Days"], np.delete(frame["Days"], [3, 70])
    )


def test_quantiles_are_normal_ones(fitted):
    data = mm.plot_qq(fitted("sleepstudy")).data
    residual = fitted("sleepstudy").residuals("pearson", scaled=True).sort_values()
    pd.testing.assert_series_equal(data["residual"], residual, check_names=False)
    np.testing.assert_allclose(data["quantile"], stats.norm.ppf((np.arange(180) + 0.5) / 180))


def test_diagnostics_hold_all_three_tables(fitted):
    data = mm.plot_diagnostics(fitted("sleepstudy")).data
    assert data.groupby("panel").size().tolist() == [180, 180, 180]


@settings(max_examples=25)
@given(st.integers(2, 400), st.integers(2, 40), st.integers(0, 10_000), st.booleans())
def test_bins_hold_every_row_once_and_ties_together(n, bins, seed, tied):
    rng = np.random.default_rng(seed)
    x, residual = rng.normal(size=n), rng.normal(size=n)
    x = np.round(x) if tied else x
    found = binned(x, residual, bins)
    assert found["n"].sum() == n
    assert len(found) <= bins
    np.testing.assert_allclose((found["n"] * found["residual"]).sum(), residual.sum(), atol=1e-9)
    assert found["x"].is_monotonic_increasing
    if not tied and n >= bins:
        assert found["n"].max() - found["n"].min() <= 1


def test_binned_residuals_are_means_of_raw_ones(data):
    frame = data("Contraception")
    model = mm.glmer("use ~ age + urban + (1 | district)", frame, "binomial")
    table = mm.plot_binned_residuals(model, "age", bins=5).data
    raw = (frame["use"] == "Y").astype(float) - model.fitted()
    ranks = frame["age"].rank(method="min") - 1
    own = raw[(ranks * 5 // len(frame)) == 2]
    np.testing.assert_allclose(table.loc[2, "residual"], own.mean())
    np.testing.assert_allclose(table.loc[2, "bound"], 2.0 * own.std() / np.sqrt(len(own)))
    assert len(mm.plot_binned_residuals(model).data) == int(np.sqrt(len(frame)))
    with pytest.raises(mm.ControlError, match="bins must be a number above 1"):
        mm.plot_binned_residuals(model, bins=1)
    with pytest.raises(mm.ControlError, match="numeric variable, and urban is none"):
        mm.plot_binned_residuals(model, "urban")


def test_scaled_residuals_against_uniform_quantiles():
    rng = np.random.default_rng(3)
    residual = pd.Series(rng.uniform(size=500), index=range(100, 600))
    fitted = rng.normal(size=500)
    picture = mm.plot_scaled_residuals(residual, fitted)
    data = picture.data
    np.testing.assert_allclose(np.sort(data["expected"]), np.arange(1, 501) / 501)
    assert data["expected"].rank().equals(data["residual"].rank())
    assert list(data.index) == list(residual.index)
    np.testing.assert_allclose(data[["q25", "q50", "q75"]].mean(), [0.25, 0.5, 0.75], atol=0.05)
    assert f"{stats.kstest(residual, 'uniform').pvalue:.3g}" in picture.panels[0].get_title()
    # A spread that grows along the fit pulls the quartiles apart.
    wide = np.clip(0.5 + (residual - 0.5) * 2.0 * stats.rankdata(fitted) / 500, 0.0, 1.0)
    grown = mm.plot_scaled_residuals(wide, fitted).data.sort_values("rank")
    spread = grown["q75"] - grown["q25"]
    assert spread.iloc[-1] > 4.0 * spread.iloc[0]


def test_scaled_residuals_that_are_none():
    with pytest.raises(mm.DataError, match="between 0 and 1"):
        mm.plot_scaled_residuals([0.5, 1.5], [1, 2])
    with pytest.raises(mm.DataError, match="between 0 and 1"):
        mm.plot_scaled_residuals([0.5, np.nan], [1, 2])
    with pytest.raises(mm.DataError, match="one number a row"):
        mm.plot_scaled_residuals([0.5, 0.6], [1])
    with pytest.raises(mm.DataError, match="must be numbers"):
        mm.plot_scaled_residuals(["a"], [1])


def test_scaled_residuals_of_a_model(fitted):
    scaled = mm.scaled_residuals(fitted("cbpp_agq9"), rng=1)
    data = mm.plot_scaled_residuals(scaled).data
    pd.testing.assert_series_equal(data["residual"], scaled.residuals, check_names=False)
    np.testing.assert_allclose(data["fitted"], scaled.fitted)
    along = mm.plot_scaled_residuals(scaled, np.arange(56)).data
    np.testing.assert_array_equal(along["fitted"], np.arange(56))
    with pytest.raises(mm.ControlError, match=r"as in plot_scaled_residuals\(scaled_residuals\(m\)\)"):
        mm.plot_scaled_residuals(fitted("cbpp_agq9"))
    with pytest.raises(mm.ControlError, match="needs fitted"):
        mm.plot_scaled_residuals([0.5])
