"""Statistics of scaled residuals, against R's ks.test, binom.test, lmtest, ape and quantreg."""

import numpy as np
import pytest
from scipy import stats

from mixedmodels.diagnostics.scaled import autocorrelation, quantiles
from mixedmodels.diagnostics.scaled.outliers import binomial_p_values, extremes
from mixedmodels.diagnostics.scaled.record import one_or_two_sided
from mixedmodels.diagnostics.scaled.uniformity import ks_p_value, ks_statistic

# set.seed(1); round(runif(40)^1.3, 6); round(runif(40) * 10, 3), twice
U = np.fromstring(
    "0.178362 0.276627 0.484682 0.88235 0.124758 0.86997 0.928683 0.583565 0.547455 0.026802 0.128221 "
    "0.104942 0.61385 0.288259 0.71174 0.403698 0.649623 0.989491 0.284296 0.720893 0.915961 0.133234 "
    "0.573112 0.067373 0.179859 0.290222 0.003671 0.286586 0.834016 0.246321 0.387307 0.514266 "
    "0.39932 0.112467 0.781649 0.592385 0.741203 0.055355 0.656802 0.315044",
    sep=" ",
)
X = np.fromstring(
    "8.209 6.471 7.829 5.53 5.297 7.894 0.233 4.772 7.323 6.927 4.776 8.612 4.381 2.448 0.707 0.995 "
    "3.163 5.186 6.62 4.068 9.129 2.936 4.591 3.324 6.509 2.58 4.785 7.663 0.842 8.753 3.391 8.394 "
    "3.467 3.338 4.764 8.922 8.643 3.9 7.773 9.606",
    sep=" ",
)
Y = np.fromstring(
    "4.347 7.125 4 3.254 7.571 2.027 7.111 1.217 2.455 1.433 2.396 0.589 6.423 8.763 7.789 7.973 "
    "4.553 4.101 8.109 6.049 6.547 3.532 2.703 9.927 6.335 2.132 1.294 4.781 9.241 5.988 9.762 7.318 "
    "3.567 4.315 1.482 0.131 7.156 1.032 4.463 6.401",
    sep=" ",
)
ONE = np.zeros(40, dtype=np.intp)
NONE = np.empty((0, 0))


@pytest.mark.parametrize(
    ("alternative", "D", "p"),
    [
        ("two.sided", 0.134956, 0.422734043477),
        ("greater", 0.134956, 0.213300854965),
        ("less", 0.014491, 0.974603252533),
    ],
)
def test_kolmogorov_smirnov_as_r(alternative, D, p):
    """R: ks.test(u, "punif", alternative, exact = TRUE)."""
    found = float(ks_statistic(U, alternative))
    assert found == pytest.approx(D, abs=1e-12)
    assert ks_p_value(found, 40, alternative) == pytest.approx(p, rel=1e-10)


def test_columns_are_tested_alike():
    both = np.column_stack([U, X / 10.0])
    for alternative in ("two.sided", "greater", "less"):
        each = [float(ks_statistic(u, alternative)) for u in both.T]
        np.testing.assert_array_equal(ks_statistic(both, alternative), each)


def test_binomial_as_r():
    """R: binom.test(6, 200, 2/251)$p.value, and its one-sided ones."""
    found = binomial_p_values(6, 200, 2 / 251)
    np.testing.assert_allclose(found, [0.00569380760042, 0.00569380760042, 0.998773868595], rtol=1e-10)
    for k in (0, 1, 5):
        assert binomial_p_values(k, 90, 0.03)[0] == pytest.approx(stats.binomtest(k, 90, 0.03).pvalue)


def test_extremes_by_brute_force():
    values = np.random.default_rng(1).poisson(3.0, (30, 8)).astype(float)
    found = extremes(values[:, :3])
    found.take_in(extremes(values[:, 3:4]))
    found.take_in(extremes(values[:, 4:]))
    others = [np.delete(values, j, axis=1) for j in range(8)]
    below, above = found.lone(values)
    assert below.tolist() == [int((values[:, j] < o.min(axis=1)).sum()) for j, o in enumerate(others)]
    assert above.tolist() == [int((values[:, j] > o.max(axis=1)).sum()) for j, o in enumerate(others)]


@pytest.mark.parametrize(
    ("rows", "dw", "p"),
    [(40, 2.028552157661, 0.536232192306), (5, 2.069302836830, 0.532745809778)],
)
def test_durbin_watson_as_lmtest(rows, dw, p):
    """R: dwtest(u ~ 1, exact = TRUE); its algorithm (pan) has six digits."""
    found = float(autocorrelation.durbin_watson(U[:rows], ONE[:rows]))
    assert found == pytest.approx(dw, abs=1e-11)
    below, above = autocorrelation.durbin_watson_p_values(found, ONE[:rows])
    assert below == pytest.approx(p, abs=2e-6)
    assert below + above == pytest.approx(1.0)


def test_durbin_watson_of_many_as_lmtest():
    """R: dwtest(rep(u, 3)[1:100] ~ 1, exact = FALSE)."""
    series = np.zeros(100, dtype=np.intp)
    found = float(autocorrelation.durbin_watson(np.tile(U, 3)[:100], series))
    assert found == pytest.approx(1.988981454253, abs=1e-11)
    below, _ = autocorrelation.durbin_watson_p_values(found, series)
    assert below == pytest.approx(0.477810603786, abs=1e-9)


@pytest.mark.parametrize("sizes", [[3], [4, 1, 6], [7, 7, 7, 7], [60], [50, 60]])
def test_durbin_watson_of_series_by_simulation(sizes):
    """Normal residuals about one mean: the share of statistics below each of three."""
    series = np.repeat(np.arange(len(sizes)), sizes)
    Z = np.random.default_rng(2).standard_normal((len(series), 40_000))
    simulated = autocorrelation.durbin_watson(Z, series)
    for q in (0.05, 0.5, 0.9):
        dw = float(np.quantile(simulated, q))
        assert autocorrelation.durbin_watson_p_values(dw, series)[0] == pytest.approx(q, abs=0.012)


@pytest.mark.parametrize("by_distances", [False, True])
def test_moran_as_ape(by_distances, monkeypatch):
    """R: Moran.I(u, 1 / as.matrix(dist(cbind(x, y)))) with a zero diagonal."""
    monkeypatch.setattr("mixedmodels.diagnostics.scaled.autocorrelation.DISTANCES_AT_ONCE", 300)
    points = np.column_stack([X, Y])
    D = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))
    near = autocorrelation.neighbours(NONE, D) if by_distances else autocorrelation.neighbours(points, NONE)
    found = float(autocorrelation.morans_i(U, near))
    mean, sd = autocorrelation.moran_moments(U, near)
    np.testing.assert_allclose(
        [found, mean, sd], [-0.056541553815, -0.025641025641, 0.048920814601], rtol=1e-9
    )
    z = (found - mean) / sd
    p = one_or_two_sided(float(stats.norm.sf(z)), float(stats.norm.cdf(z)), "two.sided")
    assert p == pytest.approx(0.527619673187, rel=1e-9)
    assert autocorrelation.morans_i(np.column_stack([U, X]), near)[0] == pytest.approx(found, abs=1e-14)


def test_quantile_curves_as_quantreg():
    """R: rq(u ~ ns(x, 3), tau), fitted at the first four rows.

    A check function rounded off at its corner has its minimum a little beside the vertex that rq finds.
    """
    knots = quantiles.spline_knots(X, None, 2, None)
    columns = np.column_stack([np.ones(40), quantiles.natural_spline(X, knots, False)])
    basis = np.linalg.qr(columns)[0]
    right = {
        0.25: [0.2482571461145, 0.1767631374689, 0.2443738063034, 0.0959530974068],
        0.50: [0.491560983097, 0.276627, 0.444811472574, 0.175559554075],
        0.75: [0.687078665158, 0.593030530281, 0.660492274404, 0.577433461582],
    }
    for tau, values in right.items():
        np.testing.assert_allclose(quantiles.quantile_curve(U, basis, tau)[:4], values, atol=0.004)


def test_quantile_scores_by_their_definition():
    basis = quantiles.trend_basis(X)
    np.testing.assert_allclose(basis.T @ basis, np.eye(5), atol=1e-12)
    (p,) = quantiles.score_p_values(U[:, None], basis, [0.25])[:, 0]
    score = basis.T @ (0.25 - (U < 0.25))
    assert p == pytest.approx(stats.chi2.sf(score @ score / (0.25 * 0.75), 5))


def test_quantile_scores_of_groups_are_pearsons_chi_squared():
    """Counts of residuals below tau by group, held against their number."""
    codes = np.arange(40) % 3
    (p,) = quantiles.score_p_values(U[:, None], quantiles.group_basis(codes), [0.5])[:, 0]
    n = np.bincount(codes)
    below = np.bincount(codes, U < 0.5)
    chisq = ((below - 0.5 * n) ** 2 / (0.25 * n)).sum()
    assert p == pytest.approx(stats.chi2.sf(chisq, 3))


def test_quantile_scores_have_their_level():
    rng = np.random.default_rng(3)
    p = quantiles.score_p_values(rng.random((60, 4000)), quantiles.trend_basis(rng.random(60)), [0.25, 0.5])
    np.testing.assert_allclose((p < 0.05).mean(axis=1), 0.05, atol=0.012)
    smallest = quantiles.adjusted(p).min(axis=0)
    assert (smallest < 0.05).mean() < 0.06


@pytest.mark.parametrize(
    "x", [np.ones(30), np.arange(30) % 2, np.arange(30) % 4, np.arange(3.0), np.r_[1e9, np.ones(20)]]
)
def test_bases_of_few_values_are_orthonormal_and_hold_the_constant(x):
    basis = quantiles.trend_basis(np.asarray(x, dtype=float))
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-10)
    np.testing.assert_allclose(basis @ (basis.T @ np.ones(len(x))), 1.0, atol=1e-10)
    assert basis.shape[1] <= 5


def test_adjustment_as_benjamini_and_hochberg():
    p = np.random.default_rng(4).random((7, 5))
    np.testing.assert_allclose(quantiles.adjusted(p), stats.false_discovery_control(p, axis=0))
