"""Pictures of profiles: curves, intervals, densities, contours against the likelihood itself."""

import numpy as np
import pytest
from scipy import integrate, stats

import mixedmodels as mm
from mixedmodels.plots.profile_pairs import contour


@pytest.fixture(scope="module")
def profile(fitted):
    return fitted("dyestuff_ml").profile(signames=False)


def test_curves_and_intervals_are_those_of_the_profile(profile):
    data = mm.plot_profile(profile, levels=[0.5, 0.95]).data
    assert data["parameter"].unique().tolist() == list(profile)
    limits = data[data["level"] == 0.95].groupby("parameter", sort=False)["value"].agg(["first", "last"])
    np.testing.assert_allclose(limits, profile.confint(level=0.95), rtol=1e-12)
    sigma = data[(data["parameter"] == "sigma") & data["level"].isna()]
    np.testing.assert_allclose(sigma["zeta"], profile.zeta("sigma", sigma["value"]), atol=1e-12)
    assert (mm.plot_profile(profile, absolute=True).data["zeta"] >= 0.0).all()


def test_a_model_is_profiled_and_named_at_length(fitted):
    data = mm.plot_profile(fitted("dyestuff_ml"), ["sigma", 2]).data
    assert data["parameter"].unique().tolist() == ["sigma", "(Intercept)"]
    # lme4, confint(fm1M): 38.22998 67.6577 for .sigma.
    np.testing.assert_allclose(data.loc[data["level"] == 0.95, "value"][:2], [38.22998, 67.6577], rtol=1e-4)


def test_densities_integrate_to_the_probability_the_curve_covers(profile):
    data = mm.plot_profile_density(profile).data
    for name, rows in data.groupby("parameter"):
        covered = np.diff(stats.norm.cdf(profile[name].zeta[[0, -1]]))[0]
        np.testing.assert_allclose(integrate.simpson(rows["density"], x=rows["value"]), covered, atol=2e-3)


@pytest.mark.parametrize("correlation", [-0.7, 0.0, 0.4, 0.95])
def test_contours_of_a_quadratic_likelihood_are_ellipses(correlation):
    zeta = np.linspace(-4.0, 4.0, 15)
    trace = (zeta, correlation * zeta)
    x, y = contour(trace, trace, 2.0)
    np.testing.assert_allclose((x**2 - 2 * correlation * x * y + y**2) / (1 - correlation**2), 4.0, rtol=1e-9)
    np.testing.assert_allclose([x.max(), y.max()], 2.0, rtol=1e-3)


def test_contours_are_where_the_likelihood_has_fallen(profile, data):
    """-2 log-likelihood of a balanced one-way layout in closed form, minimised over what is not drawn."""
    y = data("Dyestuff")["Yield"].to_numpy().reshape(6, 5)
    within, means = ((y - y.mean(axis=1, keepdims=True)) ** 2).sum(), y.mean(axis=1)

    def deviance(batch_sd, sigma, mu):
        s = sigma**2 + 5 * batch_sd**2
        return 24 * np.log(sigma**2) + within / sigma**2 + 6 * np.log(s) + 5 * ((means - mu) ** 2).sum() / s

    rows = mm.plot_profile_pairs(profile, levels=[0.5, 0.8]).data
    sd = np.linspace(0.0, 200.0, 4001)
    pair = rows[(rows["x"] == "sigma") & (rows["y"] == "(Intercept)")]
    at = {name: value for name, value in zip(profile, profile.estimates, strict=True)}
    best = deviance(*at.values())
    for level, points in pair.groupby("level"):
        rise = [deviance(sd, p.x_value, p.y_value).min() - best for p in points.iloc[::10].itertuples()]
        np.testing.assert_allclose(rise, stats.chi2.ppf(level, 2), rtol=0.03)
    pair = rows[(rows["x"].str.startswith("sd_")) & (rows["y"] == "sigma")]
    for level, points in pair.groupby("level"):
        rise = [
            deviance(p.x_value, p.y_value, at["(Intercept)"]) - best for p in points.iloc[::10].itertuples()
        ]
        # A skew contour, interpolated between its four extremes: 4 % of its radius at the corner.
        np.testing.assert_allclose(rise, stats.chi2.ppf(level, 2), rtol=0.09)


def test_both_triangles_and_the_names(profile):
    picture = mm.plot_profile_pairs(profile)
    assert len(picture.panels) == 9
    assert len(picture.data) == 3 * 3 * 121
    some = picture.data.iloc[::50]
    values = [profile.value(x, z) for x, z in zip(some["x"], some["x_zeta"], strict=True)]
    np.testing.assert_allclose(some["x_value"], values, rtol=1e-3, atol=0.02)


def test_what_cannot_be_drawn(profile, fitted):
    with pytest.raises(mm.NotAvailableError, match="two parameters or more"):
        mm.plot_profile_pairs(profile, ["sigma"])
    with pytest.raises(mm.ControlError, match="level must lie between"):
        mm.plot_profile(profile, levels=[95])
    with pytest.raises(mm.MixedModelsError, match="nothing"):
        mm.plot_profile(profile, "nothing")
    with pytest.raises(mm.NotAvailableError):
        mm.plot_profile(fitted("cbpp_pql"))
