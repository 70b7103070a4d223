"""The covariance of generalized estimates where the data do not tell all parameters apart."""

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.engines.generalized.hessian import determined_inverse

# Two fits of one model reach the same optimum to about 1e-5 of a standard error.
SAME = 1e-4


def test_a_flat_direction_leaves_the_other_parameters_alone():
    full = np.array([[4.0, 1.0], [1.0, 3.0]])
    hessian = np.zeros((4, 4))
    hessian[2:, 2:] = full
    hessian[:2, :2] = 1.0  # only the sum of the first two is determined
    inverse = determined_inverse(hessian, slice(2, 4))
    np.testing.assert_allclose(inverse[2:, 2:], np.linalg.inv(full), rtol=1e-12)
    assert np.isnan(inverse[:2]).all()


def test_a_positive_definite_hessian_is_simply_inverted():
    hessian = np.array([[4.0, 1.0, 0.5], [1.0, 300.0, 2.0], [0.5, 2.0, 1.0]])
    np.testing.assert_allclose(determined_inverse(hessian, slice(0, 1)), np.linalg.inv(hessian), atol=1e-14)


@pytest.mark.parametrize(
    "hessian",
    [np.diag([1.0, -1.0]), np.array([[1.0, 1.0], [1.0, 1.0]]), np.diag([1.0, np.nan])],
    ids=["negative", "flat in a fixed effect", "not finite"],
)
def test_fixed_effects_that_are_not_determined_have_no_covariance(hessian):
    assert determined_inverse(hessian, slice(0, 1)) is None


def test_a_variance_written_twice_does_not_change_the_standard_errors():
    cbpp = mm.load_dataset("cbpp").assign(flock=lambda d: d.herd)
    response = "cbind(incidence, size - incidence) ~ period"
    once = mm.glmer(f"{response} + (1 | herd)", cbpp, family="binomial")
    with pytest.warns(mm.IdentificationWarning, match="not identified"):
        twice = mm.glmer(f"{response} + (1 | herd) + (1 | flock)", cbpp, family="binomial")
    assert twice.loglik() == pytest.approx(once.loglik(), abs=1e-8)
    np.testing.assert_allclose(twice.standard_errors(), once.standard_errors(), rtol=SAME)
    assert np.isnan(twice.hessian_covariance[:2, :2]).all()
