"""Adjusted p-values and limits against R, SciPy, brute force, and each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mixedmodels.inference.emmeans import studentized_range
from mixedmodels.inference.emmeans.adjustment import STEPWISE, Statistics, critical_values, p_values, stepwise
from mixedmodels.inference.emmeans.multivariate_t import largest_t

# p.adjust(c(.01, .02, .03, .2, .9, .04), method) in R 4.2.2
P = np.array([0.01, 0.02, 0.03, 0.2, 0.9, 0.04])
P_ADJUST = {
    "holm": [0.06, 0.10, 0.12, 0.40, 0.90, 0.12],
    "hochberg": [0.06, 0.10, 0.12, 0.40, 0.90, 0.12],
    "hommel": [0.06, 0.08, 0.09, 0.40, 0.90, 0.12],
    "bh": [0.06, 0.06, 0.06, 0.24, 0.90, 0.06],
    "fdr": [0.06, 0.06, 0.06, 0.24, 0.90, 0.06],
    "by": [0.147, 0.147, 0.147, 0.588, 1.0, 0.147],
}


@pytest.mark.parametrize("method", STEPWISE)
def test_stepwise_methods_are_those_of_p_adjust(method):
    np.testing.assert_allclose(stepwise(P, method), P_ADJUST[method], rtol=1e-12)


@settings(max_examples=30)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6))
def test_hommel_is_the_closed_test_of_simes(values):
    p = np.array(values)
    adjusted = np.zeros(len(p))
    for pattern in range(1, 2 ** len(p)):
        members = [i for i in range(len(p)) if pattern >> i & 1]
        ordered = np.sort(p[members])
        simes = np.min(len(members) * ordered / np.arange(1, len(members) + 1))
        adjusted[members] = np.maximum(adjusted[members], simes)
    np.testing.assert_allclose(stepwise(p, "hommel"), np.minimum(adjusted, 1.0), atol=1e-12)


@settings(max_examples=40)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12), st.sampled_from(STEPWISE))
def test_a_stepwise_method_keeps_the_order_and_lowers_no_p_value(values, method):
    p = np.array(values)
    adjusted = stepwise(p, method)
    assert (adjusted >= p - 1e-15).all()
    order = np.argsort(p)
    assert (np.diff(adjusted[order]) >= -1e-12).all()


def test_a_missing_p_value_stays_missing_and_counts_as_a_test():
    # p.adjust(c(.01, NA, .03), "holm", n = 3)
    np.testing.assert_allclose(stepwise(np.array([0.01, np.nan, 0.03]), "holm"), [0.03, np.nan, 0.06])


# ptukey(q, k, df, lower.tail = FALSE) and qtukey(.95, k, df) in R 4.2.2, in its accurate range
@pytest.mark.parametrize(
    ("q", "k", "df", "tail"),
    [
        (np.sqrt(2) * 3.272, 4, np.inf, 0.00588463673719908),
        (np.sqrt(2) * 0.363, 4, np.inf, 0.98364392795827282),
        (np.sqrt(2) * 0.1, 8, 17.3, 0.99999999196627221),
        (4.0, 3, np.inf, 0.0129876613731849),
    ],
)
def test_studentized_range_agrees_with_r(q, k, df, tail):
    assert studentized_range.upper_tail(np.array([q]), k, df)[0] == pytest.approx(tail, rel=1e-9)


@pytest.mark.parametrize(("k", "df"), [(3, 2.0), (5, 4.0), (3, 17.3), (12, 60.0)])
def test_studentized_range_agrees_with_scipy_far_out(k, df):
    q = np.array([0.5, 2.0, 4.0, 14.67, 36.0])
    expected = stats.studentized_range.sf(q, k, df)
    np.testing.assert_allclose(studentized_range.upper_tail(q, k, df), expected, rtol=1e-6, atol=1e-11)


def test_quantiles_of_the_studentized_range():
    assert studentized_range.quantile(0.95, 8, 17.3) == pytest.approx(4.84747565229119, rel=1e-8)
    assert studentized_range.quantile(0.95, 8, np.inf) == pytest.approx(4.28630951255947, rel=1e-7)


def test_of_two_means_the_studentized_range_is_a_t_test():
    t = np.array([0.1, 1.0, 2.5, 8.0])
    for df in (1.0, 3.7, 40.0):
        expected = 2.0 * stats.t.sf(t, df)
        np.testing.assert_allclose(
            studentized_range.upper_tail(np.sqrt(2) * t, 2, df), expected, rtol=1e-9, atol=1e-13
        )


def _pairs(k):
    rows = [(i, j) for i in range(k) for j in range(i + 1, k)]
    C = np.zeros((len(rows), k))
    for row, (i, j) in enumerate(rows):
        C[row, i], C[row, j] = 1.0, -1.0
    return C


@pytest.mark.parametrize(("k", "df"), [(3, 5.0), (4, 17.3), (5, np.inf)])
def test_multivariate_t_of_all_pairs_is_tukey(k, df):
    C = _pairs(k) / np.sqrt(2.0)
    x = np.array([0.5, 1.5, 2.5, 4.0])
    expected = studentized_range.upper_tail(np.sqrt(2.0) * x, k, df)
    largest = largest_t(C @ C.T)
    np.testing.assert_allclose(largest.upper_tail(x, df), expected, rtol=2e-3)
    assert largest.quantile(0.95, df) == pytest.approx(
        studentized_range.quantile(0.95, k, df) / np.sqrt(2.0), rel=1e-3
    )


def test_one_sided_multivariate_t_of_independent_normals():
    # Of independent statistics with a known error the largest has a product of normal distributions.
    largest = largest_t(np.eye(3), two_sided=False)
    x = np.array([-1.0, 0.0, 0.7, 2.0])
    np.testing.assert_allclose(largest.upper_tail(x, np.inf), 1.0 - stats.norm.cdf(x) ** 3, rtol=2e-3)


def test_multivariate_t_agrees_with_simulation():
    rng = np.random.default_rng(7)
    A = rng.standard_normal((4, 3))
    R = A @ A.T + 0.1 * np.eye(4)
    R /= np.sqrt(np.outer(np.diag(R), np.diag(R)))
    df = 6.0
    z = rng.multivariate_normal(np.zeros(4), R, 400_000)
    t = np.abs(z).max(axis=1) / np.sqrt(rng.chisquare(df, len(z)) / df)
    for x in (1.0, 2.0, 3.0):
        share = np.mean(t > x)
        error = np.sqrt(share * (1 - share) / len(t))
        assert largest_t(R).upper_tail(np.array([x]), df)[0] == pytest.approx(share, abs=4 * error + 1e-4)


@pytest.mark.parametrize("adjust", ["none", "sidak", "bonferroni", "tukey", "scheffe", "dunnettx", "mvt"])
@pytest.mark.parametrize("df", [7.4, np.inf])
def test_a_limit_touches_zero_where_the_p_value_is_the_level(adjust, df):
    C = _pairs(4) / np.sqrt(2.0)
    for tail in (0,) if adjust in ("tukey", "scheffe", "dunnettx") else (0, 1):
        at = Statistics(np.zeros(6), np.full(6, df), tail, C @ C.T, 3)
        critical = critical_values(at, adjust, 0.9)
        p = p_values(Statistics(critical, at.df, tail, at.correlation, at.rank), adjust)
        np.testing.assert_allclose(p, 0.1, rtol=1e-6)
