"""What users ask of a marginal model, and what they are told where it cannot be had."""

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from tests.engines.gee.test_geepack import DATA

FREE = DATA.assign(f=np.where(DATA["z"] == 1, "b", "a"))
STEPS = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
R = 0.5**STEPS


def fit(formula="yc ~ x + f", data=FREE, groups="id", family="poisson", **arguments):
    return mm.gee(formula, data, groups, family, **arguments)


M = fit(corr="exchangeable", time="t")

NO_MATRIX = np.where(STEPS == 0, 1.0, -0.9)
LOPSIDED = np.where((STEPS == 1) & (np.arange(5)[:, None] == 0), 0.9, R)
HOLE = np.where(STEPS == 4, np.nan, R)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"formula": "yc ~ x + (1 | id)"}, mm.FormulaError, "use glmer()"),
        ({"groups": "subject"}, mm.DataError, "'subject'"),
        ({"groups": FREE["id"].tolist()[:5]}, mm.DataError, "groups has 5 values"),
        ({"groups": 3}, mm.ControlError, "groups= must be the name of a column"),
        ({"data": FREE.assign(id=1)}, mm.DataError, "id has one group only, 1"),
        ({"time": "visit"}, mm.DataError, "'visit'"),
        ({"time": "z"}, mm.DataError, "two rows of id 1 have z = 1"),
        ({"corr": "cs"}, mm.ControlError, "write corr='exchangeable'"),
        ({"corr": "wrong"}, mm.ControlError, "'unstructured', 'm-dependent(2)'"),
        ({"corr": "fixed"}, mm.ControlError, "give the correlation matrix itself"),
        ({"corr": "m-dependent(0)"}, mm.ControlError, "no correlation at all"),
        ({"corr": R}, mm.DataError, "corr is 5 x 5, and id 1 has 3 rows (and 28 more differ): give time="),
        ({"corr": R[:4, :4], "time": "t"}, mm.ControlError, "corr is 4 x 4, and t has 5 values"),
        ({"corr": LOPSIDED, "time": "t"}, mm.ControlError, "0.9 in row 1, column 2, and 0.5 in row 2"),
        ({"corr": 2.0 * R, "time": "t"}, mm.ControlError, "ones on its diagonal, not 2"),
        ({"corr": NO_MATRIX, "time": "t"}, mm.ControlError, "smallest eigenvalue is -2.6"),
        ({"corr": HOLE, "time": "t"}, mm.ControlError, "row 1, column 5"),
        ({"corr": R[:3], "time": "t"}, mm.ControlError, "shape (3, 5)"),
        ({"corr": [["a"]], "time": "t"}, mm.ControlError, "matrix of numbers"),
        ({"corr": "ar1", "groups": np.arange(len(FREE))}, mm.DataError, "every groups has one row"),
        ({"weights": np.where(FREE.index == 4, -1, 1)}, mm.DataError, "negative one is in row 4"),
        ({"family": mm.negative_binomial(2.0)}, mm.FamilyError, "quasi families"),
        ({"family": mm.poisson(zi=True)}, mm.FamilyError, "zero-inflated"),
        ({"scale": -1.0}, mm.ControlError, "scale must be a positive number"),
        ({"scale": "fix"}, mm.ControlError, "scale must be a positive number"),
        ({"cov_type": "sandwich"}, mm.ControlError, "kauermann-carroll"),
        ({"start": [1.0]}, mm.ControlError, "start must be 3 numbers"),
        ({"start": "zero"}, mm.ControlError, "start must be 3 numbers"),
        ({"data": FREE.assign(yc=0)}, mm.DataError, "constant"),
        ({"na_action": "fail", "data": FREE.assign(id=[None, *FREE["id"][1:]])}, mm.DataError, "id (1)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(change, error, words):
    with pytest.raises(error) as raised:
        fit(**change)
    assert words in str(raised.value)


def test_separated_responses_are_refused():
    with pytest.raises(mm.ConvergenceError, match=r"no failure where s = 1"):
        fit("yb ~ s", FREE.assign(s=FREE["yb"]), family="binomial")
    with pytest.raises(mm.ConvergenceError, match="there is no failure"):
        fit("yb ~ x", FREE.assign(yb=1), family="binomial")


def test_a_correlation_out_of_range_names_a_group_that_cannot_have_it():
    rng = np.random.default_rng(3)
    u = np.repeat(rng.normal(size=30), 2) * np.tile([1.0, -1.0], 30) + 0.3 * rng.normal(size=60)
    data = pd.DataFrame({"g": [*np.repeat(np.arange(30), 2), *[99] * 8], "y": [*u, *[1.0, -1.0] * 4]})
    data["x"] = rng.normal(size=len(data))
    with pytest.raises(mm.ConvergenceError, match=r"\(-0\.\d+\) are no correlations that the 8 rows of g 99"):
        mm.gee("y ~ x", data, "g", corr="exchangeable")
    # Without the large group the same correlation is one.
    assert (
        mm.gee("y ~ x", data[data["g"] < 99], "g", corr="exchangeable").association().loc["alpha"].iloc[0]
        < -0.5
    )


def test_names_of_other_programs_are_answered():
    with pytest.raises(mm.UnknownArgumentError, match="write groups='g'"):
        mm.gee("yc ~ x", FREE, id="id")
    with pytest.raises(mm.UnknownArgumentError, match="write corr='exchangeable'"):
        fit(corstr="ar1")
    with pytest.raises(mm.MissingArgumentError, match="groups='g'"):
        mm.gee("yc ~ x", FREE)
    with pytest.raises(AttributeError, match=r"mm\.gee\("):
        mm.geeglm  # noqa: B018


def test_what_needs_a_likelihood_or_a_distribution_says_so():
    for ask in (M.loglik, M.aic, M.deviance, lambda: mm.compare(M, M), M.drop1):
        with pytest.raises(mm.NotAvailableError, match=r"qic\(m1, m2\)"):
            ask()
    for ask in (M.simulate, lambda: mm.bootstrap(M, nsim=2), lambda: mm.scaled_residuals(M)):
        with pytest.raises(mm.NotAvailableError, match="no distribution to draw from"):
            ask()
    with pytest.raises(mm.NotAvailableError, match="no distribution to draw from"):
        M.predict(FREE, type="response", interval="prediction")


def test_tests_of_coefficients():
    z = M.fixef() / M.standard_errors()
    table = M.summary().coefficients
    np.testing.assert_allclose(table["Wald"], z**2)
    np.testing.assert_allclose(M.tidy()["statistic"], z)
    small = M.summary(vcov="mancl-derouen", ddf="residual").coefficients
    np.testing.assert_allclose(small["Std. Error"] ** 2, np.diag(M.vcov("mancl-derouen")))
    assert small["df"].unique().tolist() == [M.n_groups - 3]
    limits = M.confint()
    np.testing.assert_allclose(limits.mean(axis=1), M.fixef())
    both = mm.linear_hypothesis(M, ["x = 0", "fb = 0"], test="Chisq")["Chisq"].dropna().item()
    assert mm.anova(M, fit("yc ~ 1", corr="exchangeable"))["X2"].item() == pytest.approx(both)
    second = M.anova(type=2)
    np.testing.assert_allclose(second["Chisq"], table["Wald"].iloc[1:])
    assert mm.Anova(M, ddf="residual")["Df.res"].tolist() == [M.n_groups - 3] * 2


def test_satterthwaites_degrees_of_freedom_are_those_of_the_mean_of_equal_groups():
    # One mean of m equal groups has m - 1 of them, whatever the correction.
    data = pd.DataFrame({"g": np.repeat(np.arange(9), 4), "y": np.random.default_rng(0).normal(size=36)})
    m = mm.gee("y ~ 1", data, "g", corr="exchangeable")
    for kind in ("robust", "kauermann-carroll", "mancl-derouen", "fay-graubard"):
        df = m.summary(vcov=kind, ddf="satterthwaite").coefficients["df"].item()
        assert df == pytest.approx(8.0)
    assert m.vcov("kauermann-carroll").iloc[0, 0] == pytest.approx(data.groupby("g")["y"].mean().var() / 9)


def test_anova_refuses_what_it_cannot_compare():
    for others, words in (
        ([M], "the same columns"),
        ([fit("yc ~ t", corr="exchangeable")], "not nested"),
        ([M, M], "compares two models"),
        ([mm.glm("yc ~ x", FREE, "poisson")], "compares two models"),
    ):
        with pytest.raises(mm.ControlError, match=words):
            mm.anova(M, *others)


def test_predictions_means_and_tables():
    np.testing.assert_allclose(M.predict(FREE, type="response"), M.fitted())
    table = M.predict(FREE.head(2), type="response", se_fit=True, interval="confidence")
    assert (table["lower"] < table["fit"]).all() and (table["fit"] < table["upper"]).all()
    means = M.emmeans("f", type="response")
    assert len(means) == 2
    assert M.glance()["df.residual"].item() == 37
    assert ".resid" in M.augment()
    assert "marginal model" in M.report().text and "40 levels of id" in M.report().text
    assert mm.estfun(M).shape == (40, 3)
    np.testing.assert_allclose(mm.estfun(M).sum(), 0.0, atol=1e-7)
    assert mm.ngrps(M) == {"id": 40}


def test_related_fits():
    assert mm.update(M, ". ~ . - x").formula() == "yc ~ f"
    assert mm.update(M, corr="ar1").correlation.name == "ar1"
    again = pickle.loads(pickle.dumps(M))
    np.testing.assert_allclose(again.vcov("CR2"), M.vcov("CR2"))
    np.testing.assert_allclose(mm.refit(M, FREE["yc"]).fixef(), M.fixef(), rtol=1e-8)
    by_array = fit(groups=FREE["id"].astype(str) + "s", time=FREE["t"].tolist(), corr="exchangeable")
    np.testing.assert_allclose(by_array.vcov(), M.vcov(), rtol=1e-8)
    drawn = mm.bootstrap(M, nsim=30, kind="cluster", rng=1)
    np.testing.assert_allclose(
        drawn.summary()["Std. Error"][list(M.fixef().index)], M.standard_errors(), rtol=0.4
    )


def test_missing_groups_are_left_out_with_their_rows():
    data = FREE.assign(id=FREE["id"].astype(float).where(FREE.index != 3))
    m = fit(data=data, corr="ar1", time="t")
    assert m.nobs() == len(FREE) - 1
    np.testing.assert_allclose(m.fixef(), fit(data=FREE.drop(index=3), corr="ar1", time="t").fixef())


def test_the_text_is_geepacks():
    text = repr(M.summary())
    for line in (
        "Correlation structure = exchangeable",
        "Estimated Scale Parameters:",
        "Standard errors = robust",
    ):
        assert line in text
    assert "Number of clusters:   40  Maximum cluster size: 5" in text
    assert "Standard errors = mancl-derouen" in repr(M.summary(vcov="mancl-derouen"))
    assert "Scale is fixed at 1." in repr(fit(scale=1).summary())
    assert "alpha" in repr(M)


def test_criteria_of_several_models():
    table = mm.qic(M, fit(), model_names=["exchangeable", "independence"])
    assert table.index.tolist() == ["exchangeable", "independence"]
    scaled = mm.qic(M, divide_by_scale=True)
    assert scaled["Quasi Lik"].item() * M.dispersion() == pytest.approx(table["Quasi Lik"].iloc[0])
    with pytest.raises(mm.NotAvailableError, match=r"aic\(\)"):
        mm.qic(mm.glm("yc ~ x", FREE, "poisson"))
