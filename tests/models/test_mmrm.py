"""mmrm() against SAS PROC MIXED's runs on the FEV trial (openpharma/mmrm), and what it asks for."""

import numpy as np
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
