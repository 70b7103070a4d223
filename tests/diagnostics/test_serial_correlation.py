"""Autocorrelation and variogram of residuals beside nlme's ACF() and Variogram()."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import ControlError, DataError, NotAvailableError

# Estimates of nlme's optimiser differ from the optimum by so much of themselves, those of lme by less.
GLS, LME = 2e-4, 1e-6


@pytest.fixture(scope="module")
def growth():
    return mm.lmer("distance ~ age + (1 | Subject)", mm.load_dataset("Orthodont"))


@pytest.fixture(scope="module")
def ovary():
    data = mm.load_dataset("Ovary").sample(frac=1.0, random_state=1)
    data["order"] = data.groupby("Mare", observed=True)["Time"].rank()
    formula = "follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)"
    return mm.gls(formula, data, residual="ar1(order | Mare)")


# ACF(lme(distance ~ age, Orthodont, random = ~ 1 | Subject))
def test_autocorrelation_of_a_mixed_model_is_that_of_nlme(growth):
    found = mm.acf(growth)
    np.testing.assert_allclose(
        found["acf"], [1.0, -0.271610874861, -0.147138048346, -0.632269167672], rtol=LME
    )
    assert found["n"].tolist() == [108, 81, 54, 27]
    np.testing.assert_allclose(found["limit"], 1.959964 / np.sqrt(found["n"]), rtol=1e-6)
    np.testing.assert_allclose(mm.acf(growth, type="response")["acf"], found["acf"])


# ACF(gls(follicles ~ ..., Ovary, correlation = corAR1(form = ~ 1 | Mare)), maxLag = 6)
def test_autocorrelation_goes_by_time_and_not_by_rows(ovary):
    raw = mm.acf(ovary, max_lag=6, type="pearson")
    expected = [
        1.0,
        0.731345218889,
        0.639926283162,
        0.565889085833,
        0.553621148028,
        0.518623650091,
        0.538859461193,
    ]
    np.testing.assert_allclose(raw["acf"], expected, rtol=GLS)
    assert raw["n"].tolist() == [308, 297, 286, 275, 264, 253, 242]
    # nlme 3.1-162 whitens each mare by the factor of another one, because the levels of Mare are not in the
    # order of the rows; these are from R's chol() of the correlation matrix of each.
    left = mm.acf(ovary, max_lag=6)
    expected = [1.0, -0.1519340481101, 0.0518792101258, -0.0189712052105, 0.1171396589661, 0.0259739196112,
                0.1214767819271]  # fmt: skip
    np.testing.assert_allclose(left["acf"], expected, atol=GLS)
    assert len(mm.acf(ovary)) == 15


def test_missing_visits_leave_lags_as_they_are():
    rng = np.random.default_rng(4)
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(30), 6), "t": np.tile(np.arange(6), 30), "y": rng.normal(size=180)}
    )
    data = data.drop(index=rng.choice(180, 40, replace=False))
    m = mm.gls("y ~ 1", data, residual="ar1(t | g)")
    r = np.asarray(m.residuals(type="normalized"))
    table = data.assign(r=r).set_index(["g", "t"])["r"]
    found = mm.acf(m, max_lag=3)
    for lag in (1, 2, 3):
        pairs = [(v, table[g, t + lag]) for (g, t), v in table.items() if (g, t + lag) in table.index]
        mean = np.mean([a * b for a, b in pairs]) / np.mean(r**2)
        assert found["acf"][lag] == pytest.approx(mean)
        assert found["n"][lag] == len(pairs)


# Variogram(lme(distance ~ age, Orthodont, random = ~ 1 | Subject), form = ~ age)
def test_variogram_of_a_mixed_model_is_that_of_nlme(growth):
    found = mm.variogram(growth, over="age")
    assert found["distance"].tolist() == [2.0, 4.0, 6.0]
    assert found["n_pairs"].tolist() == [81, 54, 27]
    np.testing.assert_allclose(found["variogram"], [0.958897819418, 0.878119528426, 1.292993410734], rtol=LME)
    assert mm.variogram(growth)["distance"].tolist() == [1.0, 2.0, 3.0]
    response = mm.variogram(growth, type="response")["variogram"]
    np.testing.assert_allclose(response, [1.96521890718, 1.79966735254, 2.64993312757], rtol=LME)
    each = mm.variogram(growth, over="age", collapse="none")
    assert len(each) == 162
    assert each.groupby("distance")["variogram"].mean().tolist() == pytest.approx(found["variogram"].tolist())


# Variogram(fm, form = ~ Time, nint = 5), with fm as above
def test_variogram_by_classes_of_distance_is_that_of_nlme(ovary):
    found = mm.variogram(ovary, over="Time", type="pearson", bins=5)
    np.testing.assert_allclose(
        found["distance"], [0.0909091, 0.2272732, 0.4090909, 0.6363635, 0.91666665], rtol=1e-6
    )
    assert found["n_pairs"].tolist() == [834, 857, 857, 820, 804]
    expected = [0.333726655701, 0.474747451611, 0.579409828614, 0.692238317316, 0.663310609599]
    np.testing.assert_allclose(found["variogram"], expected, rtol=GLS)


def test_robust_and_equally_wide_classes_are_those_of_nlme(ovary):
    found = mm.variogram(ovary, over="Time", bins=5, robust=True, max_distance=0.5)
    assert found["n_pairs"].tolist() == [517, 513, 501, 520, 497]
    # As above: nlme's formula with residuals that each mare's own factor whitens.
    expected = [1.051130550956, 0.945395963476, 0.867743008851, 0.857332791044, 0.942192449074]
    np.testing.assert_allclose(found["variogram"], expected, rtol=GLS)
    found = mm.variogram(ovary, over="Time", type="pearson", bins=4, collapse="fixed")
    assert found["n_pairs"].tolist() == [1938, 1245, 758, 231]
    expected = [0.415462403489, 0.654457406523, 0.656637600795, 0.714203722238]
    np.testing.assert_allclose(found["variogram"], expected, rtol=GLS)


def test_rows_that_were_dropped_have_no_distance():
    data = mm.load_dataset("Orthodont")
    data.loc[data.index[5], "distance"] = np.nan
    m = mm.lmer("distance ~ age + (1 | Subject)", data)
    assert mm.variogram(m, over="age")["n_pairs"].sum() == 162 - 3


def test_what_cannot_be_shown_says_why(growth):
    with pytest.raises(ControlError, match="max_lag must be a whole number"):
        mm.acf(growth, max_lag=-1)
    with pytest.raises(ControlError, match="type must be one of"):
        mm.acf(growth, type="raw")
    with pytest.raises(ControlError, match="bins must be"):
        mm.variogram(growth, bins=0)
    with pytest.raises(DataError, match="Sex is categorical"):
        mm.variogram(growth, over="Sex")
    with pytest.raises(NotAvailableError, match="max_distance leaves none"):
        mm.variogram(growth, over="age", max_distance=1.0)
    with pytest.raises(NotAvailableError, match="needs a fitted model"):
        mm.acf(3)


def test_a_plain_series_is_one_group():
    r = np.random.default_rng(0).normal(size=40)
    m = mm.lm("y ~ 1", pd.DataFrame({"y": r}))
    e = r - r.mean()
    found = mm.acf(m, max_lag=2)
    assert found["acf"][1] == pytest.approx((e[1:] @ e[:-1] / 39) / (e @ e / 40))
