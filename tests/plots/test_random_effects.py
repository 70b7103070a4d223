"""Pictures of random effects: their tables are those of ranef() and of least squares within groups."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm


def test_caterpillar_is_ranef_with_normal_limits(fitted):
    modes = fitted("sleepstudy").ranef().to_frame()
    data = mm.plot_ranef(fitted("sleepstudy"), level=0.9).data
    both = data.merge(modes, on=["grpvar", "term", "grp"], suffixes=("", "_ranef"))
    assert len(both) == len(modes) == 36
    np.testing.assert_array_equal(both["condval"], both["condval_ranef"])
    half = stats.norm.ppf(0.95) * both["condsd_ranef"]
    np.testing.assert_allclose(both["lower"], both["condval"] - half)
    np.testing.assert_allclose(both["upper"], both["condval"] + half)


def test_levels_are_sorted_by_the_first_coefficient_or_by_another_or_not(fitted):
    model = fitted("sleepstudy")
    for sort, column in ((True, "(Intercept)"), ("Days", "Days")):
        data = mm.plot_ranef(model, sort=sort).data
        assert data.loc[data["term"] == column, "condval"].is_monotonic_increasing
        orders = [list(rows["grp"]) for _, rows in data.groupby("term")]
        assert orders[0] == orders[1]
    own = mm.plot_ranef(model, sort=False).data
    assert own["grp"].iloc[:18].tolist() == list(model.ranef()["Subject"].index)[::-1]


def test_every_grouping_factor_has_its_panel_and_one_can_be_chosen(fitted):
    model = fitted("penicillin")
    picture = mm.plot_ranef(model)
    assert [panel.get_title() for panel in picture.panels] == ["(Intercept) | plate", "(Intercept) | sample"]
    assert mm.plot_ranef(model, "sample").data["grp"].nunique() == 6
    assert mm.plot_ranef_qq(model, ["sample"]).data["grpvar"].unique().tolist() == ["sample"]
    with pytest.raises(
        mm.ControlError, match="no grouping factor 'batch'; its grouping factors are plate, sample"
    ):
        mm.plot_ranef(model, "batch")
    with pytest.raises(mm.ControlError, match="no random coefficient 'Days'"):
        mm.plot_ranef(model, columns="Days")
    with pytest.raises(mm.ControlError, match="no random coefficient of Subject"):
        mm.plot_ranef(fitted("sleepstudy"), sort="Dys")


def test_a_variance_of_zero_is_said(fitted):
    assert "variance 0" in mm.plot_ranef(fitted("dyestuff2")).panels[0].get_title()
    assert "variance 0" not in mm.plot_ranef(fitted("dyestuff")).panels[0].get_title()


def test_names_of_too_many_levels_are_left_out(fitted, data):
    few, many = mm.plot_ranef(fitted("dyestuff")), mm.plot_ranef(fitted("grouseticks"), "INDEX")
    assert [text.get_text() for text in few.panels[0].get_yticklabels()] == few.data["grp"].tolist()
    assert many.panels[0].get_ylabel() == "403 levels, in order"


@pytest.mark.parametrize("n", [3, 10, 11, 40])
def test_quantiles_are_those_of_qqnorm(n):
    from mixedmodels.plots.random_effects_qq import normal_quantiles

    a = 3 / 8 if n <= 10 else 1 / 2  # R's ppoints
    np.testing.assert_allclose(
        normal_quantiles(n), stats.norm.ppf((np.arange(1, n + 1) - a) / (n + 1 - 2 * a))
    )


def test_qq_has_every_mode_by_size(fitted):
    data = mm.plot_ranef_qq(fitted("machines")).data
    for _, rows in data.groupby("term"):
        assert rows["condval"].is_monotonic_increasing
        assert rows["quantile"].is_monotonic_increasing
    modes = fitted("machines").ranef().to_frame()
    np.testing.assert_allclose(np.sort(data["condval"]), np.sort(modes["condval"]))


def test_pairs_have_the_modes_and_the_ellipse_of_the_covariance(fitted):
    model = fitted("sleepstudy")
    picture = mm.plot_ranef_pairs(model, level=0.8)
    pd.testing.assert_frame_equal(
        picture.data.set_index("grp")[["(Intercept)", "Days"]], model.ranef()["Subject"], check_names=False
    )
    points = picture.panels[0].lines[0].get_xydata()
    precision = np.linalg.inv(model.term_covariances()[0].covariance)
    squares = np.einsum("ij,jk,ik->i", points, precision, points)
    np.testing.assert_allclose(squares, stats.chi2.ppf(0.8, 2), rtol=1e-8)


def test_pairs_need_two_coefficients(fitted):
    with pytest.raises(mm.NotAvailableError, match=r"Batch has \(Intercept\) alone"):
        mm.plot_ranef_pairs(fitted("dyestuff"))
    assert len(mm.plot_ranef_pairs(fitted("machines")).panels) == 3
    # Terms on one factor are drawn together, with a covariance of zero between them.
    double = mm.plot_ranef_pairs(fitted("sleepstudy_double_bar"))
    ellipse = double.panels[0].lines[0].get_xydata()
    assert abs(np.corrcoef(ellipse[:-1].T)[0, 1]) < 1e-10


@pytest.mark.parametrize("name", ["sleepstudy", "sleepstudy_double_bar"])
def test_shrinkage_goes_from_each_groups_own_regression_to_coef(name, fitted, data):
    model = fitted(name)
    table = mm.plot_shrinkage(model).data
    for term, power in (("(Intercept)", 1), ("Days", 0)):
        own = table[table["term"] == term].set_index("grp")
        for level, rows in data("sleepstudy").groupby("Subject", observed=True):
            slope = np.polyfit(rows["Days"], rows["Reaction"], 1)[power]
            np.testing.assert_allclose(own.loc[str(level), "within"], slope, rtol=1e-8)
        np.testing.assert_allclose(own["conditional"], model.coef()["Subject"].loc[own.index, term])
        np.testing.assert_allclose(own["population"], model.fixef()[term])


def test_shrinkage_of_a_weighted_mean_is_the_textbook_factor(data):
    """One random intercept, weights and an offset: b = (ybar - mu) n / (n + sigma^2 / sigma_b^2)."""
    frame = data("sleepstudy")
    model = mm.lmer("Reaction ~ 1 + (1 | Subject)", frame, weights="w", offset="shift")
    table = mm.plot_shrinkage(model).data.set_index("grp")
    ratio = model.sigma() ** 2 / float(model.term_covariances()[0].covariance[0, 0])
    for level, rows in frame.groupby("Subject", observed=True):
        weight = rows["w"].sum()
        mean = np.average(rows["Reaction"] - rows["shift"], weights=rows["w"])
        own = table.loc[str(level)]
        np.testing.assert_allclose(own["within"], mean, rtol=1e-10)
        moved = own["population"] + (mean - own["population"]) * weight / (weight + ratio)
        np.testing.assert_allclose(own["conditional"], moved, rtol=1e-6)


def test_groups_that_do_not_determine_their_coefficients_have_none(data):
    frame = data("sleepstudy")
    frame = frame[(frame["Subject"] != "308") | (frame["Days"] == 3)]
    table = mm.plot_shrinkage(mm.lmer("Reaction ~ Days + (Days | Subject)", frame)).data
    assert table.loc[table["grp"] == "308", "within"].isna().all()
    assert table.loc[table["grp"] != "308", "within"].notna().all()


def test_other_terms_are_held(fitted, data):
    """Of crossed factors the least squares of one are on the response less the other's effects."""
    model = fitted("penicillin")
    table = mm.plot_shrinkage(model, "sample").data.set_index("grp")
    frame = data("Penicillin")
    plate = model.ranef()["plate"]["(Intercept)"]
    partial = frame["diameter"] - frame["plate"].astype(str).map(plate).astype(float)
    np.testing.assert_allclose(
        table["within"], partial.groupby(frame["sample"].astype(str)).mean()[table.index]
    )


def test_shrinkage_is_of_linear_models(fitted):
    with pytest.raises(mm.NotAvailableError, match="a generalized model has none: plot_ranef"):
        mm.plot_shrinkage(fitted("cbpp_agq9"))
