"""Intervals by the bootstrap, ``confint(method="boot")``, and the names of parameters wherever they stand."""

from __future__ import annotations

import numpy as np
import pytest

import mixedmodels as mm

STRUCTURED = {
    "cs": ("score ~ Machine + cs(0 + Machine | Worker)", "Machines"),
    "hom": ("score ~ Machine + cs(0 + Machine | Worker, hom = TRUE)", "Machines"),
    "diag": ("Reaction ~ Days + diag(Days | Subject)", "sleepstudy"),
    "two terms": ("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", "sleepstudy"),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin"),
}


def test_limits_are_quantiles_of_the_replicates(fitted):
    m = fitted("sleepstudy")
    table = m.confint(method="boot", nsim=400, rng=5)
    assert list(table.index) == [".sig01", ".sig02", ".sig03", ".sigma", "(Intercept)", "Days"]
    drawn = mm.bootstrap(m, nsim=400, rng=5).replicates
    np.testing.assert_allclose(table["2.5 %"], np.nanquantile(drawn, 0.025, axis=0, method="weibull"))
    np.testing.assert_allclose(table["97.5 %"], np.nanquantile(drawn, 0.975, axis=0, method="weibull"))
    mirrored = m.confint("theta_", 0.8, "boot", nsim=400, rng=5, type="basic")
    plain = m.confint("theta_", 0.8, "boot", nsim=400, rng=5)
    estimates = [24.7407, 0.0655, 5.9221, 25.5918]  # lme4's VarCorr()
    np.testing.assert_allclose(mirrored["10 %"] + plain["90 %"], 2.0 * np.array(estimates), atol=2e-3)


def test_parameters_are_chosen_as_for_the_profile(fitted):
    m = fitted("sleepstudy")
    whole = m.confint(method="boot", nsim=60, rng=1)
    for parm in (".sig03", "sd_Days|Subject", 2, -1, "beta_", ["Days", ".sigma"]):
        some = m.confint(parm, method="boot", nsim=60, rng=1)
        assert list(some.index) == list(m.confint(parm, method="Wald").index)
        np.testing.assert_array_equal(some, whole.loc[some.index])


@pytest.mark.parametrize("name", STRUCTURED)
def test_every_table_has_the_same_names(name):
    formula, data = STRUCTURED[name]
    m = mm.lmer(formula, mm.load_dataset(data))
    names = list(m.confint(method="Wald", signames=False).index)
    replicates = mm.bootstrap(m, nsim=3, rng=1)
    assert list(replicates.names) == names
    table = mm.refit_many(m, m.y[:, None])
    random = table[(table["effect"] == "random") & (table["group"] != "Residual")]
    assert [f"{t}|{g}" for t, g in zip(random["term"], random["group"], strict=True)] == names[: len(random)]
    # The estimates are those of VarCorr(), where it has them.
    expected = m.VarCorr().to_frame("lower.tri")["sdcor"].to_numpy()
    if name == "diag":
        expected = expected[[0, 2, 3]]
    elif name == "cs":  # three deviations and one correlation, of three that are equal
        expected = expected[[0, 3, 5, 1, 6]]
    elif name == "hom":
        expected = expected[[0, 1, 6]]
    np.testing.assert_allclose(replicates.estimates[: len(random) + 1], expected, rtol=1e-8)
    np.testing.assert_allclose(random["estimate"], expected[:-1], rtol=1e-5)


def test_a_correlation_of_effects_that_vanish_is_not_a_number():
    rng = np.random.default_rng(2)
    data = mm.load_dataset("Machines")
    m = mm.lmer("score ~ Machine + cs(0 + Machine | Worker, hom = TRUE)", data)
    none = rng.normal(size=(54, 40))
    table = mm.refit_many(m, none - none.reshape(6, 3, 3, 40, order="F").mean()).query("group == 'Worker'")
    wide = table.pivot(index="response", columns="term", values="estimate")
    assert (wide["sd"] == 0.0).any()
    np.testing.assert_array_equal(np.isnan(wide["rho"]), wide["sd"] == 0.0)


def test_models_of_every_kind_have_them(fitted):
    for name in ("cbpp", "cbpp_pql", "cbpp_glm", "sleepstudy_no_fixed"):
        m = fitted(name)
        table = m.confint(method="boot", nsim=40, rng=1)
        assert (table["2.5 %"] < table["97.5 %"]).all()
        assert list(table.index[-len(m.beta) :] if len(m.beta) else []) == list(m.design.x_names)
    least = mm.lm("Reaction ~ Days", mm.load_dataset("sleepstudy")).confint(method="boot", nsim=99, rng=1)
    assert list(least.index) == [".sigma", "(Intercept)", "Days"]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"nsim": 100}, mm.ControlError, "nsim= is about the bootstrap: write method='boot'"),
        ({"method": "Wald", "type": "basic"}, mm.ControlError, "type= is about the bootstrap"),
        ({"method": "boot", "type": "bc"}, mm.ControlError, "'bca'"),
        ({"method": "boot", "nsim": 0}, mm.ControlError, "nsim"),
        ({"method": "boot", "parm": "Dayz"}, mm.ControlError, r"\.sig01"),
        ({"method": "boot", "seed": 1}, mm.UnknownArgumentError, "rng=1"),
        ({"method": "boot", "boot_type": "perc"}, mm.UnknownArgumentError, "type='percentile'"),
        ({"method": "bootstrap"}, mm.ControlError, "'profile', 'Wald' or 'boot'"),
    ],
)
def test_wrong_requests_are_refused(fitted, options, error, match):
    with pytest.raises(error, match=match):
        fitted("sleepstudy").confint(**options)
