"""plot_acf() and plot_variogram() against nlme, and against the covariance of the model, pair by pair."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.plots.lowess import lowess

SEASON = "follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)"


@pytest.fixture(scope="module")
def ovary():
    return mm.load_dataset("Ovary")


@pytest.fixture(scope="module")
def smooth(ovary):
    return mm.gls(SEASON, ovary, residual="exp(Time | Mare, nugget = TRUE)")


def test_autocorrelation_with_its_limits_is_that_of_nlme(ovary):
    # ACF(lme(follicles ~ ..., random = ~ 1 | Mare), maxLag = 10, resType = "normalized")
    picture = mm.plot_acf(mm.lmer(SEASON + " + (1 | Mare)", ovary), max_lag=10)
    found = picture.data
    expected = [1, 0.50273110, 0.32887611, 0.18779960, 0.16708294, 0.08478058, 0.08239249, 0.02638797]
    np.testing.assert_allclose(found["acf"][:8], expected, atol=2e-6)
    np.testing.assert_allclose(found["limit"], 1.959964 / np.sqrt(found["n"]), rtol=1e-6)
    assert found["lag"][found["outside"]].tolist() == [1, 2, 3, 4, 10]
    heights = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in picture.patches}
    assert heights == pytest.approx(dict(zip(found["lag"], found["acf"], strict=True)))
    assert "normalized" in picture.get_ylabel()
    limits = [line.get_ydata() for line in picture.lines if len(line.get_xdata()) == 10]
    np.testing.assert_allclose(np.sort(limits, axis=0), np.vstack([-found["limit"], found["limit"]])[:, 1:])


def test_semivariogram_of_pearson_residuals_has_that_of_nlme_beside_it(smooth):
    # attr(Variogram(gls(..., corExp(form = ~ Time | Mare, nugget = TRUE)), form = ~ Time), "modelVariog")
    found = mm.plot_variogram(smooth, type="pearson", collapse="none").data
    at = [0.041666, 0.2789110878, 0.6743195673, 1.3333337]
    expected = [0.2467470599, 0.5726546692, 0.8338466217, 0.9655867098]
    line = found.groupby("distance")["model"].mean()
    correlation = -np.log((1.0 - line) / (1.0 - 0.1679051))  # exp(-d / range), straight in distance
    np.testing.assert_allclose(correlation * 0.4185629, line.index, atol=2e-5)
    np.testing.assert_allclose(np.interp(at, line.index, line), expected, atol=2e-3)
    means = mm.plot_variogram(smooth, type="pearson").data
    assert means["variogram"][0] == pytest.approx(0.2502921, abs=1e-6)
    assert means["n_pairs"][0] == 217


def test_semivariogram_of_normalized_residuals_is_level_at_one(smooth):
    picture = mm.plot_variogram(smooth, bins=5)
    assert picture.data["model"].tolist() == [1.0] * 5
    assert [line.get_label() for line in picture.lines[1:]] == ["smooth", "model"]
    assert picture.get_ylim()[0] == 0.0


@pytest.mark.parametrize("kind", ["pearson", "response"])
@pytest.mark.parametrize(
    "options", [{"over": "age"}, {"over": "age", "max_distance": 4.0, "bins": 1}, {"collapse": "fixed"}]
)
def test_what_the_model_says_is_its_covariance_pair_by_pair(kind, options):
    data = mm.load_dataset("Orthodont").assign(w=np.tile([1.0, 2.0, 0.5, 1.5], 27))
    m = mm.gls(
        "distance ~ age * Sex", data, residual="us(age | Subject)", dispersion="ident(Sex)", weights="w"
    )
    found = mm.plot_variogram(m, type=kind, **options).data
    V = m.residual_covariance(data["w"].to_numpy(), np.arange(108)) * m.sigma() ** 2
    if kind == "pearson":
        V = V / np.sqrt(np.outer(np.diag(V), np.diag(V)))
    steps = data["age"].to_numpy()
    half = 0.5 * (np.diag(V)[:, None] + np.diag(V)[None, :]) - V
    same = np.equal.outer(data["Subject"].to_numpy(), data["Subject"].to_numpy())
    apart = np.abs(steps[:, None] - steps[None, :])
    if "bins" not in options:  # three distances, a class each, in years or in visits
        expected = [half[same & (apart == years)].mean() for years in (2.0, 4.0, 6.0)]
    else:
        expected = [half[same & (apart == 4.0)].mean()]  # nlme's first class is open at its lower end
    np.testing.assert_allclose(found["model"], expected, rtol=1e-10)


def test_smooth_line_of_single_pairs_is_their_mean():
    rng = np.random.default_rng(5)
    x, squares = rng.uniform(size=4000), rng.normal(size=4000) ** 2
    assert np.mean(lowess(x, squares, 1.0, rounds=0)[1]) == pytest.approx(1.0, abs=0.08)
    assert np.mean(lowess(x, squares, 1.0)[1]) < 0.8


def test_rows_of_weight_zero_are_left_out(ovary):
    half = ovary.assign(w=np.where(np.arange(len(ovary)) % 7 == 3, 0.0, 1.0))
    m = mm.gls(SEASON, half, residual="exp(Time | Mare)", weights="w")
    kept = mm.gls(SEASON, half[half["w"] > 0], residual="exp(Time | Mare)")
    for picture in (mm.plot_variogram, mm.plot_acf):
        found, expected = (picture(fit).data for fit in (m, kept))
        assert found.notna().all(axis=None)
        np.testing.assert_allclose(found.to_numpy(dtype=float), expected.to_numpy(dtype=float), rtol=1e-4)


def test_generalized_and_plain_models_have_them_too():
    herds = mm.glmer("incidence ~ period + (1 | herd)", mm.load_dataset("cbpp"), "poisson")
    picture = mm.plot_variogram(herds)
    assert picture.data["model"].isna().all()
    assert [line.get_label() for line in picture.lines[1:]] == ["smooth"]
    assert "Pearson" in mm.plot_acf(herds).get_ylabel()
    lines = mm.lm("Reaction ~ Days", mm.load_dataset("sleepstudy"))
    assert mm.plot_variogram(lines).data["model"].eq(1.0).all()
    figure, (left, right) = plt.subplots(1, 2)
    assert mm.plot_acf(lines, ax=left) is left
    assert mm.plot_variogram(lines, ax=right) is right
    figure.draw_without_rendering()


def test_what_cannot_be_drawn_is_said(smooth):
    with pytest.raises(mm.ControlError, match="span must lie between 0 and 1"):
        mm.plot_variogram(smooth, span=2.0)
    with pytest.raises(mm.ControlError, match="max_lag must be a whole number"):
        mm.plot_acf(smooth, -1)
    with pytest.raises(mm.ControlError, match="type"):
        mm.plot_acf(smooth, type="deviance")
    with pytest.raises(mm.NotAvailableError, match="max_distance leaves none"):
        mm.plot_variogram(smooth, max_distance=1e-9)
    with pytest.raises(mm.ControlError, match="max_distance must be a number larger than 0"):
        mm.plot_variogram(smooth, max_distance=0.0)
    with pytest.raises(mm.ControlError, match="ax must be one matplotlib Axes"):
        mm.plot_acf(smooth, ax=1)
