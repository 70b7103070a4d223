"""Polygamma functions and their differences against SciPy and against exact sums."""

import numpy as np
from scipy.special import digamma, expit, gammaln, polygamma

from mixedmodels.families.special import (
    gamma_normalizer,
    log_gamma_difference,
    log_minus_digamma,
    logistic,
    polygamma_differences,
    polygammas,
)

X = np.concatenate([np.geomspace(1e-100, 1e15, 2001), np.linspace(0.01, 60.0, 2001)])
ROUNDING = 1e-14


def test_polygammas():
    d0, d1, d2 = polygammas(X)
    np.testing.assert_allclose(d0, digamma(X), rtol=ROUNDING, atol=ROUNDING)
    np.testing.assert_allclose(d1, polygamma(1, X), rtol=ROUNDING)
    np.testing.assert_allclose(d2, polygamma(2, X), rtol=ROUNDING)


def test_differences_are_sums_over_counts():
    for y in (0, 1, 2, 7, 60):
        steps = np.arange(y)[:, None]
        # For whole y the differences are sums of positive terms, exact to the last digit.
        exact = (
            np.log(X + steps).sum(axis=0),
            (1.0 / (X + steps)).sum(axis=0),
            -(1.0 / (X + steps) ** 2).sum(axis=0),
            (2.0 / (X + steps) ** 3).sum(axis=0),
        )
        count = np.full_like(X, float(y))
        found = (log_gamma_difference(count, X), *polygamma_differences(count, X))
        for ours, right in zip(found, exact, strict=True):
            np.testing.assert_allclose(ours, right, rtol=1e-9, atol=1e-13)


def test_differences_far_out_do_not_cancel():
    s, one = np.array([1e8, 1e12, 1e15]), np.ones(3)
    d0, d1, d2 = polygamma_differences(one, s)
    np.testing.assert_allclose(d0, 1.0 / s, rtol=1e-7)
    np.testing.assert_allclose(d1, -1.0 / s**2, rtol=1e-7)
    np.testing.assert_allclose(d2, 2.0 / s**3, rtol=1e-7)
    np.testing.assert_allclose(log_gamma_difference(one, s), np.log(s), rtol=1e-15)


def test_normalizers():
    k = np.geomspace(1e-3, 40.0, 200)
    np.testing.assert_allclose(gamma_normalizer(k), k * np.log(k) - k - gammaln(k), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(log_minus_digamma(k), np.log(k) - digamma(k), rtol=1e-9)
    large = np.array([1e6, 1e12])
    np.testing.assert_allclose(gamma_normalizer(large), 0.5 * np.log(large / (2 * np.pi)), rtol=1e-7)
    np.testing.assert_allclose(log_minus_digamma(large), 0.5 / large, rtol=1e-6)


def test_constant_arguments_take_the_short_way():
    k = np.full(5, 3.7)
    np.testing.assert_array_equal(gamma_normalizer(k), np.repeat(gamma_normalizer(k[:1]), 5))
    np.testing.assert_array_equal(log_minus_digamma(k), np.repeat(log_minus_digamma(k[:1]), 5))


def test_logistic():
    d = np.linspace(-700.0, 700.0, 1401)
    p, q, softplus = logistic(d)
    np.testing.assert_allclose(p, expit(d), rtol=1e-14)
    np.testing.assert_allclose(q, expit(-d), rtol=1e-14)
    np.testing.assert_allclose(softplus, np.logaddexp(0.0, d), rtol=1e-14)
