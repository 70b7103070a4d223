"""Derivatives of every family with every link against central differences, at ordinary and extreme eta."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.families import quasi, quasibinomial, quasipoisson
from tests.families.cases import CASES, COUNTS, NONE, POSITIVE, PROPORTIONS, TRIALS, WEIGHTS, Case

# Central differences with a step of 1e-5 of analytic values lose five of sixteen digits and err by the
# third derivative times 1e-10.
DIFFERENCES = 3e-4
PAIRS = (("loglik", "d1"), ("d1", "d2"), ("d2", "d3"), ("information", "d_information"))
IDS = [repr(case) for case in CASES]
QUASI = (
    Case(quasibinomial("probit"), PROPORTIONS, TRIALS, NONE),
    Case(quasipoisson("sqrt"), COUNTS, WEIGHTS, NONE),
    Case(quasi("log", "mu^2"), POSITIVE, WEIGHTS, NONE),
    Case(quasi("log", "mu^3"), POSITIVE, WEIGHTS, NONE),
)


def _close(numeric, analytic, function):
    scale = np.maximum(np.abs(analytic), 1e-3 * np.maximum(1.0, np.abs(function).max()))
    np.testing.assert_array_less(np.abs(numeric - analytic) / scale, DIFFERENCES)


def _check_eta(case, eta, observed):
    family, y, weights, phi = case
    step = 1e-5 * max(1.0, float(np.abs(eta).max()))
    here = family.evaluate(y, eta, weights, phi, 3, observed)
    up = family.evaluate(y, eta + step, weights, phi, 3, observed)
    down = family.evaluate(y, eta - step, weights, phi, 3, observed)
    if not all(np.all(np.isfinite(at.loglik)) for at in (here, up, down)):
        return
    for function, derivative in PAIRS:
        numeric = (getattr(up, function) - getattr(down, function)) / (2.0 * step)
        _close(numeric, getattr(here, derivative), getattr(here, function))


def _check_phi(case, eta, observed):
    family, y, weights, phi = case
    found = family.phi_derivatives(y, eta, weights, phi, observed)
    here = family.evaluate(y, eta, weights, phi, 3, observed)
    if not np.all(np.isfinite(here.loglik)):
        return
    free = family.phi_to_free(phi)
    np.testing.assert_allclose(family.phi_from_free(free), phi, rtol=1e-13)
    for k in range(len(phi)):
        shift = np.zeros(len(phi))
        shift[k] = 1e-5
        up, down = (family.phi_from_free(free + s) for s in (shift, -shift))
        assert family.phi_natural_derivative(phi)[k] == pytest.approx((up - down)[k] / 2e-5, rel=1e-6)
        above = family.evaluate(y, eta, weights, up, 3, observed)
        below = family.evaluate(y, eta, weights, down, 3, observed)
        for name in ("loglik", "d1", "d2", "information"):
            numeric = (getattr(above, name) - getattr(below, name)) / 2e-5
            _close(numeric, getattr(found, name)[k], getattr(here, name))


@pytest.mark.parametrize("case", CASES, ids=IDS)
@settings(max_examples=12, deadline=None)
@given(size=st.floats(0.02, 1.0), scale=st.sampled_from([1.0, 6.0, 40.0]), sign=st.sampled_from([-1.0, 1.0]))
def test_central_differences(case, size, scale, sign):
    eta = np.full(len(case.y), sign * size * scale)
    for observed in (False, True):
        _check_eta(case, eta, observed)
        _check_phi(case, eta, observed)


@pytest.mark.parametrize("case", QUASI, ids=[repr(case) for case in QUASI])
@pytest.mark.parametrize("eta", [0.3, 0.9, 2.0])
def test_central_differences_of_quasi_likelihoods(case, eta):
    _check_eta(case, np.full(len(case.y), eta), observed=False)


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("eta", [-1e4, -700.0, -300.0, -100.0, 0.0, 100.0, 300.0, 700.0, 1e4])
def test_extreme_eta_stays_finite(case, eta):
    family, y, weights, phi = case
    at = np.full(len(y), eta)
    for observed in (False, True):
        found = family.evaluate(y, at, weights, phi, 3, observed)
        assert not np.any(np.isnan(found.loglik))
        assert np.all(found.loglik < np.inf)
        for name in ("d1", "d2", "d3", "information", "d_information"):
            assert np.all(np.isfinite(getattr(found, name))), name
        in_phi = family.phi_derivatives(y, at, weights, phi, observed)
        for name in ("loglik", "d1", "d2", "information"):
            assert getattr(in_phi, name).shape == (len(phi), len(y))
            assert np.all(np.isfinite(getattr(in_phi, name))), name


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_row_of_weight_zero_contributes_nothing(case):
    family, y, _, phi = case
    eta = np.full(len(y), 0.4)
    none = np.zeros(len(y))
    found = family.evaluate(y, eta, none, phi, 3)
    in_phi = family.phi_derivatives(y, eta, none, phi)
    for part in (found.loglik, found.d1, found.d2, found.information, found.d3, found.d_information):
        np.testing.assert_array_equal(part, 0.0)
    for part in (in_phi.loglik, in_phi.d1, in_phi.d2, in_phi.information):
        np.testing.assert_array_equal(part, 0.0)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_order_two_and_a_given_constant_change_nothing(case):
    family, y, weights, phi = case
    eta = np.full(len(y), 0.4)
    full = family.evaluate(y, eta, weights, phi, 3)
    short = family.evaluate(y, eta, weights, phi, 2, constant=family.log_constant(y, weights))
    for name in ("loglik", "d1", "d2", "information"):
        np.testing.assert_array_equal(getattr(short, name), getattr(full, name))
    assert short.d3.size == short.d_information.size == 0


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_canonical_means_expected_is_observed(case):
    family, y, weights, phi = case
    # A log link of a probability needs a negative eta.
    eta = np.full(len(y), -0.4 if family.link.name == "log" else 0.4)
    expected = family.evaluate(y, eta, weights, phi).information
    observed = family.evaluate(y, eta, weights, phi, observed=True).information
    same = np.allclose(expected, observed, rtol=1e-10)
    assert same == (family.is_canonical or not family.has_expected_information)
