"""Tests of variances on the boundary: mixtures, exact distributions, the parametric bootstrap."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.inference.boundary_tests import added_effect
from mixedmodels.inference.exact_tests import eigenvalues, simulated_ratios


def test_mixtures_by_hand():
    x = np.array([0.0, 1.0, 4.2])
    chi = stats.chi2
    np.testing.assert_allclose(mm.boundary_p_value(x), [1.0, *(0.5 * chi.sf(x[1:], 1))])
    np.testing.assert_allclose(mm.boundary_p_value(x, 1, 1), 0.5 * chi.sf(x, 1) + 0.5 * chi.sf(x, 2))
    np.testing.assert_allclose(mm.boundary_p_value(x, 1, 2), 0.5 * chi.sf(x, 2) + 0.5 * chi.sf(x, 3))
    two = 0.5 * chi.sf(x, 1) + 0.25 * chi.sf(x, 2)
    np.testing.assert_allclose(mm.boundary_p_value(x, 2)[1:], two[1:])
    assert np.isnan(mm.boundary_p_value(3.0, 2, 1))
    # The rounding of two equal optima is no evidence, and not half of it.
    assert mm.boundary_p_value(1e-9) == 1.0
    with pytest.raises(mm.ControlError, match="added_variances"):
        mm.boundary_p_value(3.0, 0)


SLEEP = {
    "none": None, "1": "(1 | Subject)", "2": "(Days | Subject)", "||": "(Days || Subject)",
    "diag": "diag(Days | Subject)", "slope": "(0 + Days | Subject)",
    "sq": "(Days + I(Days^2) | Subject)",
}  # fmt: skip


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        ("none", "1", (1, 0)), ("1", "2", (1, 1)), ("slope", "2", (1, 1)), ("1", "||", (1, 0)),
        ("slope", "||", (1, 0)), ("2", "sq", (1, 2)), ("none", "2", None), ("||", "2", None),
        ("1", "1", None), ("1", "sq", None), ("1", "slope", None),
    ],
)  # fmt: skip
def test_which_effects_are_added(data, small, large, expected):
    def fit(name):
        if SLEEP[name] is None:
            return mm.lm("Reaction ~ Days", data("sleepstudy"))
        return mm.lmer(f"Reaction ~ Days + {SLEEP[name]}", data("sleepstudy"), REML=False)

    assert added_effect(fit(small), fit(large)) == expected


def test_anova_has_the_mixture_beside_the_naive_value(fitted, capsys):
    table = mm.anova(fitted("sleepstudy_intercept"), fitted("sleepstudy"))
    chisq = table["Chisq"].iloc[1]
    expected = 0.5 * stats.chi2.sf(chisq, 1) + 0.5 * stats.chi2.sf(chisq, 2)
    assert table["Pr(>Chibar)"].iloc[1] == pytest.approx(expected) and np.isnan(table["Pr(>Chibar)"].iloc[0])
    assert table["Pr(>Chisq)"].iloc[1] == pytest.approx(stats.chi2.sf(chisq, 2))
    own, below = repr(table).split("Signif. codes")
    assert "Chibar" not in own  # R's own table
    assert below.split("\n", 1)[1] == (
        "Pr(>Chibar), from the mixture of chi-squares that holds where a variance is \n"
        "zero: 3.96e-10 (MODEL2)"
    )
    assert table._repr_html_().count("Chibar") == 1


def test_ranova_has_the_mixture_where_one_effect_is_left_out(data):
    def chibar(formula, name, **options):
        return mm.lmer(formula, data(name)).ranova(**options)

    table = chibar("Reaction ~ Days + (Days | Subject)", "sleepstudy")
    lrt = table["LRT"].iloc[1]
    assert lrt == pytest.approx(42.837, abs=5e-4)  # lmerTest
    mixture = 0.5 * stats.chi2.sf(lrt, 1) + 0.5 * stats.chi2.sf(lrt, 2)
    assert table["Pr(>Chibar)"].iloc[1] == pytest.approx(mixture, rel=1e-8)
    assert "zero: 2.79e-10 (Days in (Days | Subject))" in repr(table)
    table = chibar("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", "Machines")
    np.testing.assert_allclose(table["Pr(>Chibar)"].iloc[1:], table["Pr(>Chisq)"].iloc[1:] / 2, rtol=1e-8)
    # Two effects at once, or as many as before: no mixture with known weights.
    for formula, options in (
        ("Reaction ~ Days + (Days | Subject)", {"reduce_terms": False}),
        ("Reaction ~ Days + (0 + Days | Subject)", {}),
    ):
        table = chibar(formula, "sleepstudy", **options)
        assert "Pr(>Chibar)" not in table and "Chibar" not in repr(table)


def test_fixed_effects_have_no_mixture(data):
    d = data("sleepstudy")
    two = [mm.lmer(f"Reaction ~ {x} + (1 | Subject)", d, REML=False) for x in ("1", "Days")]
    assert "Pr(>Chibar)" not in mm.anova(*two)


def test_the_mixture_has_its_level():
    # 40 groups: half of the ratios are about zero, and naive p-values reject half as often.
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(40), 5)
    null = pd.DataFrame({"y": rng.normal(size=200), "g": pd.Categorical(g)})
    m = mm.lmer("y ~ 1 + (1 | g)", null, REML=False)
    Y = rng.normal(size=(200, 2000))
    table = mm.refit_many(m, Y).drop_duplicates("response")
    without = 200 * (1.0 + np.log(2.0 * np.pi * Y.var(axis=0)))
    ratio = np.maximum(without - table["objective"].to_numpy(), 0.0)
    assert np.mean(mm.boundary_p_value(ratio) < 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.mean(stats.chi2.sf(ratio, 1) < 0.05) == pytest.approx(0.025, abs=0.012)


def one_way_rlrt_tail(statistic, q, n):
    """Return P(RLRT > statistic) in a balanced one-way layout, where it is a function of the F ratio."""
    a, b = q - 1, n - q

    def rlrt(F):
        s = a * F / b  # between over within
        lam = max(F - 1.0, 0.0)
        if lam == 0.0:
            return 0.0
        return (a + b) * np.log((1.0 + s) / (1.0 + s / (1.0 + lam))) - a * np.log1p(lam)

    low, high = 1.0, 1e6
    for _ in range(200):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if rlrt(middle) < statistic else (low, middle)
    return stats.f.sf(low, a, b)


def test_exact_rlrt_against_the_f_distribution(fitted):
    test = mm.exact_rlrt(fitted("dyestuff"), nsim=100_000, rng=1)
    # RLRsim 3.1-8: RLRT = 6.369, p = 0.0046 by simulation.
    assert test.statistic == pytest.approx(6.369, abs=5e-4)
    exact = one_way_rlrt_tail(test.statistic, 6, 30)
    assert test.p_value == pytest.approx(exact, abs=4.0 * np.sqrt(exact / 100_000))
    for quantile in (0.5, 2.0, 4.0):
        exact = one_way_rlrt_tail(quantile, 6, 30)
        assert np.mean(test.sample > quantile) == pytest.approx(exact, abs=4.0 * np.sqrt(exact / 100_000))
    # RLRsim, 200000 draws: mass at zero 0.562, quantiles 0.9 and 0.99 at 1.334 and 4.946.
    assert np.mean(test.sample == 0.0) == pytest.approx(0.562, abs=0.01)
    np.testing.assert_allclose(np.quantile(test.sample, [0.9, 0.99]), [1.334, 4.946], rtol=0.05)


def test_exact_distributions_against_fits():
    """The simulated distribution is that of ratios computed by fitting, in an unbalanced weighted design."""
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(6), [2, 3, 5, 6, 2, 4])
    n = len(g)
    data = pd.DataFrame(
        {"g": pd.Categorical(g), "x": rng.normal(size=n) + 0.4 * g, "w": rng.uniform(0.3, 3.0, n)}
    )
    Y = rng.normal(size=(n, 3000)) / np.sqrt(data.w.to_numpy())[:, None]
    data["y"] = Y[:, 0] + g
    for REML in (True, False):
        m = mm.lmer("y ~ x + (1 | g)", data, REML=REML, weights="w")
        ratios = np.empty(3000)
        objective = mm.refit_many(m, Y).drop_duplicates("response")["objective"].to_numpy()
        for r in range(3000):
            problem = m.problem.with_response(Y[:, r])
            df = n - 2 if REML else n
            ratios[r] = df * (np.log(2 * np.pi * problem.equations.rss / df) + 1) - problem.sum_log_weights
        ratios += (m.problem.fixed_basis.log_det_R2 if REML else 0.0) - objective
        mu, xi = eigenvalues(m)
        sample = simulated_ratios(
            mu, mu if REML else xi, n - 2, n - 2 if REML else n, 0, 20_000, np.random.default_rng(1)
        )
        for height in (1e-6, 0.5, 1.5, 3.0):
            share = np.mean(sample > height)
            error = 4.0 * np.sqrt(share * (1 - share) * (1 / 3000 + 1 / 20_000))
            assert np.mean(ratios > height) == pytest.approx(share, abs=error)


def test_exact_lrt(fitted, data):
    d = data("Dyestuff")
    test = mm.exact_lrt(fitted("dyestuff_ml"), mm.lm("Yield ~ 1", d), nsim=50_000, rng=1)
    # RLRsim: LRT = 5.4028, p = 0.0047.
    assert test.statistic == pytest.approx(5.4028, abs=1e-4)
    assert test.p_value == pytest.approx(0.0045, abs=0.0012)
    d = data("sleepstudy").query("Days < 4")
    m = mm.lmer("Reaction ~ Days + (1 | Subject)", d)
    test = mm.exact_lrt(m, mm.lm("Reaction ~ 1", d), rng=1)
    assert test.statistic == pytest.approx(43.196, abs=1e-3) and test.p_value == 0.0
    # With a fixed effect tested too: at least the chi-square of that effect.
    assert np.mean(test.sample > 3.84) > 0.05


def test_no_variance_is_no_evidence(fitted):
    test = mm.exact_rlrt(fitted("dyestuff2"), rng=1)
    assert (test.statistic, test.p_value) == (0.0, 1.0)
    assert "RLRT = 0" in repr(test)


def test_exact_tests_refuse(fitted, data):
    with pytest.raises(mm.NotAvailableError, match="single variance"):
        mm.exact_rlrt(fitted("sleepstudy"))
    with pytest.raises(mm.NotAvailableError, match="linear mixed model"):
        mm.exact_rlrt(fitted("cbpp"))
    with pytest.raises(mm.ControlError, match=r"lm\(\)"):
        mm.exact_lrt(fitted("dyestuff"), fitted("dyestuff2"))
    with pytest.raises(mm.DataError, match="size"):
        mm.exact_lrt(fitted("dyestuff"), mm.lm("Yield ~ 1", data("Dyestuff").iloc[:20]))
    with pytest.raises(mm.ControlError, match="nsim"):
        mm.exact_rlrt(fitted("dyestuff"), nsim=0)


def test_parametric_bootstrap_of_a_ratio(data):
    d = data("sleepstudy")
    large = mm.lmer("Reaction ~ Days + I(Days^2) + (Days | Subject)", d)
    small = mm.lmer("Reaction ~ Days + (Days | Subject)", d)
    table = mm.pb_modcomp(large, small, nsim=1000, rng=1)
    # pbkrtest 0.5-2, 1000 draws: LRT 1.6577, p 0.1979; PBtest 0.1848, Gamma 0.1926, Bartlett 0.1934.
    assert table.loc["LRT", "stat"] == pytest.approx(1.6577, abs=2e-4)
    assert table.loc["LRT", "p.value"] == pytest.approx(0.1979, abs=1e-4)
    assert table.loc["PBtest", "p.value"] == pytest.approx(0.1848, abs=0.055)
    reference = table.attrs["reference"]
    positive = reference[reference > 0]
    mean, variance = positive.mean(), positive.var(ddof=1)
    observed = table.loc["LRT", "stat"]
    expected = {
        "PBtest": (1 + (positive > observed).sum()) / (1 + len(positive)),
        "Gamma": stats.gamma.sf(observed, mean**2 / variance, scale=variance / mean),
        "Bartlett": stats.chi2.sf(observed / mean, 1),
        "F": stats.f.sf(observed, 1, 2 * mean / (mean - 1)) if mean > 1 else np.nan,
    }
    for name, p in expected.items():
        assert table.loc[name, "p.value"] == pytest.approx(p, nan_ok=True)
    text = repr(table)
    assert (
        text.startswith("Bootstrap test; samples: 1000; extremes: ") and "\nsmall : Reaction ~ Days" in text
    )
    again = mm.pb_modcomp(large, small, nsim=1000, rng=1)
    np.testing.assert_array_equal(again.attrs["reference"], reference)


def test_parametric_bootstrap_refuses(fitted, data):
    large, small = fitted("sleepstudy"), fitted("sleepstudy_intercept")
    with pytest.raises(mm.ControlError, match="larger"):
        mm.pb_modcomp(small, large)
    with pytest.raises(mm.DataError, match="size"):
        mm.pb_modcomp(large, fitted("dyestuff"))
    with pytest.raises(mm.ControlError, match="nsim"):
        mm.pb_modcomp(large, small, nsim=-1)
    with pytest.raises(mm.NotAvailableError, match="likelihoods"):
        mm.pb_modcomp(fitted("cbpp_pql"), fitted("cbpp_pql"))
