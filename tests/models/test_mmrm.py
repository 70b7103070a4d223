"""mmrm() against SAS PROC MIXED's runs on the FEV trial (openpharma/mmrm), and what it asks for."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from tests.engines.residual.fev import fev

#: -2 log likelihood at the optimum of an independent Newton fit; SAS stops up to 1e-5 above.
FULL = "fev ~ race + sex + arm * visit"
RUNS = [
    (FULL, "us(visit | subject)", True, 3386.449871),
    (FULL, "us(visit | subject)", False, 3397.572197),
    ("fev ~ 1", "ar1(visit | arm / subject)", True, 3872.65211816),
]


@pytest.mark.parametrize(("formula", "structure", "REML", "expected"), RUNS)
def test_the_likelihood_is_that_of_sas(formula, structure, REML, expected):
    m = mm.mmrm(f"{formula} + {structure}", fev(), REML=REML)
    assert -2.0 * m.loglik() == pytest.approx(expected, abs=1e-6)
    assert m.convergence().verdict == "converged"


def test_parameters_by_arm_are_those_of_sas():
    m = mm.mmrm("fev ~ 1 + ar1(visit | arm / subject)", fev())
    at = m.estimates.parameters
    np.testing.assert_allclose(at.rho, [0.3691048707, 0.4830349059], atol=1e-7)
    variances = m.sigma() ** 2 * np.array([1.0, at.delta[0][0] ** 2])
    np.testing.assert_allclose(variances, [78.66351243, 100.7855451], rtol=1e-7)
    assert m.standard_errors().item() == pytest.approx(0.4960188023, rel=1e-7)


def test_criteria_are_those_of_sas_and_by_name_those_of_r():
    m = mm.mmrm(f"{FULL} + us(visit | subject)", fev())
    assert (round(m.aic(), 1), round(m.bic(), 1)) == (3406.4, 3439.4)  # 10 parameters; 200 subjects read
    assert m.aic("R") == pytest.approx(m.aic() + 2 * 11)
    assert m.bic("SPSS") == pytest.approx(-2 * m.loglik() + 10 * np.log(537 - 11))


@pytest.mark.parametrize(
    "structure", ["us(visit | subject)", "us(visit | arm / subject)", "csh(visit | subject)"]
)
def test_the_order_of_the_rows_does_not_matter(structure):
    m = mm.mmrm(f"{FULL} + {structure}", fev())
    other = mm.mmrm(f"{FULL} + {structure}", fev().sample(frac=1.0, random_state=1))
    assert other.loglik() == pytest.approx(m.loglik(), abs=1e-9)
    np.testing.assert_allclose(other.fixef(), m.fixef(), rtol=1e-6)


def test_a_formula_without_a_structure_says_what_to_add():
    with pytest.raises(mm.FormulaError, match=r"us\(visit \| subject\)"):
        mm.mmrm(FULL, fev())
    with pytest.raises(mm.FormulaError, match="more than one"):
        mm.mmrm(f"{FULL} + us(visit | subject) + ar1(visit | subject)", fev())


def test_the_structure_may_stand_anywhere_among_the_terms():
    one = mm.mmrm("fev ~ us(visit | subject) + arm", fev())
    other = mm.mmrm("fev ~ arm + us(visit | subject)", fev())
    assert one.loglik() == pytest.approx(other.loglik(), abs=1e-9)
    assert one.design.x_names == other.design.x_names


def test_the_covariance_of_the_visits_is_that_of_sas():
    # UN(1,1), UN(2,1), ... in the order of the visits.
    m = mm.mmrm(f"{FULL} + us(visit | subject)", fev())
    V = m.VarCorr()
    assert list(V.index) == ["VIS1", "VIS2", "VIS3", "VIS4"]
    expected = [40.55443838, 14.39597828, 26.57143809, 4.976043446, 2.783618722, 14.89795547]
    np.testing.assert_allclose(V.to_numpy()[np.tril_indices(3)], expected, rtol=1e-5)
    one = m.covariance("PT1")
    assert list(one.index) == ["VIS2", "VIS4"]
    np.testing.assert_allclose(one, V.loc[one.index, one.index], rtol=1e-10)
    with pytest.raises(mm.ControlError, match="nobody"):
        m.covariance("nobody")


def test_the_covariance_of_each_arm_is_its_own():
    m = mm.mmrm("fev ~ 1 + ar1(visit | arm / subject)", fev())
    by_arm = m.VarCorr()
    np.testing.assert_allclose(
        [by_arm["PBO"].iloc[0, 0], by_arm["TRT"].iloc[0, 0]], [78.66351243, 100.7855451]
    )
    assert by_arm["TRT"].iloc[0, 1] == pytest.approx(100.7855451 * 0.4830349059, rel=1e-6)
    with pytest.raises(mm.NotAvailableError, match="levels of time"):
        mm.mmrm("fev ~ 1 + exp(x | subject)", fev()).VarCorr()


@pytest.mark.parametrize(
    ("structure", "row", "sas"),
    [("cs", 0, 9.13792825096229), ("ar1", 125, 8.41925686347291), ("toep", 0, 7.97241867742008)],
)
def test_standard_errors_of_missed_visits_by_kenward_and_roger_are_those_of_sas(structure, row, sas):
    # SAS 9.4, ddfm=kr, outp= (openpharma/mmrm, design/predict_interval): SE to 2e-4.
    data = mm.load_dataset("fev_data")
    m = mm.mmrm(f"FEV1 ~ ARMCD + {structure}(AVISIT | USUBJID)", data)
    missed = data.iloc[[row]]
    found = m.predict(missed, se_fit=True, conditional=True, df="kenward-roger")
    plain = m.predict(missed, se_fit=True, conditional=True)
    assert found["se_fit"].iloc[0] == pytest.approx(sas, rel=2e-4)
    assert abs(plain["se_fit"].iloc[0] / sas - 1.0) > 2e-3
    with pytest.raises(mm.errors.ControlError, match="df must be"):
        m.predict(missed, se_fit=True, df="kenward-roger")


def test_weights_and_variances_of_missed_visits_are_in_what_estimates_add():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"id": np.repeat(np.arange(60), 3), "t": np.tile(np.arange(3), 60)})
    data["w"], data["y"] = rng.uniform(0.5, 2.0, 180), rng.normal(size=180) + rng.normal(size=60)[data["id"]]
    seen = data[(data["id"] > 5) | (data["t"] < 2)]
    m = mm.mmrm("y ~ 1 + us(t | id)", seen, weights="w")
    missed = data[(data["id"] <= 5) & (data["t"] == 2)].assign(y=np.nan)
    added = [
        m.predict(missed, se_fit=True, conditional=True, df=df)["se_fit"].to_numpy() ** 2
        for df in ("kenward-roger", None)
    ]
    at, W = m.residual_estimates.free, m.observed_covariance_information.W
    w = data["w"].to_numpy().reshape(-1, 3)[:6]

    def coefficients(free):
        natural = m.residual_problem.model.natural(free)
        C, sd = m.design.residual.structure.matrix(natural.rho), np.r_[1.0, natural.delta[0]]
        R = C * np.outer(sd, sd) / np.sqrt(w[:, :, None] * w[:, None, :])
        return np.array([np.linalg.solve(own[:2, :2], own[:2, 2]) for own in R]), R[:, :2, :2]

    h, k = 1e-5, len(at)
    dA = [(coefficients(at + h * e)[0] - coefficients(at - h * e)[0]) / (2 * h) for e in np.eye(k)]
    V = coefficients(at)[1] * m.sigma() ** 2
    g = np.einsum("kl,kmo,mop,lmp->m", W[:k, :k], np.array(dA), V, np.array(dA))
    assert added[0] - added[1] == pytest.approx(2.0 * g, rel=1e-6)
