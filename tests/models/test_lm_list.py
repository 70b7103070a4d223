"""Linear models of separate groups: lme4's lmList, and lm() of each group by itself."""

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm


@pytest.fixture(scope="module")
def sleep():
    return mm.lm_list("Reaction ~ Days | Subject", mm.load_dataset("sleepstudy"))


def test_numbers_of_lme4(sleep):
    # lme4 1.1-31: lmList(Reaction ~ Days | Subject, sleepstudy)
    assert sleep.sigma() == pytest.approx(25.5918156267252, rel=1e-12)
    assert (sleep.df_residual(), sleep.nobs(), len(sleep)) == (144, 180, 18)
    assert sleep.loglik() == pytest.approx(-818.9351, abs=1e-4)
    np.testing.assert_allclose(sleep.coef().loc["308"], [244.192669, 21.764702], atol=1e-6)
    np.testing.assert_allclose(sleep.fixef(), [251.40510, 10.46729], atol=1e-5)
    np.testing.assert_allclose(sleep.ranef().loc["309"], [-46.350159, -8.2055005], atol=1e-6)
    row = sleep.summary().loc[("Days", "309")]
    np.testing.assert_allclose(row, [2.261785, 2.817566, 0.8027444, 0.4234454], rtol=1e-6)
    new = sleep.predict(pd.DataFrame({"Subject": ["308", "309"], "Days": [1, 2]}))
    np.testing.assert_allclose(new, [265.9574, 209.5785], atol=1e-4)
    # confint() of lme4 takes the variance of each group.
    limits = sleep.confint(pool=False)
    np.testing.assert_allclose(limits.loc[("(Intercept)", "308")], [179.4339, 308.9515], atol=1e-4)
    np.testing.assert_allclose(limits.loc[("Days", "309")], [0.008641467, 4.514929], rtol=1e-6)


def test_pooled_limits_are_those_of_one_model_of_all_groups(sleep):
    data = mm.load_dataset("sleepstudy")
    whole = mm.lm("Reaction ~ 0 + Subject + Subject:Days", data)
    limits = sleep.confint(0.9)
    np.testing.assert_allclose(limits.loc["Days"], whole.confint(level=0.9).iloc[18:], rtol=1e-9, atol=1e-9)
    assert sleep.loglik() == pytest.approx(whole.loglik(), rel=1e-12)
    assert list(limits.columns) == ["5 %", "95 %"]


def test_the_text_is_that_of_lme4(sleep):
    lines = repr(sleep).splitlines()
    assert lines[:4] == [
        "Linear models by Subject: Reaction ~ Days | Subject",
        "Coefficients:",
        "    (Intercept)      Days",
        "308    244.1927 21.764702",
    ]
    assert lines[-2:] == ["Degrees of freedom: 180 total; 144 residual", "Residual standard error: 25.59182"]
    assert "308 244.1927   15.04169 16.23439 2.419368e-34" in repr(sleep.summary())
    assert "<table" in sleep._repr_html_() or "<pre" in sleep._repr_html_()


@pytest.mark.parametrize("seed", range(4))
def test_each_group_is_fitted_as_by_lm(seed):
    generator = np.random.default_rng(seed)
    n = 120
    data = pd.DataFrame(
        {
            "y": generator.normal(size=n) * 10.0 ** generator.integers(-3, 4),
            "x": generator.normal(size=n),
            "f": generator.permutation(np.repeat(["a", "b", "c"], n // 3)),
            "w": generator.uniform(0.5, 3.0, n),
            "o": generator.normal(size=n),
            "g": generator.choice(["k", "l", "m m", "ö"], n),
        },
        index=generator.permutation(n),
    )
    data.loc[data.index[:5], "x"] = np.nan
    given = {"weights": "w", "na_action": "exclude"}
    fits = mm.lm_list("y ~ x * f + offset(o) | g", data, **given)
    assert list(fits) == sorted(data["g"].unique())
    for group, fit in fits.items():
        rows = data[data["g"] == group]
        alone = mm.lm("y ~ x * f + offset(o)", rows, **given)
        np.testing.assert_allclose(fits.coef().loc[group], alone.fixef(), rtol=1e-8)
        np.testing.assert_allclose(fits.standard_errors(pool=False).loc[group], alone.standard_errors())
        np.testing.assert_allclose(fits.confint(pool=False).xs(group, level=1), alone.confint())
        np.testing.assert_allclose(fits.fitted()[rows.index], alone.fitted())
        np.testing.assert_allclose(fits.residuals()[rows.index], alone.residuals())
        np.testing.assert_allclose(fits.predict(rows), alone.predict(rows))
        assert fit.sigma() == pytest.approx(alone.sigma())
    assert fits.fitted().index.equals(data.index)
    assert fits.fitted().isna().sum() == 5
    separate = mm.lm_list("y ~ x * f + offset(o) | g", data, pool=False, **given)
    assert separate.loglik() == pytest.approx(sum(fit.loglik() for fit in fits.values()))


def test_groups_whose_rows_are_too_few():
    data = mm.load_dataset("sleepstudy").iloc[:31]
    with pytest.warns(mm.DataWarning, match=r"1 of 4 groups do not determine all .*: Subject 330"):
        fits = mm.lm_list("Reaction ~ Days | Subject", data)
    assert fits.coef().loc["330"].isna().tolist() == [False, True]
    assert fits.df_residual() == 24
    rows = pd.DataFrame({"Subject": ["330", "330", "308"], "Days": [0.0, 1.0, 1.0]})
    assert fits.predict(rows).isna().tolist() == [False, True, False]
    assert np.isfinite(fits.summary().loc[("(Intercept)", "330")]).all()
    assert fits.summary(pool=False).loc[("(Intercept)", "330")].isna().tolist() == [False, True, True, True]
    assert "NA" in repr(fits)


def test_rows_of_new_data(sleep):
    rows = pd.DataFrame({"Subject": ["308", "309"], "Days": [np.nan, 2.0]})
    assert sleep.predict(rows).isna().tolist() == [True, False]
    with pytest.raises(mm.DataError, match=r"row 1 of newdata \(counting from 0\) has no Subject of the fit"):
        sleep.predict(pd.DataFrame({"Subject": ["308", "new"], "Days": [1.0, 2.0]}))
    with pytest.raises(mm.DataError, match="Days"):
        sleep.predict(pd.DataFrame({"Subject": ["308"]}))


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("Reaction ~ Days", r"after a bar, its groups: 'y ~ x \| g'"),
        ("Reaction ~ Days + (Days | Subject)", r"there is lmer\(\)"),
        ("~ Days | Subject", "after a bar"),
        ("Reaction ~ Days | Subject / Days", "one grouping factor"),
        ("Reaction ~ Days | Subjects", "Subjects"),
    ],
)
def test_what_is_no_list_of_models(formula, words):
    with pytest.raises(mm.MixedModelsError, match=words):
        mm.lm_list(formula, mm.load_dataset("sleepstudy"))


def test_choices_are_checked_and_pickles_work(sleep):
    with pytest.raises(mm.ControlError, match="pool"):
        mm.lm_list("Reaction ~ Days | Subject", mm.load_dataset("sleepstudy"), pool="yes")
    with pytest.raises(mm.ControlError, match="level"):
        sleep.confint(95)
    assert pickle.loads(pickle.dumps(sleep)).coef().equals(sleep.coef())
    assert "308" in sleep and "999" not in sleep
