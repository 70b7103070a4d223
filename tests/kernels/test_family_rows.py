"""Compiled and NumPy versions of the rows' likelihood terms against SciPy and against exact sums."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, gammaln, log_expit

from mixedmodels.families.special import MOST_TERMS, rising, rising_jet, rising_jet_at
from mixedmodels.kernels import family_rows

# A dozen operations on numbers of the size of the result.
ROUNDING = 1e-13
LOGIT = {"chosen": family_rows.logit_rows, "numpy": family_rows.logit_rows_numpy}
RISING = {"chosen": family_rows.rising_rows, "numpy": family_rows.rising_rows_numpy}
SIZES = st.floats(1e-8, 1e8)


@pytest.mark.parametrize("version", LOGIT)
@given(etas=st.lists(st.floats(-700.0, 700.0), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_logit_terms_equal_those_of_scipy(version, etas, seed):
    rng, eta = np.random.default_rng(seed), np.array(etas)
    weights = rng.integers(1, 9, len(eta)).astype(float)
    y = rng.binomial(weights.astype(int), 0.5) / weights
    loglik, d1, v, slope = LOGIT[version](y, eta, weights)
    p, q = expit(eta), expit(-eta)
    expected = weights * (y * log_expit(eta) + (1.0 - y) * log_expit(-eta))
    np.testing.assert_allclose(loglik, expected, rtol=ROUNDING, atol=ROUNDING * np.abs(eta * weights).max())
    np.testing.assert_allclose(d1, weights * (y * q - (1.0 - y) * p), rtol=ROUNDING, atol=ROUNDING)
    np.testing.assert_allclose(v, weights * p * q, rtol=ROUNDING)
    np.testing.assert_allclose(slope, weights * p * q * (q - p), rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("version", LOGIT)
def test_logit_terms_keep_their_digits_where_the_mean_is_at_its_end(version):
    eta = np.array([-40.0, -700.0])
    loglik, d1, v, _ = LOGIT[version](np.zeros(2), eta, np.ones(2))
    for found, sign in ((loglik, -1.0), (d1, -1.0), (v, 1.0)):
        np.testing.assert_allclose(found, sign * np.exp(eta), rtol=ROUNDING)


@pytest.mark.parametrize("version", RISING)
@settings(max_examples=40)
@given(y=st.integers(0, 30), s=SIZES)
def test_rising_factorials_equal_exact_sums(version, y, s):
    t = [Fraction(s) / (Fraction(s) + k) for k in range(y)]
    exact = (sum(t), sum(a * (1 - a) for a in t), sum(a * (1 - a) * (1 - 2 * a) for a in t))
    value, *derivatives = RISING[version](np.array([float(y)]), np.array([s]))
    size = np.abs(np.log(s + np.arange(y))).sum()
    np.testing.assert_allclose(value, np.log(s + np.arange(y)).sum(), rtol=ROUNDING, atol=ROUNDING * size)
    for found, right in zip(derivatives, exact, strict=True):
        np.testing.assert_allclose(found, float(right), rtol=ROUNDING, atol=ROUNDING * float(exact[1]))


@pytest.mark.parametrize("s", [1e-100, 1e120, 1e300])
@pytest.mark.parametrize("version", RISING)
def test_rising_factorials_of_extreme_shapes(version, s):
    value, first, _, _ = RISING[version](np.array([0.0, 3.0]), np.array([s, s]))
    np.testing.assert_allclose(value, [0.0, np.log(s + np.arange(3)).sum()], rtol=ROUNDING)
    assert first[0] == 0.0 and first[1] == pytest.approx((s / (s + np.arange(3))).sum())


def test_few_terms_and_the_series_meet():
    y, s = np.array([MOST_TERMS, MOST_TERMS + 1.0, 2.5, 0.0]), np.full(4, 3.0)
    jet = rising_jet(y, s)
    np.testing.assert_allclose(jet[0], gammaln(y + s) - gammaln(s), rtol=1e-12)
    for found, by_series in zip(jet[1:], rising(y, s), strict=True):
        np.testing.assert_allclose(found, by_series, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("largest", [8.0, 200.0])
def test_one_shape_for_all_counts_is_looked_up(largest):
    y = np.random.default_rng(0).integers(0, largest, 300).astype(float)
    for found, right in zip(rising_jet_at(y, 2.5), rising_jet(y, np.full_like(y, 2.5)), strict=True):
        np.testing.assert_array_equal(found, right)
