"""tidy, glance and augment against R's broom.mixed, and against what a model says elsewhere."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

R = json.loads((Path(__file__).parent / "broom_mixed.json").read_text())
# Estimates of optimisers that stop, R's among them, agree to this share; both are taken to tight tolerances.
RTOL = 2e-4
# Where estimates cross zero a share is no measure.
ATOL = 2e-5


@cache
def model(name):
    data = mm.load_dataset
    return {
        "sleepstudy": lambda: mm.lmer("Reaction ~ Days + (Days | Subject)", data("sleepstudy")),
        "weighted": lambda: mm.lmer(
            "Reaction ~ Days + (Days || Subject)", data("sleepstudy"), False, weights=np.tile([1.0, 2.0], 90)
        ),
        "pastes": lambda: mm.lmer("strength ~ 1 + (1 | batch/cask)", data("Pastes")),
        "cbpp": lambda: mm.glmer(
            "cbind(incidence, size - incidence) ~ period + (1 | herd)", data("cbpp"), "binomial"
        ),
        "ticks": lambda: mm.glmer(
            "TICKS ~ YEAR + (1 | BROOD) + (1 | LOCATION)", data("grouseticks"), "poisson"
        ),
    }[name]()


def same(table, expected, rows=None):
    """Assert that a table has R's columns in R's order, and R's values."""
    assert list(table.columns) == list(expected)
    for name, values in expected.items():
        own = table[name].to_numpy()[:rows]
        if isinstance(next((v for v in values if v is not None), 0.0), str):
            assert [None if pd.isna(v) else v for v in own] == values
        else:
            theirs = np.array([np.nan if v is None else v for v in values], dtype=float)
            np.testing.assert_allclose(own.astype(float), theirs, rtol=RTOL, atol=ATOL, err_msg=name)


@pytest.mark.parametrize("name", R)
def test_tables_are_those_of_broom_mixed(name):
    m, r = model(name), R[name]
    same(mm.tidy(m, ddf=None), r["default"])
    same(mm.tidy(m, "fixed", conf_int=True, ddf=None), r["wald"])
    same(mm.tidy(m, "ran_vals", conf_int=True), r["modes"], 20)
    same(mm.tidy(m, "ran_coefs"), r["coefs"], 20)
    same(mm.tidy(m, "ran_pars", scales="vcov"), r["vcov"])
    same(mm.glance(m), r["glance"])


@pytest.mark.parametrize("name", R)
def test_columns_beside_the_data_are_those_of_broom_mixed(name):
    m, r = model(name), dict(R[name]["augment"])
    table = mm.augment(m)
    own = [c for c in table.columns if c.startswith(".")]
    assert own == list(r)
    if m.family() is not None:  # lme4's leverages of a generalized model exceed 1
        del r[".hat"], r[".cooksd"]
    same(table[list(r)], r, 8)


def test_intervals_and_tests_are_those_of_broom_mixed():
    m, r = model("sleepstudy"), R["sleepstudy"]
    same(mm.tidy(m, conf_int=True, conf_method="profile", ddf=None), r["profile"])
    full = pd.DataFrame(r["satterthwaite"])
    same(
        mm.tidy(m, "fixed", conf_int=True),
        full[full["effect"] == "fixed"].drop(columns="group").to_dict("list"),
    )
    same(mm.tidy(m, "fixed", ddf="kenward-roger"), r["kenward_roger"])
    same(mm.tidy(model("cbpp"), "fixed", conf_int=True, exponentiate=True), R["cbpp"]["ratios"])


def test_intervals_are_those_of_the_model():
    m = model("sleepstudy")
    wald = mm.tidy(m, "ran_pars", conf_int=True)
    limits = m.confint("theta_", method="Wald").to_numpy()
    np.testing.assert_allclose(wald[["conf.low", "conf.high"]], limits)
    boot = mm.tidy(m, conf_int=True, conf_method="boot", nsim=20, rng=3, conf_level=0.8)
    drawn = mm.bootstrap(m, nsim=20, rng=3).confint(level=0.8)
    np.testing.assert_array_equal(boot.loc[1, ["conf.low", "conf.high"]].astype(float), drawn.loc["Days"])
    np.testing.assert_array_equal(boot.loc[5, ["conf.low", "conf.high"]].astype(float), drawn.loc["sigma"])


def test_a_robust_covariance_brings_its_degrees_of_freedom():
    m = model("sleepstudy")
    table, summary = mm.tidy(m, "fixed", vcov="CR2"), m.summary(vcov="CR2").coefficients
    np.testing.assert_array_equal(table["std.error"], summary["Std. Error"])
    np.testing.assert_array_equal(table["df"], summary["df"])


def test_models_without_random_effects_have_the_columns_of_broom():
    data = mm.load_dataset("sleepstudy")
    m = mm.lm("Reaction ~ Days", data)
    table = mm.tidy(m, conf_int=True)
    assert list(table) == ["term", "estimate", "std.error", "statistic", "p.value", "conf.low", "conf.high"]
    # R: confint(lm(Reaction ~ Days, sleepstudy))
    np.testing.assert_allclose(table["conf.low"], [238.360749, 8.023855], rtol=1e-6)
    # R: cooks.distance(m)[1:2]
    np.testing.assert_allclose(mm.augment(m)[".cooksd"].head(2), [1.49161824e-05, 3.12789655e-05], rtol=1e-6)
    g = mm.glm("cbind(incidence, size - incidence) ~ period", mm.load_dataset("cbpp"), "binomial")
    assert mm.glance(g)["deviance"].item() == pytest.approx(g.deviance())
    with pytest.raises(mm.NotAvailableError, match="no random effects"):
        mm.tidy(g, "ran_vals")


def test_rows_that_were_not_used_have_missing_values():
    data = mm.load_dataset("sleepstudy").assign(other=1)
    data.loc[[3, 7], "Days"] = np.nan
    for action in ("omit", "exclude"):
        m = mm.lmer("Reaction ~ Days + (Days | Subject)", data, na_action=action)
        table = m.augment(data)
        assert table[".fitted"].isna().to_numpy().nonzero()[0].tolist() == [3, 7]
        assert "other" in table
        kept = table[".mu"].dropna().to_numpy()
        np.testing.assert_array_equal(kept, m.mean)
    part = mm.lmer("Reaction ~ Days + (1 | Subject)", data, subset="Days > 2")
    assert part.augment(data)[".fitted"].notna().sum() == part.nobs()
    with pytest.raises(mm.DataError, match="newdata="):
        m.augment(data.head(3).reset_index(drop=True).set_axis([500, 501, 502]))
    with pytest.raises(mm.ControlError, match="not both"):
        m.augment(data, data)


def test_new_rows_get_predictions():
    m = model("ticks")
    new = mm.load_dataset("grouseticks").head(4)
    table = m.augment(newdata=new)
    np.testing.assert_allclose(table[".mu"], m.predict(new, type="response"))
    np.testing.assert_allclose(table[".fixed"], m.predict(new, re_form="~0"))
    unknown = new.assign(BROOD="none")
    with pytest.raises(mm.DataError):
        m.augment(newdata=unknown)
    np.testing.assert_allclose(
        m.augment(newdata=unknown, allow_new_levels=True)[".fitted"],
        m.predict(unknown, allow_new_levels=True),
    )


def test_a_singular_fit_and_a_fit_without_likelihood():
    singular = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff2"))
    table = mm.tidy(singular, conf_int=True)
    assert table.loc[table["term"] == "sd__(Intercept)", "estimate"].item() == 0.0
    pql = mm.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        mm.load_dataset("cbpp"), "binomial", method="pql",
    )  # fmt: skip
    assert list(mm.glance(pql)) == ["nobs", "sigma", "df.residual"]
    assert mm.tidy(pql, "ran_pars", conf_int=True)["conf.low"].isna().all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"effects": "random"}, "ran_vals"),
        ({"effects": []}, "effects must name"),
        ({"conf_method": "exact"}, "conf_method"),
        ({"conf_level": 95}, "between 0 and 1"),
        ({"scales": "sd"}, "scales"),
    ],
)
def test_a_wrong_option_is_named(options, says):
    with pytest.raises(mm.ControlError, match=says):
        mm.tidy(model("pastes"), **options)
    with pytest.raises(mm.ControlError, match="fitted model"):
        mm.glance(3)
