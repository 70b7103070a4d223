"""What newcomers do with nlmer() and gee(): odd starts, times as text, models without their data."""

import pickle

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

LOGISTIC = "circumference ~ SSlogis(age, Asym, xmid, scal)"
PLAIN = "circumference ~ f(age, Asym, xmid, scal) ~ Asym | Tree"
START = {"Asym": 200.0, "xmid": 725.0, "scal": 350.0}


@pytest.fixture(scope="module")
def trees():
    return mm.load_dataset("Orange")


@pytest.fixture(scope="module")
def ohio():
    return mm.load_dataset("ohio").assign(visit=lambda d: d["age"] + 11)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        (f"{LOGISTIC} ~ Asym | Tree", {}),
        (f"{LOGISTIC} ~ (Asym + xmid || Tree)", {"nAGQ": 1}),
        (LOGISTIC, {"random": "Asym ~ 1 | Tree", "method": "lindstrom-bates"}),
        (LOGISTIC, {"fixed": {"Asym": "~ late"}, "random": "Asym ~ 1 | Tree"}),
        (LOGISTIC, {"random": "Asym ~ 1 | Tree", "method": "lindstrom-bates", "dispersion": "power(fitted)"}),
    ],
)
def test_a_stripped_nonlinear_model_predicts_its_curve(trees, formula, options):
    trees = trees.assign(late=(trees["Tree"].astype(str) > "3").astype(float))
    m = mm.nlmer(formula, trees, **options)
    bare = pickle.loads(pickle.dumps(m.strip()))
    new = trees.iloc[[3, 30, 12]]
    for re_form in (None, mm.NA):
        pd.testing.assert_series_equal(bare.predict(new, re_form=re_form), m.predict(new, re_form=re_form))
    assert bare.summary() == str(m.summary())


def test_the_size_of_a_stripped_nonlinear_model_does_not_grow_with_the_rows(trees):
    many = pd.concat([trees] * 20, ignore_index=True)
    many["circumference"] += np.random.default_rng(2).normal(0.0, 5.0, len(many))
    few, more = (len(pickle.dumps(mm.nlmer(f"{LOGISTIC} ~ Asym | Tree", d).strip())) for d in (trees, many))
    assert abs(more - few) < 300  # digits of counts, not rows


def test_re_form_names_random_effects_as_the_formula_does(trees):
    m = mm.nlmer(f"{LOGISTIC} ~ Asym + xmid | Tree", trees)
    both = m.predict(trees, re_form="~ (Asym + xmid | Tree)")
    pd.testing.assert_series_equal(both, m.predict(trees))
    one = m.predict(trees, re_form="~ (Asym | Tree)")
    effects, beta = m.ranef()["Tree"]["Asym"], m.fixef()
    A = beta["Asym"] + effects.loc[trees["Tree"].astype(str)].to_numpy()
    curve = A / (1.0 + np.exp((beta["xmid"] - trees["age"].to_numpy()) / beta["scal"]))
    np.testing.assert_allclose(one, curve, rtol=1e-10)
    pd.testing.assert_series_equal(
        m.predict(trees, re_form="~ (Asym | Tree)"), m.predict(trees, re_form="~ (0 + Asym | Tree)")
    )
    with pytest.raises(mm.FormulaError, match="no random effect of scal by Tree"):
        m.predict(trees, re_form="~ (scal | Tree)")
    with pytest.raises(mm.FormulaError, match="no random effect"):
        m.predict(trees, re_form="~ (1 | Tree)")


def test_a_gradient_of_another_shape_is_named(trees):
    def f(x, a, b, c):
        return a / (1.0 + np.exp((b - x) / c))

    def columns(x, a, b, c):
        return np.ones((len(x), 3))

    def short(x, a, b, c):
        return [np.ones(len(x)), np.ones(3), np.ones(len(x)), np.ones(len(x))]

    for gradient in (columns, short):
        with pytest.raises(mm.FormulaError, match="one number a row"):
            mm.nlmer(PLAIN, trees, start=START, env={"f": (f, gradient)})


def test_nonlinear_models_without_random_effects_say_what_to_write(trees):
    with pytest.raises(mm.FormulaError, match=r"random='Asym ~ 1 \| g'"):
        mm.nlmer(LOGISTIC, trees)


def test_update_of_a_nonlinear_formula_is_whole(trees):
    m = mm.nlmer(f"{LOGISTIC} ~ Asym | Tree", trees)
    with pytest.raises(mm.FormulaError, match="write it whole"):
        mm.update(m, ". ~ . - xmid")
    other = mm.update(m, f"{LOGISTIC} ~ xmid | Tree")
    assert other.deviance() == pytest.approx(296.093, abs=1e-3)


# GEE.


def test_a_start_from_which_means_overflow_is_refused(ohio):
    with pytest.raises(mm.ConvergenceError, match="start="):
        mm.gee("resp ~ age + smoke", ohio, "id", "binomial", corr="exchangeable", start=[50.0, 0.0, 30.0])


def test_coefficients_that_run_away_are_refused():
    boys = mm.load_dataset("Oxboys")
    with pytest.raises(mm.ConvergenceError, match="'independence'"):
        mm.gee("height ~ age", boys, "Subject", mm.Gamma("log"), corr="unstructured", time="Occasion")


@pytest.mark.parametrize("corr", ["ar1", "m-dependent(2)", "toeplitz"])
@pytest.mark.parametrize("kind", ["strings", "categories", "weeks"])
def test_times_as_text_in_alphabetical_order_are_warned_of(ohio, corr, kind):
    text = ohio["visit"].astype(str)
    given = {"strings": text, "categories": text.astype("category"), "weeks": "week " + text}[kind]
    with pytest.warns(mm.DataWarning, match="alphabetical order"):
        mm.gee("resp ~ age", ohio.assign(t=given), "id", "binomial", corr=corr, time="t")


def test_times_in_their_order_are_not_warned_of(ohio):
    numbers = mm.gee("resp ~ age", ohio, "id", "binomial", corr="ar1", time="visit")
    text = ohio["visit"].astype(str)
    in_order = pd.Categorical(text, ["9", "10", "11", "12"])
    fractions = (ohio["visit"] / 8.0).astype(str)  # "1.125", "1.25", "1.375", "1.5"
    signed = (
        ohio["age"]
        .map({-2: "-2", -1: "-1.5", 0: "0", 1: "1"})
        .astype(pd.CategoricalDtype(["-2", "-1.5", "0", "1"]))
    )
    for given in (in_order, fractions, signed, pd.Series(in_order).astype(str).str.zfill(2).to_numpy()):
        m = mm.gee("resp ~ age", ohio.assign(t=given), "id", "binomial", corr="ar1", time="t")
        assert m.association().equals(numbers.association())


@pytest.mark.parametrize("corr", ["independence", "exchangeable", "unstructured"])
def test_where_the_order_of_times_is_nothing_no_one_is_warned(ohio, corr):
    text = ohio["visit"].astype(str)
    m = mm.gee("resp ~ age", ohio.assign(t=text), "id", "binomial", corr=corr, time="t")
    other = mm.gee("resp ~ age", ohio, "id", "binomial", corr=corr, time="visit")
    np.testing.assert_allclose(m.fixef(), other.fixef(), rtol=1e-9)


def test_residual_structures_warn_of_categories_in_alphabetical_order():
    teeth = mm.load_dataset("Orthodont")[["distance", "age", "Subject"]]
    text = teeth["age"].astype(int).astype(str)  # 10, 12, 14, 8
    with pytest.warns(mm.DataWarning, match="alphabetical order"):
        mm.gls("distance ~ age", teeth.assign(t=text.astype("category")), residual="ar1(t | Subject)")
    in_order = pd.Categorical(text, ["8", "10", "12", "14"])
    m = mm.gls("distance ~ age", teeth.assign(t=in_order), residual="ar1(t | Subject)")
    assert m.loglik() == pytest.approx(
        mm.gls("distance ~ age", teeth, residual="ar1(age | Subject)").loglik()
    )
