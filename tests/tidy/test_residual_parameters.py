"""tidy() has the parameters of structured residuals, with the limits that confint() gives them."""

import numpy as np
import pytest

import mixedmodels as mm

#: nlme 3.1-162, gls(distance ~ age * Sex, Orthodont, corCompSymm(form = ~ age | Subject),
#: varIdent(form = ~ 1 | Sex)), REML: rho, the ratio of the deviations of girls and boys, sigma.
NLME = {"Rho": 0.73425063, "ident.Female": 0.58183983, "sd__Observation": 3.0074339}


@pytest.fixture(scope="module")
def models():
    data = mm.load_dataset("Orthodont")
    cs = "cs(age | Subject)"
    return {
        "gls": mm.gls("distance ~ age*Sex", data, residual=cs, dispersion="ident(Sex)"),
        "lmer": mm.lmer("distance ~ age*Sex + (1 | Subject)", data, residual="ar1(age | Subject)"),
        "loglinear": mm.gls("distance ~ age*Sex", data, residual=cs, dispersion="~ Sex"),
    }


@pytest.mark.parametrize("kind", ["gls", "lmer", "loglinear"])
def test_limits_are_those_of_confint(models, kind):
    table = models[kind].tidy("ran_pars", conf_int=True)
    limits = models[kind].confint("theta_", method="Wald", signames=False)
    own = table[["conf.low", "conf.high"]].sort_values("conf.low")
    np.testing.assert_array_equal(own, limits.sort_values(limits.columns[0]).to_numpy())
    assert ((table["conf.low"] < table["estimate"]) & (table["estimate"] < table["conf.high"])).all()


def test_estimates_are_those_of_nlme(models):
    found = models["gls"].tidy("ran_pars").set_index("term")["estimate"].to_dict()
    assert found == pytest.approx(NLME, rel=1e-5)  # nlme stops at a relative change of 1e-6


def test_variances_have_no_limits(models):
    table = models["gls"].tidy("ran_pars", conf_int=True, scales="vcov").set_index("term")
    assert np.isnan(table.loc["var__Observation", "conf.low"])
    assert table.loc["var__Observation", "estimate"] == pytest.approx(models["gls"].sigma() ** 2)


def test_log_linear_deviations_are_ratios(models):
    ratio = models["gls"].tidy("ran_pars").set_index("term").loc["ident.Female", "estimate"]
    log = models["loglinear"].tidy("ran_pars").set_index("term").loc["loglinear.SexFemale", "estimate"]
    assert np.log(ratio) == pytest.approx(log, abs=1e-6)


def test_without_residual_groups_every_row_is_a_subject():
    data = mm.load_dataset("Orthodont")
    model = mm.gls("distance ~ age", data, dispersion="~ Sex")
    assert model.n_subjects == len(data)


def test_a_modelled_dispersion_is_a_component_of_its_own():
    data = mm.load_dataset("Salamanders")
    model = mm.glmer("count ~ mined + (1 | site)", data, "nbinom2", dispersion="~ DOY")
    table = model.tidy(conf_int=True).query("component == 'disp'").set_index("term")
    limits = model.confint(method="Wald").filter(like="disp.", axis=0)
    # Covariances of differenced gradients: good to about seven digits.
    np.testing.assert_allclose(table[["conf.low", "conf.high"]], limits.to_numpy(), rtol=1e-6)
    assert table.loc["DOY", "estimate"] == model.dispersion_coefficients().loc["DOY", "Estimate"]
